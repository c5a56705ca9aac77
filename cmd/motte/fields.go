package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"motte/client"
	"motte/sdk/pointer"
)

// field is a part of JSON objects, named by a JSON Pointer.
type field struct {
	text string // the pointer as it was given
	path pointer.Pointer
}

// addFieldFlags adds the flags for parts of the printed objects.
func addFieldFlags(cmd *cobra.Command, fields *[]field, keys *[]sortKey) {
	cmd.Flags().Var(fieldList{fields}, "fields", "print only the parts `/A,/B/C` of JSON objects, with tabs between them")
	cmd.Flags().Var(sortList{keys}, "sort", "sort the printed objects by their parts `/A,-/B`; - is descending")
	offerNothing(cmd, "fields")
	offerNothing(cmd, "sort")
}

// fieldList is a list of JSON Pointers as a flag, with commas between them.
type fieldList struct{ to *[]field }

// String implements pflag.Value.
func (l fieldList) String() string {
	if l.to == nil {
		return ""
	}
	var texts []string
	for _, f := range *l.to {
		texts = append(texts, f.text)
	}
	return strings.Join(texts, ",")
}

// Type implements pflag.Value.
func (fieldList) Type() string { return "pointers" }

// Set implements pflag.Value.
func (l fieldList) Set(s string) error {
	var list []field
	for _, text := range splitPointers(s, "/") {
		path, err := parsePointer(text)
		if err != nil {
			return err
		}
		for _, f := range list {
			if f.text == text {
				return fmt.Errorf("%s is given twice", text)
			}
		}
		list = append(list, field{text, path})
	}
	*l.to = list
	return nil
}

// splitPointers splits a list at the commas before one of the beginnings. Any other comma is part
// of a name.
func splitPointers(s string, beginnings ...string) (list []string) {
	begin := 0
	for i := range len(s) {
		for _, b := range beginnings {
			if s[i] == ',' && strings.HasPrefix(s[i+1:], b) {
				list, begin = append(list, s[begin:i]), i+1
				break
			}
		}
	}
	return append(list, s[begin:])
}

func parsePointer(text string) (pointer.Pointer, error) {
	path, err := pointer.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q: %w", text, err)
	case len(path) == 0:
		return nil, fmt.Errorf("%q names no part", text)
	case !utf8.ValidString(text):
		return nil, fmt.Errorf("%q is not UTF-8", text)
	}
	return path, nil
}

// partsLine returns parts of a text that ijson.Check has accepted: one cell for each field, with
// tabs between them.
func partsLine(text []byte, fields []field) string {
	cells := make([]string, len(fields))
	for i, f := range fields {
		if value, ok := f.path.Value(text); ok {
			cells[i] = cell(value)
		}
	}
	return strings.Join(cells, "\t")
}

// cell returns a JSON value for a line of cells. A string stands without quotes. Control
// characters and backslashes in it are escaped as in JSON, so a cell has no tab and no line break,
// and does a terminal no harm.
func cell(value []byte) string {
	var s string
	if value[0] != '"' || json.Unmarshal(value, &s) != nil {
		var b bytes.Buffer
		_ = json.Compact(&b, value) // can't fail: the value is valid
		return string(harmless(b.Bytes()))
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\\':
			b.WriteString(`\\`)
		case unicode.IsControl(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// partsView is an object's parts as JSON, by pointer. A part that is missing has no member.
type partsView struct {
	ID         string          `json:"id"`
	Name       string          `json:"name,omitempty"`
	NameBase64 []byte          `json:"name_base64,omitempty"`
	Fields     json.RawMessage `json:"fields"`
}

// newParts returns parts of an object that ijson.Check has accepted, in the order of the fields.
func newParts(o client.Object, fields []field) partsView {
	v := partsView{ID: identifier(o.Identity)}
	v.Name, v.NameBase64 = textOrBytes(o.Name)
	var b bytes.Buffer
	b.WriteByte('{')
	for _, f := range fields {
		value, ok := f.path.Value(o.Data)
		if !ok {
			continue
		}
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		name, _ := jsontext.AppendQuote(nil, f.text) // can't fail: parsePointer has checked it
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	v.Fields = b.Bytes()
	return v
}
