package main

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/ijson"
)

// index is the Task.
type index struct {
	*database
	ordered bool
}

// Configure implements sdk.Index.
func (x *index) Configure(c sdk.Config) error {
	if c.Type != model.TypeAny {
		return fmt.Errorf("%w: columns are of many types, so the index has no data type", errOptions)
	}
	columns, err := readColumns(c.Options)
	if err != nil {
		return err
	}
	x.ordered = c.Ordered
	x.database, err = openDatabase(columns, memory())
	return err
}

// Apply implements sdk.Index. All changes are one transaction.
func (x *index) Apply(changes []sdk.Change) {
	if !x.restores {
		must(x.Exec("BEGIN"))
		defer func() { must(x.Exec("COMMIT")) }()
	}
	for i := range changes {
		c := &changes[i]
		must(x.drop(c.Identity.Value()))
		if c.Remove {
			continue
		}
		values, err := readAll(x.columns, c.Input)
		switch {
		case errors.Is(err, ijson.ErrSyntax):
			c.Skip()
		case err != nil || x.put(c.Identity, c.Owner, values) != nil:
			c.Refuse()
		}
	}
}

// must ends the process after an error that leaves the table in an unknown state. The Core then starts another.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// Search implements sdk.Index.
func (x *index) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	c, err := parse(x.columns, q.Predicate)
	if err != nil {
		return nil, err
	}
	if c.order != "" && !x.ordered {
		return nil, errPredicate
	}
	found, err := x.find(&q, c, maxSteps)
	return slices.Values(found), err
}
