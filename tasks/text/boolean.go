package main

import "slices"

// allOf finds the objects that all of its parts find.
type allOf struct {
	parts  []node
	sorted []node // the one that finds the least first
}

func newAllOf(parts []node) node {
	if len(parts) == 1 {
		return parts[0]
	}
	sorted := slices.Clone(parts)
	slices.SortStableFunc(sorted, func(a, b node) int { return a.size() - b.size() })
	return &allOf{parts, sorted}
}

func (n *allOf) seek(s slot) slot {
	for i := 0; i < len(n.sorted); {
		at := n.sorted[i].seek(s)
		switch {
		case at == noSlot:
			return noSlot
		case at > s:
			s = at
			if i > 0 {
				i = 0
				continue
			}
		}
		i++
	}
	return s
}

func (n *allOf) score() (sum float64) {
	for _, p := range n.parts {
		sum += p.score()
	}
	return sum
}

func (n *allOf) size() int { return n.sorted[0].size() }

// oneOf finds the objects that at least one of its parts finds.
type oneOf struct {
	parts []node
	slots []slot // at which the parts stand
	at    slot
	begun bool
}

func newOneOf(parts []node) node {
	if len(parts) == 1 {
		return parts[0]
	}
	return &oneOf{parts: parts, slots: make([]slot, len(parts))}
}

func (n *oneOf) seek(s slot) slot {
	n.at = noSlot
	for i, p := range n.parts {
		if !n.begun || n.slots[i] < s {
			n.slots[i] = p.seek(s)
		}
		n.at = min(n.at, n.slots[i])
	}
	n.begun = true
	return n.at
}

func (n *oneOf) score() (sum float64) {
	for i, p := range n.parts {
		if n.slots[i] == n.at {
			sum += p.score()
		}
	}
	return sum
}

func (n *oneOf) size() (sum int) {
	for _, p := range n.parts {
		sum += p.size()
	}
	return sum
}

// group finds the objects of must that no part of not finds. Parts of should only add to the score.
type group struct {
	must   node
	should node // nil: none
	not    []node
	at     slot
	begun  bool
}

func (n *group) seek(s slot) slot {
	if n.begun && n.at >= s {
		return n.at // the parts of not are behind it already
	}
	n.begun = true
	for s = n.must.seek(s); s != noSlot && n.excludes(s); {
		s = n.must.seek(s + 1)
	}
	n.at = s
	return s
}

func (n *group) excludes(s slot) bool {
	return slices.ContainsFunc(n.not, func(p node) bool { return p.seek(s) == s })
}

func (n *group) score() float64 {
	sum := n.must.score()
	if n.should != nil && n.should.seek(n.at) == n.at {
		sum += n.should.score()
	}
	return sum
}

func (n *group) size() int { return n.must.size() }
