package seglog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"testing"

	"motte/internal/testutil"
)

// settled writes a store of six segments, with two checkpoints, and with records before, between
// and after them. The live records of the first two segments were relocated, and the segments
// removed.
func settled(t testing.TB) *disk {
	t.Helper()
	d := store(t)
	w := mustOpen(t, d, 3)
	testutil.Must(t, w.write(2), w.checkpoint(), w.write(1))
	w.l.Rotate()
	testutil.Must(t, w.write(1), w.checkpoint(), w.compact(1, 2), w.write(2))
	w = mustOpen(t, d, 4)
	testutil.Must(t, w.write(3))
	w.check(t)
	return d
}

// same fails the test unless two worlds have the same state.
func same(t testing.TB, a, b *world) {
	t.Helper()
	if a.l.Position() != b.l.Position() || !maps.Equal(a.objects, b.objects) {
		t.Fatalf("from checkpoint %d: %v, %d objects; from %d: %v, %d objects", a.restored, a.l.Position(), len(a.objects),
			b.restored, b.l.Position(), len(b.objects))
	}
}

// TestRestartFromAnyCheckpointIsTheSame: from each existing checkpoint, and from the beginning
// of the log if no segment was removed.
func TestRestartFromAnyCheckpointIsTheSame(t *testing.T) {
	d := store(t)
	w := mustOpen(t, d, 3)
	testutil.Must(t, w.checkpoint()) // its position is in a segment that is not made yet
	testutil.Must(t, w.write(2), w.checkpoint(), w.write(1), w.l.Resume(), w.write(1), w.carry(1))
	for _, n := range []uint32{2, 1, 0} {
		again, err := openFrom(d.clone(), 4, n)
		testutil.Must(t, err)
		again.check(t)
		same(t, w, again)
		testutil.Must(t, again.write(2), again.checkpoint())
		same(t, again, mustOpen(t, again.disk, 5))
	}
	d = settled(t)
	w = mustOpen(t, d, 5)
	for _, n := range w.l.Checkpoints()[:2] {
		again, err := openFrom(d.clone(), 6, n)
		testutil.Must(t, err)
		same(t, w, again)
	}
	if _, err := openFrom(d, 6, 0); !errors.Is(err, ErrDamaged) {
		t.Errorf("a start from the beginning, which was removed, returns %v; want an error", err)
	}
}

// TestAlteredCheckpoint: a checkpoint with a flipped bit, cut at any byte, or with bytes after
// its end, is refused by name. The older checkpoint leads to the same state.
func TestAlteredCheckpoint(t *testing.T) {
	good := settled(t)
	want := mustOpen(t, good.clone(), 9)
	names := good.names(checkpointSuffix)
	newest := names[len(names)-1]
	p := good.files[newest]
	try := func(what string, p []byte) {
		t.Helper()
		d := good.clone()
		d.files[newest] = p
		w, err := open(d, 9)
		testutil.Must(t, err)
		var damage *DamageError
		if w.restored+1 != want.restored || len(w.refused) != 1 || !errors.As(w.refused[0], &damage) || damage.File != newest {
			t.Fatalf("%s: restored %d, refused %v", what, w.restored, w.refused)
		}
		same(t, want, w)
	}
	for i := range p {
		bad := bytes.Clone(p)
		bad[i] ^= 1 << (i % 8)
		try(fmt.Sprintf("bit %d of byte %d flipped", i%8, i), bad)
		try(fmt.Sprintf("cut to %d bytes", i), p[:i])
	}
	try("a zero byte more", append(bytes.Clone(p), 0))
	try("once more behind it", slices.Concat(p, p))
}

// piecesOf splits a checkpoint into its header and its sections.
func piecesOf(p []byte) (list [][]byte) {
	list, p = append(list, p[:checkpointHeader]), p[checkpointHeader:]
	for len(p) > 0 {
		n := 4 + binary.BigEndian.Uint32(p)
		list, p = append(list, p[:n]), p[n:]
	}
	return list
}

// TestPiecesOfCheckpointsInAnotherPlace: a checkpoint is accepted only with all of its sections,
// in their order, and under its own name.
func TestPiecesOfCheckpointsInAnotherPlace(t *testing.T) {
	good := settled(t)
	names := good.names(checkpointSuffix)
	older, newer := piecesOf(good.files[names[0]]), piecesOf(good.files[names[1]])
	foreign, err := open(newDisk(), 99)
	testutil.Must(t, err, foreign.write(5), foreign.checkpoint(), foreign.checkpoint(), foreign.write(1))
	other := piecesOf(foreign.disk.files[checkpointName(2)])
	last := len(newer) - 1
	if len(newer) != pieces+2 || len(older) != len(newer) || len(other) != len(newer) {
		t.Fatalf("the checkpoint has %d sections; want more", last)
	}
	swap := func(i, j int) [][]byte {
		p := slices.Clone(newer)
		p[i], p[j] = p[j], p[i]
		return p
	}
	replace := func(i int, from [][]byte) [][]byte {
		p := slices.Clone(newer)
		p[i] = from[i]
		return p
	}
	cases := map[string][][]byte{
		"no piece":                    newer[:1],
		"the last piece missing":      newer[:last],
		"the first piece missing":     slices.Delete(slices.Clone(newer), 1, 2),
		"a piece missing":             slices.Delete(slices.Clone(newer), 2, 3),
		"two pieces swapped":          swap(2, 3),
		"the last two swapped":        swap(last-1, last),
		"a piece repeated":            slices.Insert(slices.Clone(newer), 2, newer[2]),
		"the last piece repeated":     slices.Insert(slices.Clone(newer), last, newer[last]),
		"all of the one before":       older,
		"header of the one before":    replace(0, older),
		"all of another store":        other,
		"header of another store":     replace(0, other),
		"an empty piece behind":       append(slices.Clone(newer), []byte{0, 0, 0, 0}),
		"an empty piece before":       slices.Insert(slices.Clone(newer), 1, []byte{0, 0, 0, 0}),
		"a length beyond all, behind": append(slices.Clone(newer), []byte{0xff, 0xff, 0xff, 0xff}),
	}
	for i := 1; i <= last; i++ {
		cases[fmt.Sprintf("piece %d of the one before", i)] = replace(i, older)
		cases[fmt.Sprintf("piece %d of another store", i)] = replace(i, other)
	}
	want := mustOpen(t, good.clone(), 9)
	for name, p := range cases {
		d := good.clone()
		d.files[names[1]] = slices.Concat(p...)
		w, err := open(d, 9)
		testutil.Must(t, err)
		if w.restored+1 != want.restored || !errors.Is(errors.Join(w.refused...), ErrDamaged) {
			t.Errorf("%s: restored %d, refused %v", name, w.restored, w.refused)
		}
		same(t, want, w)
	}
}

// TestTwoCheckpointsAreKept: the newest, and the one that was the newest when it was begun.
func TestTwoCheckpointsAreKept(t *testing.T) {
	d := store(t)
	w := mustOpen(t, d, 3)
	for n := range uint32(4) {
		testutil.Must(t, w.write(1), w.checkpoint())
		want := []string{checkpointName(n + 1)}
		if n > 0 {
			want = []string{checkpointName(n), checkpointName(n + 1)}
		}
		if got := d.names(checkpointSuffix); !slices.Equal(got, want) {
			t.Fatalf("after %d: %v", n+1, got)
		}
		if int64(len(d.files[checkpointName(n+1)])) != w.l.CheckpointBytes() {
			t.Fatalf("CheckpointBytes returns %d; want the size of the newest checkpoint", w.l.CheckpointBytes())
		}
	}
	d.files[checkpointName(4)][100] ^= 1
	w, err := open(d, 4)
	testutil.Must(t, err, w.write(1), w.checkpoint())
	if got, want := d.names(checkpointSuffix), []string{checkpointName(3), checkpointName(5)}; !slices.Equal(got, want) {
		t.Errorf("after the newest was damaged: %v, want %v", got, want)
	}
	mustOpen(t, d, 5)
}

// TestRemovedFilesThatACrashBringsBack: a crash may bring removed checkpoints and segments back.
// They must change no state, and must be removed again.
func TestRemovedFilesThatACrashBringsBack(t *testing.T) {
	d := settled(t)
	want := mustOpen(t, d.clone(), 9)
	if len(d.removed) < 2 {
		t.Fatal("the test must remove files; none was removed")
	}
	back := d.clone()
	maps.Copy(back.files, back.removed)
	w := mustOpen(t, back, 9)
	same(t, want, w)
	testutil.Must(t, w.write(1), w.checkpoint())
	for _, s := range w.l.Segments() {
		if old := d.removed[segmentName(s.Number)]; (old != nil) && !s.Free {
			t.Errorf("segment %d, which was removed, is in use again", s.Number)
		}
	}
	testutil.Must(t, w.l.Remove(1), w.l.Remove(2))
	if len(back.names(checkpointSuffix)) != 2 {
		t.Errorf("checkpoints %v", back.names(checkpointSuffix))
	}
	mustOpen(t, back, 10)
}

// TestCheckpointWhileAppendsGoOn: its sections include the effects of later records, which a
// start then replays.
func TestCheckpointWhileAppendsGoOn(t *testing.T) {
	d := store(t)
	w := mustOpen(t, d, 3)
	testutil.Must(t, w.write(1), w.checkpoint())
	at := w.l.Position()
	testutil.Must(t, w.write(2))
	err := w.l.Checkpoint(at, inPieces(func(i int) ([]byte, error) {
		if i == 1 {
			w.l.Rotate()
		}
		if err := errors.Join(w.write(1), w.carry(uint32(i+1))); err != nil {
			return nil, err
		}
		p, err := w.piece(i)
		return p, errors.Join(err, w.write(2))
	}))
	testutil.Must(t, err, w.write(1))
	again := mustOpen(t, d, 4)
	if again.restored != 2 || again.replayed[0].LSN != at.LSN+1 {
		t.Errorf("restored %d, replayed from record %d on", again.restored, again.replayed[0].LSN)
	}
	same(t, w, again)
	w, err = openFrom(d, 4, 1)
	testutil.Must(t, err)
	same(t, w, again)
}

// TestCheckpointThatFails: the state is as before, and another checkpoint can be written.
func TestCheckpointThatFails(t *testing.T) {
	d := settled(t)
	w := mustOpen(t, d, 9)
	testutil.Must(t, w.write(1))
	before := d.clone()
	floor := w.l.Segments()
	for name, err := range map[string]error{"disk full": syscall.ENOSPC, "bad disk": syscall.EIO} {
		d.fail = err
		if got := w.checkpoint(); !errors.Is(got, err) {
			t.Errorf("%s: %v", name, got)
		}
		d.fail = nil
	}
	ended := errors.New("no more pieces")
	for i := range pieces {
		err := w.l.Checkpoint(w.l.Position(), inPieces(func(n int) ([]byte, error) {
			if n == i {
				return nil, ended
			}
			return w.piece(n)
		}))
		if !errors.Is(err, ended) {
			t.Errorf("piece %d: %v", i, err)
		}
	}
	if !maps.EqualFunc(d.files, before.files, bytes.Equal) || !slices.Equal(floor, w.l.Segments()) {
		t.Error("a checkpoint that failed changed the state")
	}
	testutil.Must(t, w.write(1), w.checkpoint(), w.checkpoint())
	same(t, w, mustOpen(t, d, 10))
}

// TestAlteredHistory: opening the log does not read segments before a checkpoint. If one of them
// is altered, a read of it must fail and name the place.
func TestAlteredHistory(t *testing.T) {
	d := store(t)
	w := mustOpen(t, d, 3)
	testutil.Must(t, w.write(2), w.checkpoint(), w.checkpoint(), w.write(1))
	for _, name := range d.names(segmentSuffix)[:3] {
		for i := headerSize; i < len(d.files[name]); i += 3 {
			d.files[name][i] ^= 0x10
			w, err := open(d, 4)
			testutil.Must(t, append(w.refused, err)...)
			var damage *DamageError
			if err := w.verify(); err != nil && (!errors.As(err, &damage) || damage.File != name || damage.Offset > int64(i)) {
				t.Fatalf("%s byte %d: %v", name, i, err)
			} else if err == nil && read(w, name, int64(i)) {
				t.Fatalf("%s byte %d is altered, but no read fails", name, i)
			}
			d.files[name][i] ^= 0x10
		}
	}
}

// read reports whether a byte belongs to the record of a live object.
func read(w *world, name string, i int64) bool {
	for _, o := range w.objects {
		if segmentName(o.at.Segment) == name && int64(o.at.Offset) <= i && i < int64(o.at.Offset+o.at.Length) {
			return true
		}
	}
	return false
}

// TestCutHistory: if a segment is shorter than a checkpoint recorded, opening the log must fail,
// wherever the checkpoint's position is.
func TestCutHistory(t *testing.T) {
	d := store(t)
	w := mustOpen(t, d, 3)
	at := w.l.Position()
	testutil.Must(t, w.write(2))
	testutil.Must(t, w.l.Checkpoint(at, inPieces(w.piece)))
	for _, name := range d.names(segmentSuffix) {
		for n := 0; n < len(d.files[name]); n += 3 {
			cut := d.clone()
			cut.files[name] = cut.files[name][:n]
			if w, err := openFrom(cut, 4, 1); !errors.Is(err, ErrDamaged) {
				t.Fatalf("%s cut to %d bytes: %d records, %v", name, n, len(w.replayed), err)
			}
			cut.files[name] = append(cut.files[name], make([]byte, len(d.files[name])-n)...)
			if n < headerSize || name != segmentName(at.Segment+1) || bytes.Equal(cut.files[name], d.files[name]) {
				continue
			}
			if w, err := openFrom(cut, 4, 1); !errors.Is(err, ErrDamaged) {
				t.Fatalf("%s with zeros from byte %d on: %d records, %v", name, n, len(w.replayed), err)
			}
		}
	}
}

// TestWhatACheckpointSawIsNotTorn: a write that was durable when a checkpoint was written must
// not be treated as torn, even if it is the last one and comes after the checkpoint's position.
// Its segment must not be missing, either.
func TestWhatACheckpointSawIsNotTorn(t *testing.T) {
	d := store(t)
	w := mustOpen(t, d, 3)
	testutil.Must(t, w.write(1))
	at := w.l.Position()
	testutil.Must(t, w.write(2))
	testutil.Must(t, w.l.Checkpoint(at, inPieces(w.piece)))
	name := segmentName(4)
	for i := int(at.End); i < len(d.files[name]); i++ {
		d.files[name][i] ^= 1
		if w, err := openFrom(d, 4, 1); !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d flipped: %d records, %v", i, len(w.replayed), err)
		}
		d.files[name][i] ^= 1
	}
	testutil.Must(t, w.l.Resume(), w.write(1))
	testutil.Must(t, w.l.Checkpoint(at, inPieces(w.piece)))
	delete(d.files, segmentName(5))
	if w, err := openFrom(d, 4, 2); !errors.Is(err, ErrDamaged) {
		t.Errorf("without the segment after the checkpoint: %d records, %v; want an error", len(w.replayed), err)
	}
}

// TestWhatACheckpointSawIsNotForgotten: if the log lacks records that the newest checkpoint
// knows, a start must not use an older checkpoint, for which these records were not written yet.
func TestWhatACheckpointSawIsNotForgotten(t *testing.T) {
	d := store(t)
	w := mustOpen(t, d, 3)
	testutil.Must(t, w.write(2), w.checkpoint(), w.write(1))
	seen := w.l.Position()
	testutil.Must(t, w.write(2), w.checkpoint(), w.l.Resume(), w.write(1), w.checkpoint())
	older := d.clone()
	delete(older.files, checkpointName(3))
	for name, n := range map[string]int{segmentName(seen.Segment): int(seen.End), segmentName(seen.Segment + 1): 0} {
		cut := d.clone()
		if cut.files[name] = cut.files[name][:n]; n == 0 {
			delete(cut.files, name)
		}
		if w, err := open(cut, 4); !errors.Is(err, ErrLost) || !errors.Is(err, ErrDamaged) {
			t.Errorf("%s cut to %d bytes: from checkpoint %d, to record %d: %v", name, n, w.restored, w.l.Position().LSN, err)
		}
	}
	if w, err := open(older, 4); err != nil || w.restored != 2 {
		t.Errorf("without the newest checkpoint: from %d: %v", w.restored, err)
	}
}

// TestCheckpointOfAnotherBranch: a disk was rolled back, and a checkpoint of the newer history
// is on it. It does not fit, and a start must not use another one, since records are missing.
func TestCheckpointOfAnotherBranch(t *testing.T) {
	a := store(t)
	b := a.clone()
	wa, wb := mustOpen(t, a, 3), mustOpen(t, b, 4)
	testutil.Must(t, wa.write(2), wa.checkpoint(), wa.write(1))
	testutil.Must(t, wb.write(2), wb.checkpoint(), wb.write(1))
	a.files[checkpointName(1)] = b.files[checkpointName(1)]
	if w, err := open(a, 5); !errors.Is(err, ErrLost) {
		t.Errorf("from checkpoint %d: %v", w.restored, err)
	}
	delete(a.files, checkpointName(1))
	w, err := open(a, 5)
	testutil.Must(t, err)
	same(t, wa, w)
}

// TestCheckpointKnowsTheEndOfAllItShows: appends continue while its sections are written. If a
// segment is then cut to its length at the checkpoint's beginning, the start must notice that.
func TestCheckpointKnowsTheEndOfAllItShows(t *testing.T) {
	d := newDisk()
	w := mustOpen(t, d, 1)
	testutil.Must(t, w.write(1))
	end := len(d.files[d.current])
	testutil.Must(t, w.l.Checkpoint(w.l.Position(), inPieces(func(i int) ([]byte, error) {
		if i == 1 {
			testutil.Must(t, w.append(group(w.l.Position().LSN+1)))
		}
		return w.piece(i)
	})))
	d.files[d.current] = d.files[d.current][:end]
	if _, err := open(d, 2); !errors.Is(err, ErrLost) {
		t.Errorf("open: %v", err)
	}
}

// TestACheckpointsNumberIsNobodyElsesChoice: a foreign file with the highest possible number
// must not displace the older checkpoint. The next start must find the next checkpoint, and the
// checkpoint with which the store began must stay.
func TestACheckpointsNumberIsNobodyElsesChoice(t *testing.T) {
	for _, highest := range []string{"4294967295", "4294967294", "00001026", "00001025", "00000003"} {
		d := settled(t)
		d.files[highest+checkpointSuffix] = []byte("no checkpoint")
		genuine := d.names(checkpointSuffix)
		w, err := openFrom(d, 9, 2)
		testutil.Must(t, err)
		testutil.Must(t, w.write(1), w.checkpoint())
		numbers := w.l.Checkpoints()
		if len(numbers) != 3 || numbers[1] != 2 || d.files[checkpointName(numbers[0])] == nil {
			t.Fatalf("there were %v; the log has now %v, the disk %v", genuine, numbers, d.names(checkpointSuffix))
		}
		for _, n := range numbers[:2] {
			again, err := openFrom(d.clone(), 10, n)
			testutil.Must(t, err)
			same(t, w, again)
		}
	}
}

// TestHistoryHoldsEachSegmentOnce, also segments that are made while a checkpoint is written,
// and after a start from it.
func TestHistoryHoldsEachSegmentOnce(t *testing.T) {
	d := store(t)
	w := mustOpen(t, d, 3)
	testutil.Must(t, w.write(2))
	at, i := w.l.Position(), 0
	testutil.Must(t, w.l.Checkpoint(at, func() ([]byte, error) {
		if i++; i > 3 {
			return nil, nil
		}
		w.l.Rotate()
		return []byte{byte(i)}, w.write(1)
	}))
	want := slices.Clone(w.l.history)
	l, err := Open(d, root, w.l.random, nil)
	testutil.Must(t, err)
	testutil.Must(t, l.Restore(l.Checkpoints()[0], func(int, []byte) error { return nil }))
	testutil.Must(t, l.Replay(func(Record, Location) error { return nil }))
	if !slices.Equal(l.history, want) {
		t.Errorf("after a start the history has %d segments, want %d:\n%v\n%v", len(l.history), len(want), l.history, want)
	}
}
