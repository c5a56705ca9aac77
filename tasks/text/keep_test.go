package main

import (
	"bytes"
	"testing"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// TestTextsSurviveARestart: of all fields, with their owners. Objects without a text are not fed
// again, nor those that were refused.
func TestTextsSurviveARestart(t *testing.T) {
	config := sdk.Config{Type: model.TypeText, Ordered: true, MaxResults: 1000, Shelf: 1 << 24,
		Options: []byte(`{"fields":["/title","/body"]}`)}
	core := sdktest.Start(t, &index{}, config)
	for n, input := range []string{
		`{"title":"the motte","body":["holds", "all winter"]}`,
		`{"title":"the bailey","body":"may fall"}`,
		`{"title":"fall"}`,
		`{"title":""}`,
		`{}`,
		`{"title":1}`,
	} {
		core.InsertOf(sdk.Owner(1+n%2), sdktest.ID(n), input)
	}
	core.Save()
	core.Insert(sdktest.Version(2, 1), `{"title":"autumn"}`)
	core.Save()
	core.Remove(sdktest.ID(1))
	core, fed := core.Restart(&index{})
	if len(fed) > 0 {
		t.Errorf("%d objects are fed, want none", len(fed))
	}
	for predicate, want := range map[string]sdk.Identity{
		`"all winter"`: sdktest.ID(0), `title:motte`: sdktest.ID(0), `autumn`: sdktest.Version(2, 1),
	} {
		if found, err := core.Search(predicate, 10); err != nil || len(found) != 1 || found[0] != want {
			t.Errorf("%s finds %x (%v), want %x", predicate, found, err, want)
		}
	}
	for _, predicate := range []string{"fall", `"holds winter"`, "body:motte"} {
		if found, err := core.Search(predicate, 10); err != nil || len(found) > 0 {
			t.Errorf("%s finds %x (%v), want no object", predicate, found, err)
		}
	}
	found, _, err := core.Ask(sdk.Query{Owner: 2, Limit: 10})
	if err != nil || len(found) != 1 || found[0] != sdktest.ID(3) {
		t.Errorf("the second owner has %x (%v), want the object with the empty title", found, err)
	}
}

// FuzzRestore: any data are refused, or give an entry that Entry returns again.
func FuzzRestore(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 4, 'f', 'o', 'x', 0})
	f.Add([]byte{2, 4, 'f', 'o', 'x', 0, 1, 3, 'a', 'b'})
	f.Add(bytes.Repeat([]byte{0xff}, 20))
	f.Fuzz(func(t *testing.T, data []byte) {
		x := &index{}
		if err := x.Configure(sdk.Config{Type: model.TypeText, Options: []byte(`{"fields":["/a","/b"]}`)}); err != nil {
			t.Fatal(err)
		}
		x.Apply([]sdk.Change{{Identity: sdktest.ID(1), Owner: 1, Input: []byte(`{"a":"fox"}`)}})
		restored := x.Restore(sdk.Entry{Identity: sdktest.Version(1, 1), Owner: 2, Data: data})
		x.Restored()
		e, ok := x.Entry(sdktest.ID(1).Value())
		if ok != restored || ok && (e.Identity != sdktest.Version(1, 1) || e.Owner != 2) {
			t.Fatalf("restored: %v; then the entry is %+v, %v", restored, e, ok)
		}
		found, _, err := sdktest.Page(x, sdk.Query{Limit: 2})
		if err != nil || (len(found) == 1) != restored {
			t.Fatalf("%d objects are found: %v", len(found), err)
		}
	})
}
