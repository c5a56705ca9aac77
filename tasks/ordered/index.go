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

// options is the configuration. A member that is unknown, null or given twice is refused.
// Otherwise a misspelt member would make an index of other values.
type options struct {
	Path *string `json:"path"`
	Type *string `json:"type"`
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
	t, err := dataType(o.Type, c.Type)
	if err != nil {
		return err
	}
	var path pointer.Pointer // nil: the whole input
	if o.Path != nil {
		if path, err = pointer.Parse(*o.Path); err != nil {
			return err
		}
	}
	switch t {
	case model.TypeInt64:
		x.keys = newTree(int64Domain, path, c.Ordered)
	case model.TypeFloat64:
		x.keys = newTree(float64Domain, path, c.Ordered)
	case model.TypeString:
		x.keys = newTree(stringDomain, path, c.Ordered)
	case model.TypeTime:
		x.keys = newTree(timeDomain, path, c.Ordered)
	}
	return nil
}

// dataType returns the type of the keys: as configured, as declared, or both
// if they agree.
func dataType(configured *string, declared model.DataType) (model.DataType, error) {
	types := map[string]model.DataType{
		"int64": model.TypeInt64, "float64": model.TypeFloat64, "string": model.TypeString, "time": model.TypeTime,
	}
	t := declared
	if configured != nil {
		known := false
		if t, known = types[*configured]; !known {
			return 0, fmt.Errorf("%w: type %q", errOptions, *configured)
		}
		if declared != model.TypeAny && declared != t {
			return 0, fmt.Errorf("%w: the index is declared to be of another type than %q", errOptions, *configured)
		}
	}
	for _, ok := range types {
		if t == ok {
			return t, nil
		}
	}
	return 0, fmt.Errorf("%w: data type %d has no order", errOptions, t)
}

// Apply implements sdk.Index.
func (x *index) Apply(changes []sdk.Change) { x.keys.Apply(changes) }

// Search implements sdk.Index.
func (x *index) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) { return x.keys.Search(q) }
