package main

import (
	"errors"
	"fmt"

	"motte/core/model"
	"motte/sdk/ijson"
	"motte/sdk/pointer"
)

// maxComponents bounds the components of a composite key.
const maxComponents = 8

var errOptions = errors.New("the configuration does not make sense")

// options is the configuration. A member that is unknown, null or given twice is refused.
// Otherwise a misspelt member would make an index of other values.
type options struct {
	Path    *string            `json:"path"`
	Type    *string            `json:"type"`
	Fold    bool               `json:"fold"`
	Missing bool               `json:"missing"`
	Keys    []componentOptions `json:"keys"`
}

// componentOptions is the configuration of a component of a composite key.
type componentOptions struct {
	Path       *string `json:"path"`
	Type       *string `json:"type"`
	Fold       bool    `json:"fold"`
	Descending bool    `json:"descending"`
}

func parseOptions(text []byte) (o options, err error) {
	if len(text) > 0 {
		if err := ijson.Decode(text, &o); err != nil {
			return o, fmt.Errorf("%w: %w", errOptions, err)
		}
	}
	return o, nil
}

// tree returns an empty tree of keys, for an index with a declared type.
func (o *options) tree(declared model.DataType, ordered bool) (keyTree, error) {
	if o.Keys != nil {
		return o.compositeTree(declared, ordered)
	}
	t, err := dataType(o.Type, declared)
	if err != nil {
		return nil, err
	}
	if o.Missing {
		sole := componentOptions{Path: o.Path, Type: &t, Fold: o.Fold}
		return newCompositeTree([]componentOptions{sole}, true, ordered)
	}
	var path pointer.Pointer // nil: the whole input
	if o.Path != nil {
		if path, err = pointer.Parse(*o.Path); err != nil {
			return nil, err
		}
	}
	if o.Fold && t != "string" {
		return nil, fmt.Errorf("%w: only a string is folded", errOptions)
	}
	switch {
	case o.Fold:
		return newTree(foldedDomain, path, ordered), nil
	case t == "int64":
		return newTree(int64Domain, path, ordered), nil
	case t == "float64":
		return newTree(float64Domain, path, ordered), nil
	case t == "string":
		return newTree(stringDomain, path, ordered), nil
	case t == "bool":
		return newTree(boolDomain, path, ordered), nil
	}
	return newTree(timeDomain, path, ordered), nil
}

func (o *options) compositeTree(declared model.DataType, ordered bool) (keyTree, error) {
	switch {
	case o.Path != nil || o.Type != nil || o.Fold:
		return nil, fmt.Errorf("%w: each of the keys has a path and a type of its own", errOptions)
	case declared != model.TypeAny:
		return nil, fmt.Errorf("%w: the index is declared to have one type", errOptions)
	case len(o.Keys) == 0 || len(o.Keys) > maxComponents:
		return nil, fmt.Errorf("%w: %d keys", errOptions, len(o.Keys))
	}
	return newCompositeTree(o.Keys, o.Missing, ordered)
}

// declarable are the types of keys that an index can declare, by name.
var declarable = map[string]model.DataType{
	"int64": model.TypeInt64, "float64": model.TypeFloat64, "string": model.TypeString, "time": model.TypeTime,
}

// dataType returns the name of the type of the keys: as configured, as declared, or both if they
// agree.
func dataType(configured *string, declared model.DataType) (string, error) {
	if configured == nil {
		for name, t := range declarable {
			if t == declared {
				return name, nil
			}
		}
		return "", fmt.Errorf("%w: data type %d has no order", errOptions, declared)
	}
	t, known := declarable[*configured]
	switch {
	case !known && *configured != "bool":
		return "", fmt.Errorf("%w: type %q", errOptions, *configured)
	case declared != model.TypeAny && declared != t:
		return "", fmt.Errorf("%w: the index is declared to be of another type than %q", errOptions, *configured)
	}
	return *configured, nil
}
