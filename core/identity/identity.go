// Package identity makes and checks object identities (paper, section 5, "PUT
// Operation"; design, section 4).
//
// An identity is value ‖ tag. The value is random, or a keyed pseudo-random
// function of a name that the client chose, so that a name finds its object
// without being stored in the clear. The tag is a keyed hash that binds the
// collection, the value, the owner and the content: the object, and the attributes
// given beside it, which indexes are fed.
//
// Guarantees, as long as the Maker's key is secret:
//
//  1. An identity can't be forged: a tag is accepted with probability 2^-128.
//  2. An identity names one exact content of one owner in one collection. The same
//     object put again under its name has another tag if its attributes or its owner
//     differ, so a precondition on the identity sees every change of an index's input.
//  3. An identity tells nothing of the name, the owner or the content, not even
//     whether two objects are equal.
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

// ID is an identity: value ‖ tag. The tag says which content, and whose.
type ID [Size]byte

// Content is the digest of all that an index may be fed of an object: see Digest.
type Content [sha256.Size]byte

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

// Digest returns the digest of an object and of the attributes given beside it. The
// attributes are in their canonical form, which wire.DecodeAttributes demands. Their
// length comes first: no byte can move between attributes and object unnoticed.
func Digest(attributes, object []byte) (c Content) {
	d := sha256.New()
	d.Write(binary.BigEndian.AppendUint64(nil, uint64(len(attributes))))
	d.Write(attributes)
	d.Write(object)
	d.Sum(c[:0])
	return c
}

// ID returns the identity of the object with this value and content, in this
// collection, that this owner put.
func (m *Maker) ID(collection, owner uint32, v Value, content Content) ID {
	tag := m.hash('t', collection, v[:], binary.BigEndian.AppendUint32(nil, owner), content[:])
	return ID(append(v[:], tag...))
}

// Check reports whether id names exactly this content, of this owner, in this
// collection, in time that does not depend on where they differ.
func (m *Maker) Check(collection, owner uint32, id ID, content Content) bool {
	want := m.ID(collection, owner, id.Value(), content)
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
