package crashfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// root is the node of the mounted directory.
const root = 1

// entry is a name in a directory.
type entry struct {
	dir  uint64 // node
	name string
}

// move is one change of directories, which takes effect as a whole. It has the new node of each
// changed entry, and 0 for a removed one.
type move map[entry]uint64

// names holds all directories, in the state that processes see and in the durable state.
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

// needs reports whether a move can survive only with an earlier one. That is so if the earlier
// move changed one of the same names. It is also so if it made a directory into which this move
// takes an entry from elsewhere. An entry that is only created in a new directory may survive
// alone.
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

// leaves reports whether a move changes entries of another directory.
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

// count returns the number of names of a node.
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
		return 1 // names are unique
	})
	return list
}

// sync makes the names in a directory durable: all moves that change it, and all moves that
// these need.
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

// drop replaces the durable state by a state that a power cut may leave. Each move survives or
// not, but only together with the moves that it needs.
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
