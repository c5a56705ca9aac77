package seglog

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"

	"motte/core/seal"
	"motte/internal/testutil"
)

// stored returns the bytes at a location.
func (d *disk) stored(at Location) []byte {
	return d.files[segmentName(at.Segment)][at.Offset:][:at.Length]
}

// TestCarriedRecordsAreAsTheyWere: relocated records are the same, byte for byte, however often
// they are relocated. When the old segment is gone, they are read from the new place, also after
// a restart from each checkpoint.
func TestCarriedRecordsAreAsTheyWere(t *testing.T) {
	d := store(t)
	w := mustOpen(t, d, 3)
	testutil.Must(t, w.write(1), w.checkpoint(), w.write(1), w.checkpoint())
	was := make(map[uint64][]byte)
	for _, o := range w.objects {
		was[o.lsn] = bytes.Clone(d.stored(o.at))
	}
	for round := range 4 {
		lsn, newest := w.l.Position().LSN, w.l.Position().Segment
		w.l.Rotate()
		segments := w.l.Segments()
		for _, s := range segments {
			testutil.Must(t, w.carry(s.Number))
		}
		if got, want := w.l.Position().LSN, lsn+uint64(len(segments)); got != want {
			t.Fatalf("relocation ended at record %d, want %d: only barriers get a number", got, want)
		}
		testutil.Must(t, w.checkpoint(), w.checkpoint())
		for _, s := range segments {
			testutil.Must(t, w.l.Remove(s.Number))
		}
		for v, o := range w.objects {
			if o.at.Segment <= newest || !bytes.Equal(d.stored(o.at), was[o.lsn]) {
				t.Fatalf("round %d: object %d, in segment %d, is not as it was", round, v[0], o.at.Segment)
			}
		}
		w.check(t)
		again := mustOpen(t, d, uint64(10+round))
		same(t, w, again)
		w = again
	}
	for _, n := range w.l.Checkpoints()[:2] {
		again, err := openFrom(d, 20, n)
		testutil.Must(t, err)
		again.check(t)
	}
}

// TestReadOfWhatWasCarriedAway: a read from the old place of a relocated record returns an error
// of its own, not damage.
func TestReadOfWhatWasCarriedAway(t *testing.T) {
	w := mustOpen(t, store(t), 3)
	old := maps.Clone(w.objects)
	testutil.Must(t, w.write(1), w.checkpoint(), w.checkpoint(), w.compact(1))
	for _, o := range old {
		if _, _, err := w.l.Read(nil, o.at); o.at.Segment == 1 && !errors.Is(err, ErrMoved) || o.at.Segment > 1 && err != nil {
			t.Errorf("%v: %v", o.at, err)
		}
	}
	if err := w.l.Walk(1, func(Record, Location) error { return nil }); !errors.Is(err, ErrMoved) {
		t.Errorf("walk: %v", err)
	}
	if w.l.Has(1) || !w.l.Has(2) {
		t.Error("the removed segment is there, or the other one is not")
	}
}

// TestCrashWhileCarrying: whatever part of the write reached the disk, each object must be
// readable from a complete copy.
func TestCrashWhileCarrying(t *testing.T) {
	good := store(t)
	testutil.Must(t, mustOpen(t, good, 3).write(2))
	try := func(left func(int64, []byte) []byte) {
		t.Helper()
		d := good.clone()
		w := mustOpen(t, d, 4)
		testutil.Must(t, w.write(1))
		lsn := w.l.Position().LSN
		d.fail, d.left = errors.New("power cut"), left
		if w.carry(1) == nil || w.l.Position().LSN != lsn {
			t.Fatal("a failed write was acknowledged")
		}
		d.fail = nil
		again := mustOpen(t, d, 5)
		if again.l.Position().LSN < lsn {
			t.Fatalf("back at record %d of %d", again.l.Position().LSN, lsn)
		}
		testutil.Must(t, again.write(1), again.carry(1), again.carry(2))
		same(t, again, mustOpen(t, d, 6))
	}
	for n := 0; n < 1200; n += 7 {
		try(first(n))
	}
	for set := range uint64(16) {
		try(sectors(set))
	}
}

// TestDamagedRecordStopsCompaction: a segment with an unreadable record must not be removed. A
// damaged record must not be relocated, since at its new place it could look like a torn write.
func TestDamagedRecordStopsCompaction(t *testing.T) {
	d := store(t)
	w := mustOpen(t, d, 3)
	testutil.Must(t, w.write(1), w.checkpoint(), w.checkpoint())
	for i := headerSize; i < len(d.files["00000001.seg"]); i++ {
		d.files["00000001.seg"][i] ^= 4
		var damage *DamageError
		err := w.l.Walk(1, func(Record, Location) error { return nil })
		if !errors.As(err, &damage) || damage.File != "00000001.seg" || damage.Offset > int64(i) {
			t.Fatalf("byte %d: %v", i, err)
		}
		d.files["00000001.seg"][i] ^= 4
	}
	stop := errors.New("enough")
	if err := w.l.Walk(1, func(Record, Location) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Walk returns %v; want the error of the visit function", err)
	}
}

// TestWalkShowsEachRecord, also relocated records, and those of an erased owner.
func TestWalkShowsEachRecord(t *testing.T) {
	d := store(t)
	w := mustOpen(t, d, 3)
	testutil.Must(t, w.write(2), w.carry(1), w.carry(2), w.write(1), w.l.Erase(alice))
	var offsets []int
	at, _, _ := 0, 0, 0
	err := w.l.Walk(4, func(r Record, place Location) error {
		offsets = append(offsets, int(place.Offset))
		if !bytes.Equal(r.Sealed, d.stored(place)) || r.LSN == 0 || r.Kind == 0 {
			t.Errorf("record at %d is not as it is stored", place.Offset)
		}
		at = int(place.Offset + place.Length)
		return nil
	})
	testutil.Must(t, err)
	if !slices.Equal(append(offsets, at), recordsOf(d.files["00000004.seg"])) {
		t.Errorf("records at %v", offsets)
	}
}

// TestCarriedRecordsInAnotherPlace: relocated records are not in the chain, since they change no
// state. The segment's length shows if one is missing or added. Another order gives the same
// state. An altered record is refused.
func TestCarriedRecordsInAnotherPlace(t *testing.T) {
	good := store(t)
	w := mustOpen(t, good, 3)
	testutil.Must(t, w.write(1), w.carry(1), w.write(1), w.l.Resume(), w.write(1))
	const name = "00000004.seg"
	p, at := good.files[name], recordsOf(good.files[name])
	one := good.files["00000001.seg"]
	first := recordsOf(one)
	carried := 0 // index of the first relocated record
	for _, r := range mustOpen(t, good.clone(), 4).replayed[storeRecords:] {
		if r.Sealed != nil {
			break
		}
		carried++
	}
	a, b, c := at[carried], at[carried+1], at[carried+2]
	for what, x := range map[string]struct {
		segment []byte
		noticed bool
	}{
		"missing":        {slices.Concat(p[:a], p[b:]), true},
		"repeated":       {slices.Concat(p[:b], p[a:b], p[b:]), true},
		"more than were": {slices.Concat(p[:a], one[first[0]:first[1]], p[a:]), true},
		"swapped":        {slices.Concat(p[:a], p[b:c], p[a:b], p[c:]), false},
		"behind the end": {slices.Concat(p, p[a:b]), false},
	} {
		d := good.clone()
		d.files[name] = x.segment
		w, err := open(d, 5)
		if x.noticed {
			if !errors.Is(err, ErrDamaged) {
				t.Errorf("%s: %v", what, err)
			}
		} else if err = errors.Join(err, w.verify()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := a; i < c; i++ {
		d := good.clone()
		d.files[name][i] ^= 1
		if _, err := open(d, 5); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d flipped: %v", i-a, err)
		}
	}
}

// TestEachWriteProvesTheOneBefore: if another write follows a write, damage to it is never
// treated as a torn write, even in the newest segment. So a write begins with a record that is
// not relocated: only such a record can mark the beginning.
func TestEachWriteProvesTheOneBefore(t *testing.T) {
	for what, writes := range map[string]func(w *world) error{
		"put, put":     func(w *world) error { return errors.Join(w.write(1), w.write(1)) },
		"put, carry":   func(w *world) error { return errors.Join(w.write(1), w.carry(1)) },
		"carry, put":   func(w *world) error { return errors.Join(w.carry(1), w.write(1)) },
		"carry, carry": func(w *world) error { return errors.Join(w.carry(1), w.carry(2)) },
	} {
		d := store(t)
		w := mustOpen(t, d, 3)
		testutil.Must(t, w.write(1))
		start := w.l.Position().End
		testutil.Must(t, writes(w))
		const name = "00000004.seg"
		for i := int(start); i < lastWriteAt(d.files[name]); i++ {
			d.files[name][i] ^= 1
			if w, err := open(d, 4); !errors.Is(err, ErrDamaged) {
				t.Fatalf("%s, byte %d flipped: position at record %d, %v", what, i-int(start), w.l.Position().LSN, err)
			}
			d.files[name][i] ^= 1
		}
		cut := d.clone() // of the next write, only the head of its first record is left
		cut.files[name] = cut.files[name][:lastWriteAt(d.files[name])+bodyAt+seal.Overhead]
		mustOpen(t, cut.clone(), 4)
		cut.files[name][start+bodyAt] ^= 1
		if w, err := open(cut, 4); !errors.Is(err, ErrDamaged) {
			t.Fatalf("%s, cut in the last write: position at record %d, %v", what, w.l.Position().LSN, err)
		}
	}
}

// TestCarriedRecordsAlone: a write may consist of relocated records only.
func TestCarriedRecordsAlone(t *testing.T) {
	d := store(t)
	w := mustOpen(t, d, 3)
	testutil.Must(t, w.write(1))
	at := w.l.Position()
	var g Group
	testutil.Must(t, w.l.Walk(1, func(r Record, _ Location) error {
		if r.Kind == KindPut {
			g = append(g, r)
		}
		return nil
	}))
	testutil.Must(t, w.append(g, g))
	if got := w.l.Position(); got.Head() != at.Head() || got.End == at.End {
		t.Errorf("it moved the head from %v to %v", at, got)
	}
	same(t, w, mustOpen(t, d, 4))
}

// TestCarriedRecordEndsNoGroup: a genuine record of another segment is written over the end of a
// group. The rest of the group must not count as complete.
func TestCarriedRecordEndsNoGroup(t *testing.T) {
	d := newDisk()
	testutil.Must(t, mustOpen(t, d, 1).write(1))
	w := mustOpen(t, d, 2)
	testutil.Must(t, w.append(group(2)))
	p := d.files[d.current]
	r, _, ok := w.l.openHead(p[headerSize:])
	if !ok {
		t.Fatal("no record")
	}
	d.files[d.current] = append(bytes.Clone(p[:headerSize+int(r.length)]), d.files[segmentName(1)][headerSize:]...)
	if w, err := open(d, 3); err == nil && w.l.Position().LSN != 1 {
		t.Errorf("the log ends with record %d, in the middle of a group", w.l.Position().LSN)
	}
}
