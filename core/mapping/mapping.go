// Package mapping keeps, in memory, where each live object lies (paper,
// section 5, "Mapping module"): identity value → entry.
//
// Guarantees:
//
//  1. An entry takes 49 bytes, in a table that is from 0.84 to 0.95 full while
//     it grows, and no pointer: the garbage collector has nothing to follow,
//     however many objects there are.
//  2. No operation moves more than one shard, a 256th of the map.
//  3. What Put took is what Get returns, but for the high bits of the LSN.
//
// Values are random, or a keyed pseudo-random function of a name, so the bytes
// of a value are a hash already, and nobody without the key can choose values
// that collide. Values are unique over all collections.
//
// A Map has one owner; it is not safe for concurrent use.
package mapping

import (
	"bytes"
	"encoding/binary"
	"iter"

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

// Shards is the number of parts that a Map has, by the first byte of a value.
const Shards = 256

// Map is the mapping. The zero value is empty.
type Map struct{ shards [Shards]shard }

// Size returns the number of entries, and the bytes that all tables take.
func (m *Map) Size() (entries int, bytes int64) {
	for i := range m.shards {
		entries += m.shards[i].length
		bytes += int64(len(m.shards[i].table)) * packedSize
	}
	return entries, bytes
}

// Get returns the entry of the object with this value.
func (m *Map) Get(v identity.Value) (e Entry, ok bool) {
	s := &m.shards[v[0]]
	if i, ok := s.find(v[1:]); ok {
		return s.table[i].entry(v[0]), true
	}
	return e, false
}

// Put sets the entry of the object with e's value. It panics if e is over the limits
// of an entry.
func (m *Map) Put(e Entry) {
	s, p := &m.shards[e.ID[0]], pack(e)
	if (s.length+1)*20 > len(s.table)*19 { // at most 0.95 full
		s.resize(len(s.table))
	}
	s.put(p)
}

// Delete removes the entry of the object with this value, and returns it.
func (m *Map) Delete(v identity.Value) (e Entry, ok bool) {
	s := &m.shards[v[0]]
	i, ok := s.find(v[1:])
	if ok {
		e = s.table[i].entry(v[0])
		s.remove(i)
	}
	return e, ok
}

// Shard yields the entries of one shard. The shard must not change meanwhile.
func (m *Map) Shard(i int) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, p := range m.shards[i].table {
			if !p.free() && !yield(p.entry(byte(i))) {
				return
			}
		}
	}
}

// AppendShard appends the packed entries of one shard, in an order without a
// meaning.
func (m *Map) AppendShard(b []byte, i int) []byte {
	for _, p := range m.shards[i].table {
		if !p.free() {
			b = append(b, p[:]...)
		}
	}
	return b
}

// LoadShard fills shard i, which is empty, with what AppendShard appended. If b
// is something else (a part of an entry, an entry without a length, two with one
// value), it returns frame.ErrMalformed, and the shard stays empty.
func (m *Map) LoadShard(i int, b []byte) error {
	s := &m.shards[i]
	s.resize(len(b) / packedSize)
	for ; len(b) >= packedSize; b = b[packedSize:] {
		p := packed(b[:packedSize])
		if s.put(p) || p.free() {
			break
		}
	}
	if len(b) > 0 {
		*s = shard{}
		return frame.ErrMalformed
	}
	return nil
}

// shard is an open-addressed table with linear probing. Entries are in the order
// of their homes (Robin Hood hashing; the first place is behind the last), so a
// search ends where its value would be: one that finds nothing is no longer than
// another, however full the table. One place at least is free.
type shard struct {
	table  []packed
	length int // entries that are not free
}

// home is where the search for a value begins: the next four bytes after the one
// that chose the shard, as a fraction, choose the place.
func (s *shard) home(v []byte) int {
	return int(uint64(binary.BigEndian.Uint32(v)) * uint64(len(s.table)) >> 32)
}

// away is how far behind its home the entry at place i lies.
func (s *shard) away(i int) int { return s.wrap(i - s.home(s.table[i].value())) }

// wrap returns the place for one that may be before the first or behind the last.
func (s *shard) wrap(i int) int { return (i + len(s.table)) % len(s.table) }

// find returns the place of a value, or the one where it would go.
func (s *shard) find(v []byte) (i int, ok bool) {
	away := 0
	for i = s.home(v); i < len(s.table) && !s.table[i].free() && s.away(i) >= away; i, away = s.wrap(i+1), away+1 {
		if bytes.Equal(s.table[i].value(), v) {
			return i, true
		}
	}
	return i, false
}

// put sets the entry of p's value. If there was none, those from its place to
// the first free one move one place on.
func (s *shard) put(p packed) (replaced bool) {
	i, replaced := s.find(p.value())
	old := s.table[i]
	if s.table[i] = p; !replaced {
		for i = s.wrap(i + 1); !old.free(); i = s.wrap(i + 1) {
			old, s.table[i] = s.table[i], old
		}
		s.length++
	}
	return replaced
}

// remove frees place i: the entries behind it, up to one that is at home, move
// one place back. A table that is mostly free is made smaller.
func (s *shard) remove(i int) {
	for j := s.wrap(i + 1); !s.table[j].free() && s.away(j) > 0; i, j = j, s.wrap(j+1) {
		s.table[i] = s.table[j]
	}
	s.table[i] = packed{}
	if s.length--; s.length*4 < len(s.table)*3 && len(s.table) > 64 {
		s.resize(s.length)
	}
}

// resize moves the entries to a table for n of them, and an eighth more.
func (s *shard) resize(n int) {
	old := s.table
	*s = shard{table: make([]packed, n+n/8+8)}
	for _, p := range old {
		if !p.free() {
			s.put(p)
		}
	}
}

// packed is an entry, in a table and in a checkpoint:
//
//	value 15, without the first byte, which is the shard | tag 16 | LSN 3
//	segment 3 | offset/8 3 | length/8 3 | collection 3 | owner 3
//
// with the low bytes of numbers, big-endian. A free place is all zeros; an entry
// has a length.
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
