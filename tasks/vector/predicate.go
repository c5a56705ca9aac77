package main

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"motte/sdk/ijson"
)

// errPredicate says that a predicate does not match the grammar.
var errPredicate = errors.New("not a predicate")

// maxPredicate bounds a predicate in bytes. It has room for a vector of maxDimensions numbers, with
// all their digits.
const maxPredicate = 256 << 10

const spaces = " \t\r\n"

// query is a parsed predicate:
//
//	predicate = "near" vector [ "within" number ] [ "ef" integer ]
//	vector    = JSON array of numbers | JSON string with base64
type query struct {
	point *point
	bound float64 // the largest distance
	ef    int     // candidates of the first walk; 0: as configured, or more
}

// parse reads a predicate.
func (c *configuration) parse(predicate []byte) (q query, err error) {
	q = query{bound: math.Inf(1)}
	if len(predicate) > maxPredicate {
		return q, errPredicate
	}
	rest, ok := keyword(string(predicate), "near")
	if !ok {
		return q, errPredicate
	}
	text, rest, ok := cutVector(rest)
	if !ok || ijson.Check([]byte(text)) != nil {
		return q, errPredicate
	}
	if q.point, err = c.fromJSON([]byte(text)); err != nil {
		return q, err
	}
	if value, ok := keyword(rest, "within"); ok {
		var number string
		number, rest = cutWord(value)
		if ijson.Check([]byte(number)) != nil {
			return q, errPredicate
		}
		if q.bound, err = strconv.ParseFloat(number, 64); err != nil {
			return q, errPredicate
		}
	}
	if value, ok := keyword(rest, "ef"); ok {
		var number string
		number, rest = cutWord(value)
		if q.ef, err = strconv.Atoi(number); err != nil || q.ef < minEf || q.ef > maxEf {
			return q, errPredicate
		}
	}
	if strings.Trim(rest, spaces) != "" {
		return q, errPredicate
	}
	return q, nil
}

// keyword splits a keyword off. A keyword may be written in capitals.
func keyword(s, word string) (rest string, ok bool) {
	first, rest := cutWord(s)
	return rest, strings.EqualFold(first, word)
}

// cutWord splits the first word off: what stands before a space, or before a vector.
func cutWord(s string) (word, rest string) {
	s = strings.TrimLeft(s, spaces)
	if n := strings.IndexAny(s, spaces+`["`); n >= 0 {
		return s[:n], s[n:]
	}
	return s, ""
}

// cutVector splits a JSON array without arrays in it, or a JSON string without escapes, off.
func cutVector(s string) (text, rest string, ok bool) {
	s = strings.TrimLeft(s, spaces)
	end := -1
	switch {
	case strings.HasPrefix(s, "["):
		end = strings.IndexByte(s, ']')
	case strings.HasPrefix(s, `"`):
		if end = strings.IndexByte(s[1:], '"'); end >= 0 {
			end++
		}
	}
	if end < 0 {
		return "", "", false
	}
	return s[:end+1], s[end+1:], true
}

// includes reports whether a distance is not over the bound.
func (q *query) includes(distance float32) bool { return q.point.metric.shown(distance) <= q.bound }
