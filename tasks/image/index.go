package main

import (
	"errors"
	"fmt"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/ijson"
	"motte/sdk/pointer"
)

// index is the Task. The hashes lie in a list of their own, so that a search reads little else.
type index struct {
	path    pointer.Pointer // nil: the whole input is the picture
	hashes  []hash
	objects []object // in the places of their hashes
	places  map[sdk.Value]place
	owners  map[sdk.Owner][]place
	scratch [hashBits / 8]byte // the data of the entry that Entry returned last
}

// place is the place of an object in the lists. All places up to the last are taken.
type place uint32

// object is an object of the index.
type object struct {
	id    sdk.Identity
	owner sdk.Owner
	at    uint32 // in the list of its owner
}

// options is the configuration. A member that is unknown, null or given twice is refused.
type options struct {
	Path *string `json:"path"`
}

var errOptions = errors.New("the configuration does not make sense")

// Configure implements sdk.Index.
func (x *index) Configure(c sdk.Config) error {
	switch c.Type {
	case model.TypeAny, model.TypeBytes, model.TypeText:
	default:
		return fmt.Errorf("%w: data type %d is not a picture", errOptions, c.Type)
	}
	var o options
	if len(c.Options) > 0 {
		if err := ijson.Decode(c.Options, &o); err != nil {
			return fmt.Errorf("%w: %w", errOptions, err)
		}
	}
	*x = index{places: make(map[sdk.Value]place), owners: make(map[sdk.Owner][]place)}
	if o.Path == nil {
		return nil
	}
	var err error
	x.path, err = pointer.Parse(*o.Path)
	return err
}

// Apply implements sdk.Index.
func (x *index) Apply(changes []sdk.Change) {
	for i := range changes {
		c := &changes[i]
		x.drop(c.Identity.Value())
		if c.Remove {
			continue
		}
		h, ok, err := x.read(c.Input)
		switch {
		case err != nil:
			c.Refuse()
		case !ok:
			c.Skip()
		default:
			x.hold(c.Identity, c.Owner, h)
		}
	}
}

// read returns the hash of the picture in an input, and whether there is one. An input that is no picture
// has none, like a text that is not JSON.
func (x *index) read(input []byte) (h hash, ok bool, err error) {
	if x.path == nil {
		h, err = hashOf(input)
		if errors.Is(err, errFormat) {
			return 0, false, nil
		}
		return h, err == nil, err
	}
	value, ok, err := x.path.Find(input)
	if err != nil || !ok || string(value) == "null" {
		return 0, false, err
	}
	h, err = hashOfJSON(value)
	return h, err == nil, err
}

// hold holds an object whose value is not held.
func (x *index) hold(id sdk.Identity, owner sdk.Owner, h hash) {
	p := place(len(x.objects))
	x.hashes = append(x.hashes, h)
	x.objects = append(x.objects, object{id, owner, uint32(len(x.owners[owner]))})
	x.owners[owner] = append(x.owners[owner], p)
	x.places[id.Value()] = p
}

// drop drops the object with a value, if it is held. The last object takes its place.
func (x *index) drop(v sdk.Value) {
	p, ok := x.places[v]
	if !ok {
		return
	}
	x.leaveOwner(p)
	delete(x.places, v)
	last := place(len(x.objects) - 1)
	if p != last {
		o := x.objects[last]
		x.objects[p], x.hashes[p] = o, x.hashes[last]
		x.places[o.id.Value()] = p
		x.owners[o.owner][o.at] = p
	}
	x.objects[last] = object{}
	x.objects, x.hashes = x.objects[:last], x.hashes[:last]
}

// leaveOwner removes an object from the list of its owner. The last of the list takes its place there.
func (x *index) leaveOwner(p place) {
	o := x.objects[p]
	list := x.owners[o.owner]
	last := len(list) - 1
	list[o.at] = list[last]
	x.objects[list[o.at]].at = o.at
	if x.owners[o.owner] = list[:last]; last == 0 {
		delete(x.owners, o.owner)
	}
}
