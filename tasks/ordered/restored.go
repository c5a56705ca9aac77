package main

import (
	"encoding/binary"
	"math"
	"slices"
)

// ranked is an entry with the rank of its key, for sorting.
type ranked struct {
	rank   uint64
	prefix uint32
	object slot
}

// Restored implements keyTree: it makes the entries of all objects.
//
// It sorts by the ranks of keys, in several passes over a digit each. A pass keeps the order of
// equal digits. So the entries begin in the order of the values, and entries of equal rank keep
// that order. Where equal ranks do not mean equal keys, it sorts these entries again.
func (t *tree[K]) Restored() {
	list := t.byValue()
	list = sortByRank(list)
	t.entries = t.newEntries()
	for start := 0; start < len(list); {
		end := start + 1
		for end < len(list) && list[end].rank == list[start].rank {
			end++
		}
		t.load(list[start:end])
		start = end
	}
	t.loadOthers()
}

// byValue returns the first entry of each object, in the order of the values.
func (t *tree[K]) byValue() []ranked {
	list := make([]ranked, 0, t.objects.count)
	for _, b := range t.objects.buckets {
		for _, c := range b {
			k := t.objects.at(c.slot()).key[0]
			list = append(list, ranked{t.domain.rank(k), c.prefix(), c.slot()})
		}
	}
	return list
}

// load appends entries of equal rank to the tree.
func (t *tree[K]) load(list []ranked) {
	if unrank := t.domain.unrank; unrank != nil {
		for _, r := range list {
			t.entries.Load(entry[K]{unrank(r.rank), r.prefix, r.object})
		}
		return
	}
	entries := make([]entry[K], len(list))
	for i, r := range list {
		entries[i] = entry[K]{t.objects.at(r.object).key[0], r.prefix, r.object}
	}
	slices.SortFunc(entries, t.compare)
	for _, e := range entries {
		t.entries.Load(e)
	}
}

// loadOthers adds the other entries of objects that have several keys.
func (t *tree[K]) loadOthers() {
	for n, keys := range t.more {
		for _, k := range keys[1:] {
			t.entries.Set(t.entry(k, n))
		}
	}
}

// Digits by which sortByRank sorts, in bits.
const (
	digitBits = 11
	digits    = (64 + digitBits - 1) / digitBits
	digitMask = 1<<digitBits - 1
)

// sortByRank sorts by rank, and keeps the order of equal ranks. The result may be another slice.
func sortByRank(list []ranked) []ranked {
	var counts [digits][1 << digitBits]uint32
	for i := range list {
		rank := list[i].rank
		for d := range counts {
			counts[d][rank>>(d*digitBits)&digitMask]++
		}
	}
	var other []ranked
	for d := range counts {
		count := &counts[d]
		if len(list) == 0 || count[list[0].rank>>(d*digitBits)&digitMask] == uint32(len(list)) {
			continue // all have the same digit
		}
		if other == nil {
			other = make([]ranked, len(list))
		}
		var sum uint32
		for i, n := range count {
			count[i] = sum
			sum += n
		}
		for i := range list {
			digit := list[i].rank >> (d * digitBits) & digitMask
			other[count[digit]] = list[i]
			count[digit]++
		}
		list, other = other, list
	}
	return list
}

func rankInt64(k int64) uint64 { return uint64(k) ^ 1<<63 }

func unrankInt64(rank uint64) int64 { return int64(rank ^ 1<<63) }

// rankFloat64 inverts the bits of negative numbers, since those with larger bits are smaller.
func rankFloat64(k float64) uint64 {
	b := math.Float64bits(k)
	if b>>63 == 1 {
		return ^b
	}
	return b | 1<<63
}

func unrankFloat64(rank uint64) float64 {
	if rank>>63 == 0 {
		return math.Float64frombits(^rank)
	}
	return math.Float64frombits(rank &^ (1 << 63))
}

// rankString returns the first 8 bytes.
func rankString(k string) uint64 {
	var p [8]byte
	copy(p[:], k)
	return binary.BigEndian.Uint64(p[:])
}

func rankBool(k bool) uint64 {
	if k {
		return 1
	}
	return 0
}

func unrankBool(rank uint64) bool { return rank == 1 }
