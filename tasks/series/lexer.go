package main

import (
	"encoding/json"
	"strings"

	"motte/sdk/ijson"
)

// kind is the kind of a token.
type kind int

const (
	endOfText kind = iota
	word           // a keyword, a number, a duration or a time
	quoted         // a string
	symbol         // an operator, a parenthesis or a comma
)

// token is a token of a predicate. Its text has no quotes and no escapes.
type token struct {
	kind kind
	text string
}

// is reports whether the token is this operator or keyword. Keywords may be written in capitals.
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
	switch {
	case s == "":
		return token{}, "", nil
	case s[0] == '"':
		return lexString(s)
	case strings.IndexByte(symbols, s[0]) >= 0:
		length := 1
		if strings.HasPrefix(s[1:], "=") && strings.IndexByte("<>!", s[0]) >= 0 {
			length = 2
		}
		return token{symbol, s[:length]}, s[length:], nil
	}
	length := strings.IndexAny(s, spaces+symbols+`"`)
	if length < 0 {
		length = len(s)
	}
	return token{word, s[:length]}, s[length:], nil
}

// lexString splits off a string with the escapes of JSON.
func lexString(s string) (t token, rest string, err error) {
	end := 1
	for end < len(s) && s[end] != '"' {
		if s[end] == '\\' {
			end++
		}
		end++
	}
	end++
	if end > len(s) {
		return t, "", errPredicate
	}
	literal := []byte(s[:end])
	t.kind = quoted
	if ijson.Check(literal) != nil || json.Unmarshal(literal, &t.text) != nil {
		return t, "", errPredicate
	}
	return t, s[end:], nil
}
