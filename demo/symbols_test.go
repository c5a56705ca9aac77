package main

import (
	"slices"
	"testing"
)

// TestExportedSymbols checks that every exported symbol of each kind is found, with its own
// comment or its group's, and no other symbol.
func TestExportedSymbols(t *testing.T) {
	want := []symbol{
		{"x.Small", "x", "const", "const Small = 1", "Limits of things.", 1},
		{"x.Large", "x", "const", "const Large = 2", "more than enough", 1},
		{"x.ErrNone", "x", "var", `var ErrNone = errors.New("none")`, "ErrNone says that there is nothing.", 1},
		{"x.New", "x", "func", "func New(n int) (b *Box, err error)", "New returns a Box.", 1},
		{"x.Box", "x", "type", "type Box struct", "Box holds things.", 3},
		{"x.Box.Put", "x", "method", "func (b *Box) Put(thing int)", "Put adds a thing.", 3},
	}
	got, err := exported("testdata/sample", "x")
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}
