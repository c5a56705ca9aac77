package seal

import (
	"crypto/cipher"
	"encoding/binary"
	"sync/atomic"
)

// readyKeys keeps keys that were derived, at most maxReady of them, for readers that take
// no lock: readers of all connections ask for two keys with each record. Each key has two
// places, which its owner and salt choose. Changes have one caller at a time.
type readyKeys [maxReady]atomic.Pointer[readyKey]

// maxReady is a power of two. A key takes about 1 KiB, so all of them take about 4 MiB.
const maxReady = 4096

type readyKey struct {
	owner uint32
	salt  Salt
	aead  cipher.AEAD
}

// place returns the first place of a key. The second one is beside it.
func place(owner uint32, s Salt) uint32 {
	return (binary.BigEndian.Uint32(s[:]) + owner*0x9E3779B1) % maxReady
}

// get returns a key, if it is kept.
func (r *readyKeys) get(owner uint32, s Salt) cipher.AEAD {
	first := place(owner, s)
	for _, i := range [...]uint32{first, first ^ 1} {
		if k := r[i].Load(); k != nil && k.owner == owner && k.salt == s {
			return k.aead
		}
	}
	return nil
}

// put keeps a key instead of the older one of those that have its places.
func (r *readyKeys) put(owner uint32, s Salt, a cipher.AEAD) {
	i := place(owner, s)
	r[i^1].Store(r[i].Load())
	r[i].Store(&readyKey{owner, s, a})
}

// drop keeps no key any more.
func (r *readyKeys) drop() {
	for i := range r {
		r[i].Store(nil)
	}
}
