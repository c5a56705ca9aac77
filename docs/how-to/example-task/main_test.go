package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// start runs the index as the Core does, behind the Task protocol.
func start(t *testing.T) *sdktest.Core {
	t.Helper()
	return sdktest.Start(t, &index{}, sdk.Config{Type: model.TypeText, MaxResults: 100})
}

func TestPartsAreFound(t *testing.T) {
	core := start(t)
	ids := core.InsertAll(0, []string{"The motte holds", "the bailey may fall", "Łódź", "", "ab"})
	for part, want := range map[string][]sdk.Identity{
		"ott":       {ids[0]},
		"THE ":      {ids[0], ids[1]},
		"may fall":  {ids[1]},
		"łódź":      {ids[2]},
		"holds not": nil,
		"xyz":       nil,
	} {
		if found, err := core.Search(part, 100); err != nil || !slices.Equal(found, want) {
			t.Errorf("%q finds %x (%v), want %x", part, found, err, want)
		}
	}
}

// TestPagesAreParts: the pages of an answer make the whole answer.
func TestPagesAreParts(t *testing.T) {
	core := start(t)
	ids := core.InsertAll(0, slices.Repeat([]string{"the motte"}, 10))
	for limit := 1; limit < 12; limit++ {
		found, more, err := core.Ask(sdk.Query{Predicate: []byte("motte"), Limit: limit})
		if err != nil || !slices.Equal(found, ids[:min(limit, 10)]) || more != (limit < 10) {
			t.Errorf("limit %d: %d texts, more is %v (%v)", limit, len(found), more, err)
		}
		if all := core.Pages(sdk.Query{Predicate: []byte("motte"), Limit: limit}); !slices.Equal(all, ids) {
			t.Errorf("pages of %d have %d texts, want all 10", limit, len(all))
		}
	}
	gone := sdk.Query{Predicate: []byte("motte"), Limit: 1, After: []sdk.Identity{sdktest.ID(11)}}
	if _, _, err := core.Ask(gone); err != sdktest.ErrGone {
		t.Errorf("a page behind an object that is gone: %v, want %v", err, sdktest.ErrGone)
	}
}

// TestCandidatesAreFound: the index names candidates that match, and finds pages after other objects.
func TestCandidatesAreFound(t *testing.T) {
	core := start(t)
	ids := core.InsertAll(0, slices.Repeat([]string{"the motte"}, 10))
	found, more, err := core.Ask(sdk.Query{Predicate: []byte("motte"), Limit: 10, Within: []sdk.Identity{ids[3], ids[7]}})
	if err != nil || more || !slices.Equal(found, []sdk.Identity{ids[3], ids[7]}) {
		t.Errorf("two candidates: %x, more is %v (%v), want both", found, more, err)
	}
	page := sdk.Query{Predicate: []byte("motte"), Limit: 10, Within: []sdk.Identity{ids[3], ids[7]}, After: ids[5:6]}
	if found, _, err := core.Ask(page); err != nil || !slices.Equal(found, ids[7:8]) {
		t.Errorf("a page of two candidates: %x (%v), want the second", found, err)
	}
	core.Insert(sdktest.Version(3, 1), "the bailey")
	if found, _, err := core.Ask(sdk.Query{Predicate: []byte("bailey"), Limit: 10, Within: ids}); err != nil || len(found) != 0 {
		t.Errorf("a former content is a candidate: %x (%v), want no text", found, err)
	}
}

// TestHintIsTaken: the index names only the objects that the client may see.
func TestHintIsTaken(t *testing.T) {
	core := start(t)
	core.InsertOf(1, sdktest.ID(1), "the motte")
	core.InsertOf(2, sdktest.ID(2), "the motte")
	found, _, err := core.Ask(sdk.Query{Predicate: []byte("motte"), Limit: 10, Owner: 2})
	if err != nil || !slices.Equal(found, []sdk.Identity{sdktest.ID(2)}) {
		t.Errorf("a query of owner 2 finds %x (%v), want only its object", found, err)
	}
}

// TestChangesAreFollowed: the index does not name an identity that was replaced or removed.
func TestChangesAreFollowed(t *testing.T) {
	core := start(t)
	core.Insert(sdktest.ID(1), "the motte")
	core.Insert(sdktest.ID(2), "the motte")
	core.Insert(sdktest.Version(1, 1), "the bailey")
	core.Remove(sdktest.ID(2))
	if found, err := core.Search("motte", 10); err != nil || len(found) != 0 {
		t.Errorf("%d texts (%v), want none", len(found), err)
	}
	if found, err := core.Search("bailey", 10); err != nil || len(found) != 1 || found[0] != sdktest.Version(1, 1) {
		t.Errorf("found %x (%v)", found, err)
	}
}

func TestSenselessInputsAreRefused(t *testing.T) {
	core := start(t)
	core.Insert(sdktest.ID(1), "some text")
	if core.Insert(sdktest.Version(1, 1), "\xff") {
		t.Error("an input that is not text is accepted; want it refused")
	}
	if found, err := core.Search("some", 10); err != nil || len(found) != 0 {
		t.Errorf("%d texts (%v): a refused input must remove the text before it", len(found), err)
	}
	for _, part := range []string{"", "ab", "abc\xff"} {
		if _, err := core.Search(part, 10); err != sdktest.ErrQueryRefused {
			t.Errorf("%q: %v", part, err)
		}
	}
	if sdktest.Start(t, &index{}, sdk.Config{Type: model.TypeInt64}) != nil || sdktest.Start(t, &index{}, sdk.Config{Options: []byte("{}")}) != nil {
		t.Error("a senseless configuration is accepted; want it refused")
	}
}

// TestTextsSurviveARestart: after a restart the index gets only the texts that have changed since the
// last saving.
func TestTextsSurviveARestart(t *testing.T) {
	core := sdktest.Start(t, &index{}, sdk.Config{Type: model.TypeText, MaxResults: 100, Shelf: 1 << 20})
	core.InsertAll(0, []string{"the motte", "the bailey", "the keep"})
	core.Save()
	core.Insert(sdktest.Version(1, 1), "the tower") // after the last saving
	core, fed := core.Restart(&index{})
	if len(fed) != 1 || fed[0] != sdktest.Version(1, 1) {
		t.Errorf("%d texts are inserted again, want the tower", len(fed))
	}
	if found, err := core.Search("the", 10); err != nil || len(found) != 3 {
		t.Errorf("%d texts (%v), want all three", len(found), err)
	}
}

// FuzzSearch: no text and no part makes the index panic, or miss the text that is the part
// itself.
func FuzzSearch(f *testing.F) {
	f.Add("the motte holds", "motte")
	f.Add("İstanbul", "i̇st")
	f.Fuzz(func(t *testing.T, text, part string) {
		x := &index{}
		if err := x.Configure(sdk.Config{}); err != nil {
			t.Fatal(err)
		}
		x.Apply([]sdk.Change{
			{Identity: sdktest.ID(1), Input: []byte(text)},
			{Identity: sdktest.ID(2), Input: []byte(part)},
		})
		found, err := x.Search(sdk.Query{Predicate: []byte(part), Limit: 10})
		if err == nil && !slices.Contains(slices.Collect(found), sdktest.ID(2)) {
			t.Fatalf("%q does not find itself", part)
		}
		for _, n := range []int{1, 2} {
			x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Remove: true}})
		}
		if len(x.texts)+len(x.holders) != 0 {
			t.Fatalf("%d texts and %d trigrams are left of an empty index", len(x.texts), len(x.holders))
		}
	})
}

// TestPageHasThisCode: docs/how-to/write-a-task.md shows parts of the two files of this example.
func TestPageHasThisCode(t *testing.T) {
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(string(text), "\t", "") // the page may show code with less indentation
	}
	source := read("main.go") + read("main_test.go")
	shown := strings.Split(read("../write-a-task.md"), "```go\n")[1:]
	if len(shown) < 5 {
		t.Errorf("the page shows %d parts, want at least 5", len(shown))
	}
	for _, part := range shown {
		code, _, _ := strings.Cut(part, "```")
		if !strings.Contains(source, code) {
			t.Errorf("the example does not have this code of the page:\n%s", code)
		}
	}
}
