package crashfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// root is the node of the directory that is mounted.
const root = 1

// entry is a name in a directory.
type entry struct {
	dir  uint64 // node
	name string
}

// move is one change of directories, which takes effect as a whole: the nodes
// that entries have afterwards, 0 for none.
type move map[entry]uint64

// names is all directories, as processes see them and as the disk has them.
type names struct {
	now     map[entry]uint64
	durable map[entry]uint64
	moves   []move // volatile, in order
}

func newNames(durable map[entry]uint64) names {
	return names{now: maps.Clone(durable), durable: durable}
}

func (m move) apply(to map[entry]uint64) {
	for e, node := range m {
		if node == 0 {
			delete(to, e)
		} else {
			to[e] = node
		}
	}
}

// needs reports whether a move can't survive without an earlier one: that changed
// one of the same names, or made a directory into which this one takes something
// from another. What is only made in a directory may survive without a way to it.
func (m move) needs(earlier move) bool {
	for e := range m {
		for other, node := range earlier {
			if other == e || node == e.dir && m.leaves(e.dir) {
				return true
			}
		}
	}
	return false
}

// leaves reports whether a move concerns other directories than this one.
func (m move) leaves(dir uint64) bool {
	for e := range m {
		if e.dir != dir {
			return true
		}
	}
	return false
}

func (n *names) change(m move) {
	m.apply(n.now)
	n.moves = append(n.moves, m)
}

// count counts the names of a node.
func (n *names) count(node uint64) (links uint32) {
	for _, other := range n.now {
		if other == node {
			links++
		}
	}
	return links
}

// has reports whether a node has a name.
func (n *names) has(node uint64) bool { return n.count(node) > 0 }

// in lists a directory, sorted by name.
func (n *names) in(dir uint64) []entry {
	var list []entry
	for e := range n.now {
		if e.dir == dir {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b entry) int {
		if a.name < b.name {
			return -1
		}
		return 1 // no two are the same
	})
	return list
}

// sync makes the names in a directory durable: all moves that touch it, and
// what these need.
func (n *names) sync(dir uint64) {
	keep := make([]bool, len(n.moves))
	for i, m := range slices.Backward(n.moves) {
		for e := range m {
			keep[i] = keep[i] || e.dir == dir
		}
		for j := i + 1; j < len(n.moves) && !keep[i]; j++ {
			keep[i] = keep[j] && n.moves[j].needs(m)
		}
	}
	var left []move
	for i, m := range n.moves {
		if keep[i] {
			m.apply(n.durable)
		} else {
			left = append(left, m)
		}
	}
	n.moves = left
}

// drop replaces what is durable by what a power cut may leave: each move
// survives or not, but none without those that it needs.
func (n *names) drop(rng *rand.Rand, l *Loss) {
	fate := rng.IntN(4)
	var lost []move
	for _, m := range n.moves {
		l.Names++
		keep := fate == 1 || fate > 1 && rng.IntN(2) == 0
		if keep && !slices.ContainsFunc(lost, m.needs) {
			m.apply(n.durable)
			continue
		}
		l.LostNames++
		lost = append(lost, m)
	}
	n.moves = nil
}
