// Package seal derives the Core's keys and seals with them.
//
// The deployment provides one root key. It seals a single file, which holds the Secrets and
// the DataKeys of a store, so the operator can replace the root key. HKDF-SHA-256 (RFC
// 5869) derives the Core's keys from a secret, the store's random identifier and a purpose.
// So keys of two stores, or for two purposes, are independent. The data keys of principals
// come from DataKeys, from which single keys can be removed for good.
//
// All sealing is AES-256-GCM. Invariant: no nonce is used twice under one key. The attacker
// keeps every version of the disk, and after a rollback the Core would count from the same
// number again. So a number read from the disk must not be a nonce under a key that
// survives a restart. Therefore:
//
//  1. A record is sealed under HKDF(data key, salt). The salt is 16 random bytes, made for
//     the segment in which the record is first written.
//  2. After a start the Core never appends to a segment of an earlier start.
//  3. The nonce is the log sequence number, which occurs once in a segment (design,
//     section 6).
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
	Overhead = 16 // difference between a sealed text and its plain text
)

// Root is the root sealing key.
type Root [KeySize]byte

// Salt makes the keys of one segment differ from those of all others.
type Salt [SaltSize]byte

// StoreID is the random identifier of a store.
type StoreID [16]byte

// Secrets are the secrets of a store, except those of principals.
type Secrets struct {
	Own  [KeySize]byte // from which the Core's own keys are derived
	Core [KeySize]byte // seed of the Ed25519 key by which clients know the Core
	Next [KeySize]byte // seed of the key that will replace it; zero: no key is planned
}

// Keys are the keys of one store: the Core's own, and, after Use, those of principals. They
// are safe for concurrent use, except while the Secrets are set.
type Keys struct {
	Secrets
	root  Root
	store StoreID

	ready readyKeys // changed under mu

	mu   sync.Mutex
	data DataKeys
}

// Derive returns the keys of a store. Its Secrets are derived from the root key, as in
// files of version 2. OpenDataKeys sets the Secrets of version 3.
func Derive(root Root, store StoreID) *Keys {
	k := &Keys{root: root, store: store}
	k.Own = root
	k.Core = [KeySize]byte(k.derive("tls ed25519 seed"))
	return k
}

// Store returns the identifier of the store.
func (k *Keys) Store() StoreID { return k.store }

func (k *Keys) derive(purpose string) []byte {
	return derive(k.Own[:], k.store[:], "motte/v1/"+purpose)
}

// Identity returns the key of object identities.
func (k *Keys) Identity() []byte { return k.derive("identity") }

// salted returns the AEAD of a file with this purpose and salt.
func salted(secret []byte, purpose string, s Salt) cipher.AEAD {
	return newAEAD(derive(secret, s[:], "motte/v1/"+purpose))
}

// Checkpoint returns the AEAD of the checkpoint with this salt.
func (k *Keys) Checkpoint(s Salt) cipher.AEAD { return salted(k.derive("checkpoint"), "checkpoint", s) }

// wrap returns the AEAD of the file of data keys with this salt.
func (k *Keys) wrap(s Salt) cipher.AEAD {
	return salted(derive(k.root[:], k.store[:], "motte/v1/data keys"), "data keys", s)
}

// MAC returns the message authentication code of a segment's header.
func (k *Keys) MAC(header []byte) []byte {
	m := hmac.New(sha256.New, k.derive("segment header"))
	m.Write(header)
	return m.Sum(nil)
}

// Nonce returns the nonce of the record with this log sequence number.
func Nonce(lsn uint64) []byte { return binary.BigEndian.AppendUint64(make([]byte, 4, 12), lsn) }

// DataKeys is the secret from which the data key of each owner is derived. It is a tree of
// pseudo-random functions whose leaves are the keys (Goldreich, Goldwasser, Micali: How to
// construct random functions, JACM 1986). From a node every key below it can be derived.
//
// The secret is punctured at an owner if its leaf and all nodes above that leaf are removed
// (Boneh, Waters: Constrained pseudorandom functions, ASIACRYPT 2013). Then it yields every
// key except that of this owner.
//
// The nodes are in the order of their owners.
type DataKeys []node

type node struct {
	owner  uint32 // the first owner below the node
	levels uint8  // from the node to the leaves
	seed   [KeySize]byte
}

func byOwner(a, b node) int { return int(a.owner) - int(b.owner) }

// levels is the height of a whole tree: owners are below 1<<24.
const levels = 24

// NewDataKeys returns a whole tree.
func NewDataKeys(seed [KeySize]byte) DataKeys { return DataKeys{{0, levels, seed}} }

// above returns the index of the node above an owner's leaf, or -1.
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

// Key returns the data key of an owner, unless the secret is punctured there.
func (k DataKeys) Key(owner uint32) (key [KeySize]byte, ok bool) {
	i := k.above(owner)
	if i < 0 {
		return key, false
	}
	n := k[i]
	for n.levels > 0 {
		n = n.below(owner)
	}
	return n.seed, true
}

// Puncture returns the secret, punctured at an owner.
func (k DataKeys) Puncture(owner uint32) DataKeys {
	i := k.above(owner)
	if i < 0 {
		return k
	}
	rest := slices.Delete(slices.Clone(k), i, i+1)
	for n := k[i]; n.levels > 0; n = n.below(owner) {
		rest = append(rest, n.below(owner^1<<(n.levels-1)))
	}
	slices.SortFunc(rest, byOwner)
	return rest
}

// below returns the child of n that is above an owner's leaf.
func (n node) below(owner uint32) node {
	bit := owner >> (n.levels - 1) & 1
	m := hmac.New(sha256.New, n.seed[:])
	m.Write([]byte{byte(bit)})
	return node{n.owner | bit<<(n.levels-1), n.levels - 1, [KeySize]byte(m.Sum(nil))}
}

// Sizes of sealed data, in bytes.
const (
	generationSize = 8
	secretsSize    = 3 * KeySize
	nodeSize       = 4 + 1 + KeySize
)

// Common returns the secret that yields the keys which both secrets yield.
func (k DataKeys) Common(other DataKeys) (both DataKeys) {
	for _, n := range k {
		if i := other.above(n.owner); i >= 0 && other[i].levels >= n.levels {
			both = append(both, n)
		}
	}
	for _, n := range other {
		if i := k.above(n.owner); i >= 0 && k[i].levels > n.levels {
			both = append(both, n)
		}
	}
	slices.SortFunc(both, byOwner)
	return both
}

// SealDataKeys seals the secrets under the root key. The result is the salt, 16 bytes,
// followed by the sealed text
//
//	generation 8 | Secrets 96 | for each node: owner 4, levels 1, seed 32
func (k *Keys) SealDataKeys(s Salt, generation uint64, keys DataKeys) []byte {
	plain := binary.BigEndian.AppendUint64(nil, generation)
	plain = slices.Concat(plain, k.Own[:], k.Core[:], k.Next[:])
	for i := range keys {
		plain = append(binary.BigEndian.AppendUint32(plain, keys[i].owner), keys[i].levels)
		plain = append(plain, keys[i].seed[:]...)
	}
	return k.wrap(s).Seal(s[:], Nonce(0), plain, nil)
}

// OpenDataKeys opens and uses the result of SealDataKeys. It returns false if p is not such
// a result. A file of version 2 has no Secrets; those of Derive stay.
func (k *Keys) OpenDataKeys(version byte, p []byte) (generation uint64, ok bool) {
	if len(p) < SaltSize {
		return 0, false
	}
	plain, err := k.wrap(Salt(p[:SaltSize])).Open(nil, Nonce(0), p[SaltSize:], nil)
	front := generationSize + secretsSize
	if version == 2 {
		front = generationSize
	}
	// No length is valid in both versions, so the attacker can't change the version.
	if err != nil || len(plain) < front || (len(plain)-front)%nodeSize != 0 {
		return 0, false
	}
	if version > 2 {
		n := copy(k.Own[:], plain[generationSize:])
		n += copy(k.Core[:], plain[generationSize+n:])
		copy(k.Next[:], plain[generationSize+n:])
	}
	var keys DataKeys
	for n := range slices.Chunk(plain[front:], nodeSize) {
		keys = append(keys, node{binary.BigEndian.Uint32(n), n[4], [KeySize]byte(n[5:])})
	}
	k.Use(keys)
	return binary.BigEndian.Uint64(plain), true
}

// Data returns the secret of the principals' data keys.
func (k *Keys) Data() DataKeys {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.data
}

// Use sets the secret of the principals' data keys, and empties the cache of derived keys.
func (k *Keys) Use(keys DataKeys) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.data = keys
	k.ready.drop()
}

// CoreOwner is the owner of all records that are not objects. No principal has this number.
const CoreOwner = 0

// Has reports whether an owner of records has a data key.
func (k *Keys) Has(owner uint32) bool { return owner == CoreOwner || k.Data().above(owner) >= 0 }

// Heads returns the AEAD that seals the heads of all records of a segment.
func (k *Keys) Heads(s Salt) cipher.AEAD { return k.record(recordKey{heads: true, salt: s}) }

// Bodies returns the AEAD that seals the bodies of an owner's records in a segment, or nil
// if the owner has no data key.
func (k *Keys) Bodies(owner uint32, s Salt) cipher.AEAD {
	return k.record(recordKey{owner: owner, salt: s})
}

func (k *Keys) record(n recordKey) cipher.AEAD {
	if a := k.ready.get(n); a != nil {
		return a
	}
	// The lock is held during the derivation, so that a key whose secret is taken away
	// meanwhile does not come into the cache.
	k.mu.Lock()
	defer k.mu.Unlock()
	if a := k.ready.get(n); a != nil { // another goroutine has derived it
		return a
	}
	secret := k.secretOf(n)
	if secret == nil {
		return nil
	}
	a := newAEAD(derive(secret, n.salt[:], "motte/v1/record body"))
	k.ready.put(n, a)
	return a
}

// secretOf returns the secret from which a key is derived, or nil if there is none. The
// lock is held.
func (k *Keys) secretOf(n recordKey) []byte {
	if n.heads {
		return k.derive("record head")
	}
	if n.owner == CoreOwner {
		return k.derive("data")
	}
	if key, ok := k.data.Key(n.owner); ok {
		return key[:]
	}
	return nil
}

func derive(secret, salt []byte, info string) []byte {
	return must(hkdf.Key(sha256.New, secret, salt, info, KeySize))
}

func newAEAD(key []byte) cipher.AEAD { return must(cipher.NewGCM(must(aes.NewCipher(key)))) }

// must panics on an error. The errors here come from a wrong length of a key, block or
// output, and all these lengths are constants.
func must[T any](v T, err error) T {
	if err != nil {
		panic("seal: " + err.Error())
	}
	return v
}
