package main

import "math"

// walk visits the entries whose keys are in the set, in the direction of the answer, until visit
// returns false. It begins behind f.after.
func (f *finder[K]) walk(visit func(entry[K]) bool) {
	from := f.after
	goOn := true
	watched := func(e entry[K]) bool {
		goOn = visit(e)
		return goOn
	}
	if f.descending {
		n := len(f.keys) - 1
		if from != nil {
			n = f.tree.domain.intervalOf(f.keys, from.key)
		}
		for ; n >= 0 && goOn; n-- {
			f.descend(f.keys[n], from, watched)
			from = nil
		}
		return
	}
	n := 0
	if from != nil {
		n = f.tree.domain.intervalOf(f.keys, from.key)
	}
	for ; n < len(f.keys) && goOn; n++ {
		f.ascend(f.keys[n], from, watched)
		from = nil
	}
}

// ascend visits the entries of an interval, behind from if that is given.
func (f *finder[K]) ascend(i interval[K], from *entry[K], visit func(entry[K]) bool) {
	t := f.tree
	step := func(e entry[K]) bool {
		switch {
		case !t.domain.isBelow(e.key, i.to):
			return false
		case from != nil && t.compare(e, *from) == 0, t.domain.isBelow(e.key, i.from): // the cut is just above this key
			return true
		}
		return visit(e)
	}
	switch {
	case from != nil:
		t.entries.Ascend(*from, step)
	case i.from.side == bottom:
		t.entries.Scan(step)
	default:
		t.entries.Ascend(edge(i.from), step)
	}
}

// descend visits the entries of an interval backwards, behind from if that is given.
func (f *finder[K]) descend(i interval[K], from *entry[K], visit func(entry[K]) bool) {
	t := f.tree
	step := func(e entry[K]) bool {
		switch {
		case t.domain.isBelow(e.key, i.from):
			return false
		case from != nil && t.compare(e, *from) == 0, !t.domain.isBelow(e.key, i.to): // the cut is just below this key
			return true
		}
		return visit(e)
	}
	switch {
	case from != nil:
		t.entries.Descend(*from, step)
	case i.to.side == top:
		t.entries.Reverse(step)
	default:
		t.entries.Descend(edge(i.to), step)
	}
}

// edge returns an entry next to the cut. No entry is between the two.
func edge[K any](c cut[K]) entry[K] {
	if c.side == above {
		return entry[K]{c.key, math.MaxUint32, lastSlot}
	}
	return entry[K]{c.key, 0, firstSlot}
}
