package main

import (
	"iter"
	"slices"

	"motte/sdk"
	"motte/tasks/text/grammar"
)

// maxWork bounds the steps of an answer: an entry of a list, a word that is compared with a pattern, a
// place of a text that is compared with a phrase. On a slow machine a step takes 30 ns, so an answer takes
// 4 s at most. Steps do not depend on the load, and so the answer does not.
const maxWork = 1 << 27

// search is the work for one answer.
type search struct {
	index     *index
	ranked    bool
	left      int        // steps
	negations int        // that are open while a predicate is compiled
	perMean   []float64  // by field: 1 / the mean length of a text
	text      [][]number // of the object that a phrase reads
}

// step counts work, and reports whether any is left.
func (x *search) step(n int) bool {
	x.left -= n
	return x.left >= 0
}

func (x *index) newSearch(work int) *search {
	s := &search{index: x, ranked: x.ordered, left: work, text: make([][]number, len(x.fields))}
	for _, total := range x.documents.total {
		s.perMean = append(s.perMean, float64(len(x.documents.byValue))/float64(max(1, total)))
	}
	return s
}

// Search implements sdk.Index.
func (x *index) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	return x.answer(q, maxWork)
}

// answer is Search with so many steps.
func (x *index) answer(q sdk.Query, work int) (iter.Seq[sdk.Identity], error) {
	d := grammar.Dialect{Language: x.language}
	for _, f := range x.fields {
		d.Fields = append(d.Fields, f.name)
	}
	predicate, err := d.Parse(string(q.Predicate))
	if err != nil {
		return nil, err
	}
	s := x.newSearch(work)
	last, err := s.anchor(predicate, q.After)
	if err != nil {
		return nil, err
	}
	found := top{index: x, size: q.Limit + 1 + len(q.After)}
	if n := s.among(predicate, s.candidates(&q)); n != nil {
		for at := n.seek(0); at != noSlot; at = n.seek(at + 1) {
			h := hit{slot: at}
			if s.ranked {
				h.score = n.score()
			}
			if last == nil || found.better(*last, h) {
				found.add(h)
			}
		}
	}
	if s.left < 0 {
		return nil, sdk.ErrTooExpensive
	}
	return slices.Values(found.identities(q.After)), nil
}

// among compiles a predicate that finds only candidates. It returns nil if there are none. Candidates that are nil are all objects.
func (x *search) among(predicate grammar.Node, candidates node) node {
	n := x.compile(predicate)
	if n == nil || candidates == nil {
		return n
	}
	return newAllOf([]node{candidates, n})
}

// candidates returns a node for the objects that the answer may name: those of the owner that asks, and
// those within which it asks. It returns nil for all objects.
func (x *search) candidates(q *sdk.Query) node {
	var parts []node
	if len(q.Within) > 0 {
		parts = append(parts, x.these(q.Within))
	}
	if owned := x.index.documents.owners[q.Owner]; owned != nil && int(owned.count) < len(x.index.documents.byValue) {
		parts = append(parts, x.ownedBy(owned))
	} else if owned == nil && q.Owner != sdk.AllOwners {
		parts = append(parts, &gathered{})
	}
	if len(parts) == 0 {
		return nil
	}
	return newAllOf(parts)
}

// these returns a node for those of some identities that the index holds.
func (x *search) these(ids []sdk.Identity) *gathered {
	n := &gathered{}
	for _, id := range ids {
		if s, ok := x.index.documents.holds(id); ok {
			n.slots = append(n.slots, s)
		}
	}
	slices.Sort(n.slots)
	return n
}

// anchor returns the object behind which a page begins: the first of after that the index holds in the
// same version. If ranked, the predicate must find it, too. Without after, anchor returns nil.
func (x *search) anchor(predicate grammar.Node, after []sdk.Identity) (*hit, error) {
	var held []slot
	for _, id := range after {
		if s, ok := x.index.documents.holds(id); ok {
			held = append(held, s)
		}
	}
	switch {
	case len(after) == 0:
		return nil, nil
	case len(held) == 0:
		return nil, sdk.ErrGone
	case !x.ranked:
		return &hit{slot: held[0]}, nil
	}
	n := x.among(predicate, &gathered{slots: slices.Compact(slices.Sorted(slices.Values(held)))})
	var first *hit
	if n != nil {
		rank := len(held)
		for at := n.seek(0); at != noSlot; at = n.seek(at + 1) {
			if i := slices.Index(held[:rank], at); i >= 0 {
				rank, first = i, &hit{at, n.score()}
			}
		}
	}
	switch {
	case x.left < 0:
		return nil, sdk.ErrTooExpensive
	case first == nil:
		return nil, sdk.ErrGone
	}
	return first, nil
}
