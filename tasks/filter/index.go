package main

import (
	"errors"
	"fmt"
	"iter"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/ijson"
	"motte/tasks/internal/inverted"
)

// index is the Task. The data of an object are the numbers of its terms.
type index struct {
	fields  fields
	objects inverted.Objects[[]termNumber]
	terms   terms
	restore bool   // the sets of the terms are not made until Restored
	scratch []byte // the data of the entry that Entry returned last
}

// options is the configuration. A member that is unknown, null or given twice is refused.
type options struct {
	Fields *[]string `json:"fields"`
}

var errOptions = errors.New("the configuration does not make sense")

// Configure implements sdk.Index.
func (x *index) Configure(c sdk.Config) error {
	if c.Type != model.TypeAny {
		return fmt.Errorf("%w: fields are of many types, so the index has no data type", errOptions)
	}
	var o options
	if len(c.Options) > 0 {
		if err := ijson.Decode(c.Options, &o); err != nil {
			return fmt.Errorf("%w: %w", errOptions, err)
		}
	}
	if o.Fields == nil {
		return nil
	}
	var err error
	x.fields, err = newFields(*o.Fields)
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
		names, err := x.fields.terms(c.Input)
		switch {
		case errors.Is(err, ijson.ErrSyntax):
			c.Skip()
		case err != nil:
			c.Refuse()
		default:
			x.hold(c.Identity, c.Owner, names)
		}
	}
}

// drop drops the object with a value.
func (x *index) drop(v sdk.Value) {
	n, ok := x.objects.Find(v)
	if !ok {
		return
	}
	if !x.restore {
		for _, t := range x.objects.At(n).Data {
			x.terms.remove(t, n)
		}
	}
	x.objects.Remove(n)
}

// hold holds an object, whose value is not held.
func (x *index) hold(id sdk.Identity, owner sdk.Owner, names []string) {
	numbers := make([]termNumber, len(names))
	for i, name := range names {
		numbers[i] = x.terms.numberOf(name)
	}
	n := x.objects.Add(inverted.Object[[]termNumber]{ID: id, Owner: owner, Data: numbers})
	if x.restore {
		return
	}
	for _, t := range numbers {
		x.terms.list[t].objects.Add(n)
	}
}

// Search implements sdk.Index.
func (x *index) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	e, err := x.parse(q.Predicate)
	if err != nil {
		return nil, err
	}
	run := evaluation{all: x.objects.All(), work: maxWork}
	behind, err := x.objects.Anchor(&q, func(n inverted.Number) (bool, error) {
		return !e.find(&run, inverted.Only(n)).IsEmpty(), run.err
	})
	if err != nil {
		return nil, err
	}
	found := e.find(&run, x.objects.Scope(&q))
	if run.err != nil {
		return nil, run.err
	}
	return x.objects.Identities(x.objects.Page(found, behind, q.Limit+1)), nil
}
