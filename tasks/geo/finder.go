package main

import (
	"cmp"
	"math"
	"slices"

	"motte/sdk"
)

// maxWork bounds the steps of a search: a step looks at an entry, a cell, a vertex or an edge, and
// takes about 50 ns.
const maxWork = 50_000_000

// work counts steps.
type work struct{ left int }

// spend takes steps. It returns false once there are too few.
func (w *work) spend(steps int) bool {
	w.left -= steps
	return w.left >= 0
}

func (w *work) exhausted() bool { return w.left < 0 }

// hit is an object that matches.
type hit struct {
	slot     slot
	distance float64 // in metres, if the answer is by distance
}

// finder finds the objects of one answer.
type finder struct {
	index *index
	predicate
	query  sdk.Query
	limit  int  // the answer needs one object more, to show whether more match
	behind *hit // the answer begins behind this object; nil: at its first
	work   work

	found []hit
	// steps ends a way through the layers that costs more than to look at all objects of the owner.
	steps int
}

// find finds the answer. It takes one of two ways.
//
// To gather is to look at each of a list of objects: the candidates, or those of an owner. To walk
// is to go through the cells of the map. If the client may see the objects of one owner, find walks
// first, and takes at most as many steps as the owner has objects. If that does not suffice, it
// gathers. So the cost is at most twice that of looking at the owner's objects.
func (f *finder) find() error {
	if len(f.query.After) > 0 {
		f.behind = f.anchor()
		if f.behind == nil && !f.work.exhausted() {
			return sdk.ErrGone
		}
	}
	switch {
	case len(f.query.Within) > 0:
		f.gather(f.candidates())
	case f.query.Owner != sdk.AllOwners:
		own := f.index.objects.ofOwner(f.query.Owner)
		f.steps = len(own)
		if !f.walk() {
			f.found = f.found[:0]
			f.gather(own)
		}
	default:
		f.steps = math.MaxInt
		f.walk()
	}
	if f.work.exhausted() {
		return sdk.ErrTooExpensive
	}
	return nil
}

// anchor returns the first of the objects of After that still matches.
func (f *finder) anchor() *hit {
	for _, id := range f.query.After {
		n, ok := f.index.objects.find(id)
		if !ok {
			continue
		}
		if h, ok := f.measure(n); ok {
			return &h
		}
	}
	return nil
}

// candidates returns the objects to which the answer is limited.
func (f *finder) candidates() (list []slot) {
	for _, id := range f.query.Within {
		if n, ok := f.index.objects.find(id); ok && f.wants(n) {
			list = append(list, n)
		}
	}
	return list
}

// wants reports whether the client may see an object.
func (f *finder) wants(n slot) bool {
	if f.query.Owner == sdk.AllOwners {
		return true
	}
	objects := &f.index.objects
	return objects.owners[objects.at(n).owner].owner == f.query.Owner
}

// measure reports whether an object matches.
func (f *finder) measure(n slot) (h hit, ok bool) {
	if !f.work.spend(1) {
		return h, false
	}
	h.slot = n
	p, s := f.index.objects.at(n).corner, f.index.objects.shapes[n]
	switch {
	case f.kind == all:
		ok = true
	case f.kind == near && s == nil:
		h.distance = distance(f.centre, p)
		ok = h.distance <= f.radius
	case f.kind == near:
		h.distance = s.distance(f.centre, math.Inf(1), &f.work)
		ok = h.distance <= f.radius
	case s == nil:
		ok = f.region.holds(p, &f.work)
	case f.kind == within:
		ok = f.region.covers(s, &f.work)
	case f.kind == intersects:
		ok = f.region.intersects(s, &f.work)
	}
	return h, ok && !f.work.exhausted()
}

// compare orders hits as the answer does.
func (f *finder) compare(a, b hit) int {
	if c := cmp.Compare(a.distance, b.distance); c != 0 {
		return c
	}
	if f.kind == near {
		return f.index.compareValues(a.slot, b.slot)
	}
	p, q := f.index.objects.at(a.slot), f.index.objects.at(b.slot)
	return cmp.Or(cmp.Compare(p.layer, q.layer), f.index.compareEntries(f.index.entry(a.slot), f.index.entry(b.slot)))
}

// gather finds the answer among a list of objects. Its memory follows the limit.
func (f *finder) gather(list []slot) {
	for _, n := range list {
		h, ok := f.measure(n)
		if f.work.exhausted() {
			return
		}
		if ok && (f.behind == nil || f.compare(*f.behind, h) < 0) {
			f.found = append(f.found, h)
		}
		if len(f.found) > 2*f.limit {
			f.trim()
		}
	}
	f.trim()
}

func (f *finder) trim() {
	slices.SortFunc(f.found, f.compare)
	f.found = f.found[:min(len(f.found), f.limit)]
}

// walk finds the answer by the cells of the map. It returns false if it runs out of steps.
func (f *finder) walk() bool {
	if f.kind == near {
		f.browse()
	} else {
		f.scan()
	}
	return f.steps >= 0
}

// step counts a step. It returns false if the walk must end.
func (f *finder) step() bool {
	f.steps--
	return f.work.spend(1) && f.steps >= 0
}
