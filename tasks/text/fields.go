package main

import (
	"encoding/json"
	"errors"
	"unicode/utf8"

	"motte/sdk/ijson"
	"motte/sdk/pointer"
)

var errInput = errors.New("the value is not a text")

// read returns the texts of an input by field, and their number: none if the input is not JSON, or has no
// value at the paths. A value that is not a text is an error, and so is ambiguous JSON.
func read(fields []field, input []byte) (texts [][]string, count int, err error) {
	texts = make([][]string, len(fields))
	var wrong error // the error of a value that is not a text
	if fields[0].path != nil {
		// Check once for all fields, since a hostile text takes a second.
		if err := ijson.Check(input); errors.Is(err, ijson.ErrAmbiguous) {
			return nil, 0, err
		} else if err != nil {
			return nil, 0, nil
		}
	}
	for n, f := range fields {
		if f.path == nil {
			if !utf8.Valid(input) {
				return nil, 0, errInput
			}
			texts[n] = append(texts[n], string(input))
			count++
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
				texts[n] = append(texts[n], s)
				count++
			}
		}
		if !pointer.Elements(value, add) {
			add(value)
		}
	}
	return texts, count, wrong
}
