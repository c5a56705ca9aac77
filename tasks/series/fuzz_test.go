package main

import (
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"motte/sdk"
	"motte/sdk/sdktest"
)

func someSeries(t testing.TB) *index {
	x := configured(t, weather)
	for i, input := range []string{
		`{"at":"2024-05-01T12:00:00Z","site":"a","sensor":1,"v":1}`, `{"at":"2024-05-01T12:30:00Z","site":"a","sensor":1,"v":3}`,
		`{"at":"2024-05-01T13:00:00Z","site":"a","sensor":2}`, `{"at":"1969-05-01T13:00:00Z","site":"b","sensor":2}`,
	} {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(i), Owner: 1, Input: []byte(input)}})
	}
	return x
}

// FuzzPredicate: no predicate makes a search panic, and an answer has each object once.
func FuzzPredicate(f *testing.F) {
	for _, s := range []string{"", "all order desc", `series = ("a","1") and from 2024-05-01T00:00:00Z to 2024-06-01T00:00:00Z`, `series in ("a",("b","2")) every 1h max`,
		`series prefix "\u0000" last 3`, "value >= 1 and value != 3 every 1d last order desc", "to 1970-01-01T00:00:00-12:00"} {
		f.Add(s)
	}
	x := someSeries(f)
	f.Fuzz(func(t *testing.T, s string) {
		ids, _, _ := sdktest.Page(x, sdk.Query{Predicate: []byte(s), Limit: 10})
		slices.SortFunc(ids, sdk.Identity.Compare)
		if len(slices.Compact(slices.Clone(ids))) != len(ids) {
			t.Fatalf("%q finds an object twice", s)
		}
	})
}

// FuzzInput: no input makes the index panic. An object that it holds survives a restart.
func FuzzInput(f *testing.F) {
	for _, s := range []string{`{"at":"2024-05-01T12:00:00Z","site":"a","sensor":1,"v":1}`, `{"at":"2016-12-31T23:59:60Z","site":"\u0000","sensor":""}`, "[", `{"at":"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		x := someSeries(t)
		x.Apply([]sdk.Change{{Identity: sdktest.ID(9), Owner: 1, Input: []byte(s)}})
		if e, ok := x.Entry(sdktest.ID(9).Value()); ok && !configured(t, weather).Restore(e) {
			t.Fatalf("%q is held, but its entry is refused", s)
		}
	})
}

// FuzzEntry: no entry of a shelf makes the index panic.
func FuzzEntry(f *testing.F) {
	x := someSeries(f)
	for i := range 4 {
		e, _ := x.Entry(sdktest.ID(i).Value())
		f.Add(e.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		x := configured(t, weather)
		held := x.Restore(sdk.Entry{Identity: sdktest.ID(1), Owner: 1, Data: data})
		x.Restored()
		ids, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte("every 1d first"), Limit: 10})
		if err != nil || (len(ids) == 1) != held {
			t.Fatalf("%x is held: %v, and found: %v (%v)", data, held, ids, err)
		}
	})
}

// FuzzChunk: a chunk gives back the samples that it was given.
func FuzzChunk(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdef"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var samples []sample
		for len(data) >= 16 && len(samples) < chunkSize {
			samples = append(samples, sample{int64(binary.BigEndian.Uint64(data)), math.Float64frombits(binary.BigEndian.Uint64(data[8:]))})
			data = data[16:]
		}
		if len(samples) == 0 {
			return
		}
		c := chunk{ids: make([]sdk.Identity, len(samples))}
		c.set(samples)
		same := func(a, b sample) bool {
			return a.time == b.time && math.Float64bits(a.value) == math.Float64bits(b.value)
		}
		if got := c.samples(nil); !slices.EqualFunc(got, samples, same) {
			t.Fatalf("%v becomes %v", samples, got)
		}
	})
}
