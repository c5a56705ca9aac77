// Package mapping keeps, in memory, where each live object lies (paper,
// section 5, "Mapping module"): identity value → entry.
//
// Guarantees:
//
//  1. An entry takes 49 bytes, in a table that is from 0.8 to 0.9 full while it
//     grows, and no pointer: the garbage collector has nothing to follow,
//     however many objects there are.
//  2. No operation moves more than one shard, a 256th of the map.
//
// Values are random, or a keyed pseudo-random function of a name, so the bytes
// of a value are a hash already, and nobody without the key can choose values
// that collide. Values are unique over all collections.
//
// A Map has one owner; it is not safe for concurrent use.
package mapping

import (
	"encoding/binary"
	"iter"

	"motte/core/identity"
	"motte/core/log"
)

type Entry struct {
	ID         identity.ID
	LSN        uint64
	Loc        log.Location
	Collection uint32
	Owner      uint32
}

const Shards = 256
const Limit = 1 << 24

type Map struct {
	shards [Shards]shard
	length int
}

func (m *Map) Len() int { return m.length }

func (m *Map) Get(v identity.Value) (e Entry, ok bool) {
	s := &m.shards[v[0]]
	i, ok := s.find((*key)(v[1:]))
	if ok {
		e = s.table[i].entry(v[0])
	}
	return e, ok
}


func (m *Map) Put(e Entry) (old Entry, replaced bool) {
	s := &m.shards[e.ID[0]]
	p := pack(&e)
	i, replaced := s.find(p.key())
	if replaced {
		old = s.table[i].entry(e.ID[0])
		s.table[i] = p
		return old, true
	}
	if (s.length+1)*16 > len(s.table)*15 {
		s.resize(len(s.table) + len(s.table)/16 + 8)
		i, _ = s.find(p.key())
	}
	s.insert(i, p)
	m.length++
	return old, false
}

func (m *Map) Delete(v identity.Value) (e Entry, ok bool) {
	s := &m.shards[v[0]]
	i, ok := s.find((*key)(v[1:]))
	if ok {
		e = s.table[i].entry(v[0])
		s.remove(i)
		m.length--
	}
	return e, ok
}

func (m *Map) Bytes() (n int64) {
	for i := range m.shards {
		n += int64(len(m.shards[i].table)) * size
	}
	return n
}

func (m *Map) Shard(i int) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, e := range m.shards[i].table {
			if !e.free() && !yield(e.entry(byte(i))) {
				return
			}
		}
	}
}

const size = 49

type packed [size]byte
type key [15]byte

func pack(e *Entry) (p packed) {
	copy(p[:31], e.ID[1:])
	for i, x := range [...]uint32{uint32(e.LSN) % Limit, e.Loc.Segment, e.Loc.Offset / 8, e.Loc.Length / 8, e.Collection, e.Owner} {
		if x >= Limit {
			panic("mapping: a number is over its limit")
		}
		p[31+3*i], p[32+3*i], p[33+3*i] = byte(x>>16), byte(x>>8), byte(x)
	}
	return p
}
func (p *packed) entry(first byte) (e Entry) {
	e.ID[0] = first
	copy(e.ID[1:], p[:31])
	e.LSN = uint64(p.number(0))
	e.Loc = log.Location{Segment: p.number(1), Offset: p.number(2) * 8, Length: p.number(3) * 8}
	e.Collection, e.Owner = p.number(4), p.number(5)
	return e
}
func (p *packed) key() *key { return (*key)(p[:15]) }
func (p *packed) number(i int) uint32 {
	return uint32(p[31+3*i])<<16 | uint32(p[32+3*i])<<8 | uint32(p[33+3*i])
}
func (p *packed) free() bool { return p[40]|p[41]|p[42] == 0 }

type shard struct {
	table  []packed
	length int
}

func (s *shard) home(k *key) int {
	return int(uint64(binary.BigEndian.Uint32(k[:])) * uint64(len(s.table)) >> 32)
}

func (s *shard) next(i int) int {
	if i++; i == len(s.table) {
		return 0
	}
	return i
}

// away returns how far entry i is from home
func (s *shard) away(i int) int {
	d := i - s.home(s.table[i].key())
	if d < 0 {
		d += len(s.table)
	}
	return d
}

func (s *shard) find(k *key) (i int, ok bool) {
	if len(s.table) == 0 {
		return 0, false
	}
	i = s.home(k)
	for away := 0; !s.table[i].free() && s.away(i) >= away; away++ {
		if *s.table[i].key() == *k {
			return i, true
		}
		i = s.next(i)
	}
	return i, false
}

func (s *shard) insert(i int, p packed) {
	if CopyMode {
		f := i
		for !s.table[f].free() {
			f = s.next(f)
		}
		if f < i {
			n := len(s.table) - 1
			copy(s.table[1:f+1], s.table[:f])
			s.table[0] = s.table[n]
			f = n
		}
		copy(s.table[i+1:f+1], s.table[i:f])
		s.table[i] = p
	} else {
		for ; !p.free(); i = s.next(i) {
			p, s.table[i] = s.table[i], p
		}
	}
	s.length++
}

var CopyMode = true

func (s *shard) resize(n int) {
	old := s.table
	*s = shard{table: make([]packed, n)}
	for _, e := range old {
		if !e.free() {
			i, _ := s.find(e.key())
			s.insert(i, e)
		}
	}
}

func (s *shard) remove(i int) {
	for j := s.next(i); !s.table[j].free() && s.away(j) > 0; i, j = j, s.next(j) {
		s.table[i] = s.table[j]
	}
	s.table[i] = packed{}
	if s.length--; s.length*5 < len(s.table)*4 && len(s.table) > 128 {
		s.resize(s.length*8/7 + 8)
	}
}

func (e Entry) Wrote(lsn uint64) bool { return e.LSN%Limit == lsn%Limit }
func (m *Map) AppendShard(p []byte, i int) []byte {
	for j := range m.shards[i].table {
		if q := &m.shards[i].table[j]; !q.free() {
			p = append(p, q[:]...)
		}
	}
	return p
}
func (m *Map) LoadShard(i int, p []byte) error {
	for ; len(p) >= size; p = p[size:] {
		q := packed(p[:size])
		m.Put(q.entry(byte(i)))
	}
	return nil
}
