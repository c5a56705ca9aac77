// Package ijson decides which texts Motte accepts as JSON. These are the texts of I-JSON (RFC
// 7493), in which all readers see the same values. [Check] checks a text, and [Decode] reads a
// configuration. I-JSON is RFC 8259 with three more rules:
//
//  1. An object has each member once. If two members have the same name, some readers take
//     the first and others the last.
//  2. The text is UTF-8, without a byte order mark.
//  3. An escape in a string stands for a character: \ud83d\ude00 does, \ud800 alone does
//     not. Many readers replace all invalid escapes by the same character.
//
// Numbers may have any size and any number of digits. Their reader decides which values they
// have. The rules hold for names and values, at every depth.
package ijson

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var (
	// ErrSyntax says that a text is not JSON by RFC 8259.
	ErrSyntax = errors.New("not JSON")
	// ErrAmbiguous says that different readers may see different values in a JSON text.
	ErrAmbiguous = errors.New("ambiguous JSON")
)

// shownPointer bounds the characters of a JSON Pointer in an error.
const shownPointer = 200

// Check returns nil if text is one JSON value, with white space around it. Otherwise the error
// wraps [ErrAmbiguous] or [ErrSyntax] and names the place.
func Check(text []byte) error {
	d := jsontext.NewDecoder(bytes.NewBuffer(text))
	err := d.SkipValue()
	if err == nil {
		if _, err = d.ReadToken(); errors.Is(err, io.EOF) {
			return nil
		}
	}
	if !stdjson.Valid(text) {
		return fmt.Errorf("%w: %w", ErrSyntax, stdjson.Unmarshal(text, new(stdjson.RawMessage)))
	}
	var at *jsontext.SyntacticError
	if !errors.As(err, &at) {
		return fmt.Errorf("%w: %w", ErrAmbiguous, err)
	}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return fmt.Errorf("%w: the member %.*q is given twice", ErrAmbiguous, shownPointer, string(at.JSONPointer))
	case !utf8.Valid(text):
		return fmt.Errorf("%w: byte %d is not UTF-8", ErrAmbiguous, at.ByteOffset+1)
	}
	return fmt.Errorf("%w: the escape at byte %d stands for no character", ErrAmbiguous, at.ByteOffset+1)
}

// Decode reads the members of an object into the struct that v points to. The object must pass
// [Check]. Each member must belong to the struct, in the same spelling, and must not be null.
// Otherwise a misspelt member would count as a member that is not given.
func Decode(text []byte, v any) error {
	if err := Check(text); err != nil {
		return err
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(text, &members); err != nil || members == nil {
		return errors.New("not a JSON object")
	}
	for name, value := range members {
		if value.Kind() == 'n' {
			return fmt.Errorf("the member %q is null: leave it out", name)
		}
	}
	err := json.Unmarshal(text, v, json.RejectUnknownMembers(true))
	var wrong *json.SemanticError
	switch {
	case !errors.As(err, &wrong):
		return err
	case errors.Is(err, json.ErrUnknownName):
		return fmt.Errorf("there is no member %.*q", shownPointer, string(wrong.JSONPointer))
	case wrong.Err != nil:
		return fmt.Errorf("the member %.*q: %w", shownPointer, string(wrong.JSONPointer), wrong.Err)
	}
	return fmt.Errorf("the member %.*q is of the wrong type", shownPointer, string(wrong.JSONPointer))
}
