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
	length := 1
	switch {
	case s[0] == '"':
		for length < len(s) && s[length] != '"' {
			if s[length] == '\\' {
				length++
			}
			length++
		}
		length++
		if length > len(s) {
			return t, "", errPredicate
		}
		t.kind = quoted
		literal := []byte(s[:length])
		if ijson.Check(literal) != nil || json.Unmarshal(literal, &t.text) != nil {
			return t, "", errPredicate
		}
		return t, s[length:], nil
	case strings.IndexByte(symbols, s[0]) >= 0:
		if len(s) > 1 && s[1] == '=' && strings.IndexByte("<>!", s[0]) >= 0 {
			length = 2
		}
		return token{symbol, s[:length]}, s[length:], nil
	}
	if length = strings.IndexAny(s, spaces+symbols+`"`); length < 0 {
		length = len(s)
	}
	return token{word, s[:length]}, s[length:], nil
}
