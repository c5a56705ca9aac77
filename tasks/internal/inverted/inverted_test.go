package inverted_test

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"pgregory.net/rapid"

	"motte/sdk"
	"motte/sdk/sdktest"
	"motte/tasks/internal/inverted"
)

// TestSetAgreesWithAMap adds and removes numbers around the sizes at which a set changes its form.
func TestSetAgreesWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		initial := slices.Sorted(maps.Keys(rapid.MapOfN(rapid.Uint32Range(0, 60), rapid.Just(true), 0, 50).Draw(t, "initial")))
		s := inverted.NewSet(initial)
		m := make(map[uint32]bool)
		for _, n := range initial {
			m[n] = true
		}
		scope := roaring.BitmapOf(rapid.SliceOf(rapid.Uint32Range(0, 60)).Draw(t, "scope")...)
		other := inverted.NewSet(scope.ToArray())
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				n := rapid.Uint32Range(0, 60).Draw(t, "n")
				s.Add(n)
				m[n] = true
			},
			"append": func(t *rapid.T) {
				last := int64(-1)
				for n := range m {
					last = max(last, int64(n))
				}
				var numbers []uint32
				for n := uint32(last + 1); n <= 60 && rapid.Bool().Draw(t, "more"); n++ {
					numbers = append(numbers, n)
					m[n] = true
				}
				s.Append(numbers)
			},
			"remove": func(t *rapid.T) {
				n := rapid.Uint32Range(0, 60).Draw(t, "n")
				s.Remove(n)
				delete(m, n)
			},
			"": func(t *rapid.T) {
				want := roaring.BitmapOf(slices.Collect(maps.Keys(m))...)
				if s.Len() != len(m) || !s.Bitmap().Equals(want) || s.Work() < s.Len() {
					t.Fatalf("the set is %v of length %d, want %v", s.Bitmap(), s.Len(), want)
				}
				if got := inverted.Union([]*inverted.Set{&s}, scope); !got.Equals(roaring.And(scope, want)) {
					t.Fatalf("of %v in %v there are %v", want, scope, got)
				}
				if got := inverted.Union([]*inverted.Set{&s, &other}, nil); !got.Equals(roaring.Or(scope, want)) {
					t.Fatalf("the union of %v and %v is %v", want, scope, got)
				}
				for n := range uint32(61) {
					if s.Contains(n) != m[n] {
						t.Fatalf("the set has %d: %v", n, !m[n])
					}
				}
			},
		})
	})
}

// TestObjectsAgreeWithAMap adds and removes objects, and asks for pages of random subsets of them.
func TestObjectsAgreeWithAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var objects inverted.Objects[int]
		m := make(map[sdk.Identity]sdk.Owner)
		id := rapid.Custom(func(t *rapid.T) sdk.Identity { return sdktest.ID(rapid.IntRange(0, 200).Draw(t, "n")) })
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) {
				for _, id := range rapid.SliceOfN(id, 1, 50).Draw(t, "ids") {
					if n, ok := objects.Find(id.Value()); ok {
						objects.Remove(n)
						delete(m, id)
						continue
					}
					m[id] = sdk.Owner(rapid.Uint64Range(1, 3).Draw(t, "owner"))
					objects.Add(inverted.Object[int]{ID: id, Owner: m[id]})
				}
			},
			"page": func(t *rapid.T) {
				q := sdk.Query{Owner: sdk.Owner(rapid.Uint64Range(0, 4).Draw(t, "owner")), Limit: rapid.IntRange(1, 300).Draw(t, "limit")}
				q.After = rapid.SliceOfN(id, 0, 3).Draw(t, "after")
				q.Within = rapid.SliceOfN(id, 0, 30).Draw(t, "within")
				slices.SortFunc(q.Within, sdk.Identity.Compare)
				q.Within = slices.Compact(q.Within)
				modulus := rapid.Uint32Range(1, 9).Draw(t, "modulus")
				checkPage(t, &objects, m, &q, func(id sdk.Identity) bool { return uint32(id[0])%modulus == 0 })
			},
			"": func(t *rapid.T) {
				if objects.Len() != len(m) || int(objects.All().GetCardinality()) != len(m) {
					t.Fatalf("there are %d objects, want %d", objects.Len(), len(m))
				}
			},
		})
	})
}

// checkPage compares the page of the objects that match with the one that a sorted list gives.
func checkPage(t *rapid.T, objects *inverted.Objects[int], m map[sdk.Identity]sdk.Owner, q *sdk.Query, match func(sdk.Identity) bool) {
	var want []sdk.Identity
	var first sdk.Identity
	anchor := slices.IndexFunc(q.After, func(id sdk.Identity) bool { return m[id] != 0 && match(id) })
	if anchor >= 0 {
		first = q.After[anchor]
	}
	for id, owner := range m {
		among := len(q.Within) == 0 || slices.Contains(q.Within, id)
		if among && q.Wants(owner) && match(id) && (anchor < 0 || id.Compare(first) > 0) {
			want = append(want, id)
		}
	}
	slices.SortFunc(want, sdk.Identity.Compare)

	behind, err := objects.Anchor(q, func(n inverted.Number) (bool, error) { return match(objects.At(n).ID), nil })
	if gone := len(q.After) > 0 && anchor < 0; gone != errors.Is(err, sdk.ErrGone) {
		t.Fatalf("the anchor behind %x: %v", q.After, err)
	} else if gone {
		return
	}
	found := roaring.New()
	scope := objects.Scope(q)
	if scope == nil {
		scope = objects.All()
	}
	for n := range roaring.Values(scope) {
		if match(objects.At(n).ID) {
			found.Add(n)
		}
	}
	got := slices.Collect(objects.Identities(objects.Page(found, behind, q.Limit)))
	if !slices.Equal(got, want) {
		t.Fatalf("owner %d, behind %x: %x, want %x", q.Owner, q.After, got, want)
	}
}
