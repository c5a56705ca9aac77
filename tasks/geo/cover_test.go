package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/peterstace/simplefeatures/geom"

	"motte/internal/testutil"
)

// randomPolygon returns a polygon whose vertices lie on a grid, so that polygons share vertices and edges.
func randomPolygon(r *rand.Rand, step float64) *shape {
	for {
		vertex := func() string { return fmt.Sprintf("%v %v", float64(r.IntN(8))*step, float64(r.IntN(8))*step) }
		first := vertex()
		text := "POLYGON ((" + first
		for range 2 + r.IntN(5) {
			text += ", " + vertex()
		}
		g, err := geom.UnmarshalWKT(text + ", " + first + "))")
		if err != nil {
			continue
		}
		if s, err := newShape(g); err == nil {
			return s
		}
	}
}

// beyond returns the greatest distance, in degrees, of samples of a shape from a region: points of the edges, and
// points inside.
func beyond(s *shape, r *region) (most float64) {
	w := work{left: maxWork}
	look := func(p point) {
		if r.holdsHere(p, &w) {
			return
		}
		nearest := math.Inf(1)
		r.edges(func(e edge) bool {
			q := e.at(min(max(e.position(p), 0), 1))
			nearest = min(nearest, math.Hypot(p.X-q.X, p.Y-q.Y))
			return true
		})
		most = max(most, nearest)
	}
	s.edges(func(e edge) bool {
		for n := range 51 {
			look(e.at(float64(n) / 50))
		}
		return true
	})
	for n := range 400 {
		p := point{s.box.min.X + (s.box.max.X-s.box.min.X)*(float64(n%20)+0.5)/20, s.box.min.Y + (s.box.max.Y-s.box.min.Y)*(float64(n/20)+0.5)/20}
		if inside, _ := s.locate(p, &w); inside {
			look(p)
		}
	}
	return most
}

// TestCoversAgreesWithSamples: of polygons with common vertices and edges, a region covers exactly those of
// which no point lies outside.
func TestCoversAgreesWithSamples(t *testing.T) {
	r := rand.New(rand.NewPCG(21, 22))
	yes := 0
	for n := range testutil.Repeats(6_000, 3_000) {
		step := 1.0
		if n%2 == 0 {
			step = 1.0 / 7 // rounded
		}
		s, in := randomPolygon(r, step), newRegion(randomPolygon(r, step))
		itself := n%5 == 0
		if itself {
			in = newRegion(s)
		}
		w := work{left: maxWork}
		covered := in.covers(s, &w)
		if itself && !covered && step == 1 {
			t.Fatalf("%s does not cover itself", s.geometry.AsText())
		}
		far := beyond(s, in)
		if covered && far > 1e-9 {
			t.Fatalf("%s covers %s, of which a point is %v outside", in.geometry.AsText(), s.geometry.AsText(), far)
		}
		if !covered && far == 0 && step == 1 {
			t.Fatalf("%s does not cover %s, of which no point is outside", in.geometry.AsText(), s.geometry.AsText())
		}
		if covered {
			yes++
		}
	}
	if yes < 50 {
		t.Errorf("only %d polygons are covered", yes)
	}
}
