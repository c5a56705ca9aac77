package main

import (
	"slices"
	"testing"
)

// TestExportedSymbols checks that every exported symbol of each kind is found, with its own
// comment or its group's, and no other symbol.
func TestExportedSymbols(t *testing.T) {
	want := []symbol{
		{"x.Small", "x", "const", "const Small = 1", "Limits of things.", 1, vector{}},
		{"x.Large", "x", "const", "const Large = 2", "more than enough", 1, vector{}},
		{"x.ErrNone", "x", "var", `var ErrNone = errors.New("none")`, "ErrNone says that there is nothing.", 1, vector{}},
		{"x.New", "x", "func", "func New(n int) (b *Box, err error)", "New returns a Box.", 1, vector{}},
		{"x.Box", "x", "type", "type Box struct", "Box holds things.", 3, vector{}},
		{"x.Box.Put", "x", "method", "func (b *Box) Put(thing int)", "Put adds a thing.", 3, vector{}},
	}
	got, err := exported("testdata/sample", "x")
	for i := range got {
		got[i].Like = vector{} // of the words of the comment
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

// TestTheMapIsRead: places on both sides of the equator and of the meridian, also with seconds.
func TestTheMapIsRead(t *testing.T) {
	list, err := zones()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []zone{
		{"Europe/Paris", "FR", 48 + 52./60, 2 + 20./60},
		{"America/New_York", "US", 40 + 42./60 + 51./3600, -(74 + 0./60 + 23./3600)},
		{"Australia/Sydney", "AU", -(33 + 52./60), 151 + 13./60},
	} {
		near := func(z zone) bool {
			return z.Zone == want.Zone && z.Country == want.Country && z.kilometres(want.Lat, want.Lng) < 0.001
		}
		if !slices.ContainsFunc(list, near) {
			t.Errorf("%+v is not in the list", want)
		}
	}
}
