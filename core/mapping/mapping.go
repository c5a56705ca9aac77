// Package mapping keeps, in memory, where each live object lies (paper,
// section 5, "Mapping module"): identity value → entry.
//
// Guarantees:
//
//  1. An entry takes its own 52 bytes, a slot of 4 bytes in a table that is at
//     least 0.7 full once it has grown, and no pointer: the garbage collector
//     has nothing to follow, however many objects there are.
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

// Map is the mapping. Use New.
type Map struct {
	shards [Shards]shard
	length int
}

// New returns an empty Map.
func New() *Map { return &Map{} }

// Len returns the number of entries.
func (m *Map) Len() int { return m.length }

// Get returns the entry of the object with this value.
func (m *Map) Get(v identity.Value) (Entry, bool) {
	s := &m.shards[v[0]]
	if i, ok := s.find(v); ok {
		return *s.at(s.slots[i] - 1), true
	}
	return Entry{}, false
}

// Put sets the entry of the object with e's value, and returns the entry that
// it had.
func (m *Map) Put(e Entry) (old Entry, replaced bool) {
	v := e.ID.Value()
	s := &m.shards[v[0]]
	if i, ok := s.find(v); ok {
		p := s.at(s.slots[i] - 1)
		old, *p = *p, e
		return old, true
	}
	s.insert(e)
	m.length++
	return old, false
}

// Delete removes the entry of the object with this value, and returns it.
func (m *Map) Delete(v identity.Value) (Entry, bool) {
	s := &m.shards[v[0]]
	i, ok := s.find(v)
	if !ok {
		return Entry{}, false
	}
	m.length--
	return s.remove(i), true
}

// Shard yields the entries of one shard. The shard must not change meanwhile.
func (m *Map) Shard(i int) iter.Seq[Entry] {
	s := &m.shards[i]
	return func(yield func(Entry) bool) {
		for n := uint32(0); n < s.length; n++ {
			if !yield(*s.at(n)) {
				return
			}
		}
	}
}

// chunkLen is the number of entries that a shard takes memory for at a time:
// on average half a chunk of each shard is unused.
const chunkLen = 64

// shard keeps its entries one after the other, in chunks that never move, and
// finds them through an open-addressed table of their numbers.
type shard struct {
	chunks []*[chunkLen]Entry
	slots  []uint32 // number of an entry + 1; 0: free
	length uint32
}

func (s *shard) at(n uint32) *Entry { return &s.chunks[n/chunkLen][n%chunkLen] }

// home is the slot at which the search for a value begins. The first byte chose
// the shard; the next four, as a fraction, choose the slot.
func (s *shard) home(v identity.Value) int {
	return int(uint64(binary.BigEndian.Uint32(v[1:])) * uint64(len(s.slots)) >> 32)
}

func (s *shard) next(i int) int { return (i + 1) % len(s.slots) }

// find returns the slot of a value, or the free slot where it would go.
func (s *shard) find(v identity.Value) (slot int, ok bool) {
	if len(s.slots) == 0 {
		return 0, false
	}
	for i := s.home(v); ; i = s.next(i) {
		n := s.slots[i]
		if n == 0 {
			return i, false
		}
		if s.at(n-1).ID.Value() == v {
			return i, true
		}
	}
}

// insert adds an entry whose value is not there.
func (s *shard) insert(e Entry) {
	if uint64(s.length+1)*10 > uint64(len(s.slots))*9 { // at most 0.9 full
		s.grow()
	}
	if s.length == uint32(len(s.chunks))*chunkLen {
		s.chunks = append(s.chunks, new([chunkLen]Entry))
	}
	*s.at(s.length) = e
	s.length++
	i, _ := s.find(e.ID.Value())
	s.slots[i] = s.length
}

// grow makes the table a quarter larger and fills it anew.
func (s *shard) grow() {
	s.slots = make([]uint32, len(s.slots)*5/4+8)
	for n := uint32(0); n < s.length; n++ {
		i, _ := s.find(s.at(n).ID.Value())
		s.slots[i] = n + 1
	}
}

// remove takes out the entry in slot i; the last entry takes its place, and the
// slots behind i move up, so that no search ends too early (Knuth, volume 3,
// section 6.4, algorithm R).
func (s *shard) remove(i int) Entry {
	n, last := s.slots[i]-1, s.length-1
	gone := *s.at(n)
	slot, _ := s.find(s.at(last).ID.Value())
	s.slots[slot] = n + 1
	*s.at(n), *s.at(last) = *s.at(last), Entry{}
	s.length = last
	hole := i
	s.slots[hole] = 0
	for j := s.next(hole); s.slots[j] != 0; j = s.next(j) {
		h := s.home(s.at(s.slots[j] - 1).ID.Value())
		if hole <= j && (h <= hole || h > j) || hole > j && h <= hole && h > j {
			s.slots[hole], s.slots[j] = s.slots[j], 0
			hole = j
		}
	}
	if uint32(len(s.chunks))*chunkLen-last >= 2*chunkLen {
		s.chunks[len(s.chunks)-1] = nil
		s.chunks = s.chunks[:len(s.chunks)-1]
	}
	return gone
}
