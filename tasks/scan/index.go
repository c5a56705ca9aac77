package main

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/ijson"
	"motte/sdk/pointer"
	"motte/tasks/internal/inverted"
)

// index is the Task. The data of an object are its JSON text.
type index struct {
	path     pointer.Pointer
	language *language
	objects  inverted.Objects[[]byte]
}

// options is the configuration. A member that is unknown, null or given twice is refused.
type options struct {
	Path *string `json:"path"`
}

var errOptions = errors.New("the configuration does not make sense")

// Configure implements sdk.Index.
func (x *index) Configure(c sdk.Config) error {
	if c.Type != model.TypeAny {
		return fmt.Errorf("%w: an expression has values of many types, so the index has no data type", errOptions)
	}
	var o options
	if len(c.Options) > 0 {
		if err := ijson.Decode(c.Options, &o); err != nil {
			return fmt.Errorf("%w: %w", errOptions, err)
		}
	}
	if o.Path != nil {
		var err error
		if x.path, err = pointer.Parse(*o.Path); err != nil {
			return err
		}
	}
	var err error
	x.language, err = newLanguage()
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
		value, ok, err := x.path.Find(c.Input)
		switch {
		case err != nil:
			c.Refuse()
		case !ok || string(value) == "null":
			c.Skip()
		default:
			x.hold(c.Identity, c.Owner, compact(value))
		}
	}
}

// compact returns a copy of a value without white space. The value is one that ijson.Check accepts.
func compact(value []byte) []byte {
	text := jsontext.Value(slices.Clone(value))
	if err := text.Compact(); err != nil {
		return slices.Clone(value)
	}
	return slices.Clip(text)
}

// drop drops the object with a value.
func (x *index) drop(v sdk.Value) {
	if n, ok := x.objects.Find(v); ok {
		x.objects.Remove(n)
	}
}

// hold holds an object, whose value is not held.
func (x *index) hold(id sdk.Identity, owner sdk.Owner, text []byte) {
	x.objects.Add(inverted.Object[[]byte]{ID: id, Owner: owner, Data: text})
}

// Search implements sdk.Index.
func (x *index) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	program, err := x.language.compile(q.Predicate)
	if err != nil {
		return nil, err
	}
	run := evaluation{program: program, steps: maxSteps}
	found, err := x.find(&q, &run)
	return slices.Values(found), err
}

// find returns the identities of a page, and one more. It evaluates no more objects than the page needs.
func (x *index) find(q *sdk.Query, run *evaluation) (found []sdk.Identity, err error) {
	matches := func(n inverted.Number) (bool, error) { return run.matches(x.objects.At(n).Data) }
	behind, err := x.objects.Anchor(q, matches)
	if err != nil {
		return nil, err
	}
	scope := x.objects.Scope(q)
	if scope == nil {
		scope = x.objects.All()
	}
	for n := range x.objects.Page(scope, behind, math.MaxInt) {
		ok, err := matches(n)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, x.objects.At(n).ID)
		}
		if len(found) > q.Limit {
			break
		}
	}
	return found, nil
}

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
	if ijson.Check(e.Data) != nil {
		return false
	}
	x.hold(e.Identity, e.Owner, compact(e.Data))
	return true
}
