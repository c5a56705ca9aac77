package main

import (
	"math"
	"slices"
)

// gather reads the lists of many terms, which have so many objects together. Where these are few, it sorts
// them; where they are many, it counts in an array of all slots.
func (x *search) gather(members []member, fields uint32, count int) *gathered {
	n := &gathered{}
	if all := len(x.index.documents.all); count < all/16 {
		x.gatherFew(n, members, fields, count)
	} else {
		x.gatherMany(n, members, fields, all)
	}
	n.rarity = x.rarity(len(n.slots))
	return n
}

// visit visits the objects of terms, with the weight of each.
func (x *search) visit(members []member, fields uint32, visit func(slot, float32)) {
	for _, m := range members {
		c := x.cursor(&x.index.dictionary.terms[m.number].list, fields, m.factor)
		for c.start(); c.slot != noSlot; c.seek(c.slot + 1) {
			weight := float32(0)
			if x.ranked {
				weight = float32(c.weight())
			}
			visit(c.slot, weight)
		}
		if !x.step(1) {
			return
		}
	}
}

func (x *search) gatherFew(n *gathered, members []member, fields uint32, count int) {
	pairs := make([]uint64, 0, count) // slot and weight
	x.visit(members, fields, func(s slot, weight float32) {
		pairs = append(pairs, uint64(s)<<32|uint64(math.Float32bits(weight)))
	})
	slices.Sort(pairs)
	for _, p := range pairs {
		s, weight := slot(p>>32), math.Float32frombits(uint32(p))
		if last := len(n.slots) - 1; last < 0 || n.slots[last] != s {
			n.slots = append(n.slots, s)
			if x.ranked {
				n.weights = append(n.weights, weight)
			}
		} else if x.ranked {
			n.weights[last] += weight
		}
	}
}

func (x *search) gatherMany(n *gathered, members []member, fields uint32, all int) {
	has := make([]bool, all)
	var weights []float32
	if x.ranked {
		weights = make([]float32, all)
	}
	x.visit(members, fields, func(s slot, weight float32) {
		has[s] = true
		if x.ranked {
			weights[s] += weight
		}
	})
	for s := range has {
		if has[s] {
			n.slots = append(n.slots, slot(s))
			if x.ranked {
				n.weights = append(n.weights, weights[s])
			}
		}
	}
}
