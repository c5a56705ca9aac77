package main

import "motte/sdk"

// An entry on the shelf has the geometry of an object: see appendShape.

// Entry implements sdk.Keeper.
func (x *index) Entry(v sdk.Value) (e sdk.Entry, ok bool) {
	n, ok := x.objects.byValue[v]
	if !ok {
		return e, false
	}
	o := x.objects.at(n)
	return sdk.Entry{Identity: o.id, Owner: x.objects.owners[o.owner].owner, Data: appendShape(nil, x.objects.shape(n))}, true
}

// Restore implements sdk.Keeper. It leaves the layers to Restored: to sort them all at the end takes a
// fraction of the time.
func (x *index) Restore(e sdk.Entry) bool {
	x.restoring = true
	x.drop(e.Identity.Value())
	s, ok := readShape(e.Data)
	if ok {
		x.hold(e.Identity, e.Owner, s)
	}
	return ok
}

// Restored implements sdk.BulkKeeper.
func (x *index) Restored() {
	x.restoring = false
	x.load()
}
