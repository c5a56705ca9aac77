package main

import (
	"motte/core/identity"
	"motte/sdk"
)

// finder yields the objects whose keys it visits, each object once.
type finder[K any] struct {
	tree  *tree[K]
	yield func(sdk.Identity) bool
	done  bool                    // yield needs no more
	seen  map[identity.Value]bool // objects with several keys; nil: there are no such objects
}

// visit visits the keys of the query's set, in the query's direction.
func (f *finder[K]) visit(q query[K]) {
	for n := 0; n < len(q.keys) && !f.done; n++ {
		if q.descending {
			f.descend(q.keys[len(q.keys)-1-n])
		} else {
			f.ascend(q.keys[n])
		}
	}
}

func (f *finder[K]) ascend(i interval[K]) {
	step := func(e entry[K]) bool {
		switch {
		case !f.tree.isBelow(e.key, i.to):
			return false
		case f.tree.isBelow(e.key, i.from):
			return true // the cut is just above this key
		}
		return f.take(e.id)
	}
	if i.from.side == bottom {
		f.tree.entries.Scan(step)
		return
	}
	f.tree.entries.Ascend(edge(i.from), step)
}

func (f *finder[K]) descend(i interval[K]) {
	step := func(e entry[K]) bool {
		switch {
		case f.tree.isBelow(e.key, i.from):
			return false
		case !f.tree.isBelow(e.key, i.to):
			return true // the cut is just below this key
		}
		return f.take(e.id)
	}
	if i.to.side == top {
		f.tree.entries.Reverse(step)
		return
	}
	f.tree.entries.Descend(edge(i.to), step)
}

// isBelow reports whether a key is below a cut.
func (t *tree[K]) isBelow(k K, c cut[K]) bool { return t.domain.compareCuts(cut[K]{above, k}, c) <= 0 }

// edge returns an entry next to the cut. No entry is between the two, except an entry of the
// same key whose value equals the edge's.
func edge[K any](c cut[K]) entry[K] {
	e := entry[K]{key: c.key}
	if c.side == above {
		for n := range e.id {
			e.id[n] = 0xff
		}
	}
	return e
}

// take yields an object, and reports whether the search needs more.
func (f *finder[K]) take(id identity.ID) bool {
	if v := id.Value(); f.seen != nil && len(f.tree.more[v]) > 0 {
		if f.seen[v] {
			return true
		}
		f.seen[v] = true
	}
	f.done = !f.yield(id)
	return !f.done
}
