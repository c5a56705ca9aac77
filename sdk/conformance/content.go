package conformance

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
)

// content is an input, a predicate or a configuration of a case file. A JSON string stands for
// its text. An object with the only member $base64 or $file stands for the bytes that the member
// gives. Every other JSON value stands for its own text, so that JSON needs no escapes.
type content struct {
	bytes []byte
	file  string // "": bytes are given
}

// form is an object that stands for bytes.
type form struct {
	Base64 *[]byte `json:"$base64"`
	File   *string `json:"$file"`
}

var errForm = errors.New(`an object that stands for bytes has the one member "$base64" or "$file"`)

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
	switch err := d.Decode(&f); {
	case f.Base64 == nil && f.File == nil:
		c.bytes = bytes.Clone(text)
		return nil
	case errors.As(err, new(base64.CorruptInputError)):
		return fmt.Errorf("$base64: %w", err)
	case err != nil || (f.Base64 == nil) == (f.File == nil):
		return errForm
	case f.File != nil:
		c.file = *f.File
	default:
		c.bytes = *f.Base64
	}
	return nil
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
