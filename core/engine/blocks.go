package engine

import (
	"slices"

	"motte/core/identity"
	"motte/core/mapping"
)

// stride is the number of objects that one step of work looks at. A step takes a fraction
// of a millisecond: see later.
const stride = 1024

// sortedBlocks is a list of objects in blocks, all full except the last. So it grows and shrinks
// without a step that moves all of it. Only the lists of a merger must be sorted: found and kept
// of a search have the Task's order.
type sortedBlocks [][]mapping.Entry

func (l *sortedBlocks) add(o mapping.Entry) {
	last := len(*l) - 1
	switch {
	case last < 0:
		*l = append(*l, nil) // most lists are short
		last++
	case len((*l)[last]) == stride/4:
		(*l)[last] = slices.Grow((*l)[last], 3*stride/4) // append would waste a part of the memory
	case len((*l)[last]) == stride:
		*l = append(*l, make([]mapping.Entry, 0, stride))
		last++
	}
	(*l)[last] = append((*l)[last], o)
}

// len returns the number of objects. It must be called before the first take.
func (l sortedBlocks) len() int {
	if len(l) == 0 {
		return 0
	}
	return (len(l)-1)*stride + len(l[len(l)-1])
}

// cut removes all objects after the first n. It must be called before the first take.
func (l *sortedBlocks) cut(n int) {
	blocks := (n + stride - 1) / stride
	if *l = (*l)[:blocks]; blocks > 0 {
		(*l)[blocks-1] = (*l)[blocks-1][:n-(blocks-1)*stride]
	}
}

// last returns the identities of the last n objects, the last first.
func (l sortedBlocks) last(n int) (list []byte) {
	for _, block := range slices.Backward(l) {
		for _, o := range slices.Backward(block) {
			if len(list) == n*identity.Size {
				return list
			}
			list = append(list, o.ID[:]...)
		}
	}
	return list
}

// take removes the first object. The list is not empty.
func (l *sortedBlocks) take() mapping.Entry {
	first := (*l)[0]
	o := first[0]
	if (*l)[0] = first[1:]; len(first) == 1 {
		pop(l) // the block is free memory
	}
	return o
}

// merger merges lists, each in the order of identities, into one list. It keeps one version of an
// object.
type merger struct {
	lists  []sortedBlocks
	merged sortedBlocks // merged so far of the first two lists
}

// step moves at most n objects, and returns their number. It reports done when at most one
// list is left.
func (m *merger) step(most int) (moved int, done bool) {
	for moved < most && len(m.lists) > 1 {
		a, b := &m.lists[0], &m.lists[1]
		switch {
		case len(*a)+len(*b) == 0:
			pop(&m.lists)
			pop(&m.lists)
			m.lists = append(m.lists, m.merged)
			m.merged = nil
			continue
		case len(*b) == 0 || len(*a) > 0 && compare((*a)[0][0], (*b)[0][0]) < 0:
			m.add(a.take())
		default:
			m.add(b.take())
		}
		moved++
	}
	return moved, len(m.lists) <= 1
}

func (m *merger) add(o mapping.Entry) {
	if n := len(m.merged); n > 0 {
		block := m.merged[n-1]
		if sameObject(block[len(block)-1], o) {
			return
		}
	}
	m.merged.add(o)
}

func compare(a, b mapping.Entry) int { return a.ID.Compare(b.ID) }
