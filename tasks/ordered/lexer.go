package main

import (
	"encoding/json"
	"errors"
	"strings"

	"motte/sdk/ijson"
)

// errPredicate says that a predicate does not match the grammar.
var errPredicate = errors.New("not a predicate")

// kind is the kind of a token.
type kind int

const (
	endOfText kind = iota
	word           // a keyword, a number or a time
	quoted         // a string
	symbol         // an operator, a parenthesis or a comma
)

// token is a token of a predicate. Its text has no quotes and no escapes.
type token struct {
	kind kind
	text string
}

// is reports whether the token is this operator or keyword. Keywords are not case-sensitive.
func (t token) is(text string) bool {
	return t.kind == symbol && t.text == text || t.kind == word && strings.EqualFold(t.text, text)
}

const (
	spaces  = " \t\r\n"
	symbols = "<>=!(),"
)

// lex splits the first token off a predicate.
func lex(s string) (t token, rest string, err error) {
	s = strings.TrimLeft(s, spaces)
	if s == "" {
		return token{}, "", nil
	}
	n := 1
	switch {
	case s[0] == '"':
		for n < len(s) && s[n] != '"' {
			if s[n] == '\\' {
				n++
			}
			n++
		}
		n++
		if n > len(s) {
			return t, "", errPredicate
		}
		t.kind = quoted
		literal := []byte(s[:n])
		if ijson.Check(literal) != nil || json.Unmarshal(literal, &t.text) != nil {
			return t, "", errPredicate
		}
		return t, s[n:], nil
	case strings.IndexByte(symbols, s[0]) >= 0:
		if len(s) > 1 && s[1] == '=' && strings.IndexByte("<>!", s[0]) >= 0 {
			n = 2
		}
		return token{symbol, s[:n]}, s[n:], nil
	}
	if n = strings.IndexAny(s, spaces+symbols+`"`); n < 0 {
		n = len(s)
	}
	return token{word, s[:n]}, s[n:], nil
}
