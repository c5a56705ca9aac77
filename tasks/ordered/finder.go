package main

import (
	"motte/core/identity"
	"motte/sdk"
)

// finder gathers the objects whose keys it comes across, each once.
type finder[K any] struct {
	tree  *tree[K]
	limit int
	found []sdk.Identity
	seen  map[identity.Value]bool // those of several keys; nil: there are none
}

func (f *finder[K]) ascend(i interval[K]) {
	step := func(e entry[K]) bool {
		switch {
		case !f.tree.lies(e.key, i.to):
			return false
		case f.tree.lies(e.key, i.from):
			return true // right at the edge
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
		case f.tree.lies(e.key, i.from):
			return false
		case !f.tree.lies(e.key, i.to):
			return true // right at the edge
		}
		return f.take(e.id)
	}
	if i.to.side == top {
		f.tree.entries.Reverse(step)
		return
	}
	f.tree.entries.Descend(edge(i.to), step)
}

// lies reports whether a key lies below a cut.
func (t *tree[K]) lies(k K, c cut[K]) bool { return t.domain.compareCuts(cut[K]{above, k}, c) <= 0 }

// edge returns an entry next to the cut: no other entry of its key is between
// it and the cut, save one whose value has the same bytes.
func edge[K any](c cut[K]) entry[K] {
	e := entry[K]{key: c.key}
	if c.side == above {
		for n := range e.id {
			e.id[n] = 0xff
		}
	}
	return e
}

// take notes an object and reports whether more are wanted.
func (f *finder[K]) take(id identity.ID) bool {
	if len(f.found) >= f.limit {
		return false
	}
	if v := id.Value(); f.seen != nil && len(f.tree.more[v]) > 0 {
		if f.seen[v] {
			return true
		}
		f.seen[v] = true
	}
	f.found = append(f.found, id)
	return len(f.found) < f.limit
}
