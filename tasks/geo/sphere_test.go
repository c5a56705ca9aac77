package main

import (
	"math"
	"math/rand/v2"
	"testing"

	"motte/internal/testutil"
)

func TestKnownDistances(t *testing.T) {
	for _, c := range []struct {
		name string
		p, q point
		want float64
	}{
		{"Paris and London", point{2.3522, 48.8566}, point{-0.1276, 51.5072}, 343_500},
		{"Suva and Apia, over the meridian of 180 degrees", point{178.4419, -18.1416}, point{-171.7514, -13.8507}, 1_151_000},
		{"the poles", point{0, 90}, point{77, -90}, math.Pi * earthRadius},
		{"a quarter of the equator", point{-170, 0}, point{100, 0}, math.Pi / 2 * earthRadius},
		{"both names of a place on the meridian of 180 degrees", point{180, 10}, point{-180, 10}, 0},
		{"all names of the pole", point{13, 90}, point{-100, 90}, 0},
	} {
		if d := distance(c.p, c.q); math.Abs(d-c.want) > 1000 {
			t.Errorf("%s: %.0f m, want about %.0f", c.name, d, c.want)
		}
		if d := c.p.vector().distanceTo(c.q.vector()); math.Abs(d-distance(c.p, c.q)) > 0.2 {
			t.Errorf("%s: %v m by vectors, %v by haversines", c.name, d, distance(c.p, c.q))
		}
	}
}

func randomPoint(r *rand.Rand) point {
	p := point{r.Float64()*360 - 180, r.Float64()*180 - 90}
	switch r.IntN(10) {
	case 0:
		p.Y = math.Copysign(90, p.Y)
	case 1:
		p.X = math.Copysign(180, p.X)
	}
	return p
}

// TestBoundsOfBoxes: each point of a box lies between the bounds, and the lower bound is reached.
func TestBoundsOfBoxes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range testutil.Repeats(2000, 500) {
		b := noBox
		b.add(randomPoint(r))
		b.add(randomPoint(r))
		if r.IntN(2) == 0 { // a small box
			b.max = point{min(180, b.min.X+r.Float64()), min(90, b.min.Y+r.Float64())}
		}
		p := randomPoint(r)
		low, high := b.atLeast(p), b.atMost(p)
		nearest := math.Inf(1)
		for n := range 400 {
			in := point{b.min.X + (b.max.X-b.min.X)*float64(n%20)/19, b.min.Y + (b.max.Y-b.min.Y)*float64(n/20)/19}
			d := distance(p, in)
			if d < low || d > high {
				t.Fatalf("%v is at %v m from %v in %+v; the bounds are %v and %v", in, d, p, b, low, high)
			}
			nearest = min(nearest, d)
		}
		step := distance(b.min, point{b.min.X, b.max.Y})/19 + math.Abs(b.max.X-b.min.X)*radians*earthRadius/19
		if nearest > low+step+2 {
			t.Fatalf("the lower bound of %+v from %v is %v m, but the nearest point is at %v", b, p, low, nearest)
		}
	}
}

// TestDistancesToLines: the distance to a line, which is straight on the map, is that to the nearest of
// very many points of the line.
func TestDistancesToLines(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range testutil.Repeats(200, 30) {
		p, a, b := randomPoint(r), randomPoint(r), randomPoint(r)
		if r.IntN(2) == 0 {
			b = point{min(180, a.X+r.Float64()), max(-90, a.Y-r.Float64())}
		}
		w := work{left: maxWork}
		got := p.vector().lineDistance(a, b, math.Inf(1), &w)
		const samples = 5_000
		want := math.Inf(1)
		for n := range samples + 1 {
			f := float64(n) / samples
			want = min(want, distance(p, point{a.X + (b.X-a.X)*f, a.Y + (b.Y-a.Y)*f}))
		}
		step := (math.Abs(b.X-a.X) + math.Abs(b.Y-a.Y)) * radians * earthRadius / samples
		if got > want+2*lineTolerance || got < want-step-2*lineTolerance {
			t.Fatalf("from %v to the line from %v to %v: %v m; want %v, or less by %v", p, a, b, got, want, step)
		}
	}
}
