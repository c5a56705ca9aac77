package seglog

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"syscall"
	"testing"

	"motte/internal/testutil"
)

// watch runs Watch, and returns the names of the lost files.
func watch(t testing.TB, w *world) (names []string) {
	t.Helper()
	lost, _, err := w.l.Watch()
	testutil.Must(t, err)
	for _, x := range lost {
		names = append(names, x.File)
	}
	return names
}

// bothKeys fails the test unless both copies of the data keys exist and are equal.
func bothKeys(t testing.TB, what string, d *disk) {
	t.Helper()
	if a, b := d.files[KeysNames[0]], d.files[KeysNames[1]]; len(a) == 0 || !bytes.Equal(a, b) {
		t.Errorf("%s: the copies of the keys are %x and %x", what, a, b)
	}
}

// TestLostKeysAreWrittenAgain: one or both copies are removed, cut short or altered while the
// log is open. Watch must report that, and write both copies again. Until then, a start with one
// copy opens the log.
func TestLostKeysAreWrittenAgain(t *testing.T) {
	alter := func(p []byte) []byte {
		p = bytes.Clone(p)
		p[len(p)-1] ^= 1
		return p
	}
	for what, spoil := range map[string]func(p []byte) []byte{
		"removed": func([]byte) []byte { return nil }, "altered": alter,
		"cut": func(p []byte) []byte { return p[:len(p)-1] }, "empty": func([]byte) []byte { return []byte{} },
		"longer": func(p []byte) []byte { return append(bytes.Clone(p), 0) },
	} {
		for _, which := range [][]string{KeysNames[:1], KeysNames[1:], KeysNames[:]} {
			d := settled(t)
			w := mustOpen(t, d, 9)
			testutil.Must(t, w.l.Erase(alice))
			if lost := watch(t, w); len(lost) > 0 {
				t.Fatalf("Watch reports %v of an undamaged store; want no file", lost)
			}
			spoilIt := func() {
				for _, name := range which {
					if d.files[name] = spoil(d.files[name]); d.files[name] == nil {
						delete(d.files, name)
					}
				}
			}
			spoilIt()
			if len(which) == 1 {
				other, err := open(d.clone(), 10)
				testutil.Must(t, err)
				if lost := watch(t, other); !slices.Equal(lost, which) {
					t.Errorf("%s: a start reports %v as lost, want %v", what, lost, which)
				}
				bothKeys(t, what, other.disk)
			}
			if lost := watch(t, w); !slices.Equal(lost, which) {
				t.Errorf("%s: lost are %v, want %v", what, lost, which)
			}
			bothKeys(t, what, d)
			if lost := watch(t, w); len(lost) > 0 {
				t.Errorf("%s: Watch reports %v again; want one report", what, lost)
			}
			spoilIt()
			testutil.Must(t, w.l.Erase(bob)) // writes both copies
			bothKeys(t, what, d)
		}
	}
}

// TestLostKeysAreReportedOnce, however long the disk refuses to write them. Each report is an
// alert, which is kept forever.
func TestLostKeysAreReportedOnce(t *testing.T) {
	for _, start := range []bool{false, true} {
		d := settled(t)
		w := mustOpen(t, d, 9)
		watch(t, w)
		delete(d.files, KeysNames[1])
		if start {
			var err error
			w, err = open(d, 10)
			testutil.Must(t, err)
		}
		d.fail = syscall.ENOSPC
		for i, want := range [][]string{KeysNames[1:], nil, nil} {
			lost, _, err := w.l.Watch()
			if !errors.Is(err, syscall.ENOSPC) || len(lost) != len(want) {
				t.Errorf("start %v, look %d: lost are %v, %v", start, i, lost, err)
			}
		}
		d.fail = nil
		if lost := watch(t, w); len(lost) > 0 {
			t.Errorf("Watch reports %v again; want one report", lost)
		}
		bothKeys(t, "at last", d)
		delete(d.files, KeysNames[0])
		if lost := watch(t, w); !slices.Equal(lost, KeysNames[:1]) {
			t.Errorf("after the repair Watch reports %v; want no file", lost)
		}
	}
}

// TestAKeyIsGoneIfItIsGoneFromEither copy, whatever a crash or the disk's owner left in the
// other. Then both copies become equal again, which is not a loss.
func TestAKeyIsGoneIfItIsGoneFromEither(t *testing.T) {
	for i := range KeysNames {
		d := settled(t)
		before := d.clone()
		testutil.Must(t, mustOpen(t, d, 9).l.Erase(alice))
		d.files[KeysNames[i]] = before.files[KeysNames[i]]
		w, err := open(d, 10)
		testutil.Must(t, err)
		if readable, gone := ofOwner(t, w, alice); readable > 0 || gone == 0 {
			t.Errorf("with an older copy %d, %d objects of the erased owner are readable; want 0", i, readable)
		}
		if lost := watch(t, w); len(lost) > 0 {
			t.Errorf("Watch reports %v; want no file", lost)
		}
		bothKeys(t, "after a crash", d)
	}
}

// TestEraseCutShort: if the second copy can't be written, the erasure has failed, and can be
// tried again. No older copy comes back, neither by Watch nor by a start.
func TestEraseCutShort(t *testing.T) {
	d := settled(t)
	w := mustOpen(t, d, 9)
	d.fail, d.only = syscall.ENOSPC, func(name string) bool { return name == KeysNames[1] }
	if err := w.l.Erase(alice); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("%v", err)
	}
	d.fail = nil
	crashed, err := open(d.clone(), 10)
	testutil.Must(t, err)
	watch(t, w)
	for _, w := range []*world{w, crashed} {
		if readable, _ := ofOwner(t, w, alice); readable > 0 {
			t.Errorf("%d objects of the erased owner are readable; want 0", readable)
		}
	}
	bothKeys(t, "after Watch", d)
	testutil.Must(t, w.l.Erase(alice))
}

// TestOlderKeysAreNoticed: a checkpoint has the generation of the data keys.
func TestOlderKeysAreNoticed(t *testing.T) {
	d := settled(t)
	before := d.clone()
	w := mustOpen(t, d, 9)
	testutil.Must(t, w.l.Erase(alice), w.checkpoint())
	good, err := open(d.clone(), 10)
	testutil.Must(t, err)
	if good.l.KeysOlder() {
		t.Error("the newest data keys are reported as older ones")
	}
	for _, name := range KeysNames {
		d.files[name] = before.files[name]
	}
	for start := range 2 {
		w, err := open(d, 11)
		testutil.Must(t, err)
		if older := w.l.KeysOlder(); older != (start == 0) {
			t.Errorf("start %d reports older data keys: %v", start, older)
		}
		watch(t, w) // writes them as the newest
	}
}

// TestLostCheckpoints are reported, and new ones are written. While one of two exists, a start
// uses it, and its segments are kept.
func TestLostCheckpoints(t *testing.T) {
	for lost := range 4 {
		d := settled(t)
		w := mustOpen(t, d, 9)
		testutil.Must(t, w.write(1), w.checkpoint())
		names := d.names(checkpointSuffix)
		var want []string
		for i, name := range names {
			if lost>>i&1 != 0 {
				want = append(want, name)
				delete(d.files, name)
			}
		}
		if got := watch(t, w); !slices.Equal(got, want) {
			t.Errorf("lost are %v, want %v", got, want)
		}
		if got := watch(t, w); len(got) > 0 {
			t.Errorf("Watch reports %v again; want one report", got)
		}
		testutil.Must(t, w.write(1), w.checkpoint(), w.write(1))
		same(t, w, mustOpen(t, d, 10))
		if n := len(d.names(checkpointSuffix)); n != 2 && lost != 3 {
			t.Errorf("the store has %d checkpoints; want 2", n)
		}
		testutil.Must(t, w.checkpoint(), w.write(1))
		same(t, w, mustOpen(t, d, 11))
	}
}

// TestLostSegments are reported once, whether they were removed or cut short. A lost newest
// segment gets no more appends.
func TestLostSegments(t *testing.T) {
	for what, lose := range map[string]func(d *disk, name string){
		"removed": func(d *disk, name string) { delete(d.files, name) },
		"cut":     func(d *disk, name string) { d.files[name] = d.files[name][:len(d.files[name])-1] },
	} {
		d := store(t)
		w := mustOpen(t, d, 9)
		testutil.Must(t, w.write(1))
		names := d.names(segmentSuffix)
		if got := watch(t, w); len(got) > 0 {
			t.Fatalf("%s: Watch reports %v of an undamaged store", what, got)
		}
		newest := w.l.Position().Segment
		for _, name := range []string{names[0], names[len(names)-1]} {
			lose(d, name)
			if got := watch(t, w); !slices.Equal(got, []string{name}) {
				t.Errorf("%s: lost are %v, want %s", what, got, name)
			}
			if got := watch(t, w); len(got) > 0 {
				t.Errorf("%s: Watch reports %v again; want one report", what, got)
			}
		}
		if testutil.Must(t, w.write(1)); w.l.Position().Segment == newest {
			t.Errorf("%s: the lost newest segment gets an append; want a new segment", what)
		}
	}
}

// adriftDisk is a disk whose directory was replaced by another.
type adriftDisk struct {
	*disk
	adrift bool
}

func (d *adriftDisk) Watch() ([]File, int64, error) {
	if d.adrift {
		return nil, 0, ErrAdrift
	}
	return d.disk.Watch()
}

// TestNothingIsAppendedAdrift, until the directory is back.
func TestNothingIsAppendedAdrift(t *testing.T) {
	d := &adriftDisk{disk: newDisk()}
	w, err := openOn(d, d.disk, 1)
	testutil.Must(t, err, w.write(1))
	d.adrift = true
	if _, _, err := w.l.Watch(); !errors.Is(err, ErrAdrift) {
		t.Fatalf("%v", err)
	}
	if err := w.write(1); !errors.Is(err, ErrAdrift) {
		t.Errorf("a write to a replaced directory returns %v; want an error", err)
	}
	if err := w.l.Resume(); !errors.Is(err, ErrAdrift) {
		t.Errorf("resume: %v", err)
	}
	d.adrift = false
	watch(t, w)
	testutil.Must(t, w.l.Resume(), w.write(1))
	w.check(t)
}

// TestTrim: it removes the tail that crashes left in older segments, but not in the newest one.
// The log stays the same.
func TestTrim(t *testing.T) {
	d := settled(t)
	for _, name := range d.names(segmentSuffix) {
		d.files[name] = append(d.files[name], make([]byte, 4000)...)
	}
	before := d.clone()
	w := mustOpen(t, d, 9)
	testutil.Must(t, w.l.Trim())
	same(t, w, mustOpen(t, d, 10))
	names := d.names(segmentSuffix)
	for i, name := range names {
		newest := i == len(names)-1
		if taken := len(before.files[name]) - len(d.files[name]); newest && taken != 0 || !newest && taken < 4000 {
			t.Errorf("%s: Trim removes %d bytes", name, taken)
		}
	}
}

// TestAnyNumberOfACheckpoint: foreign files have any numbers. The written checkpoints must still
// be found, and the older one must still serve as the fallback.
func TestAnyNumberOfACheckpoint(t *testing.T) {
	for _, number := range []uint32{1<<32 - 1, 1<<32 - 2, maxAhead, maxAhead - 1, 17} {
		d := settled(t)
		d.files[checkpointName(number)] = []byte("no checkpoint")
		w, err := open(d, 9)
		testutil.Must(t, err)
		testutil.Must(t, w.write(1), w.checkpoint(), w.write(1))
		again := mustOpen(t, d, 10)
		same(t, w, again)
		testutil.Must(t, again.write(1), again.checkpoint())
		names := d.names(checkpointSuffix)
		if len(names) != 2 || slices.Contains(names, checkpointName(number)) {
			t.Errorf("%d: there are %v", number, names)
			continue
		}
		p := d.files[checkpointName(again.l.Checkpoints()[0])]
		p[len(p)-1] ^= 1
		other, err := open(d, 11)
		testutil.Must(t, err)
		if len(other.refused) != 1 || other.restored != again.l.Checkpoints()[1] {
			t.Errorf("%d: the older checkpoint is not used: %v", number, other.refused)
		}
		if err := other.verify(); err != nil || !maps.Equal(other.objects, again.objects) {
			t.Errorf("%d: the older checkpoint leads to another state: %v", number, err)
		}
	}
}

// TestASegmentStandsOnceInTheHistory, also if it is made while a checkpoint is written.
func TestASegmentStandsOnceInTheHistory(t *testing.T) {
	d := newDisk()
	w := mustOpen(t, d, 1)
	testutil.Must(t, w.write(1))
	for start := range uint64(4) {
		err := w.l.Checkpoint(w.l.Position(), inPieces(func(i int) ([]byte, error) {
			err := errors.Join(w.l.Resume(), w.write(1))
			p, errPiece := w.piece(i)
			return p, errors.Join(err, errPiece)
		}))
		testutil.Must(t, err)
		again := mustOpen(t, d, 2+start)
		if !slices.Equal(again.l.history, w.l.history) {
			t.Fatalf("start %d: the history has %d entries, it had %d", start, len(again.l.history), len(w.l.history))
		}
		w = again
	}
}

// TestACheckpointFindsAFreeNumber: a foreign file has the number of the next checkpoint. It is
// not replaced, and the checkpoint gets another number.
func TestACheckpointFindsAFreeNumber(t *testing.T) {
	for what, spoil := range map[string]func(d *disk, newest uint32){
		"cut off": func(d *disk, newest uint32) {
			name := checkpointName(newest)
			d.files[name] = d.files[name][:50]
		},
		"put there": func(d *disk, newest uint32) { d.files[checkpointName(newest+1)] = []byte("of somebody else") },
	} {
		d := settled(t)
		w := mustOpen(t, d, 9)
		testutil.Must(t, w.write(1), w.checkpoint())
		spoil(d, w.l.Checkpoints()[0])
		watch(t, w)
		before := d.clone()
		if err := w.checkpoint(); err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
		if err := w.checkpoint(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		for name, p := range before.files {
			if now, there := d.files[name]; there && !bytes.Equal(now, p) {
				t.Errorf("%s: %s was replaced", what, name)
			}
		}
		testutil.Must(t, w.write(1))
		same(t, w, mustOpen(t, d, 10))
	}
}

// TestALostSegmentCanBeGivenUp: a segment that is not needed can be removed even if its file is
// missing. Otherwise compaction would choose it again and again.
func TestALostSegmentCanBeGivenUp(t *testing.T) {
	d := store(t)
	w := mustOpen(t, d, 9)
	name := d.names(segmentSuffix)[0]
	id, _ := number(name, segmentSuffix)
	delete(d.files, name)
	watch(t, w)
	if err := w.l.Remove(id); err != nil || w.l.Has(id) {
		t.Errorf("removing a lost segment returns %v; the log still has it: %v", err, w.l.Has(id))
	}
}

// TestTrimAfterRotation: the newest segment of a start keeps its tail until another segment
// follows. The tail may hold records of a write that was cut short.
func TestTrimAfterRotation(t *testing.T) {
	d := settled(t)
	names := d.names(segmentSuffix)
	newest := names[len(names)-1]
	d.files[newest] = append(d.files[newest], make([]byte, 4000)...)
	w := mustOpen(t, d, 9)
	end := len(d.files[newest]) - 4000
	list := w.l.Segments()
	if tail := list[len(list)-1].Tail; tail < 4000 {
		t.Errorf("the tail has %d bytes; 4000 were added", tail)
	}
	testutil.Must(t, w.l.Trim())
	if len(d.files[newest]) < end+4000 {
		t.Fatal("Trim cut the newest segment, to which a write may be in progress")
	}
	testutil.Must(t, w.write(1), w.l.Trim())
	if len(d.files[newest]) > end {
		t.Errorf("%s has %d bytes, of which %d are data", newest, len(d.files[newest]), end)
	}
	for _, s := range w.l.Segments() {
		if s.Tail > 0 {
			t.Errorf("segment %d still has a tail of %d bytes", s.Number, s.Tail)
		}
	}
}
