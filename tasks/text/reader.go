package main

import (
	"encoding/binary"
	"math/bits"
)

// reader reads the data of a block.
type reader struct {
	data  []byte
	start int    // of the posting
	tail  int    // of the posting's fields and numbers
	times int    // of the posting's numbers
	at    int    // of the next posting
	slot  slot   // of the posting; at first that of the block's first
	set   uint32 // fields that have the term; 0: the last field, once
}

// next reads the next posting.
func (r *reader) next() bool {
	if r.at >= len(r.data) {
		r.slot = noSlot
		return false
	}
	r.start = r.at
	code := r.varint()
	r.slot += slot(code >> 1)
	r.tail, r.set = r.at, 0
	if code&1 == 1 {
		r.set = uint32(r.varint())
		r.times = r.at
		for range bits.OnesCount32(r.set) {
			r.varint()
		}
	}
	return true
}

func (r *reader) varint() uint64 {
	if b := r.data[r.at]; b < 0x80 {
		r.at++
		return uint64(b)
	}
	v, n := binary.Uvarint(r.data[r.at:])
	r.at += n
	return v
}

// replace appends the posting, with another distance, and all behind it.
func (r *reader) replace(p []byte, distance slot) []byte {
	code := uint64(distance) << 1
	if r.set != 0 {
		code |= 1
	}
	return append(binary.AppendUvarint(p, code), r.data[r.tail:]...)
}
