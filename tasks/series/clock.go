package main

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

var errTime = errors.New("not a time from 1678 to 2261")

// units has the nanoseconds of each unit.
var units = map[string]int64{"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}

// lengths has the nanoseconds of each unit of a duration.
var lengths = map[string]int64{"ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9, "d": 86400e9}

// maxDuration bounds a duration: a hundred years.
const maxDuration = 36_525 * 86400e9

// The times that nanoseconds since 1970 in 64 bits can have. The ends are left for "no limit".
const (
	minTime = math.MinInt64 + 1
	maxTime = math.MaxInt64 - 1
)

// parseTime reads a time of RFC 3339: "t" and "z" may be small. A leap second is the first second of the next
// day. Digits beyond the nanosecond are cut off.
func parseTime(text string) (int64, error) {
	text = strings.ToUpper(text)
	if len(text) < len("2006-01-02T15:04:05Z") || strings.Contains(text, ",") || text[13] != ':' {
		return 0, errTime
	}
	leap := text[17:19] == "60"
	if leap {
		text = text[:17] + "59" + text[19:]
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || !offsetInRange(text) {
		return 0, errTime
	}
	if u := t.UTC(); leap {
		if u.Hour() != 23 || u.Minute() != 59 {
			return 0, errTime
		}
		t = t.Add(time.Second)
	}
	if y := t.UTC().Year(); y < 1678 || y > 2261 {
		return 0, errTime
	}
	return t.UnixNano(), nil
}

// offsetInRange reports whether the offset of a time is at most 23:59.
func offsetInRange(text string) bool {
	if strings.HasSuffix(text, "Z") {
		return true
	}
	offset := text[len(text)-len("00:00"):]
	return offset[:2] <= "23" && offset[3:] <= "59"
}

// parseUnix reads a number of units since 1970, as JSON writes it, without an exponent. No digit is lost: a
// part of a nanosecond is an error.
func parseUnix(text string, unit int64) (int64, error) {
	whole, fraction, _ := strings.Cut(text, ".")
	digits := strings.TrimRight(fraction, "0")
	decimals := 0
	for u := unit; u > 1; u /= 10 {
		decimals++
	}
	if _, err := parseNumber(text); err != nil || strings.ContainsAny(text, "eE") || len(digits) > decimals {
		return 0, errTime
	}
	n, err := strconv.ParseInt(whole+digits+strings.Repeat("0", decimals-len(digits)), 10, 64)
	if err != nil || n < minTime || n > maxTime {
		return 0, errTime
	}
	return n, nil
}

// parseDuration reads a number and a unit, such as 15m.
func parseDuration(text string) (int64, error) {
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz")
	n, err := strconv.ParseInt(number, 10, 64)
	length := lengths[text[len(number):]]
	if err != nil || length == 0 || n <= 0 || text[0] == '+' || n > maxDuration/length {
		return 0, errPredicate
	}
	return n * length, nil
}

// bucket returns the bucket of a time: from, and up to but not including to. Buckets are counted from
// 1970. The first and the last may be cut.
func bucket(t, width int64) (from, to int64) {
	part := t % width
	if part < 0 {
		part += width
	}
	from, to = math.MinInt64, math.MaxInt64
	if t >= math.MinInt64+part {
		from = t - part
	}
	if rest := width - part; t <= math.MaxInt64-rest {
		to = t + rest
	}
	return from, to
}
