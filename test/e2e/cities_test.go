package e2e

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"motte/client"
	"motte/internal/realdata"
	"motte/internal/testutil"
)

// city is an object of the collection, as plain code sees it.
type city struct {
	id            client.Identity
	Name, Country string
	Lat, Lng      float64
}

// radians turns degrees into radians.
const radians = math.Pi / 180

// from returns the distance to a place as an angle, by the formula of haversines.
func (c *city) from(lat, lng float64) float64 {
	a, b := math.Sin((c.Lat-lat)*radians/2), math.Sin((c.Lng-lng)*radians/2)
	return 2 * math.Asin(math.Sqrt(min(1, a*a+math.Cos(lat*radians)*math.Cos(c.Lat*radians)*b*b)))
}

// cities puts every eighth city of the world.
func cities(t *testing.T, c *client.Client) (list []city) {
	var some [][]byte
	for i, text := range realdata.Cities(t) {
		if i%8 == 0 {
			some = append(some, text)
		}
	}
	for group := range slices.Chunk(some, 1000) {
		var b client.Batch
		for _, text := range group {
			b.Put(text)
		}
		results, err := c.PutBatch(t.Context(), "c", &b)
		testutil.Must(t, err)
		for i, text := range group {
			var x city
			testutil.Must(t, json.Unmarshal(text, &x))
			x.id = results[i].Identity
			list = append(list, x)
		}
	}
	return list
}

// aboutCities draws a leaf.
func aboutCities(t *rapid.T) question[city] {
	switch rapid.SampledFrom([]string{"at", "by_lat", "facts", "parts"}).Draw(t, "index") {
	case "at":
		west, south := rapid.IntRange(-180, 170).Draw(t, "west"), rapid.IntRange(-90, 80).Draw(t, "south")
		east, north := rapid.IntRange(west+1, 180).Draw(t, "east"), rapid.IntRange(south+1, 90).Draw(t, "north")
		return question[city]{client.Leaf("at", fmt.Sprintf("within box %d %d %d %d", west, south, east, north)), func(c *city) bool {
			return c.Lng >= float64(west) && c.Lng <= float64(east) && c.Lat >= float64(south) && c.Lat <= float64(north)
		}}
	case "by_lat":
		south := rapid.IntRange(-60, 70).Draw(t, "from")
		north := south + rapid.IntRange(0, 60).Draw(t, "degrees")
		return question[city]{client.Leaf("by_lat", fmt.Sprintf(">= %d and < %d", south, north)), func(c *city) bool {
			return c.Lat >= float64(south) && c.Lat < float64(north)
		}}
	case "facts":
		country := rapid.SampledFrom([]string{"FR", "US", "IN", "CH", "NZ", "BR", "XX"}).Draw(t, "country")
		if rapid.Bool().Draw(t, "not") {
			return question[city]{client.Leaf("facts", fmt.Sprintf("country != %q", country)), func(c *city) bool { return c.Country != country }}
		}
		return question[city]{client.Leaf("facts", fmt.Sprintf("country = %q", country)), func(c *city) bool { return c.Country == country }}
	}
	part := rapid.SampledFrom([]string{"an", "ville", "San", "ü", "berg", "o", "qx"}).Draw(t, "part")
	return question[city]{client.Leaf("parts", fmt.Sprintf("%q", part)), func(c *city) bool { return strings.Contains(c.Name, part) }}
}

// TestExpressionsOnRealCities: random expressions over four Tasks find what plain code finds among
// 21,000 cities, and the nearest of them come first.
func TestExpressionsOnRealCities(t *testing.T) {
	s := serve(t, t.TempDir())
	c, ctx := s.admin(), t.Context()
	testutil.Must(t, c.CreateCollection(ctx, "c"))
	for name, x := range map[string]client.Index{
		"at":     {Task: "geo", Ordered: true, Config: []byte(`{"lat":"/lat","lng":"/lng"}`)},
		"by_lat": {Task: "ordered", Config: []byte(`{"path":"/lat","type":"float64"}`)},
		"facts":  {Task: "filter", Config: []byte(`{"fields":["/country"]}`)},
		"parts":  {Task: "trigram", Config: []byte(`{"path":"/name"}`)},
	} {
		testutil.Must(t, c.CreateIndex(ctx, "c", name, x))
		testutil.Eventually(t, name, serving(c, "c", name))
	}
	all := cities(t, c)
	byID := make(map[client.Identity]*city)
	for i := range all {
		byID[all[i].id] = &all[i]
	}
	rapid.Check(t, func(t *rapid.T) {
		x := draw(t, 2, aboutCities)
		var want []client.Identity
		for i := range all {
			if x.finds(&all[i]) {
				want = append(want, all[i].id)
			}
		}
		slices.SortFunc(want, byIdentity)
		q := client.Query{Collection: "c", Where: x.Expression}
		got := collected(t, q, c.SearchIdentities(ctx, q))
		slices.SortFunc(got, byIdentity)
		if !slices.Equal(got, want) {
			t.Fatalf("%v finds %d cities; want %d", q.Where, len(got), len(want))
		}
		lat, lng := rapid.IntRange(-90, 90).Draw(t, "lat"), rapid.IntRange(-180, 180).Draw(t, "lng")
		q.Where = client.And(client.Leaf("at", fmt.Sprintf("nearest %d %d", lat, lng)), x.Expression)
		q.OrderBy, q.Limit = "at", 10
		var near []float64
		for _, id := range want {
			near = append(near, byID[id].from(float64(lat), float64(lng)))
		}
		slices.Sort(near)
		near = near[:min(len(near), 10)]
		var shown []float64
		for _, id := range collected(t, q, c.SearchIdentities(ctx, q)) {
			shown = append(shown, byID[id].from(float64(lat), float64(lng)))
		}
		same := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 } // some millimetres
		if !slices.EqualFunc(shown, near, same) {
			t.Fatalf("%v: the ten nearest are at %v; want %v", q.Where, shown, near)
		}
	})
}
