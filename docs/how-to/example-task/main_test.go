package main

import (
	"slices"
	"testing"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// start runs the index as the Core would, behind the Task protocol.
func start(t *testing.T) *sdktest.Core {
	t.Helper()
	return sdktest.Start(t, &index{}, sdk.Config{Type: model.TypeText, MaxResults: 100})
}

func TestPiecesAreFound(t *testing.T) {
	core := start(t)
	ids := core.InsertAll(0, []string{"The motte holds", "the bailey may fall", "Łódź", "", "ab"})
	for piece, want := range map[string][]sdk.Identity{
		"ott":       {ids[0]},
		"THE ":      {ids[0], ids[1]},
		"may fall":  {ids[1]},
		"łódź":      {ids[2]},
		"holds not": nil,
		"xyz":       nil,
	} {
		found, err := core.Search(piece, 100)
		byBytes := func(a, b sdk.Identity) int { return slices.Compare(a[:], b[:]) }
		slices.SortFunc(found, byBytes)
		slices.SortFunc(want, byBytes)
		if err != nil || !slices.Equal(found, want) {
			t.Errorf("%q finds %d texts (%v), want %d", piece, len(found), err, len(want))
		}
	}
	if found, err := core.Search("the", 1); err != nil || len(found) != 1 {
		t.Errorf("%d texts with a limit of 1 (%v)", len(found), err)
	}
}

// TestChangesAreFollowed: what was replaced or removed is not named any more,
// which the Core would punish.
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

func TestWhatMakesNoSenseIsRefused(t *testing.T) {
	core := start(t)
	core.Insert(sdktest.ID(1), "some text")
	if core.Insert(sdktest.Version(1, 1), "\xff") {
		t.Error("bytes that are no text were accepted")
	}
	if found, err := core.Search("some", 10); err != nil || len(found) != 0 {
		t.Errorf("the text before them is still found: %d (%v)", len(found), err)
	}
	for _, piece := range []string{"", "ab", "abc\xff"} {
		if _, err := core.Search(piece, 10); err != sdktest.ErrQueryRefused {
			t.Errorf("%q: %v", piece, err)
		}
	}
	if sdktest.Start(t, &index{}, sdk.Config{Type: model.TypeInt64}) != nil || sdktest.Start(t, &index{}, sdk.Config{Options: []byte("{}")}) != nil {
		t.Error("a configuration without sense was accepted")
	}
}

// FuzzSearch: no text and no piece makes the index panic, or miss the text that
// is the piece itself.
func FuzzSearch(f *testing.F) {
	f.Add("the motte holds", "motte")
	f.Add("İstanbul", "i̇st")
	f.Fuzz(func(t *testing.T, text, piece string) {
		x := &index{}
		if err := x.Configure(sdk.Config{}); err != nil {
			t.Fatal(err)
		}
		x.Apply([]sdk.Change{{Identity: sdktest.ID(1), Input: []byte(text)}, {Identity: sdktest.ID(2), Input: []byte(piece)}})
		found, err := x.Search([]byte(piece), 10)
		if err == nil && !slices.Contains(found, sdktest.ID(2)) {
			t.Fatalf("%q does not find itself", piece)
		}
		for _, n := range []int{1, 2} {
			x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Remove: true}})
		}
		if len(x.texts)+len(x.holders) != 0 {
			t.Fatalf("%d texts and %d trigrams are left of nothing", len(x.texts), len(x.holders))
		}
	})
}
