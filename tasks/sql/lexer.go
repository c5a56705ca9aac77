package main

import (
	"errors"
	"regexp"
	"strings"
)

// errPredicate says that a predicate does not match the grammar.
var errPredicate = errors.New("not a predicate")

// token is a token of a predicate.
type token struct {
	form form
	text string // a name in lower case, anything else as it was written
}

// form is the form of a token.
type form int

const (
	endOfText form = iota
	name           // a keyword, a column or a function
	number
	quoted // a text in single quotation marks
	symbol
)

// is reports whether the token is a keyword or a symbol.
func (t token) is(s string) bool { return (t.form == name || t.form == symbol) && t.text == s }

const spaces = " \t\r\n"

// patterns has the forms of tokens. No two of them match the same text. A number ends where no letter follows.
var patterns = map[form]*regexp.Regexp{
	name:   regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*`),
	number: regexp.MustCompile(`^([0-9]+(\.[0-9]+)?)([eE][+-]?[0-9]+)?\b`),
	quoted: regexp.MustCompile(`^'([^'\x00]|'')*'`),
	symbol: regexp.MustCompile(`^(<=|>=|<>|!=|==|[<>=+*/%(),-])`),
}

// lex splits the first token off a predicate. Comments, parameters, names in quotation marks and blobs are not
// tokens.
func lex(s string) (t token, rest string, err error) {
	s = strings.TrimLeft(s, spaces)
	if s == "" {
		return token{}, "", nil
	}
	if strings.HasPrefix(s, "--") || strings.HasPrefix(s, "/*") {
		return token{}, "", errPredicate
	}
	for form, pattern := range patterns {
		if found := pattern.FindString(s); found != "" {
			if form == name {
				return token{form, strings.ToLower(found)}, s[len(found):], nil
			}
			return token{form, found}, s[len(found):], nil
		}
	}
	return token{}, "", errPredicate
}
