package main

import (
	"encoding/binary"
	"math"
	"slices"

	"motte/sdk"
)

// An entry on the shelf has the vector of an object, and its links. To build the graph anew would take
// minutes for a million vectors. The links are the numbers of slots at that time. An entry may be older
// than its neighbours, since only its own change saves it. So Restored drops links that lead nowhere,
// and makes links to vectors to which none leads.
//
//	slot v | vector | layers 1 | for each layer from 0: count v, slots v …
//
// A vector that is not linked has 0 layers.

// Entry implements sdk.Keeper.
func (x *index) Entry(v sdk.Value) (sdk.Entry, bool) {
	n, ok := x.slots[v]
	if !ok {
		return sdk.Entry{}, false
	}
	p := x.vectors.at(n)
	data := binary.AppendUvarint(x.scratch[:0], uint64(n))
	for _, f := range p.floats {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(f))
	}
	data = append(data, p.bytes...)
	if node := &x.graph.nodes[n]; node.linked {
		data = append(data, node.level+1)
		for l := range int(node.level) + 1 {
			out := x.graph.out(n, l)
			data = binary.AppendUvarint(data, uint64(len(out)))
			for _, to := range out {
				data = binary.AppendUvarint(data, uint64(to))
			}
		}
	} else {
		data = append(data, 0)
	}
	x.scratch = data
	return sdk.Entry{Identity: x.objects[n].id, Owner: x.objects[n].owner, Data: data}, true
}

// restoring is what Restored needs of the entries.
type restoring struct {
	slots map[slot]slot // present slots, by those of the entries
	old   map[slot]slot // the other way round
}

// forget forgets a slot.
func (r *restoring) forget(n slot) {
	old := r.old[n]
	if r.slots[old] == n {
		delete(r.slots, old)
	}
	delete(r.old, n)
}

// Restore implements sdk.Keeper. The links keep the numbers of the entries until Restored.
func (x *index) Restore(e sdk.Entry) bool {
	if x.restoring == nil {
		x.restoring = &restoring{slots: make(map[slot]slot), old: make(map[slot]slot)}
	}
	x.drop(e.Identity.Value())
	old, width := binary.Uvarint(e.Data)
	if width <= 0 || old > math.MaxUint32 || len(e.Data)-width < x.size()+1 {
		return false
	}
	p, ok := x.saved(e.Data[width : width+x.size()])
	if !ok {
		return false
	}
	layers, ok := x.savedLinks(e.Data[width+x.size():], x.graph.levelOf(e.Identity.Value())+1)
	if !ok {
		return false
	}
	n := x.hold(e.Identity, e.Owner, p)
	x.restoring.slots[slot(old)], x.restoring.old[n] = n, slot(old)
	if len(layers) == 0 {
		return true
	}
	x.graph.nodes[n] = node{linked: true, level: uint8(len(layers) - 1), upper: make([]layer, len(layers)-1)}
	for l, out := range layers {
		x.graph.setOut(n, l, out)
	}
	return true
}

// saved returns the vector of an entry.
func (x *index) saved(p []byte) (*point, bool) {
	v := x.empty()
	copy(v.bytes, p)
	for i := range v.floats {
		v.floats[i] = math.Float32frombits(binary.LittleEndian.Uint32(p[4*i:]))
	}
	if x.element == int8Element {
		v.describe()
		return v, x.metric != cosine || v.norm > 0
	}
	return v, finite(v.floats)
}

// savedLinks reads the links of an entry: none, or of so many layers.
func (x *index) savedLinks(p []byte, layers int) (links [][]slot, ok bool) {
	count := int(p[0])
	p = p[1:]
	if count != 0 && count != layers {
		return nil, false
	}
	next := func(most uint64) uint64 {
		n, width := binary.Uvarint(p)
		if width <= 0 || n > most {
			ok = false
			return 0
		}
		p = p[width:]
		return n
	}
	ok = true
	for l := range count {
		out := make([]slot, next(uint64(x.graph.capacity(l))))
		for i := range out {
			out[i] = slot(next(math.MaxUint32))
		}
		links = append(links, out)
	}
	return links, ok && len(p) == 0
}

// Restored implements sdk.BulkKeeper.
func (x *index) Restored() {
	g := &x.graph
	for n := range g.nodes {
		if g.nodes[n].linked {
			x.translate(slot(n))
		}
	}
	x.restoring = nil
	g.count, x.waiting, x.pending = 0, 0, x.pending[:0]
	for n := range x.objects {
		switch {
		case g.nodes[n].linked:
			g.count++
		case x.objects[n].held:
			x.waiting++
			x.pending = append(x.pending, slot(n))
		}
	}
	g.chooseEntry()
	for n := range g.nodes {
		x.reconnect(slot(n))
	}
	x.linkPending(restoredLinks)
}

// restoredLinks bounds the vectors that a start links: it takes about a second. Later changes link the
// others.
const restoredLinks = 1000

// translate replaces the numbers in the links of a vector by those of today. It drops links to vectors
// that are not there, and makes each link known at its other end.
func (x *index) translate(n slot) {
	g := &x.graph
	for l := range int(g.nodes[n].level) + 1 {
		out := g.out(n, l)
		kept := out[:0]
		for _, old := range out {
			to, ok := x.restoring.slots[old]
			if ok && to != n && g.nodes[to].linked && int(g.nodes[to].level) >= l && !slices.Contains(kept, to) {
				kept = append(kept, to)
				in := g.in(to, l)
				*in = append(*in, n)
			}
		}
		g.setOut(n, l, kept)
	}
}

// reconnect makes links to a vector, if none leads to it in layer 0. A vector without links waits to be
// linked anew.
func (x *index) reconnect(n slot) {
	g := &x.graph
	if !g.nodes[n].linked || g.count == 1 {
		return
	}
	if len(g.out(n, 0)) == 0 {
		g.remove(n)
		x.waiting++
		x.pending = append(x.pending, n)
		return
	}
	if len(g.nodes[n].in) == 0 {
		for _, to := range slices.Clone(g.out(n, 0)) {
			g.offer(to, n, 0)
		}
		g.rescue(n, 0)
	}
}
