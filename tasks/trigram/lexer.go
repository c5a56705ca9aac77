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
	word           // a keyword, or the name of a field
	quoted         // a substring
	slashed        // a regular expression
	symbol         // a parenthesis, a colon or an anchor
)

// token is a token of a predicate. Its text has no quotes, escapes or slashes.
type token struct {
	kind  kind
	text  string
	flags string // the letters behind a substring or regular expression
}

// is reports whether the token is this symbol or keyword. Keywords are not case-sensitive.
func (t token) is(text string) bool {
	return t.kind == symbol && t.text == text || t.kind == word && strings.EqualFold(t.text, text)
}

const (
	spaces  = " \t\r\n"
	symbols = "():^$"
)

// lex splits the first token off a predicate.
func lex(s string) (t token, rest string, err error) {
	s = strings.TrimLeft(s, spaces)
	switch {
	case s == "":
		return token{}, "", nil
	case s[0] == '"' || s[0] == '/':
		return lexPattern(s)
	case strings.IndexByte(symbols, s[0]) >= 0:
		return token{kind: symbol, text: s[:1]}, s[1:], nil
	}
	length := strings.IndexAny(s, spaces+symbols+`"/`)
	if length < 0 {
		length = len(s)
	}
	return token{kind: word, text: s[:length]}, s[length:], nil
}

// lexPattern splits a substring or a regular expression off a predicate, with its flags.
func lexPattern(s string) (t token, rest string, err error) {
	end := 1
	for end < len(s) && s[end] != s[0] {
		if s[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(s) {
		return t, "", errPredicate
	}
	rest = strings.TrimLeft(s[end+1:], "abcdefghijklmnopqrstuvwxyz")
	t = token{kind: slashed, text: s[1:end], flags: s[end+1 : len(s)-len(rest)]}
	if s[0] == '"' {
		literal := []byte(s[:end+1])
		if ijson.Check(literal) != nil {
			return t, "", errPredicate
		}
		unquoted, err := jsontext.AppendUnquote(nil, literal)
		t.kind, t.text = quoted, string(unquoted)
		return t, rest, err
	}
	return t, rest, nil
}
