package main

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"

	"motte/sdk"
)

// graph is a hierarchical navigable small world (Malkov and Yashunin, 2016). Each vector is in the layers
// from 0 to its level, and has links to near vectors of the same layer. A search begins at the entry, in
// the top layer, and walks down.
//
// Unlike the paper's, the graph knows each link at both of its ends. So a removal finds all links that
// lead to the removed vector. Every vector should have a link that leads to it in layer 0: the last such
// link is dropped for another vector only if there is no other way.
type graph struct {
	vectors *vectors
	m       int     // links of a new vector
	ef      int     // candidates among which a new vector chooses its links
	scale   float64 // of the levels

	nodes []node      // by slot
	base  arena[slot] // the links of layer 0: their number, and then the links
	count int         // of linked vectors
	entry slot
	top   int // the level of the entry

	walk walk
}

// node is what the graph knows of a vector.
type node struct {
	linked bool
	level  uint8
	in     []slot  // vectors whose links in layer 0 lead here
	upper  []layer // 1 and up
}

// layer is the links of a vector in a layer above 0.
type layer struct{ out, in []slot }

// maxLevel bounds the layers. A layer has one in m vectors of the layer below, at most a quarter.
const maxLevel = 15

func newGraph(v *vectors, c *configuration) graph {
	g := graph{vectors: v, m: c.m, ef: c.efConstruction, scale: 1 / math.Log(float64(c.m))}
	g.base = newArena[slot](1 + g.capacity(0))
	return g
}

// capacity returns the most links of a vector in a layer. Layer 0 has most of the vectors, and twice the
// links.
func (g *graph) capacity(layer int) int {
	if layer == 0 {
		return 2 * g.m
	}
	return g.m
}

// levelOf returns the level of a vector. The value of its identity determines it, so that a start finds
// the same level.
func (g *graph) levelOf(v sdk.Value) int {
	digest := sha256.Sum256(v[:])
	u := float64(binary.BigEndian.Uint64(digest[:])>>11+1) / (1 << 53) // above 0, at most 1
	return min(int(-math.Log(u)*g.scale), maxLevel)
}

// cover makes room for a slot.
func (g *graph) cover(n slot) {
	g.base.cover(n)
	for int(n) >= len(g.nodes) {
		g.nodes = append(g.nodes, node{})
	}
}

// out returns the links of a vector in a layer.
func (g *graph) out(n slot, layer int) []slot {
	if layer > 0 {
		return g.nodes[n].upper[layer-1].out
	}
	block := g.base.at(n)
	return block[1 : 1+block[0]]
}

// setOut sets the links of a vector, and leaves their other ends alone.
func (g *graph) setOut(n slot, layer int, out []slot) {
	if layer > 0 {
		l := &g.nodes[n].upper[layer-1]
		l.out = append(l.out[:0], out...)
		return
	}
	block := g.base.at(n)
	block[0] = slot(copy(block[1:], out))
}

// in returns the vectors whose links lead to a vector.
func (g *graph) in(n slot, layer int) *[]slot {
	if layer > 0 {
		return &g.nodes[n].upper[layer-1].in
	}
	return &g.nodes[n].in
}

// link makes a link. The vector must have room for it.
func (g *graph) link(from, to slot, layer int) {
	if layer > 0 {
		l := &g.nodes[from].upper[layer-1]
		l.out = append(l.out, to)
	} else {
		block := g.base.at(from)
		block[0]++
		block[block[0]] = to
	}
	in := g.in(to, layer)
	*in = append(*in, from)
}

// unlink drops a link.
func (g *graph) unlink(from, to slot, layer int) {
	out := g.out(from, layer)
	g.setOut(from, layer, without(out, to))
	in := g.in(to, layer)
	*in = without(*in, from)
}

// without removes an element. The last element takes its place.
func without(list []slot, n slot) []slot {
	last := len(list) - 1
	list[slices.Index(list, n)] = list[last]
	return list[:last]
}

// isFull reports whether a vector has no room for another link.
func (g *graph) isFull(n slot, layer int) bool { return len(g.out(n, layer)) == g.capacity(layer) }
