package seal

import (
	"crypto/cipher"
	"encoding/binary"
	"sync/atomic"
)

// readyKeys is a cache of derived keys that is read without a lock: the readers of all
// connections need two keys for each record. A key can stand in two slots, which its
// recordKey chooses. Changes have one caller at a time. A table is made with its first key,
// since most uses of Keys need few records or none.
type readyKeys struct{ table atomic.Pointer[readyTable] }

type readyTable [maxReady]atomic.Pointer[readyKey]

// maxReady is a power of two. A key takes about 1 KiB, so a full cache takes about 4 MiB.
const maxReady = 4096

// recordKey names a key that seals records.
type recordKey struct {
	heads bool   // it seals heads; otherwise bodies
	owner uint32 // of the bodies
	salt  Salt   // of the segment
}

type readyKey struct {
	recordKey
	aead cipher.AEAD
}

// slot returns the first slot of a key. The second slot is slot ^ 1.
func (n recordKey) slot() uint32 {
	owner := n.owner
	if n.heads {
		owner = 1<<32 - 1 // not the slots of the Core's bodies
	}
	return (binary.BigEndian.Uint32(n.salt[:]) + owner*0x9E3779B1) % maxReady
}

// get returns a key, or nil if it is not in the cache.
func (r *readyKeys) get(n recordKey) cipher.AEAD {
	table := r.table.Load()
	if table == nil {
		return nil
	}
	first := n.slot()
	for _, i := range [...]uint32{first, first ^ 1} {
		if k := table[i].Load(); k != nil && k.recordKey == n {
			return k.aead
		}
	}
	return nil
}

// put adds a key in the place of the older key of its two slots.
func (r *readyKeys) put(n recordKey, a cipher.AEAD) {
	table := r.table.Load()
	if table == nil {
		table = new(readyTable)
		r.table.Store(table)
	}
	i := n.slot()
	table[i^1].Store(table[i].Load())
	table[i].Store(&readyKey{n, a})
}

// drop removes all keys.
func (r *readyKeys) drop() { r.table.Store(nil) }
