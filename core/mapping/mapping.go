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
	"iter"

	"motte/core/frame"
	"motte/core/identity"
)

// Shards is the number of parts that a Map has, by the first byte of a value.
const Shards = 256

// Map is the mapping. The zero value is empty.
type Map struct {
	shards [Shards]shard
	length int
}

// Len returns the number of entries.
func (m *Map) Len() int { return m.length }

// Bytes returns the size of all tables.
func (m *Map) Bytes() (n int64) {
	for i := range m.shards {
		n += int64(len(m.shards[i].table)) * packedSize
	}
	return n
}

// Get returns the entry of the object with this value.
func (m *Map) Get(v identity.Value) (e Entry, ok bool) {
	s := &m.shards[v[0]]
	i, ok := s.find(v[1:])
	if ok {
		e = s.table[i].entry(v[0])
	}
	return e, ok
}

// Put sets the entry of the object with e's value, and returns the entry that
// it had. The entry keeps to its limits.
func (m *Map) Put(e Entry) (old Entry, replaced bool) {
	s, p := &m.shards[e.ID[0]], pack(e)
	i, replaced := s.find(p.value())
	if replaced {
		old, s.table[i] = s.table[i].entry(e.ID[0]), p
		return old, true
	}
	if (s.length+1)*20 > len(s.table)*19 { // at most 0.95 full
		s.resize(len(s.table))
		i, _ = s.find(p.value())
	}
	s.insert(i, p)
	m.length++
	return old, false
}

// Delete removes the entry of the object with this value, and returns it.
func (m *Map) Delete(v identity.Value) (e Entry, ok bool) {
	s := &m.shards[v[0]]
	i, ok := s.find(v[1:])
	if ok {
		e = s.table[i].entry(v[0])
		s.remove(i)
		m.length--
	}
	return e, ok
}

// Shard yields the entries of one shard. The shard must not change meanwhile.
func (m *Map) Shard(i int) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for j := range m.shards[i].table {
			if p := &m.shards[i].table[j]; !p.free() && !yield(p.entry(byte(i))) {
				return
			}
		}
	}
}

// AppendShard appends the entries of one shard, packed, in no order that means
// anything.
func (m *Map) AppendShard(b []byte, i int) []byte {
	for j := range m.shards[i].table {
		if p := &m.shards[i].table[j]; !p.free() {
			b = append(b, p[:]...)
		}
	}
	return b
}

// LoadShard fills shard i, which is empty, with what AppendShard appended. With
// frame.ErrMalformed it stays empty: b is no list of entries, or it has one
// without a length or two with the same value.
func (m *Map) LoadShard(i int, b []byte) error {
	s := &m.shards[i]
	s.resize(len(b) / packedSize)
	for ; len(b) >= packedSize; b = b[packedSize:] {
		p := packed(b[:packedSize])
		j, twice := s.find(p.value())
		if twice || p.free() {
			break
		}
		s.insert(j, p)
	}
	if len(b) > 0 {
		*s = shard{}
		return frame.ErrMalformed
	}
	m.length += s.length
	return nil
}
