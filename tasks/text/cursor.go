package main

import "math/bits"

// cursor goes through the list of a term, over the objects that have it in one of some fields.
type cursor struct {
	search *search
	list   *list
	fields uint32 // a set of bits
	last   uint32 // the bit of the last field
	factor float64
	block  int
	read   reader // of the block
	slot   slot   // at which the cursor stands
}

func (x *search) cursor(l *list, fields uint32, factor float64) *cursor {
	c := &cursor{search: x, list: l, fields: fields, last: 1 << (len(x.index.fields) - 1), factor: factor}
	if len(l.blocks) > 0 {
		c.open(0)
	}
	return c
}

// ownedBy finds the objects of an owner. Their list has one field.
type ownedBy struct{ *cursor }

func (x *search) ownedBy(l *list) node {
	c := x.cursor(l, 1, 1)
	c.last = 1
	return &ownedBy{c}
}

func (n *ownedBy) score() float64 { return 0 }

func (n *ownedBy) size() int { return int(n.list.count) }

func (c *cursor) open(block int) {
	c.block = block
	c.read = reader{data: c.list.blocks[block].data, slot: c.list.blocks[block].first}
}

// start goes to the first object.
func (c *cursor) start() { c.seek(0) }

// seek goes to the first object at or behind a slot. Slots must not descend.
func (c *cursor) seek(s slot) slot {
	if c.list.blocks == nil {
		c.slot = noSlot
		if p := &c.list.only; s <= p.slot && c.fields>>p.field&1 == 1 {
			c.slot = p.slot
		}
		return c.slot
	}
	if c.list.blocks[c.block].last < s {
		c.open(c.blockFor(s))
		if c.list.blocks[c.block].last < s {
			c.slot = noSlot
			c.read.at = len(c.read.data)
			return noSlot
		}
	}
	for c.read.at == 0 || c.slot < s {
		if !c.next() {
			break
		}
	}
	return c.slot
}

// blockFor returns the block, from the present one on, that may have a slot. It looks near first.
func (c *cursor) blockFor(s slot) int {
	low, width, last := c.block, 1, len(c.list.blocks)-1
	for low+width <= last && c.list.blocks[low+width].last < s {
		low += width
		width *= 2
	}
	high := min(low+width, last)
	for low < high {
		if middle := (low + high) / 2; c.list.blocks[middle].last < s {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// next goes to the next object.
func (c *cursor) next() bool {
	for {
		if !c.read.next() {
			if c.block+1 == len(c.list.blocks) {
				c.slot = noSlot
				return false
			}
			c.open(c.block + 1)
			continue
		}
		if !c.search.step(1) {
			c.slot = noSlot
			return false
		}
		if c.read.set == 0 && c.fields&c.last != 0 || c.read.set&c.fields != 0 {
			c.slot = c.read.slot
			return true
		}
	}
}

// weight returns how often the object has the term: weighted by field, and less in longer texts.
func (c *cursor) weight() (w float64) {
	if c.list.blocks == nil {
		p := &c.list.only
		return c.factor * c.search.weight(int(p.field), p.slot, uint64(p.times))
	}
	if c.read.set == 0 {
		return c.factor * c.search.weight(bits.TrailingZeros32(c.last), c.slot, 1)
	}
	r := c.read
	r.at = r.times
	for set := r.set; set != 0; set &= set - 1 {
		times := r.varint()
		if set&-set&c.fields != 0 {
			w += c.search.weight(bits.TrailingZeros32(set), c.slot, times)
		}
	}
	return c.factor * w
}
