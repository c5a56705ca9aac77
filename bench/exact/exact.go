// Package exact is an index that finds the objects whose input equals the predicate, byte for byte.
// It is the algorithm of the examples in C, Rust and WebAssembly. So the costs of the languages can be
// compared, and those of a Task with those of a call in one process.
package exact

import (
	"errors"
	"iter"

	"motte/sdk"
)

// maxKey bounds an input, in bytes.
const maxKey = 1024

var errConfiguration = errors.New("the index has no configuration")

// Index is an sdk.Index. Invariant: an identity is under a key in keys if and only if it is in objects
// with this key.
type Index struct {
	keys    map[string]map[sdk.Identity]sdk.Owner
	objects map[sdk.Value]object
}

type object struct {
	id  sdk.Identity
	key string
}

// New returns an empty index.
func New() *Index {
	return &Index{make(map[string]map[sdk.Identity]sdk.Owner), make(map[sdk.Value]object)}
}

// Configure implements sdk.Index.
func (x *Index) Configure(c sdk.Config) error {
	if len(c.Options) > 0 {
		return errConfiguration
	}
	return nil
}

// Apply implements sdk.Index.
func (x *Index) Apply(changes []sdk.Change) {
	for i := range changes {
		c := &changes[i]
		x.drop(c.Identity.Value())
		switch {
		case c.Remove:
		case len(c.Input) == 0:
			c.Skip()
		case len(c.Input) > maxKey:
			c.Refuse()
		default:
			x.hold(c)
		}
	}
}

func (x *Index) drop(v sdk.Value) {
	o, ok := x.objects[v]
	if !ok {
		return
	}
	delete(x.objects, v)
	if delete(x.keys[o.key], o.id); len(x.keys[o.key]) == 0 {
		delete(x.keys, o.key)
	}
}

func (x *Index) hold(c *sdk.Change) {
	ids := x.keys[string(c.Input)]
	if ids == nil {
		ids = make(map[sdk.Identity]sdk.Owner)
		x.keys[string(c.Input)] = ids
	}
	ids[c.Identity] = c.Owner
	x.objects[c.Identity.Value()] = object{c.Identity, string(c.Input)}
}

// Search implements sdk.Index.
func (x *Index) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	list := make([]sdk.Identity, 0, len(x.keys[string(q.Predicate)]))
	for id, owner := range x.keys[string(q.Predicate)] {
		if q.Wants(owner) {
			list = append(list, id)
		}
	}
	return sdk.Sorted(list, q.After)
}
