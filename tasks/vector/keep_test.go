package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"motte/sdk"
	"motte/sdk/sdktest"
)

// TestGraphSurvivesARestart: with the same links, and without a new distance.
func TestGraphSurvivesARestart(t *testing.T) {
	x, vectors := smallGraph(t, rand.New(rand.NewPCG(1, 2)), `,"metric":"cosine"`)
	next := configured(t, fmt.Sprintf(`{"dimensions":%d}`, smallDimensions))
	next.exactBelow = x.exactBelow
	restarted(x, next)
	if next.vectors.work != 0 || next.waiting != 0 {
		t.Errorf("a restart takes %d numbers of distances, and leaves %d vectors to link; want none", next.vectors.work, next.waiting)
	}
	checkIndex(t, next)
	for _, v := range vectors[:50] {
		q := sdk.Query{Predicate: fmt.Append(nil, "near ", array16(v)), Limit: 20}
		before, _, err := sdktest.Page(x, q)
		if err != nil {
			t.Fatal(err)
		}
		after, _, err := sdktest.Page(next, q)
		if err != nil || !slices.Equal(after[:10], before[:10]) {
			t.Fatalf("the nearest are %x (%v), want %x as before the restart", after, err, before)
		}
	}
}

// TestOldEntriesAreMended: entries of different times give a whole graph, with nearly the same answers.
// Some are lost, and some are older than their neighbours.
func TestOldEntriesAreMended(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	x, vectors := smallGraph(t, r, `,"metric":"l2","m":8,"ef_construction":48`)
	saved := make(map[sdk.Value]sdk.Entry)
	save := func(n int) {
		if e, ok := x.Entry(sdktest.ID(n).Value()); ok {
			e.Data = slices.Clone(e.Data)
			saved[e.Identity.Value()] = e
		}
	}
	for n := range vectors {
		save(n)
	}
	for n, v := range randomVectors(r, smallVectors/2, smallDimensions, 40) {
		vectors[n] = v
		x.Apply([]sdk.Change{{Identity: sdktest.Version(n, 1), Owner: 1, Input: float32Bytes(v)}})
		if n%3 > 0 {
			save(n)
		}
	}
	next := configured(t, fmt.Sprintf(`{"dimensions":%d,"metric":"l2","m":8,"ef_construction":48}`, smallDimensions))
	next.exactBelow = x.exactBelow
	lost := 0
	for _, e := range saved {
		if lost++; lost%10 > 0 && !next.Restore(e) {
			t.Fatalf("the entry of %x is not restored", e.Identity)
		}
	}
	next.Apply([]sdk.Change{{Identity: sdktest.ID(77), Remove: true}})
	next.Restored()
	checkIndex(t, next)
	if got := recall(next, r, vectors, 200); got < 0.95 {
		t.Errorf("walks find %.3f of the nearest vectors after a restart from old entries, want 0.95", got)
	}
}

// TestObjectsAreNotFedAgain: after a restart from the shelf, the index gets only what has changed since.
func TestObjectsAreNotFedAgain(t *testing.T) {
	config := sdk.Config{MaxResults: 1000, Shelf: 1 << 20, Ordered: true, Options: []byte(`{"path":"/v","dimensions":2,"metric":"l2","element":"int8"}`)}
	core := sdktest.Start(t, &index{}, config)
	for n, input := range []string{`{"v":[1,2]}`, `{"v":"AQI="}`, `{}`, `not JSON`, `{"v":null}`, `{"v":[1,300]}`} {
		core.InsertOf(sdk.Owner(1+n), sdktest.ID(n), input)
	}
	core.Save()
	core, fed := core.Restart(&index{})
	if len(fed) > 0 {
		t.Errorf("%d objects are fed, want none", len(fed))
	}
	if found, err := core.Search("near [1, 2] within 0", 10); err != nil || len(found) != 2 {
		t.Errorf("%d objects are found (%v), want 2", len(found), err)
	}
	if found, _, err := core.Ask(sdk.Query{Predicate: []byte("near [9, 9]"), Owner: 2, Limit: 9}); err != nil || !slices.Equal(found, []sdk.Identity{sdktest.ID(1)}) {
		t.Errorf("the owner 2 has %x (%v), want the second object", found, err)
	}
}

// FuzzRestore: any entries are refused, or give an index that is whole and finds each of them.
func FuzzRestore(f *testing.F) {
	x := configured(f, `{"dimensions":1,"metric":"l2"}`)
	x.exactBelow = 0
	for n := range 3 {
		insert(x, n, float32Bytes([]float32{float32(n)}))
	}
	var entries [][]byte
	for n := range 3 {
		e, _ := x.Entry(sdktest.ID(n).Value())
		entries = append(entries, slices.Clone(e.Data))
	}
	f.Add(entries[0], entries[1], entries[2])
	f.Add(entries[1], entries[1], []byte{})
	f.Add([]byte{0, 0, 0, 0, 0, 1, 1, 0}, []byte{1, 0, 0, 0, 0, 0}, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		for _, o := range []string{`{"dimensions":1,"metric":"l2"}`, `{"dimensions":4,"element":"int8"}`} {
			x := configured(t, o)
			x.exactBelow = 0
			held := 0
			for n, data := range [][]byte{a, b, c} {
				if x.Restore(sdk.Entry{Identity: sdktest.ID(n), Owner: 1, Data: data}) {
					held++
				}
			}
			x.Restored()
			checkIndex(t, x)
			predicate := map[bool]string{true: "near [0.5]", false: "near [1,2,3,4]"}[x.element == float32Element]
			found, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(predicate), Limit: 10})
			if err != nil || len(found) != held {
				t.Fatalf("%d objects are found (%v), want the %d that were restored", len(found), err, held)
			}
		}
	})
}
