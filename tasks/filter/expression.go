package main

import (
	"cmp"
	"math"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"motte/sdk"
	"motte/tasks/internal/inverted"
)

// maxWork bounds the work of one query, in steps: members of sets or words of bitmaps. It takes about
// a second.
const maxWork = 1 << 28

// evaluation is the evaluation of one query.
type evaluation struct {
	all  *roaring.Bitmap // all objects
	work int             // the steps that are left
	err  error           // sdk.ErrTooExpensive if there are none
}

// spend takes steps. It returns false if too few are left.
func (run *evaluation) spend(steps int) bool {
	if run.work -= steps; run.work < 0 {
		run.err = sdk.ErrTooExpensive
	}
	return run.err == nil
}

// scopeOf returns the objects of a scope, of which nil stands for all.
func (run *evaluation) scopeOf(scope *roaring.Bitmap) *roaring.Bitmap {
	if scope == nil {
		return run.all
	}
	return scope
}

// expression is a parsed predicate, or a part of it.
type expression interface {
	// find returns the objects in a scope that match. nil stands for the scope of all objects.
	// So the cost of an answer follows the smaller of the scope and the sets. The caller
	// must not change the bitmap. After an error the result has no meaning.
	find(run *evaluation, scope *roaring.Bitmap) *roaring.Bitmap

	// most returns about how many objects match at most.
	most() int
}

// everything matches all objects.
type everything struct{}

func (everything) find(run *evaluation, scope *roaring.Bitmap) *roaring.Bitmap {
	return run.scopeOf(scope)
}

func (everything) most() int { return math.MaxInt32 }

// anyOf matches the objects of at least one of some sets.
type anyOf struct {
	sets []*inverted.Set
	size int
}

func newAnyOf(sets []*inverted.Set) anyOf {
	e := anyOf{sets: sets}
	for _, s := range sets {
		e.size += s.Len()
	}
	return e
}

func (e anyOf) most() int { return e.size }

func (e anyOf) find(run *evaluation, scope *roaring.Bitmap) *roaring.Bitmap {
	width := math.MaxInt
	if scope != nil {
		width = inverted.Work(scope) + 1
	}
	for _, s := range e.sets {
		if !run.spend(min(s.Work(), width)) {
			return roaring.New()
		}
	}
	return inverted.Union(e.sets, scope)
}

// union returns the objects of at least one bitmap.
func union(run *evaluation, parts []*roaring.Bitmap) *roaring.Bitmap {
	if len(parts) == 1 {
		return parts[0]
	}
	for _, p := range parts {
		if !run.spend(inverted.Work(p)) {
			return roaring.New()
		}
	}
	return roaring.FastOr(parts...)
}

// not matches the objects that an expression does not match.
type not struct{ expression }

func (not) most() int { return math.MaxInt32 }

func (e not) find(run *evaluation, scope *roaring.Bitmap) *roaring.Bitmap {
	out := e.expression.find(run, scope)
	scope = run.scopeOf(scope)
	if !run.spend(inverted.Work(scope)) {
		return out
	}
	return roaring.AndNot(scope, out)
}

// and matches the objects that all of its expressions match.
type and []expression

// newAnd puts the expressions that match few objects first: they narrow the scope of the others.
func newAnd(list []expression) expression {
	if len(list) == 1 {
		return list[0]
	}
	slices.SortStableFunc(list, func(a, b expression) int { return cmp.Compare(a.most(), b.most()) })
	return and(list)
}

func (e and) most() int { return e[0].most() }

func (e and) find(run *evaluation, scope *roaring.Bitmap) *roaring.Bitmap {
	for _, part := range e {
		scope = part.find(run, scope)
		if run.err != nil || scope.IsEmpty() {
			break
		}
	}
	return scope
}

// or matches the objects that at least one of its expressions matches.
type or struct {
	list []expression
	size int
}

func newOr(list []expression) expression {
	if len(list) == 1 {
		return list[0]
	}
	e := or{list: list}
	for _, part := range list {
		e.size = min(e.size+part.most(), math.MaxInt32)
	}
	return e
}

func (e or) most() int { return e.size }

func (e or) find(run *evaluation, scope *roaring.Bitmap) *roaring.Bitmap {
	var parts []*roaring.Bitmap
	for _, part := range e.list {
		parts = append(parts, part.find(run, scope))
		if run.err != nil {
			return roaring.New()
		}
	}
	return union(run, parts)
}
