package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"motte/client"
	"motte/core/wire"
)

// parsing says what a line of an import is.
type parsing struct {
	nameField string // member that names the object, or ""
	envelope  bool   // the line is an envelope, not the object
}

// maxEnvelope is what an envelope adds to its contents: the names of its
// members, an identity, and a name of which every byte is escaped.
const maxEnvelope = 256 + 6*wire.MaxName

func (p parsing) maxLine() int {
	if p.envelope {
		return base64.StdEncoding.EncodedLen(wire.MaxObject) + maxEnvelope
	}
	return wire.MaxObject
}

// line returns the object in a line and its name, if it has one; nil if the
// line is empty. The object may alias the line.
func (p parsing) line(text []byte) (name string, data []byte, err error) {
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return "", nil, nil
	case p.envelope:
		name, data, err = unwrap(text)
	default:
		data = text
		if err = validate(text); err == nil && p.nameField != "" {
			name, err = p.name(text)
		}
	}
	if err == nil && (len(name) > wire.MaxName || len(data) > wire.MaxObject) {
		err = client.ErrTooLarge
	}
	return name, data, err
}

// validate says why a line is not JSON.
func validate(text []byte) error {
	if json.Valid(text) {
		return nil
	}
	return fmt.Errorf("not JSON: %w", json.Unmarshal(text, new(json.RawMessage)))
}

// name takes an object's name from one of its members.
func (p parsing) name(text []byte) (name string, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil || members == nil {
		return "", fmt.Errorf("not a JSON object, so it has no member %q", p.nameField)
	}
	value, ok := members[p.nameField]
	switch {
	case !ok:
		return "", fmt.Errorf("there is no member %q", p.nameField)
	case value[0] == '"':
		err = json.Unmarshal(value, &name)
	case value[0] == '-', value[0] >= '0' && value[0] <= '9':
		name = string(value)
	default:
		return "", fmt.Errorf("the member %q is neither a string nor a number", p.nameField)
	}
	if err == nil && name == "" {
		err = fmt.Errorf("the member %q is empty", p.nameField)
	}
	return name, err
}

// unwrap takes an object out of its envelope.
func unwrap(text []byte) (name string, data []byte, err error) {
	var x object
	if err := json.Unmarshal(text, &x); err != nil {
		return "", nil, fmt.Errorf("not an envelope: %w", err)
	}
	if x.Base64 == nil {
		return "", nil, errors.New(`not an envelope: there is no member "base64"`)
	}
	if x.NameBase64 != nil {
		x.Name = string(x.NameBase64)
	}
	return x.Name, x.Base64, nil
}

// splitLines is a bufio.SplitFunc for lines as they are, whatever they end with
// before the newline.
func splitLines(data []byte, atEOF bool) (advance int, line []byte, err error) {
	if n := bytes.IndexByte(data, '\n'); n >= 0 {
		return n + 1, data[:n], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}
