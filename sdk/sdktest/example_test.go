package sdktest_test

import (
	"errors"
	"iter"
	"slices"
	"testing"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// exact is an index that finds the texts equal to the predicate.
type exact struct {
	held map[sdk.Value]text
}

type text struct {
	id   sdk.Identity
	text string
}

func (x *exact) Configure(sdk.Config) error {
	x.held = make(map[sdk.Value]text)
	return nil
}

func (x *exact) Apply(changes []sdk.Change) {
	for i := range changes {
		c := &changes[i]
		delete(x.held, c.Identity.Value())
		switch {
		case c.Remove:
		case len(c.Input) == 0:
			c.Refuse()
		default:
			x.held[c.Identity.Value()] = text{c.Identity, string(c.Input)}
		}
	}
}

func (x *exact) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	if len(q.Predicate) == 0 {
		return nil, errors.New("there is no empty text")
	}
	var found []sdk.Identity
	for _, t := range x.held {
		if t.text == string(q.Predicate) {
			found = append(found, t.id)
		}
	}
	return sdk.Sorted(found, q.After)
}

// testExact is the test of the index; a real one would be named TestExact.
func testExact(t *testing.T) {
	core := sdktest.Start(t, &exact{}, sdk.Config{Type: model.TypeText, MaxResults: 10})
	core.Insert(sdktest.ID(1), "motte")
	core.Insert(sdktest.ID(2), "bailey")
	core.Insert(sdktest.Version(2, 1), "keep") // the same object with another content
	for predicate, want := range map[string][]sdk.Identity{
		"motte":  {sdktest.ID(1)},
		"bailey": nil,
		"keep":   {sdktest.Version(2, 1)},
	} {
		if found, err := core.Search(predicate, 10); err != nil || !slices.Equal(found, want) {
			t.Errorf("%q finds %x (%v), want %x", predicate, found, err, want)
		}
	}
	core.Insert(sdktest.ID(3), "keep")
	core.Insert(sdktest.ID(4), "keep")
	all, err := core.Search("keep", 10)
	pages := core.Pages(sdk.Query{Predicate: []byte("keep"), Limit: 1})
	if err != nil || len(all) != 3 || !slices.Equal(pages, all) {
		t.Errorf("pages of one object have %x, want %x (%v)", pages, all, err)
	}
	if core.Insert(sdktest.ID(1), "") {
		t.Error("an empty text is accepted; want it refused")
	}
	// A refused input still removes the earlier version of the object.
	if found, err := core.Search("motte", 10); err != nil || len(found) > 0 {
		t.Errorf("%x is found (%v), want no object", found, err)
	}
	if _, err := core.Search("", 10); !errors.Is(err, sdktest.ErrQueryRefused) {
		t.Errorf("the empty predicate returns %v, want %v", err, sdktest.ErrQueryRefused)
	}
}

// An index, and the test that runs it behind the Task protocol.
func Example() {
	var t *testing.T // given by the test; TestExample runs it
	testExact(t)
}
