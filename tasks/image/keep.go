package main

import (
	"encoding/binary"

	"motte/sdk"
)

// An entry on the shelf has the hash of an object, in big-endian order.

// Entry implements sdk.Keeper.
func (x *index) Entry(v sdk.Value) (sdk.Entry, bool) {
	at, ok := x.places[v]
	if !ok {
		return sdk.Entry{}, false
	}
	binary.BigEndian.PutUint64(x.scratch[:], uint64(x.hashes[at]))
	o := &x.objects[at]
	return sdk.Entry{Identity: o.id, Owner: o.owner, Data: x.scratch[:]}, true
}

// Restore implements sdk.Keeper.
func (x *index) Restore(e sdk.Entry) bool {
	x.drop(e.Identity.Value())
	if len(e.Data) != len(x.scratch) {
		return false
	}
	x.hold(e.Identity, e.Owner, hash(binary.BigEndian.Uint64(e.Data)))
	return true
}
