// Command motte-task-{{name}} is a Task: it finds the objects whose input equals the predicate.
package main

import (
	"errors"
	"iter"
	"maps"
	"slices"

	"motte/sdk"
)

// maxText bounds an input, in bytes: the index keeps each in memory.
const maxText = 4096

func main() { sdk.Serve(&index{}) }

// index is the Task. It is an sdk.Keeper, so its entries survive a restart. Invariant: an identity is under a text in found if and only if its entry
// in held has this text.
type index struct {
	held  map[sdk.Value]entry
	found map[string]map[sdk.Identity]sdk.Owner
}

type entry struct {
	id    sdk.Identity
	owner sdk.Owner
	text  string
}

var (
	errConfiguration = errors.New("this index has no configuration")
	errPredicate     = errors.New("the predicate is empty")
)

// Configure implements sdk.Index.
func (x *index) Configure(c sdk.Config) error {
	if len(c.Options) > 0 {
		return errConfiguration
	}
	x.held, x.found = make(map[sdk.Value]entry), make(map[string]map[sdk.Identity]sdk.Owner)
	return nil
}

// Apply implements sdk.Index.
func (x *index) Apply(changes []sdk.Change) {
	for i := range changes {
		c := &changes[i] // not a copy: Refuse marks the change itself
		x.drop(c.Identity.Value())
		switch {
		case c.Remove:
		case len(c.Input) == 0:
			c.Skip() // there is nothing to index
		case len(c.Input) > maxText:
			c.Refuse()
		default:
			x.hold(entry{c.Identity, c.Owner, string(c.Input)})
		}
	}
}

func (x *index) drop(v sdk.Value) {
	e, ok := x.held[v]
	if !ok {
		return
	}
	delete(x.held, v)
	delete(x.found[e.text], e.id)
	if len(x.found[e.text]) == 0 {
		delete(x.found, e.text)
	}
}

func (x *index) hold(e entry) {
	x.held[e.id.Value()] = e
	if x.found[e.text] == nil {
		x.found[e.text] = make(map[sdk.Identity]sdk.Owner)
	}
	x.found[e.text][e.id] = e.owner
}

// Search implements sdk.Index.
func (x *index) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	if len(q.Predicate) == 0 {
		return nil, errPredicate
	}
	ids := maps.Clone(x.found[string(q.Predicate)])
	maps.DeleteFunc(ids, func(_ sdk.Identity, owner sdk.Owner) bool { return !q.Wants(owner) })
	return sdk.Sorted(slices.Collect(maps.Keys(ids)), q.After)
}

// Entry implements sdk.Keeper.
func (x *index) Entry(v sdk.Value) (sdk.Entry, bool) {
	e, ok := x.held[v]
	return sdk.Entry{Identity: e.id, Owner: e.owner, Data: []byte(e.text)}, ok
}

// Restore implements sdk.Keeper.
func (x *index) Restore(e sdk.Entry) bool {
	x.drop(e.Identity.Value())
	if len(e.Data) == 0 || len(e.Data) > maxText {
		return false
	}
	x.hold(entry{e.Identity, e.Owner, string(e.Data)})
	return true
}
