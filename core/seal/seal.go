// Package seal holds the Core's keys and seals with them.
//
// One root key (from the deployment) and the store's random identifier give,
// by HKDF-SHA-256 (RFC 5869), every key of the Core but the principals' data keys:
// keys of two stores, or for two purposes, are independent. The data key that seals
// what a principal puts comes from a secret of its own, from which single keys can
// be taken away for good: see DataKeys.
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

// DataKeys is the secret from which the data key of each owner comes: a tree of
// pseudo-random functions, whose leaves are the keys (Goldreich, Goldwasser, Micali:
// How to construct random functions, JACM 1986). A node gives all that is below it.
// Without an owner's leaf and the nodes above it, that is punctured (Boneh, Waters:
// Constrained pseudorandom functions, ASIACRYPT 2013), it gives every other key, and
// nothing of that one.
//
// The nodes are in the order of their owners.
type DataKeys []node

type node struct {
	owner  uint32 // the first below it
	levels uint8  // to the leaves
	seed   [KeySize]byte
}

// levels of a whole tree: owners are below 1<<24.
const levels = 24

// NewDataKeys returns a whole tree.
func NewDataKeys(seed [KeySize]byte) DataKeys { return DataKeys{{0, levels, seed}} }

// above returns which node is above an owner's leaf, or -1.
func (k DataKeys) above(owner uint32) int {
	i, found := slices.BinarySearchFunc(k, owner, func(n node, o uint32) int { return int(n.owner) - int(o) })
	if !found {
		i--
	}
	if i < 0 || owner>>k[i].levels != k[i].owner>>k[i].levels {
		return -1
	}
	return i
}

// Key returns the data key of an owner, unless it was taken away.
func (k DataKeys) Key(owner uint32) (key [KeySize]byte, ok bool) {
	i := k.above(owner)
	if i < 0 {
		return key, false
	}
	n := k[i]
	for n.levels > 0 {
		n, _ = n.step(owner)
	}
	return n.seed, true
}

// Puncture returns k without the key of an owner.
func (k DataKeys) Puncture(owner uint32) DataKeys {
	i := k.above(owner)
	if i < 0 {
		return k
	}
	rest := slices.Delete(slices.Clone(k), i, i+1)
	for n, other := k[i], (node{}); n.levels > 0; rest = append(rest, other) {
		n, other = n.step(owner)
	}
	slices.SortFunc(rest, func(a, b node) int { return int(a.owner) - int(b.owner) })
	return rest
}

// step returns the two nodes below n, first the one above an owner's leaf.
func (n node) step(owner uint32) (on, off node) {
	n.levels--
	half := func(b byte) node {
		m := hmac.New(sha256.New, n.seed[:])
		m.Write([]byte{b})
		return node{n.owner | uint32(b)<<n.levels, n.levels, [KeySize]byte(m.Sum(nil))}
	}
	if owner>>n.levels&1 == 0 {
		return half(0), half(1)
	}
	return half(1), half(0)
}

const nodeSize = 4 + 1 + KeySize

// SealDataKeys seals the secret under the root key: salt 16, and, sealed, of each
// node owner 4 | levels 1 | seed 32.
func (k *Keys) SealDataKeys(s Salt, keys DataKeys) []byte {
	var plain []byte
	for i := range keys {
		plain = append(binary.BigEndian.AppendUint32(plain, keys[i].owner), keys[i].levels)
		plain = append(plain, keys[i].seed[:]...)
	}
	return k.dataKeys(s).Seal(s[:], Nonce(0), plain, nil)
}

// OpenDataKeys opens what SealDataKeys made; false: it is something else.
func (k *Keys) OpenDataKeys(p []byte) (keys DataKeys, ok bool) {
	if len(p) < SaltSize {
		return nil, false
	}
	plain, err := k.dataKeys(Salt(p[:SaltSize])).Open(nil, Nonce(0), p[SaltSize:], nil)
	if err != nil || len(plain)%nodeSize != 0 {
		return nil, false
	}
	for n := range slices.Chunk(plain, nodeSize) {
		keys = append(keys, node{binary.BigEndian.Uint32(n), n[4], [KeySize]byte(n[5:])})
	}
	return keys, true
}

func (k *Keys) dataKeys(s Salt) cipher.AEAD {
	return newAEAD(derive(k.derive("data keys"), s[:], "motte/v1/data keys"))
}

// maxCached bounds the derived keys kept ready; one takes about 1 KiB.
const maxCached = 4096

// Ring derives from data keys what seals records. It is safe for concurrent use.
type Ring struct {
	mu     sync.RWMutex
	own    map[uint32][KeySize]byte
	data   DataKeys
	cached map[cacheKey]cipher.AEAD
}

type cacheKey struct {
	owner uint32
	salt  Salt
}

// NewRing returns a Ring that holds the data keys given, by owner.
func NewRing(own map[uint32][KeySize]byte) *Ring {
	return &Ring{own: own, cached: make(map[cacheKey]cipher.AEAD)}
}

// Use sets where the data keys of all other owners come from, and forgets what was
// derived.
func (r *Ring) Use(keys DataKeys) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.data = keys
	clear(r.cached)
}

// Has reports whether an owner has a data key.
func (r *Ring) Has(owner uint32) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	_, own := r.own[owner]
	return own || r.data.above(owner) >= 0
}

// Bodies returns what seals the bodies of an owner's records in a segment, or
// nil if the owner has no key.
func (r *Ring) Bodies(owner uint32, s Salt) cipher.AEAD {
	k := cacheKey{owner, s}
	r.mu.RLock()
	a := r.cached[k]
	r.mu.RUnlock()
	if a != nil {
		return a
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	key, ok := r.own[owner]
	if !ok {
		key, ok = r.data.Key(owner)
	}
	if !ok {
		return nil
	}
	if len(r.cached) >= maxCached {
		clear(r.cached)
	}
	a = newAEAD(derive(key[:], s[:], "motte/v1/record body"))
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
