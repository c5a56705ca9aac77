package main

import (
	"cmp"
	"strconv"
	"strings"
)

// decimal is a number of JSON with all its digits: sign × 0.DIGITS × 10^exponent. Floating point
// would take 9007199254740993 for its neighbour, and 1e400 for infinity.
type decimal struct {
	sign     int    // -1, 0 or 1
	exponent int64  // saturated: see farExponent
	digits   string // without zeros at either end
}

// farExponent stands for all exponents that int64 does not hold. Such numbers of one sign are
// ordered by their digits alone.
const farExponent = 1 << 62

// newDecimal reads a valid number of JSON.
func newDecimal(text string) decimal {
	d := decimal{sign: 1}
	if rest, negative := strings.CutPrefix(text, "-"); negative {
		d.sign, text = -1, rest
	}
	mantissa := text
	if e := strings.IndexAny(text, "eE"); e >= 0 {
		mantissa = text[:e]
		d.exponent = readExponent(text[e+1:])
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	d.exponent += int64(len(digits) - len(fraction))
	if d.digits = strings.TrimRight(digits, "0"); d.digits == "" {
		return decimal{}
	}
	return d
}

func readExponent(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil && n > -farExponent && n < farExponent {
		return n
	}
	if strings.HasPrefix(text, "-") {
		return -farExponent
	}
	return farExponent
}

// compare returns -1, 0 or 1 as d is less than, equal to or greater than other.
func (d *decimal) compare(other *decimal) int {
	if d.sign != other.sign {
		return cmp.Compare(d.sign, other.sign)
	}
	size := cmp.Or(cmp.Compare(d.exponent, other.exponent), strings.Compare(d.digits, other.digits))
	return d.sign * size
}
