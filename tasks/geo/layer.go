package main

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/tidwall/btree"
)

// tree has the entries of a layer in order.
type tree = btree.BTreeG[entry]

// entry is an object of a layer. Entries are ordered by key, then by the value of the object.
type entry struct {
	key    uint64
	prefix uint32 // the first bytes of the value: they nearly always decide
	slot   slot   // 0: before all objects with this key
}

func (x *index) entry(n slot) entry {
	o := x.objects.at(n)
	return entry{keyOf(o.corner), binary.BigEndian.Uint32(o.id[:]), n}
}

func (x *index) newTree() *tree {
	less := func(a, b entry) bool { return x.compareEntries(a, b) < 0 }
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

func (x *index) compareEntries(a, b entry) int {
	if c := cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.prefix, b.prefix)); c != 0 || a.slot == b.slot {
		return c
	}
	if a.slot == 0 || b.slot == 0 {
		return cmp.Compare(a.slot, b.slot)
	}
	return x.compareValues(a.slot, b.slot)
}

// compareValues orders objects by their values.
func (x *index) compareValues(a, b slot) int {
	v, w := x.objects.at(a).id.Value(), x.objects.at(b).id.Value()
	return bytes.Compare(v[:], w[:])
}

// visit calls f with the entries of a cell, behind an entry if that is not nil, until f returns
// false. It reports whether f got all of them.
func (x *index) visit(c cell, behind *entry, f func(entry) bool) bool {
	from := entry{key: c.low}
	if behind != nil && x.compareEntries(*behind, from) > 0 {
		from = *behind
	}
	high, all := c.high(), true
	x.layers[c.layer].Ascend(from, func(e entry) bool {
		if e.key > high {
			return false
		}
		if behind != nil && e == *behind {
			return true
		}
		all = f(e)
		return all
	})
	return all
}

// few returns the entries of a cell, appended to some, or false if there are more than can be
// looked at one by one.
func (x *index) few(c cell, behind *entry, some []entry) ([]entry, bool) {
	all := x.visit(c, behind, func(e entry) bool {
		some = append(some, e)
		return len(some) <= leafEntries || c.isPoint()
	})
	return some, all
}

// leafEntries is the number of entries of a cell that are looked at one by one.
const leafEntries = 16

// load fills the layers with all objects.
func (x *index) load() {
	var entries [layerCount][]entry
	for _, n := range x.objects.byValue {
		layer := x.objects.at(n).layer
		entries[layer] = append(entries[layer], x.entry(n))
	}
	for layer, list := range entries {
		slices.SortFunc(list, x.compareEntries)
		x.layers[layer] = x.newTree()
		for _, e := range list {
			x.layers[layer].Load(e)
		}
		entries[layer] = nil
	}
}
