package main

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"motte/sdk"
	"motte/sdk/sdktest"
)

type modelObject struct {
	owner sdk.Owner
	hash  hash
}

// collection is a model of the index.
type collection map[sdk.Identity]modelObject

// question is a query, and what it stands for.
type question struct {
	sdk.Query
	hash  hash
	bound int
}

// distance counts the bits that differ.
func (q *question) distance(h hash) (n int) {
	for bit := range hashBits {
		if h>>bit&1 != q.hash>>bit&1 {
			n++
		}
	}
	return n
}

// answer returns the part of the whole answer behind the anchor that has the owner and is among the
// candidates.
func (m collection) answer(q *question) (ids []sdk.Identity, err error) {
	var whole []sdk.Identity
	for id, o := range m {
		if q.distance(o.hash) <= q.bound {
			whole = append(whole, id)
		}
	}
	slices.SortFunc(whole, func(a, b sdk.Identity) int {
		return cmp.Or(cmp.Compare(q.distance(m[a].hash), q.distance(m[b].hash)), a.Compare(b))
	})
	if len(q.After) > 0 {
		anchor := slices.IndexFunc(q.After, func(id sdk.Identity) bool { return slices.Contains(whole, id) })
		if anchor < 0 {
			return nil, sdk.ErrGone
		}
		whole = whole[slices.Index(whole, q.After[anchor])+1:]
	}
	for _, id := range whole {
		if q.Wants(m[id].owner) && (len(q.Within) == 0 || slices.Contains(q.Within, id)) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// drawHash draws one of few hashes, that differ in few bits.
func drawHash(t *rapid.T) hash {
	return hash(rapid.Uint64Range(0, 15).Draw(t, "bits")) << rapid.SampledFrom([]int{0, 30, 60}).Draw(t, "place")
}

func drawIdentity(t *rapid.T) sdk.Identity {
	return sdktest.Version(rapid.IntRange(0, 30).Draw(t, "object"), rapid.IntRange(0, 2).Draw(t, "version"))
}

func drawQuestion(t *rapid.T) question {
	q := question{hash: drawHash(t), bound: defaultBound}
	text := fmt.Sprintf("near p:%016x", uint64(q.hash))
	if rapid.Bool().Draw(t, "bounded") {
		q.bound = rapid.IntRange(0, 8).Draw(t, "bound")
		text += fmt.Sprintf(" within %d", q.bound)
	}
	q.Predicate = []byte(text)
	q.Limit = rapid.IntRange(1, 8).Draw(t, "limit")
	q.Owner = sdk.Owner(rapid.Uint64Range(0, 4).Draw(t, "owner"))
	if rapid.IntRange(0, 3).Draw(t, "candidates") == 0 {
		for range rapid.IntRange(1, 20).Draw(t, "count") {
			q.Within = append(q.Within, drawIdentity(t))
		}
		slices.SortFunc(q.Within, sdk.Identity.Compare)
		q.Within = slices.Compact(q.Within)
	}
	return q
}

// TestIndexAgreesWithAList applies the same random history to an index and to the model, and asks both
// the same questions. The index gets hashes, and no pictures.
func TestIndexAgreesWithAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := func() *index {
			x := &index{}
			if err := x.Configure(sdk.Config{Ordered: true}); err != nil {
				t.Fatal(err)
			}
			return x
		}
		x, m := start(), make(collection)
		contents := make(collection) // of each identity ever held, which determines them
		check := func(t *rapid.T, q *question) (ids []sdk.Identity, more bool) {
			want, wantErr := m.answer(q)
			ids, more, err := sdktest.Page(x, q.Query)
			if err != wantErr || !slices.Equal(ids, want[:min(q.Limit, len(want))]) || more != (len(want) > q.Limit) {
				t.Fatalf("%s, limit %d, owner %d, after %x, within %x: %x, more %v (%v); want %x (%v)",
					q.Predicate, q.Limit, q.Owner, q.After, q.Within, ids, more, err, want, wantErr)
			}
			return ids, more
		}
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) {
				id := drawIdentity(t)
				for old := range m {
					if old.Value() == id.Value() {
						delete(m, old)
					}
				}
				if rapid.IntRange(0, 2).Draw(t, "remove") == 0 {
					x.Apply([]sdk.Change{{Identity: id, Remove: true}})
					return
				}
				o, ok := contents[id]
				if !ok {
					o = modelObject{sdk.Owner(rapid.Uint64Range(1, 3).Draw(t, "owner")), drawHash(t)}
					contents[id] = o
				}
				m[id] = o
				if !x.Restore(sdk.Entry{Identity: id, Owner: o.owner, Data: binary.BigEndian.AppendUint64(nil, uint64(o.hash))}) {
					t.Fatal("an entry is not restored")
				}
			},
			"search behind any identities": func(t *rapid.T) {
				q := drawQuestion(t)
				for range rapid.IntRange(0, 3).Draw(t, "after") {
					q.After = append(q.After, drawIdentity(t))
				}
				check(t, &q)
			},
			"search all pages": func(t *rapid.T) {
				q := drawQuestion(t)
				want, _ := m.answer(&q)
				var all []sdk.Identity
				for more := true; more; {
					var ids []sdk.Identity
					q.After = sdktest.Next(all)
					ids, more = check(t, &q)
					all = append(all, ids...)
				}
				if !slices.Equal(all, want) {
					t.Fatalf("%s: the pages have %x, want %x", q.Predicate, all, want)
				}
			},
			"restart": func(t *rapid.T) {
				next := start()
				for v := range x.places {
					if e, ok := x.Entry(v); !ok || e.Identity.Value() != v || !next.Restore(e) {
						t.Fatalf("the entry of %x is not restored", v)
					}
				}
				x = next
			},
		})
	})
}

// TestEntriesThatAreDamaged: an entry of another length is refused, and nothing stays in its place.
func TestEntriesThatAreDamaged(t *testing.T) {
	x := &index{}
	if err := x.Configure(sdk.Config{}); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 8, 7, 8, 9} {
		e := sdk.Entry{Identity: sdktest.Version(1, n), Owner: 1, Data: make([]byte, n)}
		if ok := x.Restore(e); ok != (n == 8) || (len(x.objects) == 1) != ok {
			t.Errorf("an entry of %d bytes is restored: %v, and %d objects are held", n, ok, len(x.objects))
		}
	}
}
