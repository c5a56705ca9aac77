// Package seal holds the Core's keys and seals with them.
//
// One root key (from the deployment) and the store's random identifier give,
// by HKDF-SHA-256 (RFC 5869), every key of the Core but the principals' own:
// keys of two stores, or for two purposes, are independent. Each principal has
// a random data key that seals what it puts.
//
// Data keys are kept in the log and in checkpoints, wrapped under the wrap key,
// which is random and lies in a file of its own, sealed under the root key. A
// wrap key that is destroyed takes with it every data key that only it had
// wrapped, also in copies of the log that nobody can reach any more: so an
// erased principal's objects are gone from backups, too.
//
// All sealing is AES-256-GCM. Its one danger is a nonce that repeats under a
// key, and the attacker keeps every version of the disk: after a rollback the
// Core would count from the same number again, so a number read from the disk
// is no nonce. Therefore a record is never sealed under a data key itself, but
// under HKDF(data key, salt), where the salt is 16 random bytes made for the
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
	"maps"
	"slices"
	"sync"
)

// Sizes in bytes.
const (
	KeySize  = 32
	SaltSize = 16
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

// Checkpoint returns what seals the checkpoint with this salt.
func (k *Keys) Checkpoint(s Salt) cipher.AEAD {
	return newAEAD(derive(k.derive("checkpoint"), s[:], "motte/v1/checkpoint"))
}

// MAC returns the authenticator of a segment's header.
func (k *Keys) MAC(header []byte) []byte {
	m := hmac.New(sha256.New, k.derive("segment header"))
	m.Write(header)
	return m.Sum(nil)
}

// Heads returns what the heads of records are sealed with, as if they were the
// bodies of an owner of their own.
func (k *Keys) Heads() [KeySize]byte { return [KeySize]byte(k.derive("record head")) }

// Nonce returns the nonce of the record with this log sequence number.
func Nonce(lsn uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 4, 12), lsn) }

// WrapKey seals data keys.
type WrapKey [KeySize]byte

// WrappedSize is the length of a data key that is wrapped, in bytes.
const WrappedSize = nonceSize + KeySize + Overhead

const nonceSize = 12

// SealWraps seals wrap keys under the root key, for the file that keeps them:
// salt 16, and the keys, sealed.
func (k *Keys) SealWraps(s Salt, wraps []WrapKey) []byte {
	var plain []byte
	for _, w := range wraps {
		plain = append(plain, w[:]...)
	}
	return k.wraps(s).Seal(s[:], make([]byte, nonceSize), plain, nil)
}

// OpenWraps opens what SealWraps made; false: it is something else.
func (k *Keys) OpenWraps(p []byte) (wraps []WrapKey, ok bool) {
	if len(p) < SaltSize {
		return nil, false
	}
	plain, err := k.wraps(Salt(p[:SaltSize])).Open(nil, make([]byte, nonceSize), p[SaltSize:], nil)
	for key := range slices.Chunk(plain, KeySize) {
		if len(key) != KeySize {
			return nil, false
		}
		wraps = append(wraps, WrapKey(key))
	}
	return wraps, err == nil && len(wraps) > 0
}

func (k *Keys) wraps(s Salt) cipher.AEAD {
	return newAEAD(derive(k.derive("wrap keys"), s[:], "motte/v1/wrap keys"))
}

// maxCached bounds the derived keys kept ready; one takes about 1 KiB.
const maxCached = 4096

// Ring holds the data keys by owner, and derives from them what seals records.
// It is safe for concurrent use.
type Ring struct {
	mu     sync.RWMutex
	wraps  []WrapKey // the newest first: it wraps; all unwrap
	data   map[uint32][KeySize]byte
	cached map[cacheKey]cipher.AEAD
}

type cacheKey struct {
	owner uint32
	salt  Salt
}

// NewRing returns a Ring that holds no data key.
func NewRing() *Ring {
	return &Ring{data: make(map[uint32][KeySize]byte), cached: make(map[cacheKey]cipher.AEAD)}
}

// Wraps sets the wrap keys, the newest first.
func (r *Ring) Wraps(wraps []WrapKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wraps = wraps
}

// Set gives an owner its data key.
func (r *Ring) Set(owner uint32, key [KeySize]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.data[owner] = key
}

// Wrap wraps an owner's data key under the newest wrap key: nonce 12, and the
// key, sealed. The nonce is random: few keys are ever wrapped under one wrap key
// and owner.
func (r *Ring) Wrap(owner uint32, nonce [nonceSize]byte) []byte {
	r.mu.RLock()
	defer r.mu.RUnlock()
	key := r.data[owner]
	return wrapping(r.wraps[0], owner).Seal(nonce[:], nonce[:], key[:], nil)
}

// Unwrap gives an owner the data key that Wrap wrapped for it; false: no wrap
// key opens it.
func (r *Ring) Unwrap(owner uint32, wrapped []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.wraps {
		if key, err := wrapping(w, owner).Open(nil, wrapped[:nonceSize], wrapped[nonceSize:], nil); err == nil {
			r.data[owner] = [KeySize]byte(key)
			return true
		}
	}
	return false
}

func wrapping(w WrapKey, owner uint32) cipher.AEAD {
	return newAEAD(derive(w[:], binary.BigEndian.AppendUint32(nil, owner), "motte/v1/data key"))
}

// Forget destroys an owner's data key, and all that was derived from it.
func (r *Ring) Forget(owner uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.data, owner)
	maps.DeleteFunc(r.cached, func(k cacheKey, _ cipher.AEAD) bool { return k.owner == owner })
}

// Owners lists who has a data key, in order.
func (r *Ring) Owners() []uint32 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.data))
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
	if r.data[owner] == data { // nobody forgot it meanwhile
		r.cached[k] = a
	}
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
