package mapping

import (
	"bytes"
	"encoding/binary"
)

// shard is an open-addressed table with linear probing, ordered: an entry is
// never further from its home than the one behind it is, plus one (Robin Hood
// hashing). So a search for a value that is not there ends as early as one for
// a value that is, however full the table.
type shard struct {
	table  []packed
	length int // entries that are not free
}

// home is where the search for a value begins: its first four bytes, as a
// fraction, choose the place.
func (s *shard) home(v []byte) int {
	return int(uint64(binary.BigEndian.Uint32(v)) * uint64(len(s.table)) >> 32)
}

// away is how far behind its home the entry at place i lies.
func (s *shard) away(i int) int {
	d := i - s.home(s.table[i].value())
	if d < 0 {
		d += len(s.table)
	}
	return d
}

// next is the place behind i; the first is behind the last.
func (s *shard) next(i int) int {
	if i++; i == len(s.table) {
		return 0
	}
	return i
}

// find returns the place of a value, or the one where it would go. A table
// always has a free place, unless it has none at all.
func (s *shard) find(v []byte) (i int, ok bool) {
	i = s.home(v)
	for away := 0; i < len(s.table) && !s.table[i].free() && s.away(i) >= away; away++ {
		if bytes.Equal(s.table[i].value(), v) {
			return i, true
		}
		i = s.next(i)
	}
	return i, false
}

// insert puts p at place i, which find returned. Entries from there to the first
// free place move one place on.
func (s *shard) insert(i int, p packed) {
	for ; !p.free(); i = s.next(i) {
		p, s.table[i] = s.table[i], p
	}
	s.length++
}

// remove frees place i. Entries behind it that are away from home move one place
// back; a table that is mostly free is made smaller.
func (s *shard) remove(i int) {
	for j := s.next(i); !s.table[j].free() && s.away(j) > 0; i, j = j, s.next(j) {
		s.table[i] = s.table[j]
	}
	s.table[i] = packed{}
	if s.length--; s.length*4 < len(s.table)*3 && len(s.table) > 64 {
		s.resize(s.length)
	}
}

// resize moves the entries to a table with an eighth more than n places.
func (s *shard) resize(n int) {
	old := s.table
	*s = shard{table: make([]packed, n+n/8+8)}
	for i := range old {
		if p := &old[i]; !p.free() {
			j, _ := s.find(p.value())
			s.insert(j, *p)
		}
	}
}
