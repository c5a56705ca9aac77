package main

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"motte/sdk"
	"motte/sdk/sdktest"
)

// clustered is an index of 100,000 vectors of 128 numbers, as peerVectors and peerDimensions say.
var clustered = sync.OnceValue(func() *sample {
	return newSample(randomVectors(rand.New(rand.NewPCG(1, 2)), peerVectors+peerQueries, peerDimensions, 1000))
})

// BenchmarkSearch measures whole searches: parsing, the ten nearest, and a page far down.
func BenchmarkSearch(b *testing.B) {
	s := clustered()
	predicates := make([][]byte, len(s.queries))
	for i, v := range s.queries {
		predicates[i] = fmt.Append(nil, "near ", array16(v))
	}
	first, _, err := sdktest.Page(s.index, sdk.Query{Predicate: predicates[0], Limit: 60_000})
	if err != nil {
		b.Fatal(err)
	}
	candidates := slices.SortedFunc(slices.Values(first[20_000:21_000]), sdk.Identity.Compare)
	for _, c := range []struct {
		name  string
		query sdk.Query
	}{
		{"ten nearest", sdk.Query{Limit: 10}},
		{"page far down", sdk.Query{Limit: 10, After: first[49_999:50_000]}},
		{"among 1000 candidates", sdk.Query{Limit: 10, Within: candidates}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for n := 0; b.Loop(); n++ {
				c.query.Predicate = predicates[0]
				if c.query.After == nil {
					c.query.Predicate = predicates[n%len(predicates)]
				}
				if found, _, err := sdktest.Page(s.index, c.query); err != nil || len(found) != 10 {
					b.Fatal(len(found), err)
				}
			}
		})
	}
}

// BenchmarkReplace measures a vector that takes the place of another: a removal and an insertion.
func BenchmarkReplace(b *testing.B) {
	s := clustered()
	for n := 0; b.Loop(); n++ {
		v := s.vectors[(n*7919+1)%len(s.vectors)]
		s.index.Apply([]sdk.Change{{Identity: sdktest.Version(n%len(s.vectors), n), Owner: 1, Input: float32Bytes(v)}})
	}
}

// BenchmarkRestore measures a start with all entries.
func BenchmarkRestore(b *testing.B) {
	s := clustered()
	var entries []sdk.Entry
	for v := range s.index.slots {
		e, _ := s.index.Entry(v)
		e.Data = slices.Clone(e.Data)
		entries = append(entries, e)
	}
	for b.Loop() {
		before := heapSize()
		x := configured(b, fmt.Sprintf(`{"dimensions":%d,"metric":"l2"}`, peerDimensions))
		for _, e := range entries {
			if !x.Restore(e) {
				b.Fatal("an entry is not restored")
			}
		}
		x.Restored()
		if x.waiting > 0 {
			b.Fatalf("%d vectors are not linked", x.waiting)
		}
		b.ReportMetric(float64(heapSize()-before)/float64(len(entries)), "bytes/object")
		runtime.KeepAlive(x)
	}
}

func heapSize() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
