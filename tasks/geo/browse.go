package main

import "cmp"

// place is a cell or an object in the queue of a search by distance.
type place struct {
	distance float64
	atLeast  bool // the distance is a lower bound: that of a cell, or of a shape's box
	slot     slot // 0: a cell
	cell     cell
}

// browse finds the answer in the order of distance: it takes the nearest place from a queue, again
// and again. A lower bound comes before the objects at this distance, so no object is missed.
func (f *finder) browse() {
	var q queue
	q.less = func(a, b *place) bool {
		switch c := cmp.Compare(a.distance, b.distance); {
		case c != 0:
			return c < 0
		case a.atLeast || b.atLeast:
			return a.atLeast && !b.atLeast
		}
		return f.index.compareValues(a.slot, b.slot) < 0
	}
	for layer, t := range f.index.layers {
		if t.Len() > 0 {
			f.push(&q, cell{layer: layer})
		}
	}
	for len(q.places) > 0 && f.step() {
		p := q.pop()
		switch {
		case p.slot == 0:
			f.open(&q, p.cell)
			continue
		case p.atLeast:
			f.pushObject(&q, p.slot)
			continue
		}
		f.found = append(f.found, hit{p.slot, p.distance})
		if len(f.found) == f.limit {
			return
		}
	}
}

// push adds a cell to the queue, unless all of its objects are too far, or on earlier pages.
func (f *finder) push(q *queue, c cell) {
	f.work.spend(arcCost)
	b := c.box()
	d := b.atLeast(f.centre)
	if d > f.radius || f.behind != nil && b.atMost(f.centre) < f.behind.distance-roundingSlack {
		return
	}
	q.push(place{distance: d, atLeast: true, cell: c})
}

// pushObject adds an object to the queue, with its distance, if it belongs to the answer.
func (f *finder) pushObject(q *queue, n slot) {
	h, ok := f.measure(n)
	if ok && (f.behind == nil || f.compare(*f.behind, h) < 0) {
		q.push(place{distance: h.distance, slot: n})
	}
}

// open adds the objects of a cell to the queue, or its quarters.
func (f *finder) open(q *queue, c cell) {
	var some [leafEntries + 1]entry
	list, all := f.index.few(c, nil, some[:0])
	if !all {
		for _, quarter := range c.children() {
			f.push(q, quarter)
		}
		return
	}
	for _, e := range list {
		if !f.step() {
			return
		}
		if !f.wants(e.slot) {
			continue
		}
		if s := f.index.objects.shapes[e.slot]; s != nil {
			q.push(place{distance: s.box.atLeast(f.centre), atLeast: true, slot: e.slot})
			continue
		}
		f.pushObject(q, e.slot)
	}
}

// queue is a binary heap of places.
type queue struct {
	places []place
	less   func(a, b *place) bool
}

func (q *queue) push(p place) {
	q.places = append(q.places, p)
	n := len(q.places) - 1
	for n > 0 {
		parent := (n - 1) / 2
		if !q.less(&q.places[n], &q.places[parent]) {
			return
		}
		q.places[n], q.places[parent] = q.places[parent], q.places[n]
		n = parent
	}
}

func (q *queue) pop() place {
	first := q.places[0]
	last := len(q.places) - 1
	q.places[0] = q.places[last]
	q.places = q.places[:last]
	for n := 0; ; {
		child := 2*n + 1
		if child+1 < last && q.less(&q.places[child+1], &q.places[child]) {
			child++
		}
		if child >= last || !q.less(&q.places[child], &q.places[n]) {
			return first
		}
		q.places[n], q.places[child] = q.places[child], q.places[n]
		n = child
	}
}
