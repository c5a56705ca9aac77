package main

import "slices"

// remove takes a vector out of the graph. Each vector that had a link to it gets another link, to a
// vector that was near the removed one. So the graph does not decay.
func (g *graph) remove(n slot) {
	for l := int(g.nodes[n].level); l >= 0; l-- {
		g.removeFrom(n, l)
	}
	g.nodes[n] = node{}
	if g.count--; g.entry == n {
		g.chooseEntry()
	}
}

// Bounds of the work to remove a vector: the vectors that are compared with each that has lost a link, as
// a multiple of the links of a vector, and the links that each gets. With a single new link instead of
// two, a graph decays: vectors are added with fewer links than they had when the graph was small.
const (
	nearFactor = 8
	newLinks   = 2
)

// removeFrom takes a vector out of a layer.
func (g *graph) removeFrom(n slot, layer int) {
	from, to := slices.Clone(*g.in(n, layer)), slices.Clone(g.out(n, layer))
	for _, f := range from {
		g.unlink(f, n, layer)
	}
	for _, t := range to {
		g.unlink(n, t, layer)
	}
	near := slices.Clone(to)
	for _, t := range to {
		if len(near) < nearFactor*g.capacity(layer) {
			near = append(near, g.out(t, layer)...)
		}
	}
	for i, f := range from {
		// Not all others: their number may be large. And not the same for each.
		others := from[i+1 : min(len(from), i+1+g.m)]
		g.replace(f, slices.Concat(near, others), layer)
	}
	for _, t := range to {
		g.rescue(t, layer)
	}
}

// replace gives links to a vector that has lost one: to the nearest of a list that are diverse.
func (g *graph) replace(from slot, near []slot, layer int) {
	slices.Sort(near)
	list := slices.DeleteFunc(slices.Compact(near), func(n slot) bool {
		return n == from || g.isHub(n, layer) || slices.Contains(g.out(from, layer), n)
	})
	chosen, sorted := g.candidates(from, g.out(from, layer)), g.candidates(from, list)
	sorted = sorted[:min(len(sorted), g.capacity(layer))]
	added := 0
	for _, c := range sorted {
		if added == newLinks || g.isFull(from, layer) {
			return
		}
		if g.isDiverse(c, chosen) {
			g.link(from, c.n, layer)
			chosen = append(chosen, c)
			added++
		}
	}
	if added == 0 && len(sorted) > 0 && len(chosen) < g.m {
		g.link(from, sorted[0].n, layer)
	}
}

// chooseEntry makes one of the vectors of the highest level the entry.
func (g *graph) chooseEntry() {
	g.entry, g.top = 0, 0
	best := -1
	for n := range g.nodes {
		if x := &g.nodes[n]; x.linked && int(x.level) > best {
			best = int(x.level)
			g.entry, g.top = slot(n), best
		}
	}
}
