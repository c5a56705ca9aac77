package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A term has the name of its field and one of its values: the length of the field's name, the name,
// a byte for the type of the value, and the value. A field is named by its JSON Pointer.

// The types of values in the names of terms.
const (
	present   = "x" // no value: the mark that the field has a value other than null
	nullValue = "n"
	isTrue    = "t"
	isFalse   = "f"
	number    = "#"
	text      = `"`
	digest    = "h" // of a number or text that is long
)

// maxPlain bounds a value that a term has as it is. Of a longer value the term has the SHA-256. So a
// long value can be found, but takes little memory.
const maxPlain = 64 // bytes

// maxExponent bounds the exponents of numbers, so that they can be computed with.
const maxExponent = 1_000_000_000

var errNumber = errors.New("the exponent of a number is too large")

// termName returns the name of a term.
func termName(field, value string) string {
	name := make([]byte, 0, len(field)+len(value)+2)
	name = binary.AppendUvarint(name, uint64(len(field)))
	return string(append(append(name, field...), value...))
}

// splitName splits the name of a term.
func splitName(name string) (field, value string) {
	size, n := binary.Uvarint([]byte(name[:min(len(name), binary.MaxVarintLen64)]))
	return name[n : n+int(size)], name[n+int(size):]
}

// scalar returns the value of a term for a JSON value, and false if that is an array or object.
func scalar(value []byte) (s string, ok bool, err error) {
	switch value[0] {
	case '[', '{':
		return "", false, nil
	case 'n':
		return nullValue, true, nil
	case 't':
		return isTrue, true, nil
	case 'f':
		return isFalse, true, nil
	case '"':
		if bytes.IndexByte(value, '\\') < 0 {
			return plain(text, string(value[1:len(value)-1])), true, nil
		}
		unquoted, err := jsontext.AppendUnquote(nil, value)
		return plain(text, string(unquoted)), true, err
	}
	s, err = decimal(string(value))
	return plain(number, s), true, err
}

// plain returns a value of a type, or its digest if it is long.
func plain(kind, s string) string {
	if len(s) <= maxPlain {
		return kind + s
	}
	sum := sha256.Sum256([]byte(kind + s))
	return digest + string(sum[:])
}

// decimal returns the one form of all numbers with the same value: digits without zeros at the ends,
// and a power of ten. So 1, 1.0 and 10e-1 are 1e0. No digit is lost. s is a number of JSON.
func decimal(s string) (string, error) {
	s, negative := strings.CutPrefix(s, "-")
	exponent := 0
	if at := strings.IndexAny(s, "eE"); at >= 0 {
		var err error
		exponent, err = strconv.Atoi(s[at+1:])
		if err != nil || exponent > maxExponent || exponent < -maxExponent {
			return "", errNumber
		}
		s = s[:at]
	}
	whole, fraction, _ := strings.Cut(s, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	exponent -= len(fraction)
	short := strings.TrimRight(digits, "0")
	exponent += len(digits) - len(short)
	if short == "" {
		return "0", nil // also of -0 and 0e5
	}
	if negative {
		short = "-" + short
	}
	return short + "e" + strconv.Itoa(exponent), nil
}
