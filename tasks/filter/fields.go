package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"motte/sdk/ijson"
	"motte/sdk/pointer"
)

// Limits of fields and objects. They bound the memory that an input takes, which is at most about
// 200 bytes for each value, and the length of its field's pointer.
const (
	maxFields = 256  // fields in a configuration
	maxField  = 1024 // bytes of a pointer
	maxValues = 1024 // values and marks of one object
	maxDepth  = 32   // members inside one another, if all are fields
)

var errTooMuch = errors.New("the object has too many values, or they lie too deep")

// fields says which values of an object are indexed: those of a tree of fields, or all if it is nil.
type fields struct {
	root *field
	read []string // the names of the terms of the input that was read last
}

// field is a place in an object: a field, or a step on the way to one.
type field struct {
	name    string // its pointer
	indexed bool
	below   map[string]*field // by the name of the member, or the number of the element
}

// newFields returns the fields of a configuration.
func newFields(pointers []string) (f fields, err error) {
	if len(pointers) == 0 || len(pointers) > maxFields {
		return f, fmt.Errorf("%w: %d fields", errOptions, len(pointers))
	}
	f.root = new(field)
	for _, s := range pointers {
		p, err := pointer.Parse(s)
		if err != nil {
			return f, err
		}
		at := f.root
		for _, token := range p {
			if at.below == nil {
				at.below = make(map[string]*field)
			}
			if at.below[token] == nil {
				at.below[token] = new(field)
			}
			at = at.below[token]
		}
		if at.indexed || len(s) > maxField {
			return f, fmt.Errorf("%w: the field %.100q", errOptions, s)
		}
		at.name, at.indexed = s, true
	}
	return f, nil
}

// has reports whether a pointer is a field that is indexed.
func (f *fields) has(p pointer.Pointer) bool {
	at := f.root
	if at == nil {
		return true
	}
	for _, token := range p {
		if at = at.below[token]; at == nil {
			return false
		}
	}
	return at.indexed
}

// terms returns the names of the terms of an input, in ascending order and each once. The next call
// overwrites them. The error wraps those of ijson.Check.
func (f *fields) terms(input []byte) (names []string, err error) {
	if err := ijson.Check(input); err != nil {
		return nil, err
	}
	r := reader{names: f.read[:0]}
	value, _ := pointer.Pointer{}.Value(input)
	if f.root == nil {
		r.all("", value, 0)
	} else {
		r.some(f.root, value)
	}
	f.read = r.names
	slices.Sort(r.names)
	return slices.Compact(r.names), r.err
}

// reader collects the terms of one input. It stops at the first error.
type reader struct {
	names []string
	err   error
}

// some adds the terms of the fields at and below a place.
func (r *reader) some(at *field, value []byte) {
	if at.indexed {
		r.field(at.name, value)
	}
	if len(at.below) == 0 {
		return
	}
	visit := func(token string, value []byte) {
		if below := at.below[token]; below != nil {
			r.some(below, value)
		}
	}
	if pointer.Members(value, visit) {
		return
	}
	i := 0
	pointer.Elements(value, func(element []byte) {
		visit(strconv.Itoa(i), element)
		i++
	})
}

// escaper writes the name of a member as a token of a JSON Pointer.
var escaper = strings.NewReplacer("~", "~0", "/", "~1")

// all adds the terms of a place and of all members below it.
func (r *reader) all(name string, value []byte, depth int) {
	if depth > maxDepth || len(name) > maxField {
		r.err = errTooMuch
	}
	if r.err != nil {
		return
	}
	r.field(name, value)
	pointer.Members(value, func(member string, value []byte) {
		r.all(name+"/"+escaper.Replace(member), value, depth+1)
	})
}

// field adds the terms of a field: those of its value, or of the elements of an array.
func (r *reader) field(name string, value []byte) {
	if string(value) != "null" {
		r.add(name, present)
	}
	if !pointer.Elements(value, func(element []byte) { r.value(name, element) }) {
		r.value(name, value)
	}
}

func (r *reader) value(name string, value []byte) {
	if r.err != nil {
		return
	}
	s, ok, err := scalar(value)
	if err != nil {
		r.err = err
	} else if ok {
		r.add(name, s)
	}
}

func (r *reader) add(name, value string) {
	if len(r.names) >= maxValues {
		r.err = errTooMuch
	}
	if r.err == nil {
		r.names = append(r.names, termName(name, value))
	}
}
