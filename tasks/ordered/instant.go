package main

import (
	"cmp"
	"strings"
	"time"
)

// maxTime bounds a time in bytes. It leaves room for a fraction of more digits than count.
const maxTime = 64

// instant is a point in time, without a time zone. Nanoseconds since an epoch would not cover
// all years of RFC 3339. A leap second belongs to the second before it, so that it comes before
// the next: its nanoseconds begin at 1e9.
type instant struct {
	second     int64 // since 1970
	nanosecond int32
}

func (a instant) compare(b instant) int {
	return cmp.Or(cmp.Compare(a.second, b.second), cmp.Compare(a.nanosecond, b.nanosecond))
}

// parseInstant reads a time by the grammar of RFC 3339, section 5.6:
//
//	2024-05-01T12:00:00.5+02:00
//
// t and z may be small. Digits of a fraction after the ninth do not count. A leap second is one
// that UTC may have: 23:59:60 at the end of a month. time.Parse accepts other texts: an hour of
// one digit, a decimal comma, and offsets of 24 hours.
func parseInstant(s string) (k instant, err error) {
	if len(s) > maxTime {
		return k, errKey
	}
	r := timeReader{rest: s}
	year := r.number(4, 0, 9999)
	r.mark("-")
	month := r.number(2, 1, 12)
	r.mark("-")
	day := r.number(2, 1, daysOf(year, time.Month(month)))
	r.mark("Tt")
	hour := r.number(2, 0, 23)
	r.mark(":")
	minute := r.number(2, 0, 59)
	r.mark(":")
	second := r.number(2, 0, 60)
	nanosecond := r.fraction()
	offset := r.offset()
	if r.wrong || r.rest != "" {
		return k, errKey
	}
	leap := second == 60
	if leap {
		second = 59
	}
	t := time.Date(year, time.Month(month), day, hour, minute-offset, second, 0, time.UTC)
	if leap {
		next := t.Add(time.Second)
		if next.Day() != 1 || next.Hour() != 0 || next.Minute() != 0 {
			return k, errKey
		}
		nanosecond += 1e9
	}
	return instant{t.Unix(), int32(nanosecond)}, nil
}

func daysOf(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// timeReader takes parts off a time. It keeps the first error.
type timeReader struct {
	rest  string
	wrong bool
}

// number takes a number of some digits.
func (r *timeReader) number(digits, least, most int) (n int) {
	if len(r.rest) < digits {
		r.wrong = true
		return least
	}
	for _, c := range []byte(r.rest[:digits]) {
		r.wrong = r.wrong || c < '0' || c > '9'
		n = 10*n + int(c-'0')
	}
	r.rest = r.rest[digits:]
	r.wrong = r.wrong || n < least || n > most
	return n
}

// mark takes one of some characters.
func (r *timeReader) mark(among string) (mark byte) {
	if r.rest == "" || strings.IndexByte(among, r.rest[0]) < 0 {
		r.wrong = true
		return 0
	}
	mark, r.rest = r.rest[0], r.rest[1:]
	return mark
}

// fraction takes a fraction of a second, if there is one, and returns its nanoseconds.
func (r *timeReader) fraction() (nanosecond int) {
	digits, ok := strings.CutPrefix(r.rest, ".")
	if !ok {
		return 0
	}
	r.rest = strings.TrimLeft(digits, "0123456789")
	digits = digits[:len(digits)-len(r.rest)]
	r.wrong = r.wrong || digits == ""
	for i := range 9 {
		nanosecond *= 10
		if i < len(digits) {
			nanosecond += int(digits[i] - '0')
		}
	}
	return nanosecond
}

// offset takes the time zone, and returns its minutes east of UTC.
func (r *timeReader) offset() (minutes int) {
	sign := r.mark("Zz+-")
	if sign == 'Z' || sign == 'z' || r.wrong {
		return 0
	}
	minutes = 60 * r.number(2, 0, 23)
	r.mark(":")
	minutes += r.number(2, 0, 59)
	if sign == '-' {
		return -minutes
	}
	return minutes
}
