package main

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"motte/internal/realdata"
	"motte/internal/testutil"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// city is a city of the reference: a plain list.
type city struct {
	at     point
	vector vector
	owner  sdk.Owner
}

// owners of the cities: one has a tenth of them, one has 1 in 1000, and one has the rest.
func ownerOf(n int) sdk.Owner {
	switch {
	case n%1000 == 1:
		return 3
	case n%10 == 2:
		return 2
	}
	return 1
}

var readCities = sync.OnceValue(func() func(testing.TB) ([]city, *index) {
	var list []city
	var x *index
	return func(t testing.TB) ([]city, *index) {
		t.Helper()
		objects := realdata.Cities(t)
		if x != nil {
			return list, x
		}
		x = configured(t, `{"lat":"/lat","lng":"/lng"}`)
		for n, object := range objects {
			var c struct{ Lat, Lng float64 }
			testutil.Must(t, json.Unmarshal(object, &c))
			at := point{X: c.Lng, Y: c.Lat}
			list = append(list, city{at, at.vector(), ownerOf(n)})
			x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: ownerOf(n), Input: object}})
		}
		return list, x
	}
})

// number returns the number of the city with an identity that sdktest.ID made.
func numberOf(id sdk.Identity) int { return int(id[0]) | int(id[1])<<8 | int(id[2])<<16 }

// ask returns the numbers of the cities of an answer, all pages of it.
func ask(t *testing.T, x *index, q sdk.Query) (numbers []int) {
	t.Helper()
	for more := true; more; {
		ids, hasMore, err := sdktest.Page(x, q)
		if err != nil {
			t.Fatalf("%s: %v", q.Predicate, err)
		}
		for _, id := range ids {
			numbers = append(numbers, numberOf(id))
		}
		more = hasMore
		q.After = sdktest.Next(ids)
	}
	return numbers
}

// randomPlace returns a place near a city, or anywhere.
func randomPlace(r *rand.Rand, cities []city) point {
	if r.IntN(4) == 0 {
		return point{r.Float64()*360 - 180, r.Float64()*180 - 90}
	}
	p := cities[r.IntN(len(cities))].at
	return point{max(-180, min(180, p.X+r.NormFloat64())), max(-90, min(90, p.Y+r.NormFloat64()))}
}

// TestCitiesInRegions: boxes and polygons find the cities that plain code finds.
func TestCitiesInRegions(t *testing.T) {
	cities, x := readCities()(t)
	r := rand.New(rand.NewPCG(1, 2))
	for n := range testutil.Repeats(150, 20) {
		centre := randomPlace(r, cities)
		size := math.Exp(r.Float64()*7 - 4) // 0.02 to 20 degrees
		var predicate string
		var in func(p point) bool
		if n%2 == 0 {
			b := box{centre, point{centre.X + size, min(centre.Y+size/2, 90)}}
			east := b.max.X
			if east > 180 {
				east -= 360 // over the meridian of 180 degrees
			}
			predicate = fmt.Sprintf("within box %v %v %v %v", b.min.X, b.min.Y, east, b.max.Y)
			in = func(p point) bool {
				return p.Y >= b.min.Y && p.Y <= b.max.Y && (p.X >= b.min.X && p.X <= b.max.X || p.X+360 <= b.max.X)
			}
		} else {
			predicate, in = star(r, centre, min(size, 170-math.Abs(centre.X), 85-math.Abs(centre.Y)))
			if in == nil {
				continue
			}
		}
		owner := sdk.Owner(r.IntN(4))
		var want []int
		for i, c := range cities {
			if (owner == sdk.AllOwners || owner == c.owner) && in(c.at) {
				want = append(want, i)
			}
		}
		got := ask(t, x, sdk.Query{Predicate: []byte(predicate), Limit: 1 + r.IntN(5000), Owner: owner})
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("%s of owner %d finds %d cities, plain code %d", predicate, owner, len(got), len(want))
		}
	}
}

// star returns a polygon around a centre, and a function that says whether a point is in it.
func star(r *rand.Rand, centre point, size float64) (string, func(point) bool) {
	if size <= 0 {
		return "", nil
	}
	corners := make([]point, 3+r.IntN(40))
	text := "within POLYGON (("
	for i := range corners {
		angle := 2 * math.Pi * float64(i) / float64(len(corners))
		length := size * (0.2 + 0.8*r.Float64())
		corners[i] = point{centre.X + length*math.Cos(angle), centre.Y + length*math.Sin(angle)}
		text += fmt.Sprintf("%v %v, ", corners[i].X, corners[i].Y)
	}
	text += fmt.Sprintf("%v %v))", corners[0].X, corners[0].Y)
	return text, func(p point) bool {
		// The sum of the angles under which p sees the edges.
		sum := 0.0
		if math.Abs(p.X-centre.X) > size || math.Abs(p.Y-centre.Y) > size {
			return false
		}
		for i, a := range corners {
			b := corners[(i+1)%len(corners)]
			sum += math.Remainder(math.Atan2(b.Y-p.Y, b.X-p.X)-math.Atan2(a.Y-p.Y, a.X-p.X), 2*math.Pi)
		}
		return math.Abs(sum) > math.Pi
	}
}

// chordOf returns the distance in metres of two points from the chord between them.
func chordOf(a, b vector) float64 { return a.distanceTo(b) }

// TestCitiesByDistance: radius and nearest find the cities that plain code finds, in that order.
func TestCitiesByDistance(t *testing.T) {
	cities, x := readCities()(t)
	r := rand.New(rand.NewPCG(3, 4))
	for n := range testutil.Repeats(120, 20) {
		centre := randomPlace(r, cities)
		if n%10 == 9 { // a pole, or the meridian of 180 degrees
			centre = []point{{0, 90}, {0, -90}, {180, -17}, {-180, 65}}[r.IntN(4)]
		}
		owner := sdk.Owner(r.IntN(4))
		v := centre.vector()
		var distances []float64
		for _, c := range cities {
			if owner == sdk.AllOwners || owner == c.owner {
				distances = append(distances, chordOf(v, c.vector))
			}
		}
		predicate := fmt.Sprintf("nearest %v %v", centre.Y, centre.X)
		count := 1 + r.IntN(300)
		if n%2 == 0 {
			radius := math.Exp(r.Float64() * 14) // 1 m to 1200 km
			predicate = fmt.Sprintf("radius %v, %v %v m", centre.Y, centre.X, radius)
			distances = slices.DeleteFunc(distances, func(d float64) bool { return d > radius })
			count = len(distances)
		}
		slices.Sort(distances)
		q := sdk.Query{Predicate: []byte(predicate), Limit: 1 + r.IntN(1000), Owner: owner}
		var got []int
		if n%2 == 0 {
			got = ask(t, x, q)
		} else {
			q.Limit = count
			ids, _, err := sdktest.Page(x, q)
			testutil.Must(t, err)
			for _, id := range ids {
				got = append(got, numberOf(id))
			}
			distances = distances[:min(count, len(distances))]
		}
		if len(got) != len(distances) {
			t.Fatalf("%s of owner %d: %d cities, want %d", predicate, owner, len(got), len(distances))
		}
		for i, number := range got {
			// Cities at the same place have no order here, so distances are compared.
			if d := chordOf(v, cities[number].vector); math.Abs(d-distances[i]) > 0.2 {
				t.Fatalf("%s: city %d is at %v m, want %v m", predicate, i, d, distances[i])
			}
		}
	}
}

// TestNearestCitiesInPages: the pages of a nearest query have all cities in the order of distance.
func TestNearestCitiesInPages(t *testing.T) {
	cities, x := readCities()(t)
	for _, owner := range []sdk.Owner{sdk.AllOwners, 2, 3} {
		numbers := ask(t, x, sdk.Query{Predicate: []byte("nearest 48.85, 2.35"), Limit: 20_000, Owner: owner})
		want, last := 0, 0.0
		for _, c := range cities {
			if owner == sdk.AllOwners || owner == c.owner {
				want++
			}
		}
		for _, n := range numbers {
			d := distance(point{2.35, 48.85}, cities[n].at)
			if d < last {
				t.Fatalf("owner %d: a city at %v m comes behind one at %v m", owner, d, last)
			}
			last = d
		}
		if len(numbers) != want {
			t.Errorf("owner %d: the pages have %d cities, want %d", owner, len(numbers), want)
		}
	}
}

// TestCostFollowsTheAnswer: a search of few cities takes few steps, wherever its page begins.
func TestCostFollowsTheAnswer(t *testing.T) {
	cities, x := readCities()(t)
	var candidates []sdk.Identity
	for n := range 100 {
		candidates = append(candidates, sdktest.ID(n*1700))
	}
	slices.SortFunc(candidates, sdk.Identity.Compare)
	last := ask(t, x, sdk.Query{Predicate: []byte("nearest 48.85 2.35"), Limit: 1 << 20})
	middle := sdktest.ID(last[len(last)/2])
	for _, c := range []struct {
		name string
		q    sdk.Query
		most int // steps
	}{
		{"the ten nearest", sdk.Query{Predicate: []byte("nearest 48.85 2.35"), Limit: 10}, 2000},
		{"ten in the middle of all", sdk.Query{Predicate: []byte("nearest 48.85 2.35"), Limit: 10, After: []sdk.Identity{middle}}, len(cities) / 4},
		{"ten of a box of half the world", sdk.Query{Predicate: []byte("within box 0 -90 180 90"), Limit: 10}, 2000},
		{"a box of one city", sdk.Query{Predicate: []byte("within box 2.34 48.84 2.36 48.86"), Limit: 10}, 2000},
		{"candidates", sdk.Query{Predicate: []byte("nearest 48.85 2.35"), Limit: 10, Within: candidates}, 2 * len(candidates)},
		{"an owner of 171", sdk.Query{Predicate: []byte("nearest 48.85 2.35"), Limit: 10, Owner: 3}, 20 * 171},
		{"an owner of nothing", sdk.Query{Predicate: []byte("all"), Limit: 10, Owner: 9}, 10},
	} {
		p, err := parse(c.q.Predicate)
		testutil.Must(t, err)
		f := &finder{index: x, predicate: p, query: c.q, limit: c.q.Limit + 1, work: work{left: maxWork}}
		testutil.Must(t, f.find())
		if steps := maxWork - f.work.left; steps > c.most {
			t.Errorf("%s: %d steps, want at most %d", c.name, steps, c.most)
		}
	}
}
