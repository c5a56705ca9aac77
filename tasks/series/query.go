package main

import (
	"math"
	"slices"
	"sort"
	"strings"
)

// query is a parsed predicate.
type query struct {
	keys       keyRanges
	span       span
	limits     []limit
	sampling   sampling
	descending bool
}

// keyRange is a range of keys: from, and up to but not including to.
type keyRange struct{ from, to string }

func (r keyRange) has(key string) bool { return r.from <= key && key < r.to }

// keyRanges are ranges in ascending order, without common keys.
type keyRanges []keyRange

// noKey is above all keys: these are UTF-8, and 0xff after a byte 0 only.
const noKey = "\xff"

func (r keyRanges) contain(key string) bool {
	n := sort.Search(len(r), func(i int) bool { return key < r[i].to })
	return n < len(r) && r[n].has(key)
}

// withPrefix returns the keys that begin with a prefix.
func withPrefix(prefix string) keyRange {
	for n := len(prefix); n > 0; n-- {
		if b := prefix[n-1]; b < 0xff {
			return keyRange{prefix, prefix[:n-1] + string([]byte{b + 1})}
		}
	}
	return keyRange{prefix, noKey}
}

// union returns the keys that are in at least one of the ranges. It changes the list.
func union(list []keyRange) (joined keyRanges) {
	slices.SortFunc(list, func(a, b keyRange) int { return strings.Compare(a.from, b.from) })
	for _, r := range list {
		end := len(joined) - 1
		if end >= 0 && r.from <= joined[end].to {
			joined[end].to = max(joined[end].to, r.to)
			continue
		}
		joined = append(joined, r)
	}
	return joined
}

// intersect returns the keys that are in both.
func (r keyRanges) intersect(s keyRanges) (both keyRanges) {
	for len(r) > 0 && len(s) > 0 {
		in := keyRange{max(r[0].from, s[0].from), min(r[0].to, s[0].to)}
		if in.from < in.to {
			both = append(both, in)
		}
		if r[0].to < s[0].to {
			r = r[1:]
		} else {
			s = s[1:]
		}
	}
	return both
}

// limit is a condition of the value.
type limit struct {
	operator string
	number   float64
}

// matches reports whether an object fulfils the conditions, beside that of its key.
func (q *query) matches(e entry) bool {
	if e.time < q.span.from || e.time >= q.span.to {
		return false
	}
	if math.IsNaN(e.value) && (len(q.limits) > 0 || q.sampling.pick == least || q.sampling.pick == most) {
		return false
	}
	for _, l := range q.limits {
		if !l.allows(e.value) {
			return false
		}
	}
	return true
}

func (l limit) allows(v float64) bool {
	switch l.operator {
	case "<":
		return v < l.number
	case "<=":
		return v <= l.number
	case ">":
		return v > l.number
	case ">=":
		return v >= l.number
	case "=":
		return v == l.number
	}
	return v != l.number
}
