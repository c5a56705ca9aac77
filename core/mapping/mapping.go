// Package mapping keeps, in memory, where each live object lies (paper,
// section 5, "Mapping module"): identity value → entry.
//
// Guarantees:
//
//  1. An entry takes 52 bytes, in a table that is from 0.8 to 0.9 full while it
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

// Entry says what a live object is and where its record lies.
type Entry struct {
	ID         identity.ID
	Loc        log.Location
	Collection uint32
	Owner      uint32
}

// Shards is the number of parts that a Map has, by the first byte of a value.
const Shards = 256

// Map is the mapping. The zero value is empty.
type Map struct {
	shards [Shards]shard
	length int
}

// Len returns the number of entries.
func (m *Map) Len() int { return m.length }

// Get returns the entry of the object with this value.
func (m *Map) Get(v identity.Value) (e Entry, ok bool) {
	s := &m.shards[v[0]]
	i, ok := s.find(v)
	if ok {
		e = s.table[i]
	}
	return e, ok
}

// Put sets the entry of the object with e's value, and returns the entry that
// it had. The location has a length.
func (m *Map) Put(e Entry) (old Entry, replaced bool) {
	s := &m.shards[e.ID[0]]
	i, ok := s.find(e.ID.Value())
	if !ok && (s.length+1)*10 > len(s.table)*9 { // at most 0.9 full
		s.resize(len(s.table)*9/8 + 8)
		i, _ = s.find(e.ID.Value())
	}
	if old, s.table[i] = s.table[i], e; !ok {
		s.length++
		m.length++
	}
	return old, ok
}

// Delete removes the entry of the object with this value, and returns it.
func (m *Map) Delete(v identity.Value) (e Entry, ok bool) {
	s := &m.shards[v[0]]
	i, ok := s.find(v)
	if ok {
		e = s.table[i]
		s.remove(i)
		m.length--
	}
	return e, ok
}

// Shard yields the entries of one shard. The shard must not change meanwhile.
func (m *Map) Shard(i int) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for _, e := range m.shards[i].table {
			if !e.free() && !yield(e) {
				return
			}
		}
	}
}

// shard is an open-addressed table with linear probing.
type shard struct {
	table  []Entry
	length int // entries that are not free
}

// free reports whether e is no entry: every record has a length.
func (e *Entry) free() bool { return e.Loc.Length == 0 }

// home is where the search for a value begins. The first byte chose the shard;
// the next four, as a fraction, choose the place.
func (s *shard) home(v identity.Value) int {
	return int(uint64(binary.BigEndian.Uint32(v[1:])) * uint64(len(s.table)) >> 32)
}

// find returns the place of a value, or the free one where it would go. A table
// is never full.
func (s *shard) find(v identity.Value) (i int, ok bool) {
	if len(s.table) == 0 {
		return 0, false
	}
	for i = s.home(v); !s.table[i].free(); i = (i + 1) % len(s.table) {
		if s.table[i].ID.Value() == v {
			return i, true
		}
	}
	return i, false
}

// resize moves the entries to a table of n places.
func (s *shard) resize(n int) {
	old := s.table
	s.table = make([]Entry, n)
	for _, e := range old {
		if !e.free() {
			i, _ := s.find(e.ID.Value())
			s.table[i] = e
		}
	}
}

// remove frees place i. Entries behind it move up, so that no search ends too
// early (Knuth, volume 3, section 6.4, algorithm R); a table that is mostly free
// is made smaller.
func (s *shard) remove(i int) {
	n, hole := len(s.table), i
	for j := (i + 1) % n; !s.table[j].free(); j = (j + 1) % n {
		if home := s.home(s.table[j].ID.Value()); (j-home+n)%n >= (j-hole+n)%n {
			s.table[hole] = s.table[j]
			hole = j
		}
	}
	s.table[hole] = Entry{}
	if s.length--; s.length*2 < n && n > 64 {
		s.resize(n * 5 / 8)
	}
}
