// Package seal holds the Core's keys and seals with them.
//
// One root key (from the deployment) and the store's random identifier give,
// by HKDF-SHA-256 (RFC 5869), every key of the Core but the principals' own:
// keys of two stores, or for two purposes, are independent. Each principal has
// a random data key that seals what it puts; it is kept in the log, sealed
// under the Core's own.
//
// All sealing is AES-256-GCM. Its one danger is a nonce that repeats under a
// key, and the attacker keeps every version of the disk: after a rollback the
// Core would count from the same number again, so a number read from the disk
// is no nonce. Therefore a record is never sealed under a data key itself, but
// under HKDF(data key, salt), where the salt is 32 random bytes made for the
// segment in which the record is first written, and no start ever appends to a
// segment of an earlier one. Under such a key the log sequence number, which
// occurs once in a segment, is the nonce (design, section 6).
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// Sizes in bytes.
const (
	KeySize  = 32
	SaltSize = 32
	Overhead = 16 // that a sealed text is longer than the text
)

// Root is the root sealing key.
type Root [KeySize]byte

// Salt makes the keys of one segment differ from those of all others.
type Salt [SaltSize]byte

// StoreID is the random identifier of a store.
type StoreID [16]byte

// Keys are the Core's own keys for one store.
type Keys struct {
	root  Root
	store StoreID
}

// Derive returns the keys of a store.
func Derive(root Root, store StoreID) *Keys { return &Keys{root, store} }

func (k *Keys) derive(purpose string) []byte {
	return derive(k.root[:], k.store[:], "motte/v1/"+purpose)
}

// Identity returns the key of object identities.
func (k *Keys) Identity() []byte { return k.derive("identity") }

// TLSSeed returns the seed of the Core's Ed25519 key, by which clients know it.
func (k *Keys) TLSSeed() []byte { return k.derive("tls ed25519 seed") }

// Data returns the data key of the records that belong to no principal.
func (k *Keys) Data() [KeySize]byte { return [KeySize]byte(k.derive("data")) }

// MAC returns the authenticator of a segment's header.
func (k *Keys) MAC(header []byte) []byte {
	m := hmac.New(sha256.New, k.derive("segment header"))
	m.Write(header)
	return m.Sum(nil)
}

// Heads returns what seals the heads of the records of a segment.
func (k *Keys) Heads(s Salt) cipher.AEAD {
	return newAEAD(derive(k.derive("record head"), s[:], "motte/v1/segment"))
}

// Nonce returns the nonce of the record with this log sequence number.
func Nonce(lsn uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 4, 12), lsn) }

// maxCached bounds the derived keys kept ready; one takes about 1 KiB.
const maxCached = 4096

// Ring holds the data keys by owner, and derives from them what seals records.
// It is safe for concurrent use.
type Ring struct {
	mu     sync.RWMutex
	data   map[uint32][KeySize]byte
	cached map[cacheKey]cipher.AEAD
}

type cacheKey struct {
	owner uint32
	salt  Salt
}

// NewRing returns a Ring that holds no key.
func NewRing() *Ring {
	return &Ring{data: make(map[uint32][KeySize]byte), cached: make(map[cacheKey]cipher.AEAD)}
}

// Set gives an owner its data key.
func (r *Ring) Set(owner uint32, key [KeySize]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.data[owner] = key
}

// Bodies returns what seals the bodies of an owner's records in a segment, or
// nil if the owner has no key.
func (r *Ring) Bodies(owner uint32, s Salt) cipher.AEAD {
	k := cacheKey{owner, s}
	r.mu.RLock()
	a, ready := r.cached[k]
	data, known := r.data[owner]
	r.mu.RUnlock()
	if ready || !known {
		return a
	}
	a = newAEAD(derive(data[:], s[:], "motte/v1/record body"))
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.cached) >= maxCached {
		clear(r.cached)
	}
	r.cached[k] = a
	return a
}

func derive(secret, salt []byte, info string) []byte {
	return must(hkdf.Key(sha256.New, secret, salt, info, KeySize))
}

func newAEAD(key []byte) cipher.AEAD { return must(cipher.NewGCM(must(aes.NewCipher(key)))) }

// must is for errors that only a wrong length of a key, block or output can
// cause: all of them are constants here.
func must[T any](v T, err error) T {
	if err != nil {
		panic("seal: " + err.Error())
	}
	return v
}
