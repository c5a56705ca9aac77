package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
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
// are equal and must not be ordered.
func parseFloat64(s string) (float64, error) {
	if s == "" || len(s) > maxNumber || strings.Trim(s, "+-.0123456789eE") != "" || !json.Valid([]byte(s)) {
		return 0, errKey
	}
	k, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsInf(k, 0) {
		return 0, errKey
	}
	return k + 0, nil
}

func parseString(s string) (string, error) {
	if len(s) > maxString {
		return "", errKey
	}
	return s, nil
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

// instant is a point in time, without a time zone. Nanoseconds since an epoch would not cover
// all years of RFC 3339.
type instant struct {
	second     int64 // since 1970
	nanosecond int32
}

func (a instant) compare(b instant) int {
	return cmp.Or(cmp.Compare(a.second, b.second), cmp.Compare(a.nanosecond, b.nanosecond))
}

func parseInstant(s string) (instant, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	// time.Parse also accepts an hour of one digit and a decimal comma. RFC 3339 does not.
	if err != nil || s[len("2006-01-02T15")] != ':' || strings.Contains(s, ",") {
		return instant{}, errKey
	}
	return instant{t.Unix(), int32(t.Nanosecond())}, nil
}
