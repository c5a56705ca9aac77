package main

import (
	"cmp"
	"slices"
)

// insert links a vector that is not linked.
func (g *graph) insert(n slot, level int) {
	g.nodes[n] = node{linked: true, level: uint8(level), in: g.nodes[n].in[:0], upper: make([]layer, level)}
	g.setOut(n, 0, nil)
	if g.count++; g.count == 1 {
		g.entry, g.top = n, level
		return
	}
	p := g.vectors.at(n)
	starts := g.descend(&p, level+1)
	for l := min(level, g.top); l >= 0; l-- {
		starts = slices.Clone(g.search(&p, starts, g.ef, l))
		for _, c := range g.diverse(starts, l) {
			g.link(n, c.n, l)
		}
		for _, to := range slices.Clone(g.out(n, l)) {
			g.offer(to, n, l)
		}
		g.rescue(n, l)
	}
	if level > g.top {
		g.entry, g.top = n, level
	}
}

// diverse chooses the links of a new vector among some candidates, which are sorted. It leaves out a
// candidate that is nearer to a chosen one than to the new vector: a walk comes to it over the chosen one.
// Without that, all links of a vector in a cluster would lead into the cluster.
func (g *graph) diverse(candidates []candidate, layer int) (chosen []candidate) {
	for _, c := range candidates {
		if len(chosen) == g.m {
			break
		}
		if !g.isHub(c.n, layer) && g.isDiverse(c, chosen) {
			chosen = append(chosen, c)
		}
	}
	if len(chosen) == 0 {
		chosen = candidates[:1]
	}
	return chosen
}

// hubFactor bounds the links that lead to a vector, and so the work to remove it: see isHub.
const hubFactor = 8

// isHub reports whether so many links lead to a vector that no more should.
func (g *graph) isHub(n slot, layer int) bool {
	return len(*g.in(n, layer)) >= hubFactor*g.capacity(layer)
}

// isDiverse reports whether a candidate is not nearer to a chosen one than to the vector. An equal vector
// at the same distance is not diverse either: otherwise copies of a vector would have links to copies
// only.
func (g *graph) isDiverse(c candidate, chosen []candidate) bool {
	p := g.vectors.at(c.n)
	for _, s := range chosen {
		if g.vectors.distance(&p, s.n) < c.distance {
			return false
		}
		if q := g.vectors.at(s.n); s.distance == c.distance && p.equal(&q) {
			return false
		}
	}
	return true
}

// candidates returns some vectors by their distance from a vector, the nearest first.
func (g *graph) candidates(from slot, list []slot) []candidate {
	p := g.vectors.at(from)
	far := make([]float32, len(list))
	g.vectors.distances(&p, list, far)
	sorted := make([]candidate, len(list))
	for i, n := range list {
		sorted[i] = candidate{distance: far[i], n: n}
	}
	slices.SortFunc(sorted, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.n, b.n))
	})
	return sorted
}

// offer offers a vector a link to a new one. If the vector is full, it chooses among all its links anew.
func (g *graph) offer(from, to slot, layer int) {
	if !g.isFull(from, layer) {
		g.link(from, to, layer)
		return
	}
	old := slices.Clone(g.out(from, layer))
	sorted := g.candidates(from, append(slices.Clone(old), to))
	var chosen []candidate
	for _, c := range sorted { // vectors to which no other link leads
		if in := *g.in(c.n, layer); len(in) == 1 && in[0] == from {
			chosen = append(chosen, c)
		}
	}
	for _, c := range sorted {
		if len(chosen) < g.capacity(layer) && !slices.Contains(chosen, c) && g.isDiverse(c, chosen) {
			chosen = append(chosen, c)
		}
	}
	isChosen := func(n slot) bool {
		return slices.ContainsFunc(chosen, func(c candidate) bool { return c.n == n })
	}
	for _, n := range old {
		if !isChosen(n) {
			g.unlink(from, n, layer)
		}
	}
	if isChosen(to) {
		g.link(from, to, layer)
	}
}

// rescue makes a link to a vector to which none leads: from the nearest of its links that has room, or
// can spare another link.
func (g *graph) rescue(n slot, layer int) {
	if len(*g.in(n, layer)) > 0 {
		return
	}
	for _, c := range g.candidates(n, g.out(n, layer)) {
		if g.isFull(c.n, layer) && !g.spare(c.n, layer) {
			continue
		}
		g.link(c.n, n, layer)
		return
	}
}

// spare drops the longest link of a vector that is not the only one to its end.
func (g *graph) spare(from slot, layer int) bool {
	for _, c := range slices.Backward(g.candidates(from, g.out(from, layer))) {
		if len(*g.in(c.n, layer)) > 1 {
			g.unlink(from, c.n, layer)
			return true
		}
	}
	return false
}
