package main

import (
	"strings"
	"testing"
	"time"
)

// TestTimes: the grammar is that of RFC 3339, and the order that of the points in time.
func TestTimes(t *testing.T) {
	ascending := [][]string{ // equal ones together
		{"0000-01-01T00:00:00Z", "0000-01-01T00:00:00.0z", "0000-01-01t23:59:00+23:59"},
		{"2015-06-30T23:59:59Z"},
		{"2015-06-30T23:59:59.999999999Z", "2015-06-30T23:59:59.9999999999999Z"},
		{"2015-06-30T23:59:60Z", "2015-06-30t23:59:60z", "2015-07-01T05:29:60+05:30", "2015-06-30T18:59:60-05:00"},
		{"2015-06-30T23:59:60.5Z"},
		{"2015-07-01T00:00:00Z", "2015-07-01T00:00:00-00:00"},
		{"2016-12-31T23:59:60Z"},
		{"2017-01-01T00:00:00Z"},
		{"2024-02-29T12:00:00.000000001Z", "2024-02-29T14:00:00.000000001+02:00", "2024-02-28T12:01:00.000000001-23:59"},
		{"9999-12-31T23:59:59Z"},
		{"9999-12-31T23:59:59-23:59"},
	}
	var last instant
	for n, texts := range ascending {
		first, err := parseInstant(texts[0])
		if err != nil || n > 0 && first.compare(last) <= 0 {
			t.Errorf("%s is %v (%v), want a time after %v", texts[0], first, err, last)
		}
		for _, text := range texts[1:] {
			if k, err := parseInstant(text); err != nil || k != first {
				t.Errorf("%s is %v (%v), want %v", text, k, err, first)
			}
		}
		last = first
	}
	for _, text := range []string{
		"", "2024-05-01", "2024-05-01T10:00:00", "2024-05-01 10:00:00Z", "2024-05-01T10:00Z", "2024-5-01T10:00:00Z", "2024-05-01T1:00:00Z",
		"2024-05-01T24:00:00Z", "2024-05-01T10:60:00Z", "2024-05-01T10:00:61Z", "2024-05-01T10:00:00,5Z", "2024-05-01T10:00:00.Z",
		"2024-00-01T10:00:00Z", "2024-13-01T10:00:00Z", "2024-05-00T10:00:00Z", "2024-04-31T10:00:00Z", "2023-02-29T10:00:00Z", "1900-02-29T00:00:00Z",
		"2024-05-01T10:00:00+24:00", "2024-05-01T10:00:00+02:60", "2024-05-01T10:00:00+2:00", "2024-05-01T10:00:00+0200", "2024-05-01T10:00:00+02",
		"2024-05-01T10:00:60Z", "2024-05-30T23:59:60Z", "2015-06-30T23:59:60+01:00", "2024-05-01T10:00:00ZZ", "2024-05-01T10:00:00 Z",
		"-024-05-01T10:00:00Z", "+2024-05-01T10:00:00Z", "٢٠٢٤-05-01T10:00:00Z", "2024-05-01T10:00:00." + strings.Repeat("1", maxTime) + "Z",
	} {
		if k, err := parseInstant(text); err == nil {
			t.Errorf("%q is taken for the time %v", text, k)
		}
	}
}

// FuzzTime: a text that is a time here and for time.Parse is the same time.
func FuzzTime(f *testing.F) {
	for _, s := range []string{"2024-05-01T12:00:00.5+02:00", "2015-06-30T23:59:60Z", "0000-01-01t00:00:00z", "2024-02-29T24:00:00-23:59"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		k, err := parseInstant(s)
		want, wantErr := time.Parse(time.RFC3339Nano, strings.ToUpper(s))
		if wantErr != nil {
			if err == nil && k.nanosecond < 1e9 {
				t.Fatalf("%q is taken for the time %v, but is none: %v", s, k, wantErr)
			}
			return
		}
		if err == nil && (k.second != want.Unix() || int(k.nanosecond) != want.Nanosecond()) {
			t.Fatalf("%q is %v, want %v", s, k, want)
		}
	})
}
