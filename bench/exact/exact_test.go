package exact

import (
	"testing"

	"motte/sdk"
	"motte/sdk/sdktest"
)

// TestObjectsAreFoundByTheirInput, until another input or a removal takes its place.
func TestObjectsAreFoundByTheirInput(t *testing.T) {
	a, b, changed := sdk.Identity{1}, sdk.Identity{2}, sdk.Identity{0: 1, 31: 1}
	x := New()
	x.Apply([]sdk.Change{{Identity: b, Input: []byte("red")}, {Identity: a, Input: []byte("red")}})
	find := func(key string, want ...sdk.Identity) {
		t.Helper()
		found, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(key), Limit: 10})
		if err != nil || len(found) != len(want) {
			t.Fatalf("%s: %d objects, %v; want %d", key, len(found), err, len(want))
		}
		for i := range want {
			if found[i] != want[i] {
				t.Errorf("%s: object %d is %x; want %x", key, i, found[i], want[i])
			}
		}
	}
	find("red", a, b)
	x.Apply([]sdk.Change{{Identity: changed, Input: []byte("blue")}, {Identity: b, Remove: true}})
	find("red")
	find("blue", changed)
}
