package main

// node is a part of a search. It goes through the objects that it finds, in the order of their slots.
type node interface {
	// seek goes to the first object at or behind a slot, and returns it, or noSlot. Slots must not descend. A
	// slot before the object at which the node stands leaves it there.
	seek(slot) slot

	// score returns the score of the object at which the node stands.
	score() float64

	// size returns about how many objects the node finds.
	size() int
}

// anyOf finds the objects that have a word of a set.
type anyOf struct {
	cursors []*cursor
	at      slot
	rarity  float64
	count   int
}

func (n *anyOf) seek(s slot) slot {
	n.at = noSlot
	for _, c := range n.cursors {
		if c.read.at == 0 || c.slot < s {
			c.seek(s)
		}
		n.at = min(n.at, c.slot)
	}
	return n.at
}

func (n *anyOf) score() float64 { return n.rarity * saturated(n.weight()) }

// weight returns the weight of all words of the set.
func (n *anyOf) weight() (w float64) {
	for _, c := range n.cursors {
		if c.slot == n.at {
			w += c.weight()
		}
	}
	return w
}

func (n *anyOf) size() int { return n.count }

// gathered has the objects of many words, which were gathered before.
type gathered struct {
	slots   []slot
	weights []float32 // nil: without order
	at      int
	rarity  float64
}

func (n *gathered) seek(s slot) slot {
	if n.at < len(n.slots) && n.slots[n.at] < s {
		n.at += gallop(n.slots[n.at:], s)
	}
	if n.at == len(n.slots) {
		return noSlot
	}
	return n.slots[n.at]
}

func (n *gathered) score() float64 {
	if n.weights == nil {
		return 0
	}
	return n.rarity * saturated(float64(n.weights[n.at]))
}

func (n *gathered) size() int { return len(n.slots) }

// gallop returns the place of the first slot that is not below s. It looks near first.
func gallop(slots []slot, s slot) int {
	low, width := 0, 1
	for low+width < len(slots) && slots[low+width] < s {
		low += width
		width *= 2
	}
	high := min(low+width, len(slots))
	for low < high {
		if middle := (low + high) / 2; slots[middle] < s {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// every finds all objects that have a text in one of some fields.
type every struct {
	search *search
	fields uint32 // 0: all objects
}

func (n *every) seek(s slot) slot {
	d := &n.search.index.documents
	for ; int(s) < len(d.all) && n.search.step(1); s++ {
		if d.all[s].text == nil {
			continue
		}
		if n.fields == 0 {
			return s
		}
		for f := range d.lengths {
			if n.fields>>f&1 == 1 && d.lengths[f][s] > 0 {
				return s
			}
		}
	}
	return noSlot
}

func (n *every) score() float64 { return 0 }

func (n *every) size() int { return len(n.search.index.documents.byValue) }

// weighted multiplies the score of a node.
type weighted struct {
	node
	factor float64
}

func (n *weighted) score() float64 { return n.factor * n.node.score() }
