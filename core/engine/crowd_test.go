package engine

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"motte/core/model"
	"motte/core/wire"
)

// fill makes collections until there are the given number.
func (w *world) fill(collections int) {
	w.t.Helper()
	for i := len(w.e.collections) - 1; i < collections; i++ {
		group := creation{name: fmt.Sprintf("c%d", i), creator: admin, rights: model.RightsAll}.record(w.e.lastCollection + 1)
		w.e.append(nil, group)
		w.take()
		w.commit(len(w.pending))
	}
}

func TestTheNumberOfCollectionsIsBounded(t *testing.T) {
	w := newWorld(t, 1)
	w.fill(MaxCollections - 1)
	w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: "last"}, model.OK)
	w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: "over"}, model.LimitReached)
	w.must(admin, wire.Request{Op: model.OpDropCollection, Collection: "c1"}, model.OK)
	w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: "again"}, model.OK)
}

// TestAllIndexesAreKnownByTheirCollections: the list that a tick visits has exactly the
// collections' indexes, whatever was made and dropped, and also after a start.
func TestAllIndexesAreKnownByTheirCollections(t *testing.T) {
	w := newWorld(t, 1)
	w.register("a", "x", 0)
	for _, name := range []string{"b", "c"} {
		w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: name}, model.OK)
		for _, index := range []string{"x", "y"} {
			w.must(admin, wire.Request{Op: model.OpCreateIndex, Collection: name, Index: index,
				Name: []byte("fake")}, model.OK)
		}
	}
	w.must(admin, wire.Request{Op: model.OpDropIndex, Collection: "b", Index: "x"}, model.OK)
	w.must(admin, wire.Request{Op: model.OpDropCollection, Collection: "c"}, model.OK)
	for range 2 {
		var names []string
		for _, x := range w.e.indexes {
			names = append(names, x.c.name+"."+x.name)
		}
		if got := fmt.Sprint(names); got != "[a.x b.y]" {
			t.Errorf("the engine knows the indexes %s, want [a.x b.y]", got)
		}
		w.boot()
	}
}

// BenchmarkBesideCollections measures a PUT, a GET and a tick in a store with other collections.
// These must not add any cost.
func BenchmarkBesideCollections(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newWorld(b, 1)
			w.fill(n)
			for i := 0; b.Loop(); i++ {
				w.ask(admin, put("c0", fmt.Sprint("o", i%100), "an object"))
				w.commit(len(w.pending))
				w.ask(admin, get("c0", "o0"))
				w.now = w.now.Add(time.Millisecond)
				w.e.Tick(w.now)
				w.answers = nil
			}
		})
	}
}

// BenchmarkCollectionMemory measures the memory of the engine for a collection without objects.
func BenchmarkCollectionMemory(b *testing.B) {
	const n = 10_000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for b.Loop() {
		w := newWorld(b, 1)
		before := heap()
		w.fill(n)
		w.disk, w.places, w.history, w.pending = nil, nil, nil, nil
		b.ReportMetric(float64(heap()-before)/n, "B/collection")
		runtime.KeepAlive(w)
	}
}
