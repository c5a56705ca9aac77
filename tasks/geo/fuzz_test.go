package main

import (
	"testing"

	"motte/sdk"
	"motte/sdk/sdktest"
)

// someShapes has an object of each kind.
func someShapes(t testing.TB) *index {
	x := configured(t, "")
	for i, input := range []string{
		`{"type":"Point","coordinates":[2,48]}`,
		`{"type":"MultiPoint","coordinates":[[0,0],[5,5]]}`,
		`{"type":"LineString","coordinates":[[0,0],[5,5],[180,0]]}`,
		`{"type":"Polygon","coordinates":[[[0,0],[9,0],[9,9],[0,9],[0,0]],[[1,1],[2,1],[2,2],[1,1]]]}`,
		`{"type":"MultiPolygon","coordinates":[[[[0,0],[9,0],[9,9],[0,0]]],[[[20,0],[29,0],[29,9],[20,0]]]]}`,
	} {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(i), Owner: 1, Input: []byte(input)}})
	}
	return x
}

// FuzzPredicate: no predicate makes a search panic, and an answer has each object once.
func FuzzPredicate(f *testing.F) {
	for _, s := range []string{"", "all", "within box 5.9 45.8 10.5 47.8", "within box 170 -1 -170 1", "radius 48.85 2.35 10km", "nearest 1,2 within 3 mi",
		"within polygon ((0 0, 9 0, 9 9, 0 0), (1 0.5, 2 0.5, 2 1, 1 0.5))", "intersects multilinestring ((0 0, 1 1), (5 5, 6 6))",
		"within multipolygon (((0 0, 9 0, 9 9, 0 0)), ((20 0, 29 0, 29 9, 20 0)))", `intersects {"type":"Point","coordinates":[1,1]}`} {
		f.Add(s)
	}
	x := someShapes(f)
	f.Fuzz(func(t *testing.T, s string) {
		ids, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(s), Limit: 10})
		seen := make(map[sdk.Identity]bool)
		for _, id := range ids {
			if seen[id] {
				t.Fatalf("%q finds %x twice", s, id)
			}
			seen[id] = true
		}
		if err == nil && len(s) == 0 && len(ids) != 5 {
			t.Fatalf("the empty predicate finds %d objects, want 5", len(ids))
		}
	})
}

// FuzzInput: no input makes the index panic. An object that it holds survives a restart.
func FuzzInput(f *testing.F) {
	for _, s := range []string{`{"type":"Point","coordinates":[2,48]}`, `{"type":"Polygon","coordinates":[[[0,0],[9,0],[9,9],[0,0]]]}`,
		`{"type":"MultiLineString","coordinates":[[[0,0],[5,5]],[]]}`, `{"type":"MultiPolygon","coordinates":[[]]}`, "null", "["} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		x := someShapes(t)
		x.Apply([]sdk.Change{{Identity: sdktest.ID(7), Owner: 1, Input: []byte(s)}})
		for _, predicate := range []string{"within box -180 -90 180 90", "nearest 1 2", "intersects polygon ((0 0, 9 0, 9 9, 0 0))", "within polygon ((0 0, 9 0, 9 9, 0 0))"} {
			if _, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(predicate), Limit: 10}); err != nil {
				t.Fatalf("%q: %s: %v", s, predicate, err)
			}
		}
		if e, ok := x.Entry(sdktest.ID(7).Value()); ok && !configured(t, "").Restore(e) {
			t.Fatalf("%q is held, but its entry is refused", s)
		}
	})
}

// FuzzEntry: no entry of a shelf makes the index panic.
func FuzzEntry(f *testing.F) {
	x := someShapes(f)
	for i := range 5 {
		e, _ := x.Entry(sdktest.ID(i).Value())
		f.Add(e.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		x := configured(t, "")
		held := x.Restore(sdk.Entry{Identity: sdktest.ID(1), Owner: 1, Data: data})
		x.Restored()
		ids, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte("within box -180 -90 180 90"), Limit: 10})
		if err != nil || (len(ids) == 1) != held {
			t.Fatalf("%x is held: %v, and found: %v (%v)", data, held, ids, err)
		}
	})
}
