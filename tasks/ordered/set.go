package main

import (
	"slices"
	"sort"
)

// A set of keys is an ascending list of intervals. No interval is empty, and no two intervals
// touch. Every predicate is a set, and so is every combination of predicates. So a search
// walks along the tree once and finds no key twice.
type set[K any] []interval[K]

// interval holds the keys between two cuts.
type interval[K any] struct{ from, to cut[K] }

// cut is a position between two keys: just below a key, just above it, or at one of the ends.
type cut[K any] struct {
	side side
	key  K // unused at an end
}

type side int8

const (
	bottom side = iota // below all keys
	below
	above
	top // above all keys
)

// compareCuts orders cuts. The cuts below and above the same key differ.
func (d *domain[K]) compareCuts(a, b cut[K]) int {
	if a.side == bottom || a.side == top || b.side == bottom || b.side == top {
		return rank(a.side) - rank(b.side)
	}
	if c := d.compare(a.key, b.key); c != 0 {
		return c
	}
	return int(a.side) - int(b.side)
}

// rank orders the two ends below and above all other sides.
func rank(s side) int {
	switch s {
	case bottom:
		return -1
	case top:
		return 1
	}
	return 0
}

// isBelow reports whether a key is below a cut.
func (d *domain[K]) isBelow(k K, c cut[K]) bool { return d.compareCuts(cut[K]{above, k}, c) <= 0 }

// intervalOf returns the number of the first interval that does not end below the key.
func (d *domain[K]) intervalOf(s set[K], k K) int {
	return sort.Search(len(s), func(n int) bool { return d.isBelow(k, s[n].to) })
}

// contains reports whether a key is in the set.
func (d *domain[K]) contains(s set[K], k K) bool {
	n := d.intervalOf(s, k)
	return n < len(s) && !d.isBelow(k, s[n].from)
}

func all[K any]() set[K] { return set[K]{{cut[K]{side: bottom}, cut[K]{side: top}}} }

// above returns the cut above a value: above all composite keys that begin with it.
func (d *domain[K]) above(k K) cut[K] {
	if d.composite == nil {
		return cut[K]{above, k}
	}
	if k, ok := d.upper(k); ok {
		return cut[K]{below, k}
	}
	return cut[K]{side: top}
}

// equal returns the keys that equal a value: of composite keys those that begin with it.
func (d *domain[K]) equal(k K) set[K] { return d.between(cut[K]{below, k}, d.above(k)) }

// beginningWith returns the keys with a prefix. The type must have prefixes.
func (d *domain[K]) beginningWith(prefix K) set[K] {
	to := cut[K]{side: top}
	if k, ok := d.upper(prefix); ok {
		to = cut[K]{below, k}
	}
	return d.between(cut[K]{below, prefix}, to)
}

// present returns the keys of a set whose first component is not missing.
func (d *domain[K]) present(s set[K]) set[K] {
	if d.composite == nil {
		return s
	}
	return d.intersection([]set[K]{s, d.composite.present})
}

// between returns the keys between two cuts. The set is empty if from is above to.
func (d *domain[K]) between(from, to cut[K]) set[K] {
	if d.compareCuts(from, to) >= 0 {
		return nil
	}
	return set[K]{{from, to}}
}

// union returns the keys that lie in at least one interval of a list in any
// order. It changes the list.
func (d *domain[K]) union(list []interval[K]) set[K] {
	slices.SortFunc(list, func(a, b interval[K]) int { return d.compareCuts(a.from, b.from) })
	joined := list[:0]
	for _, i := range list {
		last := len(joined) - 1
		switch {
		case last < 0 || d.compareCuts(joined[last].to, i.from) < 0:
			joined = append(joined, i)
		case d.compareCuts(joined[last].to, i.to) < 0:
			joined[last].to = i.to
		}
	}
	return set[K](joined)
}

// complement returns the keys that are not in s.
func (d *domain[K]) complement(s set[K]) set[K] {
	var rest set[K]
	from := cut[K]{side: bottom}
	for _, i := range s {
		rest = append(rest, d.between(from, i.from)...)
		from = i.to
	}
	return append(rest, d.between(from, cut[K]{side: top})...)
}

// intersection returns the keys that are in all sets: the keys that are not in the
// complement of any set.
func (d *domain[K]) intersection(sets []set[K]) set[K] {
	if len(sets) == 1 {
		return sets[0]
	}
	var outside []interval[K]
	for _, s := range sets {
		outside = append(outside, d.complement(s)...)
	}
	return d.complement(d.union(outside))
}
