package main

import (
	"encoding/binary"
	"slices"

	"motte/sdk"
)

// documents has the objects of the index by slot, and their texts as numbers of terms. An object keeps
// its slot until it is removed or replaced.
type documents struct {
	fields  int
	byValue map[sdk.Value]slot
	all     []document
	free    []slot
	lengths [][]uint32 // by field and slot: terms
	total   []uint64   // by field: terms of all objects
	owners  map[sdk.Owner]*list
}

// document is an object. The text has for each field in turn how many numbers follow, and these, all as
// varints. A text that is nil marks a free slot.
type document struct {
	id    sdk.Identity
	owner sdk.Owner
	text  []byte
}

func newDocuments(fields int) documents {
	return documents{
		fields: fields, byValue: make(map[sdk.Value]slot), lengths: make([][]uint32, fields), total: make([]uint64, fields),
		owners: make(map[sdk.Owner]*list),
	}
}

// add adds an object, and returns its slot. Its text has the numbers of each field.
func (d *documents) add(id sdk.Identity, o sdk.Owner, text [][]number) slot {
	s := d.newSlot()
	d.all[s] = document{id, o, encodeText(text)}
	d.byValue[id.Value()] = s
	for f, numbers := range text {
		d.lengths[f][s] = uint32(len(numbers))
		d.total[f] += uint64(len(numbers))
	}
	owned := d.owners[o]
	if owned == nil {
		owned = &list{}
		d.owners[o] = owned
	}
	owned.add(s, ownedOnce)
	return s
}

// ownedOnce is what the list of an owner says of each object.
var ownedOnce = frequencies{1}

func (d *documents) newSlot() slot {
	if last := len(d.free) - 1; last >= 0 {
		s := d.free[last]
		d.free = d.free[:last]
		return s
	}
	d.all = append(d.all, document{})
	for f := range d.lengths {
		d.lengths[f] = append(d.lengths[f], 0)
	}
	return slot(len(d.all) - 1)
}

// remove removes an object.
func (d *documents) remove(s slot) {
	x := &d.all[s]
	owned := d.owners[x.owner]
	if owned.remove(s); owned.count == 0 {
		delete(d.owners, x.owner)
	}
	for f := range d.lengths {
		d.total[f] -= uint64(d.lengths[f][s])
		d.lengths[f][s] = 0
	}
	delete(d.byValue, x.id.Value())
	*x = document{}
	d.free = append(d.free, s)
}

// holds returns the slot of an identity that the index has in this version.
func (d *documents) holds(id sdk.Identity) (slot, bool) {
	s, ok := d.byValue[id.Value()]
	return s, ok && d.all[s].id == id
}

func encodeText(text [][]number) []byte {
	size := 0
	for _, numbers := range text {
		size += 5 + 3*len(numbers)
	}
	p := make([]byte, 0, size)
	for _, numbers := range text {
		p = binary.AppendUvarint(p, uint64(len(numbers)))
		for _, n := range numbers {
			p = binary.AppendUvarint(p, uint64(n))
		}
	}
	return slices.Clone(p)
}

// decodeText reads the numbers of each field into a text that may be used again.
func decodeText(p []byte, text [][]number) {
	for f := range text {
		count, width := binary.Uvarint(p)
		p = p[width:]
		text[f] = text[f][:0]
		for range count {
			n, width := number(p[0]), 1
			if n >= 0x80 {
				v, w := binary.Uvarint(p)
				n, width = number(v), w
			}
			text[f] = append(text[f], n)
			p = p[width:]
		}
	}
}
