package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"

	"motte/tasks/text/analysis"
)

// Limits of a key in bytes, as text.
const (
	maxString = 4096 // bytes: the tree keeps every key in memory
	maxNumber = 64   // bytes: no float64 needs more
)

// errKey says that a text is not a key of the index's type.
var errKey = errors.New("not a value of the index's type")

// domain is a type of keys: their total order, and how they are written.
type domain[K any] struct {
	compare func(a, b K) int
	parse   func(text string) (K, error) // text is a raw input, or a literal without its quotes
	quoted  quoting                      // how JSON and predicates write a key
	upper   func(prefix K) (K, bool)     // the least key above all keys with this prefix; false if there is no such key. nil: the type has no prefixes
	saved   layout[K]                    // how an entry on the shelf has a key
	rank    func(K) uint64               // a number that ascends with the key
	unrank  func(uint64) K               // the key of a rank; nil if several keys have the same rank

	composite *composite[K] // nil: a value of a predicate is a key
}

// quoting says whether a key is written in quotation marks.
type quoting int

const (
	never  quoting = iota // numbers
	always                // strings
	inJSON                // times: in a predicate the marks are optional
)

var (
	int64Domain   = domain[int64]{compare: cmp.Compare[int64], parse: parseInt64, quoted: never, saved: int64Layout, rank: rankInt64, unrank: unrankInt64}
	float64Domain = domain[float64]{compare: cmp.Compare[float64], parse: parseFloat64, quoted: never, saved: float64Layout, rank: rankFloat64, unrank: unrankFloat64}
	stringDomain  = domain[string]{compare: strings.Compare, parse: parseString, quoted: always, upper: upper, saved: stringLayout, rank: rankString}
	foldedDomain  = domain[string]{compare: strings.Compare, parse: parseFolded, quoted: always, upper: upper, saved: stringLayout, rank: rankString}
	boolDomain    = domain[bool]{compare: compareBools, parse: parseBool, quoted: never, saved: boolLayout, rank: rankBool, unrank: unrankBool}
	timeDomain    = domain[instant]{compare: instant.compare, parse: parseInstant, quoted: inJSON, saved: timeLayout,
		rank: func(k instant) uint64 { return rankInt64(k.second) }}
)

// fromJSON reads a key from a JSON value.
func (d *domain[K]) fromJSON(value []byte) (k K, err error) {
	if (value[0] == '"') != (d.quoted != never) {
		return k, errKey
	}
	if value[0] != '"' {
		return d.parse(string(value))
	}
	var s string
	if err := json.Unmarshal(value, &s); err != nil {
		return k, errKey
	}
	return d.parse(s)
}

func parseInt64(s string) (int64, error) {
	if s == "" || s[0] == '+' {
		return 0, errKey
	}
	k, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, errKey // a fraction, an exponent, or out of range
	}
	return k, nil
}

// parseFloat64 reads a finite number in the syntax of JSON. It turns -0 into 0, since the two
// are equal and must not be ordered. A number that is too small for a float64, such as 1e-400, is
// no key, as one that is too large: it is not 0.
func parseFloat64(s string) (float64, error) {
	if s == "" || len(s) > maxNumber || strings.Trim(s, "+-.0123456789eE") != "" || !json.Valid([]byte(s)) {
		return 0, errKey
	}
	k, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(k, 0) || k == 0 && !isZero(s) {
		return 0, errKey
	}
	return k + 0, nil
}

// isZero reports whether a number in the syntax of JSON has no digit but 0 before its exponent.
func isZero(s string) bool {
	if at := strings.IndexAny(s, "eE"); at >= 0 {
		s = s[:at]
	}
	return strings.Trim(s, "-.0") == ""
}

func parseBool(s string) (bool, error) {
	if s != "true" && s != "false" {
		return false, errKey
	}
	return s == "true", nil
}

// compareBools has false before true.
func compareBools(a, b bool) int { return cmp.Compare(rankBool(a), rankBool(b)) }

func parseString(s string) (string, error) {
	if len(s) > maxString {
		return "", errKey
	}
	return s, nil
}

// parseFolded reads a string in which case and the forms of characters do not count.
func parseFolded(s string) (string, error) {
	if len(s) > maxString {
		return "", errKey // before it takes time
	}
	return parseString(analysis.Fold(s, false))
}

// upper returns the least string above all strings that begin with prefix. Strings are compared
// byte by byte. So it increments the last byte below 0xff, and removes the bytes after it.
func upper(prefix string) (string, bool) {
	for n := len(prefix); n > 0; n-- {
		if b := prefix[n-1]; b < 0xff {
			return prefix[:n-1] + string([]byte{b + 1}), true
		}
	}
	return "", false
}
