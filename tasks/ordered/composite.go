package main

import (
	"encoding/binary"
	"errors"
	"slices"

	"motte/sdk/ijson"
	"motte/sdk/pointer"
)

// composite says how predicates speak of composite keys. A composite key is written as a string: its
// components in sequence, each so that the order of the strings is that of the components, and that none
// begins with another. So all keys that begin with some components lie together.
type composite[K any] struct {
	parse   func(values []token, prefix bool) (K, error) // the first components; with prefix the last is the start of a string
	present set[K]                                       // the keys whose first component is not missing
	missing set[K]                                       // the other keys
}

// components are the components of composite keys.
type components struct {
	list    []component
	missing bool // an object without any component is indexed
}

// newCompositeTree returns an empty tree of composite keys.
func newCompositeTree(list []componentOptions, missing, ordered bool) (keyTree, error) {
	c := &components{missing: missing}
	for _, o := range list {
		next, err := newComponent(o)
		if err != nil {
			return nil, err
		}
		c.list = append(c.list, next)
	}
	d := stringDomain
	first := &c.list[0]
	d.composite = &composite[string]{
		parse:   c.parse,
		present: d.beginningWith(string(first.directed([]byte{isPresent}))),
		missing: d.beginningWith(string(first.directed([]byte{isMissing}))),
	}
	t := newTree(d, nil, ordered)
	t.keys = c.keys
	return t, nil
}

// keys returns the distinct keys of an input: each combination of the values of its components. Ambiguous
// JSON is an error.
func (c *components) keys(input []byte) ([]string, error) {
	if err := ijson.Check(input); errors.Is(err, ijson.ErrAmbiguous) {
		return nil, err
	} else if err != nil {
		return nil, nil
	}
	keys, found := []string{""}, c.missing
	for i := range c.list {
		values, err := c.list[i].values(input)
		if err != nil || len(keys)*len(values) > maxKeys {
			return nil, errKey
		}
		if len(values) > 0 {
			found = true
		} else {
			values = []string{string(c.list[i].directed([]byte{isMissing}))}
		}
		var longer []string
		for _, k := range keys {
			for _, v := range values {
				longer = append(longer, k+v)
			}
		}
		keys = longer
	}
	if !found {
		return nil, nil
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	for _, k := range keys {
		if len(k) > maxString {
			return nil, errKey
		}
	}
	return keys, nil
}

// parse returns how all keys with these first components begin.
func (c *components) parse(values []token, prefix bool) (string, error) {
	if len(values) > len(c.list) {
		return "", errPredicate
	}
	var key []byte
	for i, v := range values {
		next := &c.list[i]
		if v.is("missing") {
			key = append(key, next.directed([]byte{isMissing})...)
			continue
		}
		write := next.write
		if prefix && i == len(values)-1 {
			write = next.writeStart
		}
		if write == nil || v.kind == quoted && next.quoted == never || v.kind == word && next.quoted == always {
			return "", errPredicate
		}
		p, err := write([]byte{isPresent}, v.text)
		if err != nil {
			return "", err
		}
		key = append(key, next.directed(p)...)
	}
	return string(key), nil
}

// A component begins with one of these, so that a missing one comes after all others.
const (
	isPresent = 1
	isMissing = 2
)

// component is a component of a composite key.
type component struct {
	path       pointer.Pointer
	descending bool
	quoted     quoting
	add        func(p, value []byte) ([]byte, error)       // appends a JSON value
	write      func(p []byte, text string) ([]byte, error) // appends a literal of a predicate
	writeStart func(p []byte, text string) ([]byte, error) // appends the start of a string; nil: the type has no prefixes
}

func newComponent(o componentOptions) (c component, err error) {
	if o.Path == nil || o.Type == nil || o.Fold && *o.Type != "string" {
		return c, errOptions
	}
	switch {
	case o.Fold:
		c = componentOf(&foldedDomain, appendText)
		c.writeStart = startOf(&foldedDomain)
	case *o.Type == "string":
		c = componentOf(&stringDomain, appendText)
		c.writeStart = startOf(&stringDomain)
	case *o.Type == "int64":
		c = componentOf(&int64Domain, nil)
	case *o.Type == "float64":
		c = componentOf(&float64Domain, nil)
	case *o.Type == "bool":
		c = componentOf(&boolDomain, nil)
	case *o.Type == "time":
		c = componentOf(&timeDomain, appendInstant)
	default:
		return c, errOptions
	}
	c.descending = o.Descending
	c.path, err = pointer.Parse(*o.Path)
	return c, err
}

// componentOf returns a component of a type. appendKey appends a key, so that the bytes are in the order
// of the keys; nil: the rank does.
func componentOf[K any](d *domain[K], appendKey func([]byte, K) []byte) component {
	if appendKey == nil {
		appendKey = func(p []byte, k K) []byte { return binary.BigEndian.AppendUint64(p, d.rank(k)) }
	}
	return component{
		quoted: d.quoted,
		add: func(p, value []byte) ([]byte, error) {
			k, err := d.fromJSON(value)
			return appendKey(p, k), err
		},
		write: func(p []byte, text string) ([]byte, error) {
			k, err := d.parse(text)
			return appendKey(p, k), err
		},
	}
}

func startOf(d *domain[string]) func([]byte, string) ([]byte, error) {
	return func(p []byte, text string) ([]byte, error) {
		k, err := d.parse(text)
		return appendStart(p, k), err
	}
}

// directed returns the bytes of a component in the direction of its order.
func (c *component) directed(p []byte) []byte {
	if c.descending {
		for i := range p {
			p[i] = ^p[i]
		}
	}
	return p
}

// values returns the values of the component in a checked JSON text: none if it is missing.
func (c *component) values(text []byte) (values []string, err error) {
	value, ok := c.path.Value(text)
	if !ok {
		return nil, nil
	}
	add := func(value []byte) {
		if string(value) == "null" || err != nil {
			return
		}
		var p []byte
		if p, err = c.add([]byte{isPresent}, value); len(values) >= maxKeys {
			err = errKey
		}
		values = append(values, string(c.directed(p)))
	}
	if !pointer.Elements(value, add) {
		add(value)
	}
	return values, err
}

// appendText appends a string and its end, which comes before every other byte of a string.
func appendText(p []byte, s string) []byte { return append(appendStart(p, s), 0, 0) }

// appendStart appends a string that may go on. A zero in it differs from the end.
func appendStart(p []byte, s string) []byte {
	for i := range len(s) {
		if p = append(p, s[i]); s[i] == 0 {
			p = append(p, 0xff)
		}
	}
	return p
}

func appendInstant(p []byte, k instant) []byte {
	p = binary.BigEndian.AppendUint64(p, rankInt64(k.second))
	return binary.BigEndian.AppendUint32(p, uint32(k.nanosecond))
}
