package main

import (
	"cmp"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"motte/tasks/internal/inverted"
)

// need is what the trigrams of an object must satisfy, so that the object can match a pattern. It may
// hold for objects that do not match, but holds for all that do. The zero value holds for all objects.
type need struct {
	kind     needKind
	trigrams []trigram // of allOf: the object has each of them
	parts    []need    // of allOf and oneOf
}

type needKind int

const (
	anything needKind = iota
	allOf             // all trigrams, and all parts hold
	oneOf             // at least one part holds
)

// enough candidates are few enough to compare each with the pattern at once.
const enough = 8

// both returns what holds if two needs hold.
func both(a, b need) need {
	switch {
	case a.kind == anything:
		return b
	case b.kind == anything:
		return a
	}
	return need{kind: allOf, parts: []need{a, b}}
}

// either returns the need that holds if at least one of several needs holds.
func either(parts []need) need {
	if slices.ContainsFunc(parts, func(n need) bool { return n.kind == anything }) {
		return need{}
	}
	return need{kind: oneOf, parts: parts}
}

// needOfText returns the need of texts that contain a folded text.
func needOfText(folded string) need {
	trigrams := trigramsOf(folded)
	if len(trigrams) == 0 {
		return need{}
	}
	slices.Sort(trigrams)
	return need{kind: allOf, trigrams: slices.Compact(trigrams)}
}

// needOfOne returns the need of texts that contain at least one of some folded texts.
func needOfOne(texts []string) need {
	if len(texts) == 1 {
		return needOfText(texts[0])
	}
	var parts []need
	for _, s := range texts {
		parts = append(parts, needOfText(s))
	}
	return either(parts)
}

// find returns the objects in a scope for which the need holds, and perhaps others of the scope. The
// caller must not change them.
func (n *need) find(run *evaluation, scope *roaring.Bitmap) *roaring.Bitmap {
	switch n.kind {
	case allOf:
		scope = n.narrow(run, scope)
		for i := range n.parts {
			if run.err != nil || scope.GetCardinality() <= enough {
				break
			}
			scope = n.parts[i].find(run, scope)
		}
	case oneOf:
		var parts []*roaring.Bitmap
		for i := range n.parts {
			found := n.parts[i].find(run, scope)
			if !run.spend(inverted.Work(found)) {
				break
			}
			parts = append(parts, found)
		}
		scope = roaring.FastOr(parts...)
	}
	return scope
}

// narrow returns the objects in a scope that have all trigrams of the need. It begins with the rarest
// trigram. It ends early when the objects are few.
func (n *need) narrow(run *evaluation, scope *roaring.Bitmap) *roaring.Bitmap {
	if !run.spend(len(n.trigrams)) {
		return scope
	}
	var sets []*inverted.Set
	for _, t := range n.trigrams {
		set := run.index.postings[t]
		if set == nil {
			return roaring.New()
		}
		sets = append(sets, set)
	}
	slices.SortFunc(sets, func(a, b *inverted.Set) int { return cmp.Compare(a.Len(), b.Len()) })
	for _, set := range sets {
		if scope.GetCardinality() <= enough || !run.spend(min(set.Work(), inverted.Work(scope))) {
			break
		}
		if scope == run.index.objects.All() {
			scope = nil // so that the set is not copied
		}
		scope = inverted.Union([]*inverted.Set{set}, scope)
	}
	return scope
}
