package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"motte/client"
	"motte/core/model"
	"motte/sdk/ijson"
	"motte/sdk/pointer"
)

// parsing says how to read the lines of an import.
type parsing struct {
	nameField string // member that names the object, or ""
	envelope  bool   // each line is an envelope, not the object itself
}

// naming is where the name of an object comes from.
type naming int

const (
	unnamed naming = iota
	byString
	byNumber
)

// maxEnvelope bounds the bytes that an envelope adds to its content: the member names, an
// identity, and a name with every byte escaped.
const maxEnvelope = 256 + 6*model.MaxName

func (p parsing) maxLine() int {
	if p.envelope {
		return base64.StdEncoding.EncodedLen(model.MaxObject) + maxEnvelope
	}
	return model.MaxObject
}

// jsonSpace is the white space of JSON.
const jsonSpace = " \t\r\n"

// line returns the object in a line, and its name if it has one. For an empty line it returns no
// object. The object may alias the line.
func (p parsing) line(text []byte) (name string, from naming, data []byte, err error) {
	switch {
	case len(bytes.Trim(text, jsonSpace)) == 0:
		return "", unnamed, nil, nil
	case p.envelope:
		name, data, err = unwrap(text)
	default:
		data = text
		if err = ijson.Check(text); err == nil && p.nameField != "" {
			name, from, err = p.name(text)
		}
	}
	switch {
	case err != nil:
		return "", unnamed, nil, err
	case len(name) > model.MaxName:
		err = fmt.Errorf("the name has %d bytes, and the most is %d: %w", len(name), model.MaxName, client.ErrTooLarge)
	case len(data) > model.MaxObject:
		err = fmt.Errorf("the object has %d bytes, and the most is %d: %w", len(data), model.MaxObject, client.ErrTooLarge)
	}
	return name, from, data, err
}

// name returns an object's name from one of its members. A number must have one spelling: of 1,
// 1.0 and 1e0, the last two are refused.
func (p parsing) name(text []byte) (name string, from naming, err error) {
	if bytes.TrimLeft(text, jsonSpace)[0] != '{' {
		return "", unnamed, fmt.Errorf("not a JSON object, so it has no member %q", p.nameField)
	}
	value, ok, err := pointer.Pointer{p.nameField}.Find(text)
	if err != nil {
		return "", unnamed, err
	}
	switch {
	case !ok:
		return "", unnamed, fmt.Errorf("there is no member %q", p.nameField)
	case value[0] == '"':
		if err := json.Unmarshal(value, &name); err != nil {
			return "", unnamed, fmt.Errorf("the member %q: %w", p.nameField, err)
		}
		if name == "" {
			return "", unnamed, fmt.Errorf("the member %q is empty", p.nameField)
		}
		return name, byString, nil
	case value[0] != '-' && (value[0] < '0' || value[0] > '9'):
		return "", unnamed, fmt.Errorf("the member %q is neither a string nor a number", p.nameField)
	case bytes.ContainsAny(value, ".eE"), string(value) == "-0":
		return "", unnamed, fmt.Errorf("the member %q is not a whole number without fraction and exponent: "+
			"a number that can be written in several ways is no name", p.nameField)
	}
	return string(value), byNumber, nil
}

// unwrap takes an object out of its envelope.
func unwrap(text []byte) (name string, data []byte, err error) {
	var x object
	if err := ijson.Decode(text, &x); err != nil {
		return "", nil, fmt.Errorf("not an envelope: %w", err)
	}
	switch {
	case x.Base64 == nil:
		return "", nil, errors.New(`not an envelope: there is no member "base64"`)
	case x.Object != nil:
		return "", nil, errors.New(`not an envelope: there is a member "object" beside "base64"`)
	case x.NameBase64 != nil && x.Name != "":
		return "", nil, errors.New(`not an envelope: there are both "name" and "name_base64"`)
	case x.NameBase64 != nil:
		return string(x.NameBase64), x.Base64, nil
	}
	return x.Name, x.Base64, nil
}
