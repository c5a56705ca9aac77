// Package identity makes and checks object identities (paper, section 5, "PUT
// Operation"; design, section 4).
//
// An identity is 32 bytes:
//
//	value 16 | tag 16
//
// The value is random, or a keyed pseudo-random function of the name that the client
// chose. So the Core finds an object by its name, and no index needs the name in the
// clear. The tag is a keyed hash of the collection, the value, the owner and the content.
// The content is the object and the attributes given with it, which indexes are fed.
//
// Guarantees, while the Maker's key is secret:
//
//  1. An identity can't be forged: a guessed tag is accepted with probability 2^-128.
//  2. An identity names one exact content of one owner in one collection. If an object is
//     put again with other attributes or by another owner, its tag changes. So a
//     precondition on the identity detects every change of an index's input.
//  3. An identity reveals neither the name, the owner nor the content, not even whether
//     two objects are equal.
//
// The paper's tag is a plain hash. Guarantees 1 and 3 need the key.
package identity

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// Sizes in bytes.
const ValueSize, Size = 16, 32

// Value is the first half of an identity. It names an object.
type Value [ValueSize]byte

// ID is an identity: value ‖ tag. The tag binds the content and its owner.
type ID [Size]byte

// Content is the digest of all parts of an object that an index may be fed: see Digest.
type Content [sha256.Size]byte

// Value returns the first half of id.
func (id ID) Value() Value { return Value(id[:ValueSize]) }

// Compare orders identities by their bytes, as bytes.Compare does.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// Maker makes identities under one key. It is not safe for concurrent use: each goroutine
// has a Maker of its own.
type Maker struct{ mac hash.Hash }

// NewMaker returns a Maker. The key must have no other use.
func NewMaker(key []byte) *Maker { return &Maker{hmac.New(sha256.New, key)} }

// Named returns the value of the object that has this name in the collection.
func (m *Maker) Named(collection uint32, name []byte) Value {
	return Value(m.hash('n', collection, name))
}

// Digest returns the digest of an object and of the attributes given with it. The
// attributes are in canonical form: see wire.DecodeAttributes. Their length is hashed
// first, so that no byte can move between attributes and object.
func Digest(attributes, object []byte) (c Content) {
	d := sha256.New()
	d.Write(binary.BigEndian.AppendUint64(nil, uint64(len(attributes))))
	d.Write(attributes)
	d.Write(object)
	d.Sum(c[:0])
	return c
}

// ID returns the identity of an object.
func (m *Maker) ID(collection, owner uint32, v Value, content Content) ID {
	tag := m.hash('t', collection, v[:], binary.BigEndian.AppendUint32(nil, owner), content[:])
	return ID(append(v[:], tag...))
}

// Check reports whether id is the identity of this content, owner and collection. Its time
// does not depend on the position of a difference.
func (m *Maker) Check(collection, owner uint32, id ID, content Content) bool {
	want := m.ID(collection, owner, id.Value(), content)
	return hmac.Equal(want[:], id[:])
}

// Alias returns the number that stands for an owner in the index with this number. It tells
// nothing of the owner, and an owner has unrelated aliases in two indexes. It is never 0.
func (m *Maker) Alias(index, owner uint32) uint64 {
	p := m.hash('o', index, binary.BigEndian.AppendUint32(nil, owner))
	return max(1, binary.BigEndian.Uint64(p))
}

// hash returns the first half of a MAC. The first byte of the input separates the uses of
// the key.
func (m *Maker) hash(use byte, collection uint32, parts ...[]byte) []byte {
	m.mac.Reset()
	m.mac.Write(binary.BigEndian.AppendUint32([]byte{use}, collection))
	for _, p := range parts {
		m.mac.Write(p)
	}
	return m.mac.Sum(nil)[:ValueSize]
}
