package mapping

import (
	"motte/core/identity"
	"motte/core/log"
)

// Entry says what a live object is and where its record lies.
type Entry struct {
	ID         identity.ID
	LSN        uint64       // of the record; see Wrote
	Loc        log.Location // offset and length are multiples of 8, and below 8*Limit; the length is not 0
	Collection uint32
	Owner      uint32
}

// Limits of an entry, so that it packs well. Put panics over them: another
// number in the place of a collection would give away an object.
const (
	Limit   = 1 << 24 // segment, collection and owner are below
	LSNBits = 24      // low bits of the LSN that are kept
)

// Wrote reports whether the record with this LSN can be the one at e's place.
// Of records that were at the same place one after the other, 2^24 LSNs have to
// lie between two that are taken for each other.
func (e Entry) Wrote(lsn uint64) bool { return (e.LSN^lsn)<<(64-LSNBits) == 0 }

// packed is an entry in a table, and in a checkpoint:
//
//	value 15 (the shard is its first byte) | tag 16
//	LSN 3 | segment 3 | offset/8 3 | length/8 3 | collection 3 | owner 3
//
// with numbers big-endian. A free place has length 0.
type packed [packedSize]byte

const (
	packedSize = numbersAt + 6*3
	numbersAt  = identity.Size - 1
	lengthAt   = 3 // of the numbers
)

// pack packs e, which keeps to its limits.
func pack(e Entry) (p packed) {
	e.LSN %= 1 << LSNBits
	copy(p[:], e.ID[1:])
	for i, x := range [...]uint32{uint32(e.LSN), e.Loc.Segment, e.Loc.Offset / 8, e.Loc.Length / 8, e.Collection, e.Owner} {
		b := p[numbersAt+3*i:]
		b[0], b[1], b[2] = byte(x>>16), byte(x>>8), byte(x)
	}
	if p.free() || p.entry(e.ID[0]) != e {
		panic("mapping: an entry over its limits")
	}
	return p
}

// entry unpacks p, of the shard with this number.
func (p *packed) entry(shard byte) (e Entry) {
	e.ID[0] = shard
	copy(e.ID[1:], p[:])
	e.LSN = uint64(p.number(0))
	e.Loc = log.Location{Segment: p.number(1), Offset: p.number(2) * 8, Length: p.number(lengthAt) * 8}
	e.Collection, e.Owner = p.number(4), p.number(5)
	return e
}

func (p *packed) number(i int) uint32 {
	b := p[numbersAt+3*i:]
	return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
}

func (p *packed) free() bool { return p.number(lengthAt) == 0 }

// value returns the value but for its first byte, as all of shard do.
func (p *packed) value() []byte { return p[:identity.ValueSize-1] }
