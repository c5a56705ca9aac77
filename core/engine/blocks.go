package engine

import (
	"bytes"

	"motte/core/mapping"
)

// stride is the number of objects that one step of a piece of work looks at: a
// fraction of a millisecond. See later.
const stride = 1024

// sortedBlocks is a list of objects in chunks, all full but the last: it grows, and is taken
// apart, without a step that moves all of it.
type sortedBlocks [][]mapping.Entry

func (l *sortedBlocks) add(o mapping.Entry) {
	last := len(*l) - 1
	if last < 0 || len((*l)[last]) == stride {
		*l = append(*l, nil)
		last++
	}
	(*l)[last] = append((*l)[last], o)
}

// len returns the number of objects. No chunk but the last may have been taken from.
func (l sortedBlocks) len() int {
	if len(l) == 0 {
		return 0
	}
	return (len(l)-1)*stride + len(l[len(l)-1])
}

// take removes the first object. The pile is not empty.
func (l *sortedBlocks) take() mapping.Entry {
	first := (*l)[0]
	o := first[0]
	if (*l)[0] = first[1:]; len(first) == 1 {
		*l = (*l)[1:]
	}
	return o
}

// merger puts piles, each of which is in the order of its identities, in one order.
type merger struct {
	piles []sortedBlocks
	out   sortedBlocks // of the first two
}

// step moves at most n objects, and returns how many it moved; done: one pile at most
// is left.
func (m *merger) step(n int) (moved int, done bool) {
	for moved < n && len(m.piles) > 1 {
		a, b := &m.piles[0], &m.piles[1]
		switch {
		case len(*a)+len(*b) == 0:
			pop(&m.piles)
			pop(&m.piles)
			m.piles = append(m.piles, m.out)
			m.out = nil
			continue
		case len(*b) == 0 || len(*a) > 0 && compare((*a)[0][0], (*b)[0][0]) < 0:
			m.out.add(a.take())
		default:
			m.out.add(b.take())
		}
		moved++
	}
	return moved, len(m.piles) <= 1
}

func compare(a, b mapping.Entry) int { return bytes.Compare(a.ID[:], b.ID[:]) }
