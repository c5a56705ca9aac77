package main

import (
	"slices"

	"motte/sdk"
)

// An entry on the shelf has the texts of an object. Restoring it takes as long as inserting the object,
// since its trigrams are found again: they would take twice the bytes of the texts.

// Entry implements sdk.Keeper.
func (x *index) Entry(v sdk.Value) (e sdk.Entry, ok bool) {
	n, ok := x.objects.Find(v)
	if !ok {
		return e, false
	}
	o := x.objects.At(n)
	return sdk.Entry{Identity: o.ID, Owner: o.Owner, Data: o.Data}, true
}

// Restore implements sdk.Keeper.
func (x *index) Restore(e sdk.Entry) bool {
	x.drop(e.Identity.Value())
	t := texts(e.Data)
	if len(t) == 0 || !t.valid(len(x.fields)) {
		return false
	}
	x.hold(e.Identity, e.Owner, slices.Clone(t))
	return true
}
