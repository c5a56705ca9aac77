package mapping

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"motte/core/frame"
	"motte/core/identity"
	"motte/core/log"
)

// entry makes an entry that keeps to its limits. Few values, in few shards, make
// runs long.
func entry(r *rand.Rand, few bool) (e Entry) {
	for i := 0; i < len(e.ID); i += 8 {
		binary.BigEndian.PutUint64(e.ID[i:], r.Uint64())
	}
	if few {
		copy(e.ID[:identity.ValueSize], make([]byte, identity.ValueSize))
		e.ID[0], e.ID[1], e.ID[5] = byte(r.IntN(2)), byte(r.IntN(4)*85), byte(r.IntN(200))
	}
	e.LSN = r.Uint64()
	e.Loc = log.Location{Segment: r.Uint32N(Limit), Offset: r.Uint32N(Limit) * 8, Length: (1 + r.Uint32N(Limit-1)) * 8}
	e.Collection, e.Owner = r.Uint32N(Limit), r.Uint32N(Limit)
	return e
}

func length(m *Map) int { n, _ := m.Size(); return n }

func size(m *Map) int64 { _, n := m.Size(); return n }

// kept is what a Map returns of e.
func kept(e Entry) Entry {
	e.LSN &= 0xffffff
	return e
}

// check verifies that all runs are in order, and that none has more room than it may.
func check(t *testing.T, m *Map) {
	t.Helper()
	for k, run := range m.runs {
		for i := range run {
			if run[i].free() || i > 0 && bytes.Compare(run[i-1].value(), run[i].value()) >= 0 {
				t.Fatalf("run %d: entry %d has no length, or is not in order", k, i)
			}
			if at, j, ok := m.find(identity.Value(append([]byte{byte(k / runs)}, run[i].value()...))); !ok || at != &m.runs[k] || j != i {
				t.Fatalf("run %d: entry %d is not found where it is", k, i)
			}
		}
		if room(len(run))*4 < cap(run)*3 {
			t.Fatalf("run %d: %d entries in %d places", k, len(run), cap(run))
		}
	}
}

// TestMapAgreesWithGoMap drives a Map and a Go map through the same random
// history and compares every answer.
func TestMapAgreesWithGoMap(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 0))
		m, model := &Map{}, map[identity.Value]Entry{}
		var values []identity.Value
		for step := range 20_000 {
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
			// Histories grow for a while, and then shrink to nothing.
			if r.IntN(20_000) > step {
				m.Put(e)
				model[v] = kept(e)
				if got, ok := m.Get(v); got != model[v] || !ok {
					t.Fatalf("seed %d: Get after Put: %v %v, want %v", seed, got, ok, model[v])
				}
				values = append(values, v)
			} else {
				if old, ok := m.Delete(v); ok != there || old != want {
					t.Fatalf("seed %d: Delete returned %v %v, want %v %v", seed, old, ok, want, there)
				}
				delete(model, v)
			}
			if step%2500 == 0 {
				compare(t, m, model)
			}
		}
		compare(t, m, model)
		for v := range model {
			m.Delete(v)
		}
		compare(t, m, nil)
	}
}

// compare verifies that m holds what model does, and that a Map that is filled
// with its shards does so as well.
func compare(t *testing.T, m *Map, model map[identity.Value]Entry) {
	t.Helper()
	loaded := &Map{}
	for i := range Shards {
		if err := loaded.LoadShard(i, m.AppendShard(nil, i)); err != nil {
			t.Fatalf("shard %d: %v", i, err)
		}
	}
	for _, m := range []*Map{m, loaded} {
		check(t, m)
		n := 0
		for i := range Shards {
			for e := range m.Shard(i) {
				if n++; model[e.ID.Value()] != e || int(e.ID[0]) != i {
					t.Fatalf("shard %d yields %v, want %v", i, e, model[e.ID.Value()])
				}
			}
		}
		if n != len(model) || length(m) != n {
			t.Fatalf("shards yield %d entries, the Map has %d, want %d", n, length(m), len(model))
		}
	}
}

func TestShardStopsWhenItsCallerDoes(t *testing.T) {
	m := &Map{}
	for i := range byte(9) {
		m.Put(Entry{ID: identity.ID{5, i}, Loc: log.Location{Length: 8}})
	}
	n := 0
	for range m.Shard(5) {
		if n++; n == 4 {
			break
		}
	}
	if n != 4 {
		t.Errorf("%d entries after a break at the fourth", n)
	}
}

// TestRunsAreNearlyFull holds a Map to what it promises of its size, while it
// grows and after it shrank: with 61 to 92 entries in a run, as with a million and more.
func TestRunsAreNearlyFull(t *testing.T) {
	const shards, least, most = 16, 1_000_000 / 16, 1_500_000 / 16
	r, m := rand.New(rand.NewPCG(1, 1)), &Map{}
	var values []identity.Value
	for n := 1; n <= most; n++ {
		e := entry(r, false)
		e.ID[0] %= shards
		m.Put(e)
		values = append(values, e.ID.Value())
		if n >= least && n%500 == 0 && size(m) >= int64(n)*55 {
			t.Fatalf("%d bytes for %d entries: more than 55 for each", size(m), n)
		}
	}
	loaded := &Map{}
	for i := range Shards {
		if err := loaded.LoadShard(i, m.AppendShard(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	if size(loaded) >= int64(length(loaded))*57 {
		t.Errorf("%d bytes for %d entries that were loaded: more than 57 for each", size(loaded), length(loaded))
	}
	for n := len(values) - 1; n >= 0; n-- {
		m.Delete(values[n])
		if n >= least && n%500 == 0 && size(m) >= int64(n)*67 {
			t.Fatalf("%d bytes for %d entries that are left: more than 67 for each", size(m), n)
		}
	}
	if length(m) != 0 || size(m) > shards*runs*packedSize {
		t.Errorf("empty, but %d entries in %d bytes", length(m), size(m))
	}
}

func TestLimits(t *testing.T) {
	most := Entry{
		ID:         identity.ID{1, 2, 3},
		LSN:        1<<64 - 1,
		Loc:        log.Location{Segment: Limit - 1, Offset: 8 * (Limit - 1), Length: 8 * (Limit - 1)},
		Collection: Limit - 1,
		Owner:      Limit - 1,
	}
	m := &Map{}
	m.Put(most)
	if got, ok := m.Get(most.ID.Value()); !ok || got != kept(most) {
		t.Errorf("got %v %v, want %v", got, ok, kept(most))
	}
	for name, set := range map[string]func(*Entry){
		"segment":                      func(e *Entry) { e.Loc.Segment++ },
		"offset":                       func(e *Entry) { e.Loc.Offset += 8 },
		"offset, no multiple of eight": func(e *Entry) { e.Loc.Offset-- },
		"length":                       func(e *Entry) { e.Loc.Length += 8 },
		"length, no multiple of eight": func(e *Entry) { e.Loc.Length-- },
		"length, none":                 func(e *Entry) { e.Loc.Length = 0 },
		"collection":                   func(e *Entry) { e.Collection++ },
		"owner":                        func(e *Entry) { e.Owner++ },
	} {
		t.Run(name, func(t *testing.T) {
			over, m := most, &Map{}
			set(&over)
			defer func() {
				if recover() == nil || length(m) != 0 {
					t.Errorf("%v is taken", over)
				}
			}()
			m.Put(over)
		})
	}
}

func TestWroteComparesTheLowBits(t *testing.T) {
	const lsn = 0x1234_5678_9abc_def0
	for _, e := range []Entry{{LSN: lsn}, kept(Entry{LSN: lsn})} {
		for other, want := range map[uint64]bool{
			lsn: true, lsn + Limit: true, lsn - 1<<40: true,
			lsn + 1: false, lsn ^ (Limit / 2): false, 0: false,
		} {
			if e.Wrote(other) != want {
				t.Errorf("LSN %x wrote %x: %v", e.LSN, other, !want)
			}
		}
	}
}

// golden is shard 0xa0 of a checkpoint, with two entries. It is a stored format:
// it does not change without a new version of checkpoints.
var golden = strings.Join([]string{
	"0102030405060708090a0b0c0d0e0f", "101112131415161718191a1b1c1d1e1f", "abcdef", "000007", "000002", "00000f", "000003", "000105",
	"f1f2f3f4f5f6f7f8f9fafbfcfdfeff", "e0e1e2e3e4e5e6e7e8e9eaebecedeeef", "000001", "fffffe", "fffffd", "fffffc", "fffffb", "fffffa",
}, "")

func goldenEntries() []Entry {
	a := Entry{LSN: 0xffff_ffff_ffab_cdef, Loc: log.Location{Segment: 7, Offset: 16, Length: 120}, Collection: 3, Owner: 0x105}
	b := Entry{LSN: 1, Loc: log.Location{Segment: 0xfffffe, Offset: 0x7ffffe8, Length: 0x7ffffe0}, Collection: 0xfffffb, Owner: 0xfffffa}
	a.ID[0], b.ID[0] = 0xa0, 0xa0
	for i := 1; i < identity.Size; i++ {
		a.ID[i] = byte(i)
		b.ID[i] = byte(0xf0 + i)
		if i >= identity.ValueSize {
			b.ID[i] -= 0x20
		}
	}
	return []Entry{a, b}
}

func TestGoldenShard(t *testing.T) {
	m := &Map{}
	for _, e := range goldenEntries() {
		m.Put(e)
	}
	before := []byte("what is there stays")
	if got := m.AppendShard(before, 0xa0); hex.EncodeToString(bytes.TrimPrefix(got, before)) != golden {
		t.Errorf("got  %x\nwant %x%s", got, before, golden)
	}
	b, err := hex.DecodeString(golden)
	if err != nil {
		t.Fatal(err)
	}
	m = &Map{}
	if err := m.LoadShard(0xa0, b); err != nil || length(m) != 2 {
		t.Fatalf("%v, %d entries", err, length(m))
	}
	for _, e := range goldenEntries() {
		if got, ok := m.Get(e.ID.Value()); !ok || got != kept(e) {
			t.Errorf("got %v %v, want %v", got, ok, kept(e))
		}
	}
}

func TestMalformedShardStaysEmpty(t *testing.T) {
	b, err := hex.DecodeString(golden)
	if err != nil {
		t.Fatal(err)
	}
	noLength := bytes.Clone(b)
	copy(noLength[packedSize+40:], []byte{0, 0, 0})
	twice := append(bytes.Clone(b), b[:packedSize]...)
	twice[2*packedSize+20] ^= 1 // the tag: another content of the same object
	for name, b := range map[string][]byte{
		"a byte is missing": b[:2*packedSize-1],
		"a byte too many":   append(bytes.Clone(b), 1),
		"one byte":          b[:1],
		"no length":         noLength,
		"all zeros":         make([]byte, packedSize),
		"a value twice":     twice,
	} {
		m := &Map{}
		if err := m.LoadShard(0xa0, b); !errors.Is(err, frame.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
		if length(m) != 0 || size(m) != 0 || len(m.AppendShard(nil, 0xa0)) != 0 {
			t.Errorf("%s: %d entries", name, length(m))
		}
	}
}

// FuzzLoadShard: what is loaded is what was there, in some order, or nothing.
func FuzzLoadShard(f *testing.F) {
	b, err := hex.DecodeString(golden)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(append(bytes.Clone(b), b...))
	f.Add(make([]byte, packedSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &Map{}
		err := m.LoadShard(1, b)
		check(t, m)
		got := m.AppendShard(nil, 1)
		switch {
		case err != nil && (length(m) != 0 || len(got) != 0):
			t.Fatalf("%v, but %d entries", err, length(m))
		case err == nil && !slices.Equal(sorted(got), sorted(b)):
			t.Fatalf("loaded %x, holds %x", b, got)
		}
	})
}

func sorted(b []byte) (list []string) {
	for p := range slices.Chunk(b, packedSize) {
		list = append(list, string(p))
	}
	slices.Sort(list)
	return list
}

// BenchmarkOperations times each operation among a million objects, in random
// order. PutNew has the map grow by half, so its runs grow as often as in life.
func BenchmarkOperations(b *testing.B) {
	const n = 1_000_000
	r := rand.New(rand.NewPCG(1, 1))
	there, more := make([]Entry, n), make([]Entry, n/2)
	for i := range there {
		there[i] = entry(r, false)
	}
	for i := range more {
		more[i] = entry(r, false)
	}
	fill := func() *Map {
		m := &Map{}
		for _, e := range there {
			m.Put(e)
		}
		return m
	}
	each := func(name string, list []Entry, do func(*Map, Entry)) {
		b.Run(name, func(b *testing.B) {
			m := fill()
			r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			b.ResetTimer()
			for i := range b.N {
				if i > 0 && i%len(list) == 0 {
					b.StopTimer()
					m = fill()
					b.StartTimer()
				}
				do(m, list[i%len(list)])
			}
		})
	}
	each("Get", there, func(m *Map, e Entry) { m.Get(e.ID.Value()) })
	each("GetAbsent", more, func(m *Map, e Entry) { m.Get(e.ID.Value()) })
	each("Put", there, func(m *Map, e Entry) { m.Put(e) })
	each("PutNew", more, func(m *Map, e Entry) { m.Put(e) })
	each("Delete", there, func(m *Map, e Entry) { m.Delete(e.ID.Value()) })
}

// BenchmarkMemory reports the bytes of heap, and those of runs, that an object
// takes.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{1_000_000, 10_000_000} {
		b.Run(map[int]string{1_000_000: "1M", 10_000_000: "10M"}[n], func(b *testing.B) {
			for b.Loop() {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				r, m, sum, samples := rand.New(rand.NewPCG(1, 1)), &Map{}, 0.0, 0
				for i := range n {
					m.Put(entry(r, false))
					if i > n/2 && i%(n/1000) == 0 {
						sum += float64(size(m)) / float64(length(m))
						samples++
					}
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "heap-B/object")
				b.ReportMetric(float64(size(m))/float64(n), "B/object")
				b.ReportMetric(sum/float64(samples), "mean-B/object") // from n/2 to n
				runtime.KeepAlive(m)
			}
		})
	}
}
