package main

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/ijson"
	"motte/tasks/internal/inverted"
)

// index is the Task.
type index struct {
	fields   []field
	objects  inverted.Objects[texts]
	postings map[trigram]*inverted.Set
	restore  bool // the postings are not made until Restored
	scan     scanner
}

var errOptions = errors.New("the configuration does not make sense")

// Configure implements sdk.Index.
func (x *index) Configure(c sdk.Config) error {
	switch c.Type {
	case model.TypeAny, model.TypeText, model.TypeString:
	default:
		return fmt.Errorf("%w: data type %d is not text", errOptions, c.Type)
	}
	x.postings = make(map[trigram]*inverted.Set)
	var err error
	x.fields, err = newFields(c.Options)
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
		t, err := read(x.fields, c.Input)
		switch {
		case errors.Is(err, ijson.ErrSyntax):
			c.Skip()
		case err != nil:
			c.Refuse()
		case len(t) == 0:
			c.Skip()
		default:
			x.hold(c.Identity, c.Owner, t)
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
		x.unpost(n)
	}
	x.objects.Remove(n)
}

// unpost takes an object from the sets of its trigrams.
func (x *index) unpost(n inverted.Number) {
	for _, t := range x.scan.trigrams(x.objects.At(n).Data) {
		set := x.postings[t]
		if set.Remove(n); set.Len() == 0 {
			delete(x.postings, t)
		}
	}
}

// hold holds an object, whose value is not held.
func (x *index) hold(id sdk.Identity, owner sdk.Owner, t texts) {
	n := x.objects.Add(inverted.Object[texts]{ID: id, Owner: owner, Data: t})
	if x.restore {
		return
	}
	for _, t := range x.scan.trigrams(t) {
		set := x.postings[t]
		if set == nil {
			set = new(inverted.Set)
			x.postings[t] = set
		}
		set.Add(n)
	}
}

// Search implements sdk.Index.
func (x *index) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	e, err := parse(q.Predicate, x.fields)
	if err != nil {
		return nil, err
	}
	run := evaluation{index: x, work: maxWork}
	matches := func(n inverted.Number) (bool, error) {
		ok := e.matches(&run, x.objects.At(n).Data)
		return ok, run.err
	}
	behind, err := x.objects.Anchor(&q, matches)
	if err != nil {
		return nil, err
	}
	scope := x.objects.Scope(&q)
	if scope == nil {
		scope = x.objects.All()
	}
	need := e.need()
	candidates := need.find(&run, scope)
	if run.err != nil {
		return nil, run.err
	}
	var found []sdk.Identity
	for n := range x.objects.Page(candidates, behind, q.Limit+1) {
		ok, err := matches(n)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if found = append(found, x.objects.At(n).ID); len(found) > q.Limit {
			break
		}
	}
	return slices.Values(found), nil
}
