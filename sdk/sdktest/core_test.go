package sdktest_test

import (
	"fmt"
	"iter"
	"runtime"
	"slices"
	"testing"

	"motte/sdk"
	"motte/sdk/sdktest"
)

// TestExample runs the test of the example.
func TestExample(t *testing.T) { testExact(t) }

// scripted is an index that accepts all inputs, and answers with the identities of the test.
type scripted struct {
	answer []sdk.Identity
}

func (x *scripted) Configure(sdk.Config) error { return nil }
func (x *scripted) Apply([]sdk.Change)         {}
func (x *scripted) Search(sdk.Query) (iter.Seq[sdk.Identity], error) {
	return slices.Values(x.answer), nil
}

// failed is a test that may fail. Fatal and Fatalf end its goroutine.
type failed struct {
	testing.TB
	message string
}

func (f *failed) Helper() {}

func (f *failed) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// TestWrongIdentitiesFailTheTest: the test of an index fails on an identity for which the Core
// would quarantine the Task.
func TestWrongIdentitiesFailTheTest(t *testing.T) {
	first, second := sdktest.ID(1), sdktest.ID(2)
	for _, tc := range []struct {
		name   string
		answer []sdk.Identity
		fails  bool
	}{
		{"both objects", []sdk.Identity{second, sdktest.Version(1, 1)}, false},
		{"more objects than the limit", slices.Repeat([]sdk.Identity{second, sdktest.Version(1, 1)}, 3), true},
		{"an object that was never put", []sdk.Identity{sdktest.ID(4)}, true},
		{"an object that was removed", []sdk.Identity{sdktest.ID(3)}, true},
		{"an old version", []sdk.Identity{first}, true},
		{"an object twice", []sdk.Identity{second, second}, true},
	} {
		f := &failed{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			core := sdktest.Start(f, &scripted{answer: tc.answer}, sdk.Config{MaxResults: 3})
			core.Insert(first, "")
			core.Insert(sdktest.Version(1, 1), "")
			core.Insert(second, "")
			core.Insert(sdktest.ID(3), "")
			core.Remove(sdktest.ID(3))
			_, _, _ = core.Ask(sdk.Query{Limit: 3})
		}()
		<-done
		if (f.message != "") != tc.fails {
			t.Errorf("%s: the test says %q; want that it fails: %v", tc.name, f.message, tc.fails)
		}
	}
}

// TestPagesOfAnIndexWithoutOrderFailTheTest: an index must give its objects in one order. If it
// gives a page again, an object comes twice.
func TestPagesOfAnIndexWithoutOrderFailTheTest(t *testing.T) {
	f := &failed{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		x := &scripted{answer: []sdk.Identity{sdktest.ID(1), sdktest.ID(2)}}
		core := sdktest.Start(f, x, sdk.Config{MaxResults: 2})
		core.Insert(sdktest.ID(1), "")
		core.Insert(sdktest.ID(2), "")
		core.Pages(sdk.Query{Limit: 1})
	}()
	<-done
	if f.message == "" {
		t.Error("the test does not fail; want that it fails on an object that comes twice")
	}
}
