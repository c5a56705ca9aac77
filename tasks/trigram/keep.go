package main

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"motte/sdk"
	"motte/tasks/internal/inverted"
)

// An entry on the shelf has the texts of an object. Their trigrams are found again at a start: they would
// take twice the bytes of the texts.

// Entry implements sdk.Keeper.
func (x *index) Entry(v sdk.Value) (e sdk.Entry, ok bool) {
	n, ok := x.objects.Find(v)
	if !ok {
		return e, false
	}
	o := x.objects.At(n)
	return sdk.Entry{Identity: o.ID, Owner: o.Owner, Data: o.Data}, true
}

// Restore implements sdk.Keeper. It leaves the sets of the trigrams to Restored.
func (x *index) Restore(e sdk.Entry) bool {
	x.restore = true
	x.drop(e.Identity.Value())
	t := texts(e.Data)
	if len(t) == 0 || !t.valid(len(x.fields)) {
		return false
	}
	x.hold(e.Identity, e.Owner, slices.Clone(t))
	return true
}

// Restored implements sdk.BulkKeeper. It makes the sets of all trigrams anew: to add many numbers to a
// set at once takes a fraction of the time.
func (x *index) Restored() {
	x.restore = false
	x.postings = make(map[trigram]*inverted.Set)
	b := batch{postings: x.postings, place: make(map[trigram]int)}
	for n := range roaring.Values(x.objects.All()) {
		b.add(n, x.scan.trigrams(x.objects.At(n).Data))
	}
	b.flush()
}

// maxBatch bounds the numbers of a batch, and so its memory.
const maxBatch = 16 << 20

// batch collects numbers for many sets.
type batch struct {
	postings map[trigram]*inverted.Set
	place    map[trigram]int // of the list of a trigram
	lists    []list
	size     int
}

// list has the numbers of the objects with a trigram, which ascend.
type list struct {
	trigram trigram
	numbers []inverted.Number
}

func (b *batch) add(n inverted.Number, trigrams []trigram) {
	for _, t := range trigrams {
		at, ok := b.place[t]
		if !ok {
			at = len(b.lists)
			b.place[t] = at
			b.lists = append(b.lists, list{trigram: t})
		}
		b.lists[at].numbers = append(b.lists[at].numbers, n)
	}
	if b.size += len(trigrams); b.size > maxBatch {
		b.flush()
	}
}

func (b *batch) flush() {
	for _, l := range b.lists {
		set := b.postings[l.trigram]
		if set == nil {
			set = new(inverted.Set)
			b.postings[l.trigram] = set
		}
		set.Append(l.numbers)
	}
	clear(b.place)
	b.lists, b.size = nil, 0
}
