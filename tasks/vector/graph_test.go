package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"motte/sdk"
	"motte/sdk/sdktest"
)

// Sizes of a small graph, which answers walk through.
const (
	smallVectors    = 600
	smallDimensions = 16
)

// smallGraph returns an index whose answers walk through its graph, and its vectors.
func smallGraph(tb testing.TB, r *rand.Rand, options string) (*index, [][]float32) {
	tb.Helper()
	x := configured(tb, fmt.Sprintf(`{"dimensions":%d%s}`, smallDimensions, options))
	x.exactBelow = 100
	vectors := randomVectors(r, smallVectors, smallDimensions, 40)
	for n, v := range vectors {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: sdk.Owner(1 + n%3), Input: float32Bytes(v)}})
	}
	return x, vectors
}

// recall returns the share of the ten nearest vectors that walks find, over some queries.
func recall(x *index, r *rand.Rand, vectors [][]float32, queries int) float64 {
	found, wanted := 0, 0
	for range queries {
		v := slices.Clone(vectors[r.IntN(len(vectors))])
		for i := range v {
			v[i] += float32(r.NormFloat64() / 5)
		}
		p := &point{metric: x.metric, floats: v}
		if err := x.finish(p); err != nil {
			panic(err)
		}
		q := &query{point: p, bound: math.Inf(1)}
		var want []slot
		for h := range x.exact(q, x.held(), nil) {
			if want = append(want, h.n); len(want) == 10 {
				break
			}
		}
		n := 0
		for h := range x.widening(q, nil) {
			if slices.Contains(want, h.n) {
				found++
			}
			if n++; n == len(want) {
				break
			}
		}
		wanted += len(want)
	}
	return float64(found) / float64(wanted)
}

// TestAnswersDoNotDecay: after most vectors were removed and replaced, several times over, a walk finds as
// many of the nearest as in a new graph.
func TestAnswersDoNotDecay(t *testing.T) {
	for metric := range metrics {
		t.Run(metric, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			more := fmt.Sprintf(`,"metric":%q,"m":8,"ef_construction":48,"ef":32`, metric)
			options := fmt.Sprintf(`{"dimensions":%d%s}`, smallDimensions, more)
			x, vectors := smallGraph(t, r, more)
			for round := range 3 {
				r.Shuffle(len(vectors), func(i, j int) { vectors[i], vectors[j] = vectors[j], vectors[i] })
				for n := range vectors {
					if round%2 == 0 {
						x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Remove: true}})
					}
					if n >= 200 && round%2 == 0 {
						m := n - 200
						x.Apply([]sdk.Change{{Identity: sdktest.Version(m, round), Owner: 1, Input: float32Bytes(vectors[m])}})
					}
					if round%2 == 1 {
						x.Apply([]sdk.Change{{Identity: sdktest.Version(n, round), Owner: 1, Input: float32Bytes(vectors[n])}})
					}
				}
				checkIndex(t, x)
			}
			fresh := configured(t, options)
			fresh.exactBelow = x.exactBelow
			for n, v := range vectors {
				fresh.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: 1, Input: float32Bytes(v)}})
			}
			old := recall(x, rand.New(rand.NewPCG(9, 9)), vectors, 200)
			if want := recall(fresh, rand.New(rand.NewPCG(9, 9)), vectors, 200); want < 0.95 || old < want-0.03 {
				t.Errorf("walks find %.3f of the nearest vectors after many changes, want not less than in a new graph: %.3f", old, want)
			}
			for n := range x.graph.nodes {
				if x.graph.nodes[n].linked && len(x.graph.nodes[n].in) == 0 {
					t.Errorf("no link leads to slot %d", n)
				}
			}
		})
	}
}

// TestAWalkEndsWithAllObjects: the pages of a search through the graph have each object once; a longer
// answer begins like a shorter one; a bound finds all within it.
func TestAWalkEndsWithAllObjects(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	x, vectors := smallGraph(t, r, `,"metric":"l2","m":4,"ef_construction":16,"ef":10`)
	x.exactBelow = 300 // fewer than there are, more than an owner has
	for _, owner := range []sdk.Owner{sdk.AllOwners, 2} {
		want := len(x.owners[owner])
		if owner == sdk.AllOwners {
			want = len(x.slots)
		}
		q := sdk.Query{Predicate: fmt.Append(nil, "near ", array16(vectors[5])), Owner: owner, Limit: smallVectors}
		whole, more, err := sdktest.Page(x, q)
		if err != nil || more || len(whole) != want {
			t.Fatalf("an answer has %d objects (more: %v, %v), want all %d", len(whole), more, err, want)
		}
		sorted := slices.SortedFunc(slices.Values(whole), sdk.Identity.Compare)
		if len(slices.Compact(sorted)) != want {
			t.Fatalf("an answer has objects twice")
		}
		for _, limit := range []int{1, 7, 333} {
			q.Limit, q.After = limit, nil
			var all []sdk.Identity
			for more := true; more; {
				var page []sdk.Identity
				if page, more, err = sdktest.Page(x, q); err != nil {
					t.Fatal(err)
				}
				all = append(all, page...)
				if q.After = sdktest.Next(all); limit == 1 && len(all) == 60 {
					break
				}
			}
			if !slices.Equal(all, whole[:len(all)]) || limit > 1 && len(all) != want {
				t.Fatalf("pages of %d have %d objects, or another order than the whole answer of %d", limit, len(all), want)
			}
		}
	}
	for range 50 {
		to, bound := vectors[r.IntN(len(vectors))], 1+2*r.Float64()
		q := query{point: &point{metric: l2, floats: to}, bound: bound}
		want := 0
		for _, v := range vectors {
			if math.Sqrt(float64(squaredL2(v, to))) <= bound {
				want++
			}
		}
		found, _, err := sdktest.Page(x, sdk.Query{Predicate: fmt.Appendf(nil, "near %s within %v", array16(to), bound), Limit: smallVectors})
		if err != nil || len(found) != want || !q.includes(0) {
			t.Fatalf("%d objects are within %v (%v), want %d", len(found), bound, err, want)
		}
	}
}

// array16 writes a vector as JSON.
func array16(v []float32) string {
	text := "["
	for i, f := range v {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprint(f)
	}
	return text + "]"
}

// TestManyEqualVectors: copies of one vector do not cut the others off.
func TestManyEqualVectors(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	x, vectors := smallGraph(t, r, `,"metric":"l2","m":8,"ef_construction":48`)
	for n := range smallVectors {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(smallVectors + n), Owner: 1, Input: float32Bytes(vectors[0])}})
	}
	checkIndex(t, x)
	if got := recall(x, r, vectors[1:], 100); got < 0.9 {
		t.Errorf("walks find %.3f of the nearest vectors beside many copies of one, want 0.9", got)
	}
	found, more, err := sdktest.Page(x, sdk.Query{Predicate: fmt.Append(nil, "near ", array16(vectors[0]), " within 0"), Limit: 3 * smallVectors})
	if err != nil || more || len(found) != smallVectors+1 {
		t.Errorf("%d copies are found (%v), want %d", len(found), err, smallVectors+1)
	}
	for n := range 2 * smallVectors {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Remove: true}})
	}
	checkIndex(t, x)
}

// TestSameVectorKeepsItsLinks: an object that changes, but not in its vector, stays in the graph.
func TestSameVectorKeepsItsLinks(t *testing.T) {
	x, vectors := smallGraph(t, rand.New(rand.NewPCG(7, 8)), `,"metric":"l2"`)
	before := x.vectors.work
	for n, v := range vectors {
		x.Apply([]sdk.Change{{Identity: sdktest.Version(n, 1), Owner: 9, Input: float32Bytes(v)}})
	}
	if x.vectors.work != before || len(x.owners[9]) != smallVectors || len(x.owners) != 1 {
		t.Errorf("the same vectors cost distances, or the objects have other owners than the last")
	}
	checkIndex(t, x)
	found, _, err := sdktest.Page(x, sdk.Query{Predicate: fmt.Append(nil, "near ", array16(vectors[3])), Limit: 1})
	if err != nil || !slices.Equal(found, []sdk.Identity{sdktest.Version(3, 1)}) {
		t.Errorf("the nearest is %x (%v), want the last identity of the object", found, err)
	}
}
