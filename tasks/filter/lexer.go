package main

import (
	"errors"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"motte/sdk/ijson"
)

// errPredicate says that a predicate does not match the grammar.
var errPredicate = errors.New("not a predicate")

// kind is the kind of a token.
type kind int

const (
	endOfText kind = iota
	word           // a keyword, a field, a number, true, false or null
	quoted         // a text, or a field
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
	symbols = "=!(),"
)

// lex splits the first token off a predicate.
func lex(s string) (t token, rest string, err error) {
	s = strings.TrimLeft(s, spaces)
	switch {
	case s == "":
		return token{}, "", nil
	case s[0] == '"':
		return lexQuoted(s)
	case strings.HasPrefix(s, "!="):
		return token{symbol, s[:2]}, s[2:], nil
	case strings.IndexByte(symbols, s[0]) >= 0:
		return token{symbol, s[:1]}, s[1:], nil
	}
	length := strings.IndexAny(s, spaces+symbols+`"`)
	if length < 0 {
		length = len(s)
	}
	return token{word, s[:length]}, s[length:], nil
}

// lexQuoted splits a JSON string off a predicate.
func lexQuoted(s string) (t token, rest string, err error) {
	length := 1
	for length < len(s) && s[length] != '"' {
		if s[length] == '\\' {
			length++
		}
		length++
	}
	length++
	if length > len(s) || ijson.Check([]byte(s[:length])) != nil {
		return t, "", errPredicate
	}
	unquoted, err := jsontext.AppendUnquote(nil, s[:length])
	return token{quoted, string(unquoted)}, s[length:], err
}
