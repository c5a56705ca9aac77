package main

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"motte/sdk"
	"motte/sdk/sdktest"
)

// measured has a measurement of each of some sensors, every ten seconds.
func measured(b *testing.B, count, sensorCount int) *index {
	x := configured(b, sensors)
	for n := range count {
		x.Apply([]sdk.Change{measurement(n, sensorCount)})
	}
	return x
}

func measurement(n, sensorCount int) sdk.Change {
	return sdk.Change{Identity: sdktest.ID(n), Owner: sdk.Owner(1 + n%7%2),
		Input: fmt.Appendf(nil, `{"t":%d,"s":"sensor-%d","v":%.1f}`, 1_700_000_000+n/sensorCount*10, n%sensorCount, 20+float64(n*7919%100)/10)}
}

func BenchmarkInsert(b *testing.B) {
	x := configured(b, sensors)
	for n := 0; b.Loop(); n++ {
		x.Apply([]sdk.Change{measurement(n, 100)})
	}
}

func BenchmarkSearch(b *testing.B) {
	const count = 1_000_000
	x := measured(b, count, 100)
	var candidates []sdk.Identity
	for n := range 1000 {
		candidates = append(candidates, sdktest.ID(n*997))
	}
	slices.SortFunc(candidates, sdk.Identity.Compare)
	for _, c := range []struct {
		name, predicate string
		limit           int
		within          []sdk.Identity
	}{
		{"ten of a range", `series = "sensor-7" and from 1700050000`, 10, nil},
		{"the newest ten of a series", `series = "sensor-7" order desc`, 10, nil},
		{"the newest of each series", "last 1", 1000, nil},
		{"a day by the hour, last", `series = "sensor-7" and from 1700000000 to 1700086400 every 1h last`, 100, nil},
		{"a day by the hour, max", `series = "sensor-7" and from 1700000000 to 1700086400 every 1h max`, 100, nil},
		{"count of a range of all series", "from 1700010000 to 1700020000", 1 << 20, nil},
		{"1000 candidates", "from 1700050000", 10, candidates},
	} {
		b.Run(c.name, func(b *testing.B) {
			found := 0
			for b.Loop() {
				ids, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(c.predicate), Limit: c.limit, Within: c.within})
				if err != nil {
					b.Fatal(err)
				}
				found = len(ids)
			}
			b.ReportMetric(float64(found), "objects")
		})
	}
}

// BenchmarkMemory measures the memory of an object.
func BenchmarkMemory(b *testing.B) {
	const count = 1_000_000
	for _, sensorCount := range []int{100, 10_000, count / 10} {
		b.Run(fmt.Sprintf("series=%d", sensorCount), func(b *testing.B) {
			for b.Loop() {
				before := heapSize()
				x := measured(b, count, sensorCount)
				b.ReportMetric((heapSize()-before)/count, "bytes/object")
				runtime.KeepAlive(x)
			}
		})
	}
}

// BenchmarkRestore measures a start with the entries of a million objects.
func BenchmarkRestore(b *testing.B) {
	x := measured(b, 1_000_000, 100)
	var entries []sdk.Entry
	for n := range 1_000_000 {
		e, _ := x.Entry(sdktest.ID(n).Value())
		entries = append(entries, e)
	}
	for b.Loop() {
		x := configured(b, sensors)
		for _, e := range entries {
			x.Restore(e)
		}
		x.Restored()
	}
}

func heapSize() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}
