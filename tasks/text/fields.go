package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"motte/sdk/ijson"
	"motte/sdk/pointer"
)

// soleField is the name of the field of an index with one field.
const soleField = "text"

// maxFields bounds the fields of an index.
const maxFields = 16

var (
	errOptions = errors.New("the configuration does not make sense")
	errInput   = errors.New("the value is not a text")
)

// options is the configuration. An unknown member, a null, or a member given twice is refused.
type options struct {
	Path     *string  `json:"path"`
	Fields   []string `json:"fields"`
	Analyzer *string  `json:"analyzer"`
}

// field is a text of an input.
type field struct {
	name string
	path pointer.Pointer // nil: the whole input
}

func parseOptions(text []byte) (o options, fields []field, err error) {
	if len(text) > 0 {
		if err := ijson.Decode(text, &o); err != nil {
			return o, nil, fmt.Errorf("%w: %w", errOptions, err)
		}
	}
	switch {
	case o.Path != nil && o.Fields != nil:
		return o, nil, fmt.Errorf("%w: both path and fields", errOptions)
	case o.Path != nil:
		p, err := pointer.Parse(*o.Path)
		return o, []field{{soleField, p}}, err
	case o.Fields == nil:
		return o, []field{{soleField, nil}}, nil
	case len(o.Fields) == 0 || len(o.Fields) > maxFields:
		return o, nil, fmt.Errorf("%w: %d fields", errOptions, len(o.Fields))
	}
	seen := make(map[string]bool)
	for _, s := range o.Fields {
		p, err := pointer.Parse(s)
		if err != nil {
			return o, nil, err
		}
		if len(p) == 0 || !validName(p[len(p)-1]) || seen[p[len(p)-1]] {
			return o, nil, fmt.Errorf("%w: %q does not name a field", errOptions, s)
		}
		name := p[len(p)-1]
		seen[name] = true
		fields = append(fields, field{name, p})
	}
	return o, fields, nil
}

// validName reports whether a predicate can name a field without quoting it. Names that begin
// with '_' are reserved by Bleve.
func validName(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	return s != "" && s[0] != '_' && s[0] != '-' && strings.Trim(s, letters) == ""
}

// document holds the texts of an input, by field, and their length in bytes.
type document struct {
	texts map[string][]string
	size  int
}

// read returns the texts of an input: no text if the input is not JSON, or has no value at the
// paths. A value that is not a text is an error, and so is ambiguous JSON.
func read(fields []field, input []byte) (d document, err error) {
	d.texts = make(map[string][]string, len(fields))
	var wrong error // the error of a value that is not a text
	if fields[0].path != nil {
		// Check once for all fields, since a hostile text takes a second.
		if err := ijson.Check(input); errors.Is(err, ijson.ErrAmbiguous) {
			return d, err
		} else if err != nil {
			return d, nil
		}
	}
	for _, f := range fields {
		if f.path == nil {
			if !utf8.Valid(input) {
				return d, errInput
			}
			d.add(f.name, string(input))
			continue
		}
		value, ok := f.path.Value(input)
		if !ok {
			continue
		}
		add := func(value []byte) {
			var s string
			switch {
			case string(value) == "null":
			case value[0] != '"' || json.Unmarshal(value, &s) != nil:
				wrong = errInput
			default:
				d.add(f.name, s)
			}
		}
		if !pointer.Elements(value, add) {
			add(value)
		}
	}
	return d, wrong
}

func (d *document) add(name, text string) {
	d.texts[name] = append(d.texts[name], text)
	d.size += len(text)
}
