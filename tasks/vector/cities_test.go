package main

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"motte/internal/realdata"
	"motte/internal/testutil"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// TestCitiesAgreeWithPlainCode: on cities of the world as points of a ball, a walk finds nearly all of the
// nearest, and a bound finds exactly the cities within it.
func TestCitiesAgreeWithPlainCode(t *testing.T) {
	if testing.Short() {
		t.Skip("this test links many vectors")
	}
	const count, asked = 4000, 200
	cities := realdata.Cities(t)
	r := rand.New(rand.NewPCG(1, 2))
	x := configured(t, `{"path":"","dimensions":3,"metric":"l2","m":8,"ef_construction":32}`)
	x.exactBelow = count / 2
	var points [][]float32
	for n := range count {
		v := ball(t, cities[r.IntN(len(cities))])
		points = append(points, v)
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: 1, Input: []byte(array16(v))}})
	}
	if x.waiting > 0 {
		t.Fatalf("%d vectors are not linked", x.waiting)
	}
	hits := 0
	for range asked {
		to := ball(t, cities[r.IntN(len(cities))])
		far := make([]float64, count)
		for n, v := range points {
			far[n] = math.Sqrt(float64(plainSquaredL2(to, v)))
		}
		ranks := slices.Sorted(slices.Values(far))
		found, _, err := sdktest.Page(x, sdk.Query{Predicate: fmt.Append(nil, "near ", array16(to)), Limit: 10})
		testutil.Must(t, err)
		for _, id := range found {
			if far[x.slots[id.Value()]] <= ranks[9]+1e-6 {
				hits++
			}
		}
		bound := (ranks[30] + ranks[31]) / 2
		want := 0
		for _, d := range far {
			if d <= bound {
				want++
			}
		}
		p := fmt.Sprintf("near %s within %v", array16(to), bound)
		all, more, err := sdktest.Page(x, sdk.Query{Predicate: []byte(p), Limit: count})
		if err != nil || more || len(all) != want && ranks[31]-ranks[30] > 1e-5 {
			t.Errorf("%s finds %d cities (%v), want %d", p, len(all), err, want)
		}
	}
	if hits < asked*10*95/100 {
		t.Errorf("walks find %d of the %d nearest cities, want 95 in 100", hits, asked*10)
	}
}

// ball returns the place of a city on a ball.
func ball(t *testing.T, object []byte) []float32 {
	t.Helper()
	var c realdata.City
	testutil.Must(t, json.Unmarshal(object, &c))
	lat, err := c.Lat.Float64()
	testutil.Must(t, err)
	lng, err := c.Lng.Float64()
	testutil.Must(t, err)
	lat, lng = lat*math.Pi/180, lng*math.Pi/180
	return []float32{float32(math.Cos(lat) * math.Cos(lng)), float32(math.Cos(lat) * math.Sin(lng)), float32(math.Sin(lat))}
}
