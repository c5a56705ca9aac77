package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"motte/sdk/wasm"
)

// TestExact: the index finds the objects that it holds, and loads what it saved.
func TestExact(t *testing.T) {
	x := &index{make(map[string]map[wasm.Object]bool), make(map[wasm.Object]string)}
	if x.Configure(wasm.Config{Options: []byte("{}")}) != wasm.Refused || x.Configure(wasm.Config{}) != wasm.OK {
		t.Error("only an empty configuration may be accepted")
	}
	for o, input := range []string{1: "red", 2: "red", 3: "blue", 4: "red"} {
		if o > 0 && x.Insert(wasm.Object(o), 1, []byte(input)) != wasm.OK {
			t.Errorf("%q is not held", input)
		}
	}
	if x.Insert(5, 1, nil) != wasm.Nothing || x.Insert(5, 1, []byte(strings.Repeat("x", maxKey+1))) != wasm.Refused {
		t.Error("an empty input has nothing to index, and a long one is refused")
	}
	x.Remove(2)
	x.Remove(3)
	found, result := x.Search(&wasm.Query{Predicate: []byte("red"), Limit: 10})
	if got := slices.Sorted(found); result != wasm.OK || !slices.Equal(got, []wasm.Object{1, 4}) {
		t.Errorf("the index finds %v, want 1 and 4", got)
	}
	if len(x.keys) != 1 {
		t.Errorf("%d keys are left, want 1", len(x.keys))
	}
	next := &index{make(map[string]map[wasm.Object]bool), make(map[wasm.Object]string)}
	for o := range x.objects {
		if next.Load(o, 1, x.Save(o, nil)) != wasm.OK {
			t.Errorf("the record of object %d is refused", o)
		}
	}
	if !maps.Equal(next.objects, x.objects) {
		t.Errorf("after loading there are %v, want %v", next.objects, x.objects)
	}
}
