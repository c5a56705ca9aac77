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

	"motte/core/codec"
	"motte/core/identity"
	"motte/core/seglog"
)

// collection is the collection of the Maps.
const collection = 3

// entry makes a valid entry. If few is set, it chooses from few values in few ranges, so that
// some runs are long and others are empty.
func entry(r *rand.Rand, few bool) (e Entry) {
	for i := 0; i < len(e.ID); i += 8 {
		binary.BigEndian.PutUint64(e.ID[i:], r.Uint64())
	}
	if few {
		copy(e.ID[:identity.ValueSize], make([]byte, identity.ValueSize))
		e.ID[0], e.ID[1], e.ID[5] = byte(r.IntN(2)), byte(r.IntN(4)*85), byte(1+r.IntN(200))
	}
	e.LSN = r.Uint64()
	e.Loc = seglog.Location{Segment: r.Uint32N(Limit), Offset: r.Uint32N(Limit) * 8, Length: (1 + r.Uint32N(Limit-1)) * 8}
	e.Collection, e.Owner = collection, r.Uint32N(Limit)
	return e
}

// kept returns the part of an entry that a Map stores.
func kept(e Entry) Entry {
	e.LSN &= 0xffffff
	return e
}

// check checks that all entries are in order, and each in the right run. No run may have more
// capacity than allowed, and the number of runs must match the number of entries.
func check(t testing.TB, m *Map) {
	t.Helper()
	if m.entries == 0 {
		if m.low != nil || m.high != nil || m.Bytes() != 0 {
			t.Fatalf("an empty Map takes %d bytes", m.Bytes())
		}
		return
	}
	if len(m.low) != 1<<m.depth || len(m.high) != 2<<m.depth || m.split >= len(m.low) {
		t.Fatalf("%d and %d runs at depth %d, %d divided", len(m.low), len(m.high), m.depth, m.split)
	}
	runs, n, bytes := len(m.low)+m.split, 0, int64(0)
	if m.entries > perRun*runs || m.entries < perRun/2*(runs-1)-1 {
		t.Fatalf("%d entries in %d runs", m.entries, runs)
	}
	var before packed
	for k, run := range slices.Concat(m.high[:2*m.split], m.low[m.split:]) {
		for i := range run {
			if first, second := halves(run[i][:]); run[i].free() || !before.before(first, second) {
				t.Fatalf("run %d: entry %d has length 0, or is out of order", k, i)
			}
			before = run[i]
			if at, j, ok := m.find(run[i].value()); !ok || &(*at)[0] != &run[0] || j != i {
				t.Fatalf("run %d: entry %d belongs into another run", k, i)
			}
		}
		if capacity(len(run))*4 < cap(run)*3 {
			t.Fatalf("run %d: %d entries have a capacity of %d; want less", k, len(run), cap(run))
		}
		n += len(run)
	}
	for k, run := range slices.Concat(m.high, m.low) {
		bytes += int64(cap(run)) * packedSize
		if empty := k < len(m.high) && k >= 2*m.split || k >= len(m.high) && k-len(m.high) < m.split; empty && run != nil {
			t.Fatalf("run %d is unused, but has a capacity of %d; want 0", k, cap(run))
		}
	}
	if n != m.Len() || bytes != m.bytes {
		t.Fatalf("the runs have %d entries in %d bytes, but the Map counts %d in %d", n, bytes, m.Len(), m.bytes)
	}
}

// TestMapAgreesWithGoMap applies the same random history to a Map and to a Go map. Every answer
// must be the same.
func TestMapAgreesWithGoMap(t *testing.T) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 0))
		m, model := New(collection), map[identity.Value]Entry{}
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
			// A history grows for a while, and then shrinks to an empty Map.
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

// copied returns a Map that is loaded from pieces of another Map, with at most piece entries
// each.
func copied(t testing.TB, m *Map, piece int) *Map {
	t.Helper()
	loaded := New(collection)
	var v identity.Value
	for {
		b, last := m.Append(nil, v, piece)
		if len(b) == 0 {
			return loaded
		}
		if len(b) > piece*packedSize {
			t.Fatalf("a piece has %d bytes; want whole entries, and no more than requested", len(b))
		}
		if got, err := loaded.Load(b, v); err != nil || got != last {
			t.Fatalf("loading a piece up to %x: %v, up to %x", last, err, got)
		}
		v = last
	}
}

// TestLoadMakesTheRunsAtOnce: the first entries show about how many follow, so that few runs are split
// later. If they mislead, all entries are loaded nevertheless.
func TestLoadMakesTheRunsAtOnce(t *testing.T) {
	const n, piece = 200_000, 4096
	m, r := New(collection), rand.New(rand.NewPCG(1, 2))
	for m.Len() < n {
		m.Put(entry(r, false))
	}
	b, last := m.Append(nil, identity.Value{}, piece)
	first := New(collection)
	if _, err := first.Load(b, identity.Value{}); err != nil {
		t.Fatal(err)
	}
	if runs := len(first.low) + first.split; runs < n/perRun*8/10 || runs > n/perRun {
		t.Errorf("%d of %d entries make %d runs; want a little less than %d", piece, n, runs, n/perRun)
	}
	check(t, copied(t, m, piece))

	var low, all []byte // the first entries have values far below the others
	for i := range 2 * sample {
		var e Entry
		e.ID[7], e.ID[6], e.Collection, e.Loc.Length = byte(i+1), byte((i+1)>>8), collection, 8
		p := pack(e)
		low = append(low, p[:]...)
	}
	all, _ = m.Append(low, last, n)
	misled := New(collection)
	if _, err := misled.Load(low, identity.Value{}); err != nil {
		t.Fatal(err)
	}
	if _, err := misled.Load(all[len(low):], last); err != nil || misled.Len() != n-piece+2*sample {
		t.Errorf("after small values %d entries are loaded, %v; want %d", misled.Len(), err, n-piece+2*sample)
	}
}

// compare checks that m has the entries of the model, and that a Map loaded from its pieces has
// them, too.
func compare(t *testing.T, m *Map, model map[identity.Value]Entry) {
	t.Helper()
	for _, m := range []*Map{m, copied(t, m, 1<<20), copied(t, m, 300)} {
		check(t, m)
		n := 0
		for e := range m.After(identity.Value{}) {
			if n++; model[e.ID.Value()] != e {
				t.Fatalf("yielded %v, want %v", e, model[e.ID.Value()])
			}
		}
		if n != len(model) || m.Len() != n {
			t.Fatalf("%d entries yielded, the Map has %d, want %d", n, m.Len(), len(model))
		}
	}
}

// TestAfterBeginsBehindItsValue, whether an entry has this value or not, and ends when the
// caller stops. A walk in steps must see each entry once, in order, even if the Map changes
// between the steps.
func TestAfterBeginsBehindItsValue(t *testing.T) {
	r, m := rand.New(rand.NewPCG(3, 3)), New(collection)
	var stay []identity.Value
	for range 3000 {
		e := entry(r, false)
		stay = append(stay, e.ID.Value())
		m.Put(e)
	}
	slices.SortFunc(stay, func(a, b identity.Value) int { return bytes.Compare(a[:], b[:]) })
	var passing []identity.Value // values that are put and deleted during the walk
	seen := make(map[identity.Value]int)
	var v identity.Value
	for steps := 0; ; steps++ {
		n := 0
		for e := range m.After(v) {
			if got := e.ID.Value(); bytes.Compare(got[:], v[:]) <= 0 {
				t.Fatalf("%x comes after %x", got, v)
			}
			v = e.ID.Value()
			seen[v]++
			if n++; n == 7 {
				break
			}
		}
		if n == 0 {
			break
		}
		for _, v := range passing {
			m.Delete(v)
		}
		passing = passing[:0]
		for range r.IntN(20) * (steps % 200) { // divides runs, and the deletions join them
			e := entry(r, false)
			passing = append(passing, e.ID.Value())
			m.Put(e)
		}
	}
	for _, v := range stay {
		if seen[v] != 1 {
			t.Fatalf("an entry that was there all the time was seen %d times; want once", seen[v])
		}
	}
}

// TestMapsAreAsLargeAsTheirEntries checks the promised size of a Map while it grows from empty
// and shrinks again.
func TestMapsAreAsLargeAsTheirEntries(t *testing.T) {
	const most = 300_000
	r, m := rand.New(rand.NewPCG(1, 1)), New(collection)
	if m.Bytes() != 0 {
		t.Fatalf("an empty Map takes %d bytes", m.Bytes())
	}
	var values []identity.Value
	longest := func() (n int) {
		for _, run := range slices.Concat(m.low, m.high) {
			n = max(n, len(run))
		}
		return n
	}
	for n := 1; n <= most; n++ {
		e := entry(r, false)
		m.Put(e)
		values = append(values, e.ID.Value())
		if n >= 1000 && n%500 == 0 && m.Bytes() >= int64(n)*58 || m.Bytes() > int64(n)*120+128 {
			t.Fatalf("a growing Map has %d bytes for %d entries; want less", m.Bytes(), n)
		}
		if n%5000 == 0 && longest() > 3*perRun {
			t.Fatalf("a run has %d of %d entries; want fewer", longest(), n)
		}
	}
	loaded := copied(t, m, 4096)
	if loaded.Bytes() >= int64(loaded.Len())*60 || len(loaded.low) != len(m.low) {
		t.Errorf("a loaded Map has %d bytes for %d entries; want less", loaded.Bytes(), loaded.Len())
	}
	for n := len(values) - 1; n >= 0; n-- {
		m.Delete(values[n])
		if n >= 1000 && n%500 == 0 && m.Bytes() >= int64(n)*68 || m.Bytes() > int64(n)*140+128 {
			t.Fatalf("a shrinking Map has %d bytes for %d entries; want less", m.Bytes(), n)
		}
		if n%5000 == 0 && longest() > 3*perRun {
			t.Fatalf("a run has %d of %d entries; want fewer", longest(), n)
		}
	}
	check(t, m)
}

func TestLimits(t *testing.T) {
	most := Entry{
		ID:         identity.ID{1, 2, 3},
		LSN:        1<<64 - 1,
		Loc:        seglog.Location{Segment: Limit - 1, Offset: 8 * (Limit - 1), Length: 8 * (Limit - 1)},
		Collection: collection,
		Owner:      Limit - 1,
	}
	m := New(collection)
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
		"value, zero":                  func(e *Entry) { copy(e.ID[:], make([]byte, identity.ValueSize)) },
		"collection":                   func(e *Entry) { e.Collection++ },
		"owner":                        func(e *Entry) { e.Owner++ },
	} {
		t.Run(name, func(t *testing.T) {
			over, m := most, New(collection)
			set(&over)
			defer func() {
				if recover() == nil || m.Len() != 0 {
					t.Errorf("the entry %v, which breaks a limit, is accepted", over)
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

// golden is a piece of a checkpoint, with two entries. It is a stored format:
// it does not change without a new version of checkpoints.
var golden = strings.Join([]string{
	"a00102030405060708090a0b0c0d0e0f", "101112131415161718191a1b1c1d1e1f", "abcdef", "000007", "000002", "00000f", "000105",
	"a0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", "e0e1e2e3e4e5e6e7e8e9eaebecedeeef", "000001", "fffffe", "fffffd", "fffffc", "fffffa",
}, "")

func goldenEntries() []Entry {
	a := Entry{LSN: 0xffff_ffff_ffab_cdef, Loc: seglog.Location{Segment: 7, Offset: 16, Length: 120}, Collection: collection, Owner: 0x105}
	b := Entry{LSN: 1, Loc: seglog.Location{Segment: 0xfffffe, Offset: 0x7ffffe8, Length: 0x7ffffe0}, Collection: collection, Owner: 0xfffffa}
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

func TestGoldenPiece(t *testing.T) {
	m := New(collection)
	for _, e := range goldenEntries() {
		m.Put(e)
	}
	before := []byte("what is there stays")
	got, last := m.Append(before, identity.Value{}, 3)
	if hex.EncodeToString(bytes.TrimPrefix(got, before)) != golden || last != goldenEntries()[1].ID.Value() {
		t.Errorf("got  %x\nwant %x%s", got, before, golden)
	}
	b, err := hex.DecodeString(golden)
	if err != nil {
		t.Fatal(err)
	}
	m = New(collection)
	if last, err := m.Load(b, identity.Value{1}); err != nil || m.Len() != 2 || last != goldenEntries()[1].ID.Value() {
		t.Fatalf("%v, %d entries up to %x", err, m.Len(), last)
	}
	for _, e := range goldenEntries() {
		if got, ok := m.Get(e.ID.Value()); !ok || got != kept(e) {
			t.Errorf("got %v %v, want %v", got, ok, kept(e))
		}
	}
}

func TestMalformedPieces(t *testing.T) {
	b, err := hex.DecodeString(golden)
	if err != nil {
		t.Fatal(err)
	}
	noLength := bytes.Clone(b)
	copy(noLength[packedSize+41:], []byte{0, 0, 0})
	twice := append(bytes.Clone(b), b[packedSize:]...)
	twice[2*packedSize+20] ^= 1 // alters the tag: another content of the same object
	noValue := bytes.Clone(b)
	clear(noValue[:identity.ValueSize])
	for name, b := range map[string][]byte{
		"a byte is missing": b[:2*packedSize-1],
		"a byte too many":   append(bytes.Clone(b), 1),
		"one byte":          b[:1],
		"no length":         noLength,
		"no value":          noValue,
		"all zeros":         make([]byte, packedSize),
		"a value twice":     twice,
		"not in order":      append(bytes.Clone(b[packedSize:]), b[:packedSize]...),
	} {
		m := New(collection)
		if _, err := m.Load(b, identity.Value{}); !errors.Is(err, codec.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	m := New(collection)
	if _, err := m.Load(b, goldenEntries()[0].ID.Value()); !errors.Is(err, codec.ErrMalformed) {
		t.Errorf("a piece that begins with the last value of the piece before is loaded: %v; want an error", err)
	}
	last, err := m.Load(b, identity.Value{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []identity.Value{last, {}} {
		if _, err := m.Load(b, v); !errors.Is(err, codec.ErrMalformed) || m.Len() != 2 {
			t.Errorf("a piece is loaded twice: %v, %d entries; want an error", err, m.Len())
		}
	}
}

// FuzzLoad: a Map loaded from two pieces has exactly their entries.
func FuzzLoad(f *testing.F) {
	b, err := hex.DecodeString(golden)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, 1)
	f.Add(append(bytes.Clone(b), b...), 2)
	f.Add(make([]byte, packedSize), 0)
	f.Fuzz(func(t *testing.T, b []byte, first int) {
		m := New(collection)
		cut := max(0, min(first, len(b)/packedSize)) * packedSize
		last, err := m.Load(b[:cut], identity.Value{})
		if err == nil {
			_, err = m.Load(b[cut:], last)
		}
		if err != nil && m.Len() == 0 {
			return
		}
		check(t, m)
		if got, _ := m.Append(nil, identity.Value{}, 1<<30); err == nil && !bytes.Equal(got, b) {
			t.Fatalf("loaded %x, but the Map has %x", b, got)
		}
	})
}

// BenchmarkOperations measures each operation among a million objects, in random order. PutNew
// grows the map by half, so its runs grow as often as in use.
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
		m := New(collection)
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

// BenchmarkMemory reports the bytes of heap and of runs for each object.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{1_000_000, 10_000_000} {
		b.Run(map[int]string{1_000_000: "1M", 10_000_000: "10M"}[n], func(b *testing.B) {
			for b.Loop() {
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				r, m, sum, samples := rand.New(rand.NewPCG(1, 1)), New(collection), 0.0, 0
				for i := range n {
					m.Put(entry(r, false))
					if i > n/2 && i%(n/1000) == 0 {
						sum += float64(m.Bytes()) / float64(m.Len())
						samples++
					}
				}
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "heap-B/object")
				b.ReportMetric(float64(m.Bytes())/float64(n), "B/object")
				b.ReportMetric(sum/float64(samples), "mean-B/object") // from n/2 to n
				runtime.KeepAlive(m)
			}
		})
	}
}
