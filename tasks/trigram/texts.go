package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"

	"motte/sdk/ijson"
	"motte/sdk/pointer"
)

// Limits of a configuration and of an object.
const (
	maxFields = 16
	maxTexts  = 1024 // texts of one object: elements of arrays
)

// soleField is the name of the field of an index with one field.
const soleField = "text"

var errInput = errors.New("the value is not a text, or has too many")

// options is the configuration. A member that is unknown, null or given twice is refused.
type options struct {
	Path   *string   `json:"path"`
	Fields *[]string `json:"fields"`
}

// field is a place of texts in an input.
type field struct {
	name string
	path pointer.Pointer // nil: the whole input
}

// newFields returns the fields of a configuration.
func newFields(text []byte) (fields []field, err error) {
	var o options
	if len(text) > 0 {
		if err := ijson.Decode(text, &o); err != nil {
			return nil, fmt.Errorf("%w: %w", errOptions, err)
		}
	}
	switch {
	case o.Path != nil && o.Fields != nil:
		return nil, fmt.Errorf("%w: both path and fields", errOptions)
	case o.Path != nil:
		p, err := pointer.Parse(*o.Path)
		return []field{{soleField, p}}, err
	case o.Fields == nil:
		return []field{{soleField, nil}}, nil
	case len(*o.Fields) == 0 || len(*o.Fields) > maxFields:
		return nil, fmt.Errorf("%w: %d fields", errOptions, len(*o.Fields))
	}
	for _, s := range *o.Fields {
		p, err := pointer.Parse(s)
		if err != nil {
			return nil, err
		}
		if len(p) == 0 || !validName(p[len(p)-1]) || fieldNamed(fields, p[len(p)-1]) >= 0 {
			return nil, fmt.Errorf("%w: %q does not name a field", errOptions, s)
		}
		fields = append(fields, field{p[len(p)-1], p})
	}
	return fields, nil
}

// keywords are the words of the grammar of predicates. None of them is the name of a field.
var keywords = []string{"all", "and", "not", "or"}

// validName reports whether a predicate can name a field.
func validName(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	return s != "" && strings.Trim(s, letters) == "" && !slices.Contains(keywords, strings.ToLower(s))
}

// fieldNamed returns the number of the field with a name, or -1.
func fieldNamed(fields []field, name string) int {
	for n := range fields {
		if fields[n].name == name {
			return n
		}
	}
	return -1
}

// texts has the texts of an object: for each the number of its field, its length, and its bytes. An
// entry on the shelf has the same bytes.
type texts []byte

func (t texts) add(field int, text []byte) texts {
	t = binary.AppendUvarint(t, uint64(field))
	t = binary.AppendUvarint(t, uint64(len(text)))
	return append(t, text...)
}

// all yields the texts with their fields. The bytes must come from read, or have passed valid.
func (t texts) all() iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		for len(t) > 0 {
			field, text, rest, ok := t.first()
			if !ok || !yield(field, text) {
				return
			}
			t = rest
		}
	}
}

// first splits the first text off.
func (t texts) first() (field int, text []byte, rest texts, ok bool) {
	number, n := binary.Uvarint(t)
	if n <= 0 || number >= maxFields {
		return 0, nil, nil, false
	}
	t = t[n:]
	size, n := binary.Uvarint(t)
	if n <= 0 || size > uint64(len(t)-n) {
		return 0, nil, nil, false
	}
	t = t[n:]
	return int(number), t[:size:size], t[size:], true
}

// valid reports whether an index can hold the bytes of an entry.
func (t texts) valid(fields int) bool {
	for count := 0; len(t) > 0; count++ {
		field, text, rest, ok := t.first()
		if !ok || field >= fields || count >= maxTexts || !utf8.Valid(text) {
			return false
		}
		t = rest
	}
	return true
}

// read returns the texts of an input: none if it has no value at the paths. A value that is not a text
// is an error. The error wraps those of ijson.Check.
func read(fields []field, input []byte) (t texts, err error) {
	if fields[0].path == nil {
		if !utf8.Valid(input) {
			return nil, errInput
		}
		return texts{}.add(0, input), nil
	}
	if err := ijson.Check(input); err != nil {
		return nil, err
	}
	count := 0
	for n, f := range fields {
		value, ok := f.path.Value(input)
		if !ok {
			continue
		}
		add := func(value []byte) {
			var s string
			switch {
			case string(value) == "null":
				return
			case value[0] != '"' || count >= maxTexts || json.Unmarshal(value, &s) != nil:
				err = errInput
				return
			}
			count++
			t = t.add(n, []byte(s))
		}
		if !pointer.Elements(value, add) {
			add(value)
		}
	}
	return t, err
}
