package main

import (
	"bytes"
	"encoding/binary"
	"slices"
	"sort"

	"motte/core/identity"
)

// object is an object of the index.
type object[K any] struct {
	id    identity.ID
	owner uint32 // its number in owners
	place uint32 // in the list of its owner
	key   [1]K   // its key, or the first of several: see tree.keysOf
}

// slot is the number of an object in the store. An object keeps its slot.
type slot uint32

// Slots of no object: one is before all others, and one is behind them.
const (
	firstSlot slot = 0
	lastSlot  slot = 1<<32 - 1
)

// store holds the objects. It finds the slot of a value by a table of buckets, whose cells are in the
// order of the values. The first bits of a value say in which bucket it lies. Values are random, so
// all buckets have about the same size.
type store[K any] struct {
	chunks  [][]object[K]
	next    slot // the first that was never used
	free    []slot
	buckets [][]cell // 1<<bits of them
	bits    int
	count   int
}

// cell is the first 4 bytes of a value, and the slot of its object.
type cell uint64

func newCell(p uint32, n slot) cell { return cell(p)<<32 | cell(n) }

func (c cell) prefix() uint32 { return uint32(c >> 32) }
func (c cell) slot() slot     { return slot(c) }

const (
	chunkBits  = 12 // the store grows by so many slots: 1<<chunkBits
	chunkMask  = 1<<chunkBits - 1
	bucketMean = 24 // the store doubles its buckets if they have more cells, on average
	bucketStep = 8  // a full bucket grows by so many cells
)

func prefixOf(id *identity.ID) uint32 { return binary.BigEndian.Uint32(id[:]) }

func (s *store[K]) at(n slot) *object[K] { return &s.chunks[n>>chunkBits][n&chunkMask] }

// bucket returns the bucket of a prefix.
func (s *store[K]) bucket(p uint32) *[]cell { return &s.buckets[uint64(p)<<s.bits>>32] }

// place returns the place of an object in its bucket, or the place where it belongs.
func (s *store[K]) place(b []cell, id *identity.ID) (at int, ok bool) {
	p := prefixOf(id)
	if at = len(b); at == 0 || b[at-1].prefix() < p {
		return at, false // the most frequent case, if objects come in the order of their values
	}
	for low := 0; low < at; {
		if mid := (low + at) / 2; b[mid].prefix() < p {
			low = mid + 1
		} else {
			at = mid
		}
	}
	for ; at < len(b) && b[at].prefix() == p; at++ {
		if c := compareValues(&s.at(b[at].slot()).id, id); c >= 0 {
			return at, c == 0
		}
	}
	return at, false
}

func compareValues(a, b *identity.ID) int {
	return bytes.Compare(a[:identity.ValueSize], b[:identity.ValueSize])
}

// find returns the slot of the object with the value of an identity.
func (s *store[K]) find(id *identity.ID) (n slot, ok bool) {
	if s.count == 0 {
		return 0, false
	}
	b := *s.bucket(prefixOf(id))
	at, ok := s.place(b, id)
	if !ok {
		return 0, false
	}
	return b[at].slot(), true
}

// add adds an object, whose value is not held.
func (s *store[K]) add(o object[K]) slot {
	if s.count >= bucketMean*len(s.buckets) {
		s.double()
	}
	n := s.newSlot()
	*s.at(n) = o
	p := prefixOf(&o.id)
	b := s.bucket(p)
	at, _ := s.place(*b, &o.id)
	if len(*b) == cap(*b) {
		*b = append(make([]cell, 0, len(*b)+max(bucketStep, len(*b)/4)), *b...)
	}
	*b = slices.Insert(*b, at, newCell(p, n))
	s.count++
	return n
}

func (s *store[K]) newSlot() (n slot) {
	if last := len(s.free) - 1; last >= 0 {
		n = s.free[last]
		s.free = s.free[:last]
		return n
	}
	if s.next == firstSlot {
		s.next++
	}
	if int(s.next>>chunkBits) == len(s.chunks) {
		s.chunks = append(s.chunks, make([]object[K], 1<<chunkBits))
	}
	s.next++
	return s.next - 1
}

// double splits each bucket into two.
func (s *store[K]) double() {
	old := s.buckets
	if old == nil {
		s.buckets = make([][]cell, 1)
		return
	}
	s.bits++
	s.buckets = make([][]cell, 1<<s.bits)
	for n, b := range old {
		upper := func(i int) bool { return s.bucket(b[i].prefix()) == &s.buckets[2*n+1] }
		at := sort.Search(len(b), upper)
		s.buckets[2*n], s.buckets[2*n+1] = slices.Clone(b[:at]), slices.Clone(b[at:])
		old[n] = nil
	}
}

// remove removes an object.
func (s *store[K]) remove(n slot) {
	o := s.at(n)
	b := s.bucket(prefixOf(&o.id))
	at, _ := s.place(*b, &o.id)
	*b = slices.Delete(*b, at, at+1)
	*o = object[K]{} // its key may hold memory
	s.free = append(s.free, n)
	s.count--
}
