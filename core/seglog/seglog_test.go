package seglog

import (
	"bytes"
	cryptorand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"motte/core/seal"
	"motte/internal/testutil"
)

func TestReplayBringsWhatWasAppended(t *testing.T) {
	w := mustOpen(t, store(t), 9)
	if len(w.replayed) != storeRecords || w.l.Position().LSN != storeRecords {
		t.Fatalf("%d records, position at %d", len(w.replayed), w.l.Position().LSN)
	}
}

// TestEveryAlteredByteIsNoticed flips a bit of each byte of a store, one at a time. The log must
// be refused, with the place. The exception is the last write of the newest segment: there an
// altered record looks like a torn one, and is cut off. No other record than a written one may
// be read.
func TestEveryAlteredByteIsNoticed(t *testing.T) {
	good := store(t)
	names := good.names(segmentSuffix)
	newest := names[len(names)-1]
	lastWrite := lastWriteAt(good.files[newest])
	for _, name := range names {
		for i := range good.files[name] {
			d := good.clone()
			d.files[name][i] ^= 1 << (i % 8)
			w, err := open(d, 9)
			var damage *DamageError
			switch {
			case !w.authentic():
				t.Fatalf("%s byte %d: the log read a record that was never written", name, i)
			case err == nil && (name != newest || i < lastWrite):
				t.Fatalf("%s byte %d is altered, but the log opens with %d records", name, i, len(w.replayed))
			case err != nil && errors.As(err, &damage) && damage.File != name:
				t.Fatalf("%s byte %d: reported as %v", name, i, err)
			case err != nil && !errors.Is(err, ErrDamaged) && i != 4:
				t.Fatalf("%s byte %d: %v", name, i, err)
			}
		}
	}
}

// lengthAt returns the length of the record at an offset.
func lengthAt(segment []byte, at int) int { return int(binary.BigEndian.Uint32(segment[at+4:])) }

// recordsOf returns the offsets of a segment's records, and the end of the last one.
func recordsOf(segment []byte) (at []int) {
	at = []int{headerSize}
	for end := headerSize; end < len(segment) && lengthAt(segment, end) > 0; at = append(at, end) {
		end += lengthAt(segment, end)
	}
	return at
}

// lastWriteAt returns the offset of the last write in a segment.
func lastWriteAt(segment []byte) (last int) {
	at := recordsOf(segment)
	for _, at := range at[:len(at)-1] {
		if segment[at+3]&flagFirst != 0 && bytes.Equal(segment[at+16:at+32], segment[48:64]) { // not relocated
			last = at
		}
	}
	return last
}

// TestCutSegments cuts each segment at each length. Only a cut of the newest segment after its
// header may look like a crash. It loses whole groups.
func TestCutSegments(t *testing.T) {
	good := store(t)
	names := good.names(segmentSuffix)
	for _, name := range names {
		for n := range good.files[name] {
			d := good.clone()
			d.files[name] = d.files[name][:n]
			w, err := open(d, 9)
			newest := name == names[len(names)-1]
			if !w.authentic() || (err == nil) != (newest && n >= headerSize) {
				t.Fatalf("%s cut to %d bytes: %d records, %v", name, n, len(w.replayed), err)
			}
			if !w.whole(uint64(len(w.replayed))) {
				t.Fatalf("%s cut to %d bytes: an incomplete group came back", name, n)
			}
		}
	}
}

func TestPiecesInAnotherPlaceAreNoticed(t *testing.T) {
	const one, two, three = "00000001.seg", "00000002.seg", "00000003.seg"
	good := store(t)
	bounds := func(d *disk, name string) (a, b, c int, p []byte) { // offsets of the first two records, and of their end
		at := recordsOf(d.files[name])
		return at[0], at[1], at[2], d.files[name]
	}
	for name, alter := range map[string]func(d *disk){
		"segments swapped":      func(d *disk) { d.files[one], d.files[two] = d.files[two], d.files[one] },
		"segment repeated":      func(d *disk) { d.files["00000004.seg"] = d.files[three] },
		"segment missing":       func(d *disk) { delete(d.files, two) },
		"first segment missing": func(d *disk) { delete(d.files, one) },
		"records swapped": func(d *disk) {
			a, b, c, p := bounds(d, one)
			d.files[one] = slices.Concat(p[:a], p[b:c], p[a:b], p[c:])
		},
		"record repeated": func(d *disk) {
			a, b, _, p := bounds(d, two)
			d.files[two] = slices.Concat(p[:b], p[a:b], p[b:])
		},
		"record of another segment": func(d *disk) {
			a, b, _, p := bounds(d, one)
			a2, b2, _, p2 := bounds(d, two)
			d.files[two] = slices.Concat(p2[:a2], p[a:b], p2[b2:])
		},
		"record missing in the newest segment": func(d *disk) {
			a, b, _, p := bounds(d, three)
			d.files[three] = slices.Concat(p[:a], p[b:])
		},
		"segment of another store": func(d *disk) {
			other, err := open(newDisk(), 99)
			testutil.Must(t, err, other.write(1))
			d.files["00000004.seg"] = other.disk.files[one]
		},
	} {
		d := good.clone()
		alter(d)
		if w, err := open(d, 9); !errors.Is(err, ErrDamaged) || !w.authentic() {
			t.Errorf("%s: %d records, %v", name, len(w.replayed), err)
		}
	}
	if _, err := Open(good, seal.Root{9}, random{rand.New(rand.NewPCG(1, 0))}.Read, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("another root key returns %v; want that it does not open the store", err)
	}
}

// TestNewestSegmentIsSyncedFirst: a killed process may have left data only in memory. A start
// makes it durable before it uses it.
func TestNewestSegmentIsSyncedFirst(t *testing.T) {
	d := store(t)
	if _, err := Open(d, root, random{rand.New(rand.NewPCG(1, 0))}.Read, nil); err != nil {
		t.Fatal(err)
	}
	if want := []string{"sync 00000003.seg"}; !slices.Equal(d.calls[len(d.calls)-1:], want) || len(d.calls) < 2 {
		t.Errorf("the disk was changed by %v, want %v as the last change", d.calls, want)
	}
}

// TestWhatACrashTookStaysGone: a crash removed a write before the next segment was made. If its
// bytes reappear after the end that the next segment names, they are neither records nor damage.
func TestWhatACrashTookStaysGone(t *testing.T) {
	for _, where := range []string{"behind all", "behind a torn half"} {
		d := store(t)
		w := mustOpen(t, d, 9)
		testutil.Must(t, w.write(1))
		before := d.clone()
		testutil.Must(t, w.write(2))
		const name = "00000004.seg"
		taken := d.files[name]
		d = before
		if where == "behind a torn half" {
			d.files[name] = taken[:len(d.files[name])+100]
		}
		if w = mustOpen(t, d, 10); len(w.replayed) != storeRecords+1 {
			t.Fatalf("%s: %d records", where, len(w.replayed))
		}
		testutil.Must(t, w.write(1))
		lsn := w.l.Position().LSN
		d.files[name] = taken
		if w = mustOpen(t, d, 11); w.l.Position().LSN != lsn {
			t.Errorf("%s: position at %d, want %d", where, w.l.Position().LSN, lsn)
		}
	}
}

// TestNoSaltServesTwoStarts: each start seals under keys that no other start has used, even on a
// disk that was rolled back, and whatever segment numbers exist. So does every segment that is
// made after a failure.
func TestNoSaltServesTwoStarts(t *testing.T) {
	d, seen := store(t), map[seal.Salt]bool{}
	for start := range 5 {
		w := mustOpen(t, d.clone(), uint64(100+start))
		for range 3 {
			testutil.Must(t, w.write(1))
			if seen[w.l.last.salt] || w.l.last.number < 4 {
				t.Fatal("a salt was used twice, or an old segment was appended to")
			}
			seen[w.l.last.salt] = true
			testutil.Must(t, w.l.Resume())
		}
	}
}

func TestSegmentsRotate(t *testing.T) {
	d := newDisk()
	w := mustOpen(t, d, 1)
	body := make([]byte, segmentTarget/5*2) // a segment has space for two of them
	for lsn := uint64(1); lsn <= 3; lsn++ {
		testutil.Must(t, w.append(Group{{LSN: lsn, Kind: KindAlert, Body: body}}))
	}
	if n := len(d.names(segmentSuffix)); n != 2 {
		t.Fatalf("%d segments", n)
	}
	w, err := open(d, 2)
	if err != nil || len(w.replayed) != 3 {
		t.Fatalf("%d records, %v", len(w.replayed), err)
	}
}

// TestRotateMakesASegment: only the next write goes to a new segment.
func TestRotateMakesASegment(t *testing.T) {
	d := store(t)
	w := mustOpen(t, d, 9)
	testutil.Must(t, w.write(1))
	w.l.Rotate()
	testutil.Must(t, w.write(1), w.write(1))
	if n := len(d.names(segmentSuffix)); n != 5 {
		t.Errorf("%d segments, want 5", n)
	}
	mustOpen(t, d, 10)
}

func TestAppendRefusesGapsAndGiants(t *testing.T) {
	for name, g := range map[string]Group{
		"gap":      {{LSN: 1, Kind: KindAlert}, {LSN: 3, Kind: KindAlert}},
		"no owner": {{LSN: 1, Kind: KindPut, Owner: 1 << 24}},
		"giant":    {{LSN: 1, Kind: KindAlert, Body: make([]byte, segmentMax/2)}},
	} {
		w := mustOpen(t, newDisk(), 1)
		if _, _, err := w.l.Append([]Group{g}); err == nil {
			t.Errorf("%s: appended", name)
		}
		if _, _, err := w.l.Append([]Group{{{LSN: 1, Kind: KindAlert}}}); !errors.Is(err, ErrFailed) {
			t.Errorf("%s: then %v", name, err)
		}
		testutil.Must(t, w.l.Resume(), w.append(Group{{LSN: 1, Kind: KindAlert}}))
	}
}

func TestReadRefusesWhatIsNoRecord(t *testing.T) {
	d := store(t)
	w := mustOpen(t, d, 9)
	size := uint32(len(d.files["00000001.seg"]))
	for _, at := range []Location{{1, 0, 0}, {1, 0, headerSize}, {1, headerSize + 8, 104}, {1, headerSize, minRecord - 1},
		{1, size - 8, 104}, {1, size, 104}, {1, 1 << 31, 1 << 31}, {1, 1<<32 - 1, 1<<32 - 1}} {
		if _, _, err := w.l.Read(nil, at); !errors.Is(err, ErrDamaged) {
			t.Errorf("%v: %v", at, err)
		}
	}
	for _, at := range []Location{{}, {9, 144, 200}} {
		if _, _, err := w.l.Read(nil, at); !errors.Is(err, ErrMoved) {
			t.Errorf("%v: %v", at, err)
		}
	}
}

// TestReadersMeetAWriter runs reads, appends, checkpoints and removals at the same time.
func TestReadersMeetAWriter(t *testing.T) {
	d := store(t)
	w := mustOpen(t, d, 9)
	testutil.Must(t, w.checkpoint(), w.checkpoint())
	w.l.random = cryptorand.Read // safe for concurrent use
	at := w.l.Position()
	places := make([]Location, 0, len(w.objects))
	for _, o := range w.objects {
		places = append(places, o.at)
	}
	done := make(chan error, 3)
	go func() {
		var buf []byte
		for i := range 2000 {
			var err error
			if _, buf, err = w.l.Read(buf, places[i%len(places)]); err != nil && !errors.Is(err, ErrMoved) {
				done <- err
				return
			}
			w.l.Contains(at.Head())
			w.l.Has(1)
		}
		done <- nil
	}()
	go func() {
		err := w.l.Checkpoint(at, func() ([]byte, error) { return nil, nil })
		for id := uint32(1); id <= 2 && err == nil; id++ {
			if err = w.l.Walk(id, func(Record, Location) error { return nil }); err == nil {
				err = w.l.Remove(id)
			}
			w.l.Rotate()
			w.l.Segments()
		}
		done <- err
	}()
	go func() {
		var err error
		for lsn := w.l.Position().LSN + 1; lsn < 200 && err == nil; lsn++ {
			_, _, err = w.l.Append([]Group{{{LSN: lsn, Kind: KindAlert, Body: make([]byte, 100)}}})
		}
		done <- err
	}()
	testutil.Must(t, <-done, <-done, <-done)
}

func BenchmarkRead1KiB(b *testing.B) {
	d, err := OpenDir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	l, err := Open(d, root, random{rand.New(rand.NewPCG(1, 0))}.Read, nil)
	if err != nil {
		b.Fatal(err)
	}
	at, _, err := l.Append([]Group{{{LSN: 1, Kind: KindAlert, Body: make([]byte, 1024)}}})
	if err != nil {
		b.Fatal(err)
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		if _, buf, err = l.Read(buf, at[0]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend1KiB(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d, err := OpenDir(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			l, err := Open(d, root, random{rand.New(rand.NewPCG(1, 0))}.Read, nil)
			if err != nil {
				b.Fatal(err)
			}
			lsn := uint64(0)
			for b.Loop() {
				var groups []Group
				for range n {
					lsn++
					groups = append(groups, Group{{LSN: lsn, Kind: KindAlert, Body: make([]byte, 1024)}})
				}
				if _, _, err := l.Append(groups); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestAWriteHasFewRecords, however small they are. All records of a write are applied together,
// and meanwhile no client gets an answer.
func TestAWriteHasFewRecords(t *testing.T) {
	w := mustOpen(t, newDisk(), 1)
	var groups []Group
	for i := range 3 * writeRecords {
		if i%1024 == 0 {
			groups = append(groups, nil)
		}
		g := &groups[len(groups)-1]
		*g = append(*g, Record{LSN: uint64(i + 1), Kind: KindDelete})
	}
	for writes := 0; len(groups) > 0; writes++ {
		at, rest, err := w.l.Append(groups)
		if err != nil || len(at) != writeRecords || writes > 2 {
			t.Fatalf("write %d has %d records: %v", writes, len(at), err)
		}
		groups = rest
	}
}

// TestLargestWrite writes a relocation of large objects, together with as many records as
// allowed. The remaining records go to the next write.
func TestLargestWrite(t *testing.T) {
	w := mustOpen(t, newDisk(), 1)
	put := Record{LSN: 1, Kind: KindPut, Collection: 3, Owner: alice, Body: make([]byte, writeTarget-minRecord-alignment)}
	carried := func(n int) Record { return Record{Kind: KindPut, Sealed: make([]byte, n)} }
	last := Group{{LSN: 3, Kind: KindBarrier}}
	at, rest, err := w.l.Append([]Group{{put}, {{LSN: 2, Kind: KindBarrier}, carried(8 << 20), carried(17 << 20)}, last})
	if err != nil || len(at) != 4 || len(rest) != 1 || rest[0][0].LSN != 3 {
		t.Fatal(len(at), len(rest), err)
	}
	if at, rest, err = w.l.Append(rest); err != nil || len(at) != 1 || len(rest) != 0 {
		t.Error(len(at), len(rest), err)
	}
}
