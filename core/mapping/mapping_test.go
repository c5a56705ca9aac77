package mapping

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"testing"

	"motte/core/identity"
	"motte/core/log"
)

func entry(r *rand.Rand, small bool) (e Entry) {
	for i := 0; i < len(e.ID); i += 8 {
		binary.BigEndian.PutUint64(e.ID[i:], r.Uint64())
	}
	if small {
		// Few values, in few shards, so that searches collide and wrap.
		e.ID = identity.ID{0: byte(r.IntN(2)), 1: byte(r.IntN(4) * 85), 5: byte(r.IntN(200))}
	}
	e.LSN = r.Uint64() % (1 << LSNBits)
	e.Loc = log.Location{Segment: r.Uint32N(Limit), Offset: r.Uint32N(Limit) * 8, Length: (1 + r.Uint32N(Limit-1)) * 8}
	e.Collection, e.Owner = r.Uint32N(Limit), r.Uint32N(Limit)
	return e
}

// TestMapAgreesWithGoMap drives a Map and a Go map through the same random
// history and compares every answer.
func TestMapAgreesWithGoMap(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 0))
		m, model := &Map{}, map[identity.Value]Entry{}
		var values []identity.Value
		for range 40_000 {
			e := entry(r, seed%2 == 0)
			v := e.ID.Value()
			if r.IntN(3) > 0 && len(values) > 0 {
				v = values[r.IntN(len(values))]
				copy(e.ID[:], v[:])
			}
			want, there := model[v]
			got, ok := m.Get(v)
			if got != want || ok != there {
				t.Fatalf("seed %d: Get: %v %v, want %v %v", seed, got, ok, want, there)
			}
			if r.IntN(2) == 0 {
				if old, replaced := m.Put(e); replaced != there || old != want {
					t.Fatalf("seed %d: Put returned %v %v", seed, old, replaced)
				}
				model[v] = e
				values = append(values, v)
			} else {
				if old, ok := m.Delete(v); ok != there || old != want {
					t.Fatalf("seed %d: Delete returned %v %v", seed, old, ok)
				}
				delete(model, v)
			}
			if m.Len() != len(model) {
				t.Fatalf("seed %d: %d entries, want %d", seed, m.Len(), len(model))
			}
		}
		n := 0
		for i := range Shards {
			for e := range m.Shard(i) {
				n++
				if model[e.ID.Value()] != e || int(e.ID[0]) != i {
					t.Fatalf("seed %d: shard %d yields a wrong entry", seed, i)
				}
			}
		}
		if n != len(model) {
			t.Fatalf("seed %d: shards yield %d entries, want %d", seed, n, len(model))
		}
	}
}

// BenchmarkMemory reports the bytes of heap that an object takes.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{1_000_000, 10_000_000} {
		b.Run(map[int]string{1_000_000: "1M", 10_000_000: "10M"}[n], func(b *testing.B) {
			for b.Loop() {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				r, m := rand.New(rand.NewPCG(1, 1)), &Map{}
				for range n {
					m.Put(entry(r, false))
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/object")
				runtime.KeepAlive(m)
			}
		})
	}
}
