package main

import (
	"errors"
	"fmt"
	"iter"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/ijson"
	"motte/sdk/pointer"
)

// index is the Task.
type index struct {
	source  source
	objects store
	layers  [layerCount]*tree
	// restoring is true from the first Restore to Restored. Meanwhile the layers are empty.
	restoring bool
}

// options is the configuration: either path, or lat and lng, or nothing.
type options struct {
	Path *string `json:"path"`
	Lat  *string `json:"lat"`
	Lng  *string `json:"lng"`
}

var errOptions = errors.New("the configuration does not make sense")

// Configure implements sdk.Index.
func (x *index) Configure(c sdk.Config) error {
	var o options
	if len(c.Options) > 0 {
		if err := ijson.Decode(c.Options, &o); err != nil {
			return fmt.Errorf("%w: %w", errOptions, err)
		}
	}
	if c.Type != model.TypeAny {
		return fmt.Errorf("%w: data type %d is not a place", errOptions, c.Type)
	}
	if (o.Lat == nil) != (o.Lng == nil) || o.Path != nil && o.Lat != nil {
		return fmt.Errorf("%w: want path, or lat and lng", errOptions)
	}
	for _, p := range []struct {
		text *string
		to   *pointer.Pointer
	}{{o.Path, &x.source.path}, {o.Lat, &x.source.lat}, {o.Lng, &x.source.lng}} {
		if p.text == nil {
			continue
		}
		var err error
		if *p.to, err = pointer.Parse(*p.text); err != nil {
			return err
		}
	}
	x.source.numbers = o.Lat != nil
	x.objects = newStore()
	for i := range x.layers {
		x.layers[i] = x.newTree()
	}
	return nil
}

// Apply implements sdk.Index. Each change first drops the object under the same value.
func (x *index) Apply(changes []sdk.Change) {
	for i := range changes {
		c := &changes[i]
		x.drop(c.Identity.Value())
		if c.Remove {
			continue
		}
		s, err := x.source.read(c.Input)
		switch {
		case err != nil:
			c.Refuse()
		case s == nil:
			c.Skip()
		default:
			x.hold(c.Identity, c.Owner, s)
		}
	}
}

// hold holds an object, whose value is not held.
func (x *index) hold(id sdk.Identity, owner sdk.Owner, s *shape) {
	layer := layerOf(s.box)
	n := x.objects.add(id, owner, s.box.min, layer)
	if !s.isPoint() {
		x.objects.shapes[n] = s
	}
	if !x.restoring {
		x.layers[layer].Set(x.entry(n))
	}
}

// drop drops the object with a value, if it is held.
func (x *index) drop(v sdk.Value) {
	n, ok := x.objects.byValue[v]
	if !ok {
		return
	}
	if !x.restoring {
		x.layers[x.objects.at(n).layer].Delete(x.entry(n))
	}
	x.objects.remove(n)
}

// Search implements sdk.Index.
func (x *index) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	p, err := parse(q.Predicate)
	if err != nil {
		return nil, err
	}
	f := &finder{index: x, predicate: p, query: q, limit: q.Limit + 1, work: work{left: maxWork}}
	if err := f.find(); err != nil {
		return nil, err
	}
	return func(yield func(sdk.Identity) bool) {
		for _, h := range f.found {
			if !yield(x.objects.at(h.slot).id) {
				return
			}
		}
	}, nil
}
