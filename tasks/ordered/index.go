package main

import (
	"iter"

	"motte/sdk"
)

// index is the Task. Its configuration determines the type of its tree of keys.
type index struct{ keys keyTree }

// keyTree is a tree of keys of some type.
type keyTree interface {
	Apply([]sdk.Change)
	Search(sdk.Query) (iter.Seq[sdk.Identity], error)
	Entry(sdk.Value) (sdk.Entry, bool)
	Restore(sdk.Entry) bool
	Restored()
}

// Configure implements sdk.Index.
func (x *index) Configure(c sdk.Config) error {
	o, err := parseOptions(c.Options)
	if err != nil {
		return err
	}
	x.keys, err = o.tree(c.Type, c.Ordered)
	return err
}

// Apply implements sdk.Index.
func (x *index) Apply(changes []sdk.Change) { x.keys.Apply(changes) }

// Search implements sdk.Index.
func (x *index) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) { return x.keys.Search(q) }
