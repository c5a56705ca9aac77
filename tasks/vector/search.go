package main

import (
	"cmp"
	"iter"
	"math"
	"slices"

	"motte/sdk"
)

// exactBelow is the number of vectors up to which an answer compares all of them: that takes little
// longer than a walk, and misses none.
const exactBelow = 20_000

// waitingPart bounds the vectors that each walk compares because they wait to be linked: if they are more
// than one in waitingPart, all are compared.
const waitingPart = 8

// hit is an object in the order of an answer: by distance, and then by identity.
type hit struct {
	distance float32
	n        slot
}

func (x *index) compare(a, b hit) int {
	if c := cmp.Compare(a.distance, b.distance); c != 0 {
		return c
	}
	return x.objects[a.n].id.Compare(x.objects[b.n].id)
}

// Search implements sdk.Index.
func (x *index) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	p, err := x.parse(q.Predicate)
	if err != nil {
		return nil, err
	}
	anchor, err := x.anchor(q.After, &p)
	if err != nil {
		return nil, err
	}
	hits := x.hits(&q, &p, anchor)
	return func(yield func(sdk.Identity) bool) {
		for h := range hits {
			if o := &x.objects[h.n]; q.Wants(o.owner) && !yield(o.id) {
				return
			}
		}
	}, nil
}

// anchor returns the first of some identities that matches, or nil if there are none.
func (x *index) anchor(after []sdk.Identity, p *query) (*hit, error) {
	for _, id := range after {
		n, ok := x.slots[id.Value()]
		if !ok || x.objects[n].id != id {
			continue
		}
		if d := x.vectors.distance(p.point, n); p.includes(d) {
			return &hit{d, n}, nil
		}
	}
	if len(after) > 0 {
		return nil, sdk.ErrGone
	}
	return nil, nil
}

// hits returns the objects that match, in order, behind the anchor.
func (x *index) hits(q *sdk.Query, p *query, anchor *hit) iter.Seq[hit] {
	own := x.owners[q.Owner]
	switch {
	case len(q.Within) > 0:
		return x.exact(p, x.candidates(q), anchor)
	case q.Owner != sdk.AllOwners && len(own) <= x.exactBelow:
		return x.exact(p, own, anchor)
	case len(x.slots) <= x.exactBelow || x.waiting > len(x.slots)/waitingPart:
		return x.exact(p, x.held(), anchor)
	}
	return x.widening(p, anchor)
}

// candidates returns the slots of the objects among which a query looks.
func (x *index) candidates(q *sdk.Query) (list []slot) {
	for _, id := range q.Within {
		if n, ok := x.slots[id.Value()]; ok && x.objects[n].id == id {
			list = append(list, n)
		}
	}
	return list
}

// held returns the slots of all objects.
func (x *index) held() []slot {
	list := make([]slot, 0, len(x.slots))
	for n := range x.objects {
		if x.objects[n].held {
			list = append(list, slot(n))
		}
	}
	return list
}

// exact compares all vectors of a list, and returns those that match, behind the anchor.
func (x *index) exact(p *query, list []slot, anchor *hit) iter.Seq[hit] {
	far := make([]float32, len(list))
	x.vectors.distances(p.point, list, far)
	found := make([]hit, 0, len(list))
	for i, n := range list {
		h := hit{far[i], n}
		if p.includes(h.distance) && (anchor == nil || x.compare(*anchor, h) < 0) {
			found = append(found, h)
		}
	}
	return x.sorted(found)
}

// sorted returns some objects in order. It sorts no more of them than are taken: they are a heap.
func (x *index) sorted(heap []hit) iter.Seq[hit] {
	return func(yield func(hit) bool) {
		for i := len(heap)/2 - 1; i >= 0; i-- {
			x.sink(heap, i)
		}
		for len(heap) > 0 {
			if !yield(heap[0]) {
				return
			}
			last := len(heap) - 1
			heap[0] = heap[last]
			heap = heap[:last]
			x.sink(heap, 0)
		}
	}
}

// sink moves an element of a heap down to its place.
func (x *index) sink(heap []hit, at int) {
	for {
		least := at
		for child := 2*at + 1; child <= 2*at+2 && child < len(heap); child++ {
			if x.compare(heap[child], heap[least]) < 0 {
				least = child
			}
		}
		if least == at {
			return
		}
		heap[at], heap[least] = heap[least], heap[at]
		at = least
	}
}

// Each walk looks for widenBy times as many candidates as the one before, until a comparison of all
// vectors takes about as long: a walk compares some walkFactor vectors for each candidate.
const (
	widenBy    = 4
	walkFactor = 16
)

// widening returns the objects that match, behind the anchor. It walks through the graph, wider and
// wider, and names the objects of each walk that it has not named. In the end it compares all vectors.
// So each object has its place in the answer, whatever the limit, and the next page begins there.
func (x *index) widening(p *query, anchor *hit) iter.Seq[hit] {
	return func(yield func(hit) bool) {
		words := (len(x.objects) + 63) / 64
		x.named = slices.Grow(x.named[:0], words)[:words]
		clear(x.named)
		behind := anchor == nil
		take := func(h hit) bool {
			x.named[h.n/64] |= 1 << (h.n % 64)
			ok := !behind || yield(h)
			behind = behind || h.n == anchor.n
			return ok
		}
		first := p.ef
		if first == 0 {
			first = x.ef
		}
		for ef := first; ef*walkFactor < len(x.slots) && ef <= maxEf; ef *= widenBy {
			near := x.graph.nearest(p.point, ef)
			if p.ef == 0 && ef == first && x.isCrowded(near) {
				continue
			}
			for h := range x.sorted(x.matching(p, near)) {
				if !take(h) {
					return
				}
			}
		}
		var rest []slot
		for _, n := range x.held() {
			if !x.isNamed(n) {
				rest = append(rest, n)
			}
		}
		for h := range x.exact(p, rest, nil) {
			if !take(h) {
				return
			}
		}
	}
}

// A walk misses many of the nearest vectors where the distances of near and of farther vectors differ
// little, as those of random vectors do. In a space of d dimensions the number of vectors grows with
// the distance to the power of d. So the distances of two candidates give an estimate of d.
const (
	crowdedDimensions = 24
	nearCandidate     = 10
)

// isCrowded reports whether the vectors around are spread over more than crowdedDimensions dimensions.
// Then the first walk is too narrow.
func (x *index) isCrowded(near []candidate) bool {
	if x.metric == dot || len(near) <= nearCandidate {
		return false // a product is no distance
	}
	// These are squares of distances. So is the distance by cosine, of vectors of length 1.
	ratio := float64(near[len(near)-1].distance) / float64(near[nearCandidate-1].distance)
	return math.Log(ratio)*crowdedDimensions < 2*math.Log(float64(len(near))/nearCandidate)
}

func (x *index) isNamed(n slot) bool { return x.named[n/64]>>(n%64)&1 == 1 }

// matching returns the objects that match and are not named: those among some candidates of the graph,
// and those that wait to be linked and are not farther.
func (x *index) matching(p *query, near []candidate) (found []hit) {
	farthest := float32(math.Inf(-1))
	for _, c := range near {
		farthest = c.distance
		if p.includes(c.distance) && !x.isNamed(c.n) {
			found = append(found, hit{c.distance, c.n})
		}
	}
	for _, n := range x.pending {
		if !x.waits(n) || x.isNamed(n) {
			continue
		}
		if d := x.vectors.distance(p.point, n); d <= farthest && p.includes(d) {
			x.named[n/64] |= 1 << (n % 64) // it may be in the list twice
			found = append(found, hit{d, n})
		}
	}
	return found
}
