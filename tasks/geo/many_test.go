package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"motte/internal/testutil"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// TestManyShapes: boxes of all sizes are found as plain code finds them.
func TestManyShapes(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	x := configured(t, "")
	random := func() box {
		size := math.Exp(r.Float64()*10 - 7) // 0.001 to 20 degrees
		at := point{r.Float64()*360 - 180, r.Float64()*180 - 90}
		return box{at, point{min(180, at.X+size*r.Float64()+1e-6), min(90, at.Y+size*r.Float64()+1e-6)}}
	}
	var boxes []box
	for n := range 1500 {
		b := random()
		boxes = append(boxes, b)
		input, err := b.geometry().MarshalJSON()
		testutil.Must(t, err)
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: 1, Input: input}})
	}
	for n := range testutil.Repeats(80, 50) {
		in := random()
		want := map[string]func(box) bool{"within": in.covers, "intersects": in.overlaps}
		for verb, match := range want {
			predicate := fmt.Sprintf("%s box %v %v %v %v", verb, in.min.X, in.min.Y, in.max.X, in.max.Y)
			if n%2 == 0 { // not a box for the parser
				predicate = fmt.Sprintf("%s polygon ((%[2]v %[3]v, %[4]v %[3]v, %[4]v %[5]v, %[2]v %[5]v, %[2]v %[3]v))", verb, in.min.X, in.min.Y, in.max.X, in.max.Y)
			}
			var numbers []int
			for i, b := range boxes {
				if match(b) {
					numbers = append(numbers, i)
				}
			}
			got := ask(t, x, sdk.Query{Predicate: []byte(predicate), Limit: 100})
			if slices.Sort(got); !slices.Equal(got, numbers) {
				t.Fatalf("%s: %d boxes, want %d", predicate, len(got), len(numbers))
			}
		}
	}
	for range testutil.Repeats(4, 2) {
		centre := randomPoint(r)
		var distances []float64
		for i := range boxes {
			s := x.objects.shapes[x.objects.byValue[sdktest.ID(i).Value()]]
			distances = append(distances, s.distance(centre, math.Inf(1), &work{left: maxWork}))
		}
		order := slices.Clone(distances)
		slices.Sort(order)
		for i, n := range ask(t, x, sdk.Query{Predicate: fmt.Appendf(nil, "nearest %v %v", centre.Y, centre.X), Limit: 1000}) {
			if distances[n] != order[i] {
				t.Fatalf("shape %d from %v is at %v m, want %v", i, centre, distances[n], order[i])
			}
		}
	}
}

// TestManyPointsAtOnePlace: they come in the order of their values, on both sides of the map.
func TestManyPointsAtOnePlace(t *testing.T) {
	x := configured(t, "")
	var want []sdk.Identity
	for n := range 400 {
		at := []string{"[180,10]", "[-180,10]", "[177,10]", "[-177,10]"}[n%4]
		id := sdktest.ID(n)
		if n%4 < 2 {
			want = append(want, id)
		}
		x.Apply([]sdk.Change{{Identity: id, Owner: 1, Input: []byte(`{"type":"Point","coordinates":` + at + `}`)}})
	}
	slices.SortFunc(want, sdk.Identity.Compare)
	for _, predicate := range []string{"nearest 10 180 within 1 m", "radius 10 -180 1 m", "within box 179 0 180 90", "within box -180 0 -179 90",
		"within polygon ((179 0, 180 0, 180 90, 179 0))", "intersects linestring (180 0, 180 90)"} {
		var got []sdk.Identity
		for more := true; more; {
			ids, hasMore, err := sdktest.Page(x, sdk.Query{Predicate: []byte(predicate), Limit: 7, After: sdktest.Next(got)})
			testutil.Must(t, err)
			got, more = append(got, ids...), hasMore
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s finds %d objects, want %d, in order", predicate, len(got), len(want))
		}
	}
}

// TestShapesAroundHoles: a shape that fills a hole of the region, or lies around one, is not within it.
func TestShapesAroundHoles(t *testing.T) {
	core := start(t, "")
	for i, ring := range []string{"[1,1],[2,1],[2,2],[1,2],[1,1]", "[3,3],[7,3],[7,7],[3,7],[3,3]", "[4,4],[6,4],[6,6],[4,6],[4,4]", "[4.5,4.5],[5,4.5],[5,5],[4.5,4.5]"} {
		core.Insert(sdktest.ID(i), `{"type":"Polygon","coordinates":[[`+ring+`]]}`)
	}
	const region = "polygon ((0 0, 9 0, 9 9, 0 9, 0 0), (4 4, 6 4, 6 6, 4 6, 4 4))"
	finds(t, core, "within "+region, 0)
	finds(t, core, "intersects "+region, 0, 1, 2)
}
