// Package pointer finds a value in a JSON text by JSON Pointer (RFC 6901), without decoding
// the rest of the text. Use [Parse] once, and [Pointer.Find] for each text.
//
// Find returns the bytes of the value as they stand in the text, so a number keeps all its
// digits. Package [motte/sdk/ijson] decides which texts are JSON. A text that is not JSON has
// no values. Ambiguous JSON is an error, since an index and the reader of the object might
// see different values. For any input, Find does not panic and uses at most some 20 times
// the memory of the input.
package pointer

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"motte/sdk/ijson"
)

// ErrSyntax says that a string is not a JSON Pointer.
var ErrSyntax = errors.New("not a JSON Pointer (RFC 6901): want \"\" or \"/member/…\", with ~0 for ~ and ~1 for /")

// Pointer is a parsed JSON Pointer: its reference tokens, unescaped.
type Pointer []string

// Parse reads the string form of a JSON Pointer.
func Parse(s string) (Pointer, error) {
	if s == "" {
		return Pointer{}, nil
	}
	if s[0] != '/' {
		return nil, ErrSyntax
	}
	tokens := strings.Split(s[1:], "/")
	for i, t := range tokens {
		rest := strings.ReplaceAll(strings.ReplaceAll(t, "~0", ""), "~1", "")
		if strings.Contains(rest, "~") {
			return nil, ErrSyntax
		}
		tokens[i] = strings.ReplaceAll(strings.ReplaceAll(t, "~1", "/"), "~0", "~")
	}
	return tokens, nil
}

// Find returns the value that p points to, and whether there is such a value. The value
// aliases text. The error wraps [ijson.ErrAmbiguous].
func (p Pointer) Find(text []byte) (value []byte, ok bool, err error) {
	switch err := ijson.Check(text); {
	case errors.Is(err, ijson.ErrAmbiguous):
		return nil, false, err
	case err != nil:
		return nil, false, nil
	}
	value, ok = p.Value(text)
	return value, ok, nil
}

// Value is like Find for a text that [ijson.Check] has accepted. It may panic on any other
// text. Use it to find several values in one text.
func (p Pointer) Value(text []byte) (value []byte, ok bool) {
	value = text
	for _, token := range p {
		if value, ok = child(value, token); !ok {
			return nil, false
		}
	}
	return bytes.TrimSpace(value), true
}

// Elements calls f with each element of a valid JSON array. It returns false if value is not
// an array.
func Elements(value []byte, f func(element []byte)) bool {
	s := scanner{rest: value}
	if s.next() != '[' {
		return false
	}
	s.skip(1)
	for s.next() != ']' {
		f(s.value())
		if s.next() == ',' {
			s.skip(1)
		}
	}
	return true
}

// Members calls f with the name and the value of each member of a valid JSON object. It returns false
// if value is not an object.
func Members(value []byte, f func(name string, value []byte)) bool {
	s := scanner{rest: value}
	if s.next() != '{' {
		return false
	}
	s.skip(1)
	for s.next() != '}' {
		name := s.value()
		s.next()
		s.skip(1) // the colon
		f(unquoted(name), s.value())
		if s.next() == ',' {
			s.skip(1)
		}
	}
	return true
}

// unquoted returns the name that a quoted name stands for.
func unquoted(quoted []byte) (name string) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	if json.Unmarshal(quoted, &name) != nil {
		return "" // not in a text that ijson.Check has accepted
	}
	return name
}

// child returns the member or element of a valid value that token names.
func child(value []byte, token string) (found []byte, ok bool) {
	s := scanner{rest: value}
	switch s.next() {
	case '{':
		s.skip(1)
		for s.next() != '}' {
			name := s.value()
			s.next()
			s.skip(1) // the colon
			if v := s.value(); equal(name, token) {
				return v, true
			}
			if s.next() == ',' {
				s.skip(1)
			}
		}
	case '[':
		at, err := strconv.ParseUint(token, 10, 31)
		if err != nil || strconv.FormatUint(at, 10) != token {
			return nil, false
		}
		i := uint64(0)
		Elements(value, func(e []byte) {
			if i == at {
				found, ok = e, true
			}
			i++
		})
	}
	return found, ok
}

// equal reports whether a quoted name stands for the token.
func equal(quoted []byte, token string) bool {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1:len(quoted)-1]) == token // allocates no memory
	}
	return unquoted(quoted) == token
}

// scanner walks over a text that ijson.Check has accepted. So it checks no syntax and only
// finds where values end.
type scanner struct{ rest []byte }

// next skips white space and returns the next byte without taking it.
func (s *scanner) next() byte {
	n := 0
	for isSpace(s.rest[n]) {
		n++
	}
	s.rest = s.rest[n:]
	return s.rest[0]
}

func (s *scanner) skip(n int) { s.rest = s.rest[n:] }

// value takes one value.
func (s *scanner) value() []byte {
	s.next()
	text, n, depth := s.rest, 0, 0
	for {
		switch text[n] {
		case '"':
			n += quotedLen(text[n:])
		case '{', '[':
			depth++
			n++
		case '}', ']':
			depth--
			n++
		default:
			n++
		}
		if depth == 0 && (n == len(text) || ends(text[0], text[n])) {
			s.rest = text[n:]
			return text[:n]
		}
	}
}

// ends reports whether a value that begins with first, and whose brackets are
// closed, ends before next. Strings, objects and arrays end by themselves.
func ends(first, next byte) bool {
	switch first {
	case '"', '{', '[':
		return true
	}
	return isSpace(next) || next == ',' || next == ']' || next == '}'
}

func isSpace(b byte) bool { return b == ' ' || b == '\t' || b == '\n' || b == '\r' }

// quotedLen returns the length of the quoted string at the start of text.
func quotedLen(text []byte) int {
	for n := 1; ; n++ {
		switch text[n] {
		case '\\':
			n++
		case '"':
			return n + 1
		}
	}
}
