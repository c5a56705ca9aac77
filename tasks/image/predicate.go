package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"motte/sdk/ijson"
)

// errPredicate says that a predicate does not match the grammar.
var errPredicate = errors.New("not a predicate")

// Bits by which two hashes may differ.
const (
	hashBits       = 64
	defaultBound   = 10 // the same picture in another size or quality differs in fewer
	hashDigits     = hashBits / 4
	hashPrefix     = "p:" // of a perceptual hash, in the notation of the library
	spaces         = " \t\r\n"
	quotationMarks = `"`
)

// query is a parsed predicate:
//
//	predicate = ( "similar" picture | "near" hash ) [ "within" bits ]
//	picture   = JSON string with base64
//	hash      = "p:" 16 hexadecimal digits
type query struct {
	hash  hash
	bound int // the most bits by which a hash may differ
}

// parse reads a predicate.
func parse(predicate []byte) (q query, err error) {
	q.bound = defaultBound
	verb, rest := cutWord(string(predicate))
	switch {
	case strings.EqualFold(verb, "similar"):
		q.hash, rest, err = cutPicture(rest)
	case strings.EqualFold(verb, "near"):
		var text string
		text, rest = cutWord(rest)
		q.hash, err = parseHash(text)
	default:
		return q, errPredicate
	}
	if err != nil {
		return q, err
	}
	word, number := cutWord(rest)
	if word == "" && number == "" {
		return q, nil
	}
	text, rest := cutWord(number)
	bound, err := strconv.ParseUint(text, 10, 8)
	if err != nil || bound > hashBits || !strings.EqualFold(word, "within") || strings.Trim(rest, spaces) != "" {
		return q, errPredicate
	}
	q.bound = int(bound)
	return q, nil
}

// cutWord splits the first word off: what stands before a space, or before a string.
func cutWord(s string) (word, rest string) {
	s = strings.TrimLeft(s, spaces)
	if n := strings.IndexAny(s, spaces+quotationMarks); n >= 0 {
		return s[:n], s[n:]
	}
	return s, ""
}

// cutPicture splits a string with a picture off. No escape in it stands for a quotation mark, which base64
// does not have.
func cutPicture(s string) (h hash, rest string, err error) {
	s = strings.TrimLeft(s, spaces)
	if !strings.HasPrefix(s, quotationMarks) {
		return 0, "", errPredicate
	}
	end := strings.Index(s[1:], quotationMarks)
	if end < 0 {
		return 0, "", errPredicate
	}
	text := []byte(s[:end+2])
	if ijson.Check(text) != nil {
		return 0, "", errPredicate
	}
	h, err = hashOfJSON(text)
	return h, s[end+2:], err
}

// parseHash reads a hash.
func parseHash(text string) (hash, error) {
	digits, ok := strings.CutPrefix(text, hashPrefix)
	if !ok || len(digits) != hashDigits || strings.ContainsAny(digits, "+-_") {
		return 0, errPredicate
	}
	n, err := strconv.ParseUint(digits, 16, hashBits)
	return hash(n), err
}

// hashOfJSON returns the hash of the picture in a valid JSON value: a string with base64, as in RFC 4648,
// section 4, with padding.
func hashOfJSON(value []byte) (hash, error) {
	var text string
	if value[0] != '"' || json.Unmarshal(value, &text) != nil || strings.ContainsAny(text, "\r\n") {
		return 0, errPicture
	}
	file, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return 0, errPicture
	}
	return hashOf(file)
}
