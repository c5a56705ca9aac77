package main

import (
	"slices"
	"testing"

	"motte/sdk"
	"motte/sdk/sdktest"
)

func TestInputsAreFound(t *testing.T) {
	core := sdktest.Start(t, &index{}, sdk.Config{MaxResults: 100})
	ids := core.InsertAll(0, []string{"motte", "bailey", "motte"})
	want := []sdk.Identity{ids[0], ids[2]}
	if found, err := core.Search("motte", 10); err != nil || !slices.Equal(found, want) {
		t.Errorf("found %x (%v), want %x", found, err, want)
	}
	if _, err := core.Search("", 10); err != sdktest.ErrQueryRefused {
		t.Errorf("an empty predicate: %v", err)
	}
}

// TestEntriesSurviveARestart: after a restart the index gets only what has changed since it was saved.
func TestEntriesSurviveARestart(t *testing.T) {
	core := sdktest.Start(t, &index{}, sdk.Config{MaxResults: 100, Shelf: 1 << 20})
	core.InsertAll(0, []string{"motte", "bailey", ""})
	core.Save()
	core.Insert(sdktest.ID(3), "motte")
	core, fed := core.Restart(&index{})
	if len(fed) != 1 || fed[0] != sdktest.ID(3) {
		t.Errorf("%d inputs are inserted again, want the last", len(fed))
	}
	if found, err := core.Search("motte", 10); err != nil || len(found) != 2 {
		t.Errorf("found %x (%v), want two inputs", found, err)
	}
}

// FuzzInput: no input makes the index panic, and each one that is accepted is found.
func FuzzInput(f *testing.F) {
	f.Add("motte")
	f.Fuzz(func(t *testing.T, input string) {
		x := &index{}
		if err := x.Configure(sdk.Config{}); err != nil {
			t.Fatal(err)
		}
		x.Apply([]sdk.Change{{Identity: sdktest.ID(1), Input: []byte(input)}})
		found, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(input), Limit: 10})
		if held := input != "" && len(input) <= maxText; held && (err != nil || len(found) != 1) {
			t.Errorf("%q finds %d objects (%v), want 1", input, len(found), err)
		}
	})
}
