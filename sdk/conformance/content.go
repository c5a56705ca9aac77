package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"motte/core/model"
)

// content is an input, a predicate or a configuration of a case file. A JSON string stands for
// its text. An object with the only member $base64, $file or $repeat stands for the bytes that the
// member gives. Every other JSON value stands for its own text, so that JSON needs no escapes.
type content struct {
	bytes []byte
	file  string // "": bytes are given
}

// form is an object that stands for bytes.
type form struct {
	Base64 *[]byte `json:"$base64"`
	File   *string `json:"$file"`
	Repeat *repeat `json:"$repeat"`
}

// repeat is a text many times: ["ab", 1000].
type repeat struct{ bytes []byte }

// UnmarshalJSON implements json.Unmarshaler.
func (r *repeat) UnmarshalJSON(text []byte) error {
	var part string
	var times int
	list := []any{&part, &times}
	if err := json.Unmarshal(text, &list); err != nil || len(list) != 2 || times < 0 || times*len(part) > model.MaxObject {
		return fmt.Errorf("$repeat %s: it has to be a text and how many times it comes", text)
	}
	r.bytes = bytes.Repeat([]byte(part), times)
	return nil
}

var errForm = errors.New(`an object that stands for bytes has one member: "$base64", "$file" or "$repeat"`)

// UnmarshalJSON implements json.Unmarshaler.
func (c *content) UnmarshalJSON(text []byte) error {
	if text[0] == '"' {
		var s string
		if err := json.Unmarshal(text, &s); err != nil {
			return err
		}
		c.bytes = []byte(s)
		return nil
	}
	var f form
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(&f)
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil || !hasForm(members) {
		c.bytes = bytes.Clone(text)
		return nil
	}
	switch {
	case len(members) > 1:
		return errForm
	case err != nil:
		return err
	case f.File != nil:
		c.file = *f.File
	case f.Base64 != nil:
		c.bytes = *f.Base64
	case f.Repeat != nil:
		c.bytes = f.Repeat.bytes
	default:
		return errForm
	}
	return nil
}

// hasForm reports whether an object has a member that stands for bytes.
func hasForm(members map[string]json.RawMessage) bool {
	for _, name := range []string{"$base64", "$file", "$repeat"} {
		if _, ok := members[name]; ok {
			return true
		}
	}
	return false
}

// load reads the bytes of a content that lies in a file.
func (c *content) load(files fs.FS) (err error) {
	if c.file == "" {
		return nil
	}
	if files == nil {
		return fmt.Errorf("$file %q: this case has no directory", c.file)
	}
	c.bytes, err = fs.ReadFile(files, c.file)
	if err != nil {
		return fmt.Errorf("$file: %w", err)
	}
	return nil
}
