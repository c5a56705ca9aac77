// Package mapping keeps, in memory, where each live object lies (paper,
// section 5, "Mapping module"): identity value → entry.
//
// Guarantees:
//
//  1. An entry takes 49 bytes, in a run that has room for an eighth more at most
//     while it grows, and no pointer: the garbage collector has next to nothing to
//     follow, however many objects there are.
//  2. No operation moves more than one run, a 16,384th of the map.
//  3. What Put took is what Get returns, but for the high bits of the LSN.
//
// Values are random, or a keyed pseudo-random function of a name, so the bytes
// of a value are a hash already, and nobody without the key can choose values
// of one run. Values are unique over all collections.
//
// A Map has one owner; it is not safe for concurrent use.
package mapping

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"

	"motte/core/frame"
	"motte/core/identity"
	"motte/core/log"
)

// Entry says what a live object is and where its record lies.
type Entry struct {
	ID         identity.ID
	LSN        uint64       // of the record, but for its high bits: see Wrote
	Loc        log.Location // Offset and Length: multiples of 8, below 8*Limit; Length is not 0
	Collection uint32
	Owner      uint32
}

// Limit is what segment, collection and owner are below. Whoever numbers them keeps
// to it; here a number that is cut off would give one collection's object to
// another. An LSN is cut off: what it is modulo Limit is kept.
const Limit = 1 << 24

// Wrote reports whether the record with this LSN may be the one at e's place:
// another record that lay there has the same low bits once in Limit LSNs.
func (e Entry) Wrote(lsn uint64) bool { return (e.LSN^lsn)%Limit == 0 }

// Shards is the number of parts that a Map has, by the first byte of a value. Each
// has several runs, by the next six bits.
const (
	Shards = 256
	runs   = 64
)

// Map is the mapping: runs of entries, each in the order of their values. The zero
// value is empty.
type Map struct{ runs [Shards * runs][]packed }

// Size returns the number of entries, and the bytes that all runs take.
func (m *Map) Size() (entries int, bytes int64) {
	for _, run := range m.runs[:] {
		entries += len(run)
		bytes += int64(cap(run)) * packedSize
	}
	return entries, bytes
}

// find returns the run of a value, and the place where it is, or where it would go:
// near its share of the run, as values are random.
func (m *Map) find(v identity.Value) (run *[]packed, i int, ok bool) {
	where := binary.BigEndian.Uint64(v[:])
	run = &m.runs[where>>50]
	list := *run
	i = int(where << 14 >> 32 * uint64(len(list)) >> 32)
	for i > 0 && bytes.Compare(list[i-1].value(), v[1:]) >= 0 {
		i--
	}
	for i < len(list) && bytes.Compare(list[i].value(), v[1:]) < 0 {
		i++
	}
	return run, i, i < len(list) && bytes.Equal(list[i].value(), v[1:])
}

// room is for how many entries a run is made that has n: an eighth more.
func room(n int) int { return n + n/8 + 1 }

func sized(run []packed) []packed { return append(make([]packed, 0, room(len(run))), run...) }

// Get returns the entry of the object with this value.
func (m *Map) Get(v identity.Value) (e Entry, ok bool) {
	run, i, ok := m.find(v)
	if ok {
		e = (*run)[i].entry(v[0])
	}
	return e, ok
}

// Put sets the entry of the object with e's value. It panics if e is over the limits
// of an entry.
func (m *Map) Put(e Entry) {
	p := pack(e)
	run, i, ok := m.find(e.ID.Value())
	if ok {
		(*run)[i] = p
		return
	}
	if len(*run) == cap(*run) {
		*run = sized(*run)
	}
	*run = slices.Insert(*run, i, p)
}

// Delete removes the entry of the object with this value, and returns it.
func (m *Map) Delete(v identity.Value) (e Entry, ok bool) {
	run, i, ok := m.find(v)
	if !ok {
		return e, false
	}
	e = (*run)[i].entry(v[0])
	*run = slices.Delete(*run, i, i+1)
	if room(len(*run))*4 < cap(*run)*3 {
		*run = sized(*run)
	}
	return e, true
}

// Shard yields the entries of one shard, in the order of their values. The shard must
// not change meanwhile.
func (m *Map) Shard(i int) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, run := range m.runs[i*runs:][:runs] {
			for j := range run {
				if !yield(run[j].entry(byte(i))) {
					return
				}
			}
		}
	}
}

// AppendShard appends the packed entries of one shard, in the order of their values.
func (m *Map) AppendShard(b []byte, i int) []byte {
	for _, run := range m.runs[i*runs:][:runs] {
		for j := range run {
			b = append(b, run[j][:]...)
		}
	}
	return b
}

// LoadShard fills shard i, which is empty, with packed entries, in any order. If b is
// something else (a part of an entry, an entry without a length, two with one value),
// it returns frame.ErrMalformed, and the shard stays empty.
func (m *Map) LoadShard(i int, b []byte) error {
	if len(b)%packedSize > 0 {
		return frame.ErrMalformed
	}
	all := m.runs[i*runs:][:runs]
	for p := range slices.Chunk(b, packedSize) {
		all[p[0]>>2] = append(all[p[0]>>2], packed(p))
	}
	for j, run := range all {
		slices.SortFunc(run, func(p, q packed) int { return bytes.Compare(p.value(), q.value()) })
		for k := range run {
			if run[k].free() || k > 0 && bytes.Equal(run[k].value(), run[k-1].value()) {
				clear(all)
				return frame.ErrMalformed
			}
		}
		if len(run) < cap(run) {
			all[j] = sized(run)
		}
	}
	return nil
}

// packed is an entry, in a table and in a checkpoint:
//
//	value 15, without the first byte, which is the shard | tag 16 | LSN 3
//	segment 3 | offset/8 3 | length/8 3 | collection 3 | owner 3
//
// with the low bytes of numbers, big-endian. The length is not 0.
type packed [packedSize]byte

const packedSize = 49

// pack panics if e is over its limits.
func pack(e Entry) (p packed) {
	e.LSN %= Limit
	copy(p[:], e.ID[1:])
	for i, x := range [...]uint32{uint32(e.LSN), e.Loc.Segment, e.Loc.Offset / 8, e.Loc.Length / 8, e.Collection, e.Owner} {
		p[31+3*i], p[32+3*i], p[33+3*i] = byte(x>>16), byte(x>>8), byte(x)
	}
	if p.free() || p.entry(e.ID[0]) != e {
		panic("mapping: an entry over its limits")
	}
	return p
}

func (p *packed) entry(shard byte) (e Entry) {
	e.ID[0] = shard
	copy(e.ID[1:], p[:])
	e.LSN, e.Collection, e.Owner = uint64(p.number(0)), p.number(4), p.number(5)
	e.Loc = log.Location{Segment: p.number(1), Offset: p.number(2) * 8, Length: p.number(3) * 8}
	return e
}

func (p *packed) number(i int) uint32 {
	return uint32(p[31+3*i])<<16 | uint32(p[32+3*i])<<8 | uint32(p[33+3*i])
}

func (p *packed) value() []byte { return p[:15] }

func (p *packed) free() bool { return p.number(3) == 0 }
