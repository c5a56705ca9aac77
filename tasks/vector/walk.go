package main

import (
	"slices"
	"sort"
)

// candidate is a vector at some distance from the vector that is looked for.
type candidate struct {
	distance float32
	n        slot
	done     bool // its links were followed
}

// walk is the state of a search through a layer. It is used again by the next search.
type walk struct {
	found []candidate // the nearest so far, the nearest first
	seen  []uint32    // by slot: the number of the last search that saw the vector
	round uint32      // the number of this search

	list []slot // vectors to compare
	far  []float32
}

// begin begins a search among so many vectors.
func (w *walk) begin(slots int) {
	w.found = w.found[:0]
	if w.round++; w.round == 0 || len(w.seen) < slots {
		w.seen = make([]uint32, max(slots, slots+slots/4))
		w.round = 1
	}
}

// see returns false if the search has seen a vector before.
func (w *walk) see(n slot) bool {
	if w.seen[n] == w.round {
		return false
	}
	w.seen[n] = w.round
	return true
}

// add adds a candidate in its place, if it is among the nearest. It returns the place, or the number of
// candidates if it is not.
func (w *walk) add(c candidate, ef int) int {
	if len(w.found) == ef {
		if c.distance >= w.found[ef-1].distance {
			return ef
		}
		w.found = w.found[:ef-1]
	}
	at := sort.Search(len(w.found), func(i int) bool { return c.distance < w.found[i].distance })
	w.found = slices.Insert(w.found, at, c)
	return at
}

// search finds the ef nearest vectors of a layer, as far as links lead to them from the starts. The
// result is valid until the next search.
func (g *graph) search(p *point, starts []candidate, ef, layer int) []candidate {
	w := &g.walk
	starts = slices.Clone(starts) // they may be the result of the search before
	w.begin(len(g.nodes))
	for _, s := range starts {
		w.see(s.n)
		w.add(candidate{distance: s.distance, n: s.n}, ef)
	}
	for at := 0; at < len(w.found); {
		if w.found[at].done {
			at++
			continue
		}
		w.found[at].done = true
		w.list = w.list[:0]
		for _, n := range g.out(w.found[at].n, layer) {
			if w.see(n) {
				w.list = append(w.list, n)
			}
		}
		if layer == 0 && at+1 < len(w.found) {
			prefetch(g.base.at(w.found[at+1].n)) // it is often the next
		}
		w.far = slices.Grow(w.far[:0], len(w.list))[:len(w.list)]
		g.vectors.distances(p, w.list, w.far)
		for i, n := range w.list {
			at = min(at, w.add(candidate{distance: w.far[i], n: n}, ef))
		}
	}
	return w.found
}

// descend walks from the entry down to a layer, and returns the nearest vector that it has found.
func (g *graph) descend(p *point, layer int) []candidate {
	at := []candidate{{distance: g.vectors.distance(p, g.entry), n: g.entry}}
	for l := g.top; l >= layer && l > 0; l-- {
		at = slices.Clone(g.search(p, at, 1, l))
	}
	return at
}

// nearest finds about the ef nearest vectors, the nearest first. The result is valid until the next
// search.
func (g *graph) nearest(p *point, ef int) []candidate {
	if g.count == 0 {
		return nil
	}
	return g.search(p, g.descend(p, 1), ef, 0)
}
