package main

import (
	"cmp"
	"iter"
	"math/bits"
	"slices"

	"motte/sdk"
)

// distance returns the number of bits by which two hashes differ.
func (h hash) distance(other hash) int { return bits.OnesCount64(uint64(h ^ other)) }

// Search implements sdk.Index.
func (x *index) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	p, err := parse(q.Predicate)
	if err != nil {
		return nil, err
	}
	anchor, err := x.anchor(q.After, &p)
	if err != nil {
		return nil, err
	}
	var found [hashBits + 1][]sdk.Identity // by distance
	look := func(at place) {
		d := p.hash.distance(x.hashes[at])
		if d > p.bound {
			return
		}
		o := &x.objects[at]
		if q.Wants(o.owner) && (anchor == nil || anchor.before(d, o.id)) {
			found[d] = append(found[d], o.id)
		}
	}
	switch {
	case len(q.Within) > 0:
		for _, id := range q.Within {
			if at, ok := x.find(id); ok {
				look(at)
			}
		}
	case q.Owner != sdk.AllOwners:
		for _, at := range x.owners[q.Owner] {
			look(at)
		}
	default:
		for at := range x.hashes {
			look(place(at))
		}
	}
	return func(yield func(sdk.Identity) bool) {
		for _, ids := range found {
			slices.SortFunc(ids, sdk.Identity.Compare)
			for _, id := range ids {
				if !yield(id) {
					return
				}
			}
		}
	}, nil
}

// find returns the place of an identity.
func (x *index) find(id sdk.Identity) (at place, ok bool) {
	at, ok = x.places[id.Value()]
	return at, ok && x.objects[at].id == id
}

// anchor is an object in the order of an answer: by distance, and then by identity.
type anchor struct {
	distance int
	id       sdk.Identity
}

// before reports whether an object comes behind the anchor.
func (a *anchor) before(distance int, id sdk.Identity) bool {
	return cmp.Or(cmp.Compare(a.distance, distance), a.id.Compare(id)) < 0
}

// anchor returns the first of some identities that matches, or nil if there are none.
func (x *index) anchor(after []sdk.Identity, p *query) (*anchor, error) {
	for _, id := range after {
		if at, ok := x.find(id); ok {
			if d := p.hash.distance(x.hashes[at]); d <= p.bound {
				return &anchor{d, id}, nil
			}
		}
	}
	if len(after) > 0 {
		return nil, sdk.ErrGone
	}
	return nil, nil
}
