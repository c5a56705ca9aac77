package main

import (
	"bytes"
	"fmt"
	"testing"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// TestKeysSurviveARestart: of each type, with the same order and the same owners.
func TestKeysSurviveARestart(t *testing.T) {
	for _, c := range []struct {
		of        model.DataType
		inputs    []string // in ascending order of their keys
		predicate string   // finds all but the first
	}{
		{model.TypeInt64, []string{"-9223372036854775808", "-1", "0", "9223372036854775807"}, "> -9223372036854775808"},
		{model.TypeFloat64, []string{"-1e300", "-0.5", "0", "1e-300", "2"}, "> -1e300"},
		{model.TypeString, []string{"", "a", "a\x00", "ab", "\xff"}, `>= "a"`},
		{model.TypeTime, []string{"0001-01-01T00:00:00Z", "1970-01-01T00:00:00.5Z", "9999-12-31T23:59:59.999999999Z"}, "> 1000-01-01T00:00:00Z"},
	} {
		config := sdk.Config{Type: c.of, Ordered: true, MaxResults: 1000, Shelf: 1 << 20}
		core := sdktest.Start(t, &index{}, config)
		for n, input := range c.inputs {
			core.InsertOf(sdk.Owner(1+n%2), sdktest.ID(n), input)
		}
		core.Save()
		core, fed := core.Restart(&index{})
		if len(fed) > 0 {
			t.Errorf("type %d: %d objects are fed, want none", c.of, len(fed))
		}
		found, _, err := core.Ask(sdk.Query{Predicate: []byte(c.predicate), Limit: 1000})
		if err != nil || len(found) != len(c.inputs)-1 || found[0] != sdktest.ID(1) {
			t.Errorf("type %d: %s finds %d of %d objects: %v", c.of, c.predicate, len(found), len(c.inputs), err)
		}
		found, _, err = core.Ask(sdk.Query{Owner: 2, Limit: 1000})
		if err != nil || len(found) != len(c.inputs)/2 {
			t.Errorf("type %d: the second owner has %d objects, want %d: %v", c.of, len(found), len(c.inputs)/2, err)
		}
	}
}

// TestObjectsWithoutAKeyAreNotFedAgain: neither those without a value nor those that were refused.
func TestObjectsWithoutAKeyAreNotFedAgain(t *testing.T) {
	config := sdk.Config{Type: model.TypeInt64, MaxResults: 1000, Shelf: 1 << 20, Options: []byte(`{"path":"/n"}`)}
	core := sdktest.Start(t, &index{}, config)
	for n, input := range []string{`{"n":1}`, `{"n":[1,2,3]}`, `{}`, `not JSON`, `{"n":[]}`, `{"n":"one"}`} {
		core.Insert(sdktest.ID(n), input)
	}
	core.Save()
	core, fed := core.Restart(&index{})
	if len(fed) > 0 {
		t.Errorf("%d objects are fed, want none", len(fed))
	}
	if found, err := core.Search("> 1", 10); err != nil || len(found) != 1 || found[0] != sdktest.ID(1) {
		t.Errorf("%x is found (%v), want the object with three keys", found, err)
	}
}

// FuzzRestore: any data are refused, or give an entry that Entry returns again.
func FuzzRestore(f *testing.F) {
	types := []model.DataType{model.TypeInt64, model.TypeFloat64, model.TypeString, model.TypeTime}
	for n := range types {
		f.Add(n, []byte{})
		f.Add(n, []byte{1, 2, 3})
		f.Add(n, bytes.Repeat([]byte{0x40}, 8*maxKeys+8))
	}
	f.Fuzz(func(t *testing.T, n int, data []byte) {
		x := &index{}
		if err := x.Configure(sdk.Config{Type: types[uint(n)%4], Ordered: true}); err != nil {
			t.Fatal(err)
		}
		x.Apply([]sdk.Change{{Identity: sdktest.ID(1), Owner: 1, Input: []byte("1")}})
		restored := x.Restore(sdk.Entry{Identity: sdktest.Version(1, 1), Owner: 2, Data: data})
		e, ok := x.Entry(sdktest.ID(1).Value())
		if ok != restored || ok && (e.Identity != sdktest.Version(1, 1) || e.Owner != 2) {
			t.Fatalf("restored: %v; then the entry is %+v, %v", restored, e, ok)
		}
		again := bytes.Clone(e.Data)
		if ok && !x.Restore(sdk.Entry{Identity: e.Identity, Owner: 2, Data: again}) {
			t.Fatalf("the entry %x is not restored again", again)
		}
		x.Restored()
		found, _, err := sdktest.Page(x, sdk.Query{Limit: 2})
		if err != nil || (len(found) == 1) != restored {
			t.Fatalf("%d objects are found: %v", len(found), err)
		}
	})
}

// BenchmarkEntry measures the writing of an entry.
func BenchmarkEntry(b *testing.B) {
	x := &index{newTree(int64Domain, nil, true)}
	for n := range 100_000 {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: 1, Input: fmt.Append(nil, n)}})
	}
	n := 0
	for b.Loop() {
		n = (n + 1) % 100_000
		if _, ok := x.Entry(sdktest.ID(n).Value()); !ok {
			b.Fatal("no entry")
		}
	}
}
