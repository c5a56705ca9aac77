// Package identity makes and checks object identities (paper, section 5, "PUT
// Operation"; design, section 4).
//
// An identity is value ‖ tag. The value is random, or a keyed pseudo-random
// function of a name that the client chose, so that a name finds its object
// without being stored in the clear. The tag is a keyed hash that binds the
// collection, the value and the SHA-256 of the content.
//
// Guarantees, as long as the Maker's key is secret:
//
//  1. An identity can't be forged: a tag is accepted with probability 2^-128.
//  2. An identity names one exact content in one collection: another content
//     of the same name has another tag.
//  3. An identity tells nothing of the name or the content, not even whether
//     two objects are equal.
//
// The paper's tag is a plain hash; keying it is what makes 1 and 3 hold.
package identity

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// Sizes in bytes.
const ValueSize, Size = 16, 32

// Value is the first half of an identity: which object.
type Value [ValueSize]byte

// ID is an identity: value ‖ tag. The tag says which content.
type ID [Size]byte

// Value returns the first half of id.
func (id ID) Value() Value { return Value(id[:ValueSize]) }

// Maker makes identities under one key. It is not safe for concurrent use:
// each owner has a Maker of its own.
type Maker struct{ mac hash.Hash }

// NewMaker returns a Maker under key, which is used for nothing else.
func NewMaker(key []byte) *Maker { return &Maker{hmac.New(sha256.New, key)} }

// Named returns the value of the object that has this name in the collection.
func (m *Maker) Named(collection uint32, name []byte) Value {
	return Value(m.hash('n', collection, name))
}

// ID returns the identity of the object with this value, in this collection,
// whose content has this SHA-256.
func (m *Maker) ID(collection uint32, v Value, content [sha256.Size]byte) ID {
	return ID(append(v[:], m.hash('t', collection, v[:], content[:])...))
}

// Check reports whether id names exactly this content in this collection, in
// time that does not depend on where they differ.
func (m *Maker) Check(collection uint32, id ID, content [sha256.Size]byte) bool {
	want := m.ID(collection, id.Value(), content)
	return hmac.Equal(want[:], id[:])
}

// hash returns the first half of a MAC. The first byte of what is hashed keeps the
// uses of the key apart.
func (m *Maker) hash(use byte, collection uint32, parts ...[]byte) []byte {
	m.mac.Reset()
	m.mac.Write(binary.BigEndian.AppendUint32([]byte{use}, collection))
	for _, p := range parts {
		m.mac.Write(p)
	}
	return m.mac.Sum(nil)[:ValueSize]
}
