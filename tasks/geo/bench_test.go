package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"motte/internal/realdata"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// BenchmarkInsert measures an insertion into an index of all cities.
func BenchmarkInsert(b *testing.B) {
	cities := realdata.Cities(b)
	x := configured(b, `{"lat":"/lat","lng":"/lng"}`)
	for n := 0; b.Loop(); n++ {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n % len(cities)), Owner: 1, Input: cities[n%len(cities)]}})
	}
}

func BenchmarkSearch(b *testing.B) {
	_, x := readCities()(b)
	var candidates []sdk.Identity
	for n := range 1000 {
		candidates = append(candidates, sdktest.ID(n*171))
	}
	slices.SortFunc(candidates, sdk.Identity.Compare)
	star, _ := star(rand.New(rand.NewPCG(1, 1)), point{10, 48}, 3)
	for _, c := range []struct {
		name string
		q    sdk.Query
	}{
		{"nearest 10", sdk.Query{Predicate: []byte("nearest 48.85 2.35"), Limit: 10}},
		{"nearest 10 of an owner of 171", sdk.Query{Predicate: []byte("nearest 48.85 2.35"), Limit: 10, Owner: 3}},
		{"nearest 10 of an owner of 17100", sdk.Query{Predicate: []byte("nearest 48.85 2.35"), Limit: 10, Owner: 2}},
		{"nearest 10 of 1000 candidates", sdk.Query{Predicate: []byte("nearest 48.85 2.35"), Limit: 10, Within: candidates}},
		{"radius 10 km", sdk.Query{Predicate: []byte("radius 48.85 2.35 10km"), Limit: 1000}},
		{"box, 10 of many", sdk.Query{Predicate: []byte("within box 5.9 45.8 10.5 47.8"), Limit: 10}},
		{"box, all", sdk.Query{Predicate: []byte("within box 5.9 45.8 10.5 47.8"), Limit: 100_000}},
		{"polygon, all", sdk.Query{Predicate: []byte(star), Limit: 100_000}},
	} {
		b.Run(c.name, func(b *testing.B) {
			found := 0
			for b.Loop() {
				ids, _, err := sdktest.Page(x, c.q)
				if err != nil {
					b.Fatal(err)
				}
				found = len(ids)
			}
			b.ReportMetric(float64(found), "objects")
		})
	}
}

// BenchmarkPolygons measures an index of 20,000 polygons of 20 vertices.
func BenchmarkPolygons(b *testing.B) {
	x := configured(b, "")
	r := rand.New(rand.NewPCG(9, 9))
	for n := range 20_000 {
		text, _ := star(r, point{r.Float64()*340 - 170, r.Float64()*160 - 80}, 0.5)
		p, err := parse([]byte(text))
		if err != nil {
			b.Fatal(err)
		}
		input, err := p.region.geometry.MarshalJSON()
		if err != nil {
			b.Fatal(err)
		}
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: 1, Input: input}})
	}
	for _, predicate := range []string{"intersects point (10 48)", "intersects box 5.9 45.8 10.5 47.8", "nearest 48.85 2.35", "within box 0 40 20 60"} {
		b.Run(predicate, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(predicate), Limit: 10}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkComb measures the check of the worst polygon: a comb, whose teeth are as long as it is wide.
func BenchmarkComb(b *testing.B) {
	var ring strings.Builder
	for i := range (maxVertices - 4) / 2 {
		fmt.Fprintf(&ring, "[%v,%v],[%v,%v],", -80, float64(i)*0.01, 80, float64(i)*0.01+0.005)
	}
	input := []byte(`{"type":"Polygon","coordinates":[[` + ring.String() + `[100,50],[100,-1],[-80,-1],[-80,0]]]}`)
	x := configured(b, "")
	for b.Loop() {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(1), Owner: 1, Input: input}})
		if len(x.objects.byValue) != 1 {
			b.Fatal("the polygon is refused")
		}
	}
}

// BenchmarkRestore measures a start with the entries of all cities, and their memory.
func BenchmarkRestore(b *testing.B) {
	_, x := readCities()(b)
	var entries []sdk.Entry
	for v := range x.objects.byValue {
		e, _ := x.Entry(v)
		entries = append(entries, e)
	}
	before := heapSize()
	for b.Loop() {
		x := configured(b, "")
		for _, e := range entries {
			x.Restore(e)
		}
		x.Restored()
		b.StopTimer()
		b.ReportMetric(float64(heapSize()-before)/float64(len(entries)), "bytes/object")
		runtime.KeepAlive(x)
		b.StartTimer()
	}
	b.ReportMetric(float64(len(entries)), "objects")
}

func heapSize() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
