package main

import (
	"iter"
	"slices"

	"motte/sdk"
)

// finder finds the objects of one answer.
type finder struct {
	index *index
	query
	asked  sdk.Query
	behind *hit // the answer begins behind this object; nil: at its first
}

// hit is an object that matches.
type hit struct {
	series *series
	place  place
}

// compare orders hits as the answer does.
func (f *finder) compare(a, b hit) int {
	if f.descending {
		a, b = b, a
	}
	if c := a.series.compare(b.series); c != 0 {
		return c
	}
	return a.place.compare(b.place.time, &b.place.id)
}

// lookUp returns an object that matches, if the index holds exactly this identity.
func (f *finder) lookUp(id sdk.Identity) (h hit, ok bool) {
	c, at := f.index.find(id.Value())
	if c == nil || c.ids[at] != id || !f.keys.contain(c.series.key) {
		return h, false
	}
	var buffer [chunkSize]sample
	e := entry{c.samples(buffer[:0])[at], &c.ids[at]}
	return hit{c.series, place{e.time, id}}, f.matches(e) && f.isPick(c.series, e)
}

// anchor returns the first of the objects of After that still matches.
func (f *finder) anchor() *hit {
	for _, id := range f.asked.After {
		if h, ok := f.lookUp(id); ok {
			return &h
		}
	}
	return nil
}

// gather finds the answer among the candidates. It suits an answer with all objects that match. Otherwise
// the others of a bucket must be looked at, too.
func (f *finder) gather() iter.Seq[sdk.Identity] {
	var found []hit
	for _, id := range f.asked.Within {
		h, ok := f.lookUp(id)
		if ok && f.asked.Wants(h.series.owner) && (f.behind == nil || f.compare(*f.behind, h) < 0) {
			found = append(found, h)
		}
	}
	slices.SortFunc(found, f.compare)
	return func(yield func(sdk.Identity) bool) {
		for _, h := range found {
			if !yield(h.place.id) {
				return
			}
		}
	}
}

// walk yields the answer, series by series.
func (f *finder) walk(yield func(sdk.Identity) bool) {
	if f.asked.Owner == sdk.AllOwners {
		f.walkAll(yield)
		return
	}
	f.walkOwn(f.asked.Owner, yield)
}

// walkAll yields the objects of all owners.
func (f *finder) walkAll(yield func(sdk.Identity) bool) {
	goOn := true
	visit := func(r keyRange) func(*series) bool {
		return func(s *series) bool {
			switch {
			case r.has(s.key):
				goOn = f.show(s, yield)
				return goOn
			case f.descending:
				return s.key >= r.from // it is above the range
			}
			return s.key < r.from
		}
	}
	for _, r := range f.ranges() {
		if !goOn {
			return
		}
		if f.descending {
			f.index.all.Descend(f.start(r), visit(r))
		} else {
			f.index.all.Ascend(f.start(r), visit(r))
		}
	}
}

// start returns where the series of a range begin, in the direction of the answer.
func (f *finder) start(r keyRange) *series {
	s := &series{key: r.from}
	if f.descending {
		s = &series{key: r.to}
	}
	if f.behind != nil && f.compare(hit{series: s}, hit{series: f.behind.series}) < 0 {
		s = f.behind.series
	}
	return s
}

// walkOwn yields the objects of one owner.
func (f *finder) walkOwn(owner sdk.Owner, yield func(sdk.Identity) bool) {
	own := f.index.byOwner[owner]
	if own == nil {
		return
	}
	goOn := true
	for _, r := range f.ranges() {
		if !goOn {
			return
		}
		visit := func(key string, s *series) bool {
			if !r.has(key) {
				return f.descending && key >= r.from
			}
			goOn = f.show(s, yield)
			return goOn
		}
		if f.descending {
			own.Descend(f.start(r).key, visit)
		} else {
			own.Ascend(f.start(r).key, visit)
		}
	}
}

// ranges returns the ranges of keys in the direction of the answer.
func (f *finder) ranges() []keyRange {
	if !f.descending {
		return f.keys
	}
	list := slices.Clone(f.keys)
	slices.Reverse(list)
	return list
}

// show yields the objects of a series that match. It returns false if no more are wanted.
func (f *finder) show(s *series, yield func(sdk.Identity) bool) bool {
	var behind *place
	if f.behind != nil {
		switch c := s.compare(f.behind.series); {
		case c == 0:
			behind = &f.behind.place
		case (c < 0) != f.descending:
			return true // the series is on an earlier page
		}
	}
	return f.sampled(s, behind, func(e entry) bool { return yield(*e.id) })
}
