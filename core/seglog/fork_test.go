package seglog

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"motte/core/model"
	"motte/internal/testutil"
)

// heads writes n times, and returns the head after each write.
func heads(t testing.TB, w *world, n int) (list []model.Head) {
	t.Helper()
	for range n {
		testutil.Must(t, w.write(1))
		at := w.l.Position()
		list = append(list, at.Head())
	}
	return list
}

// knows fails the test unless a log accepts each head as part of its history, or refuses each,
// as wanted.
func knows(t testing.TB, what string, w *world, heads []model.Head, want bool) {
	t.Helper()
	for _, h := range heads {
		if h.LSN <= w.l.Position().LSN && w.l.Contains(h) != want {
			t.Fatalf("%s: record %d of segment %x, the log is at %d: %v", what, h.LSN, h.Segment[:2], w.l.Position().LSN, !want)
		}
	}
}

// TestBranchesRefuseEachOther: two logs continue from copies of one storage. Each accepts the
// heads from before the copy. Once it is long enough, it refuses the other's heads. This also
// holds after a restart, from a checkpoint, and when the segments are gone.
func TestBranchesRefuseEachOther(t *testing.T) {
	a := store(t)
	common := mustOpen(t, a, 3)
	trunk := heads(t, common, 4)
	b := a.clone()
	wa, wb := mustOpen(t, a, 4), mustOpen(t, b, 5)
	ha, hb := heads(t, wa, 6), heads(t, wb, 9)
	both := func(what string) {
		t.Helper()
		knows(t, what, wa, trunk, true)
		knows(t, what, wb, trunk, true)
		knows(t, what, wa, ha, true)
		knows(t, what, wb, hb, true)
		knows(t, what, wa, hb, false)
		knows(t, what, wb, ha, false)
	}
	both("at once")
	wa, wb = mustOpen(t, a, 6), mustOpen(t, b, 7)
	both("after a restart")
	for _, w := range []*world{wa, wb} {
		testutil.Must(t, w.write(1), w.checkpoint())
		w.l.Rotate()
		testutil.Must(t, w.write(1), w.checkpoint(), w.checkpoint())
		for _, s := range w.l.Segments() {
			if s.Free {
				testutil.Must(t, w.compact(s.Number))
			}
		}
		testutil.Must(t, w.checkpoint(), w.checkpoint())
	}
	both("after history was removed")
	if len(a.names(segmentSuffix)) > 3 {
		t.Fatal("nothing was removed")
	}
	wa, wb = mustOpen(t, a, 8), mustOpen(t, b, 9)
	both("after that and a restart")
	for _, n := range wa.l.Checkpoints()[:2] {
		var err error
		wa, err = openFrom(a, 10, n)
		testutil.Must(t, err)
		both("from each checkpoint")
	}
	a.files[checkpointName(wa.l.Checkpoints()[0])] = b.files[checkpointName(wb.l.Checkpoints()[0])]
	if w, err := open(a, 11); err == nil {
		knows(t, "with the other's checkpoint", w, hb, false)
	}
}

// TestCutBranch: a log lost its last records without a trace on the disk. Once it has as many
// records again, it must refuse the lost heads.
func TestCutBranch(t *testing.T) {
	d := store(t)
	w := mustOpen(t, d, 3)
	kept := heads(t, w, 3)
	before := d.clone()
	lost := heads(t, w, 3)
	w = mustOpen(t, before, 4)
	for range 5 {
		testutil.Must(t, w.write(1))
		knows(t, "kept", w, kept, true)
		knows(t, "lost", w, lost, false)
	}
}

// TestContains checks the bounds of the history, and heads that never existed.
func TestContains(t *testing.T) {
	d := store(t)
	w := mustOpen(t, d, 3)
	if !w.l.Contains(model.Head{}) {
		t.Error("the head of an empty log is refused")
	}
	if w.l.Contains(model.Head{LSN: 1}) || w.l.Contains(model.Head{LSN: 5, Segment: w.l.segments[2].id}) {
		t.Error("a head without a segment, or of another segment, is accepted")
	}
	for _, s := range w.l.segments {
		for _, lsn := range []uint64{s.firstLSN - 1, s.firstLSN} {
			if got, want := w.l.Contains(model.Head{LSN: lsn, Segment: s.id}), lsn == s.firstLSN || lsn == 0; got != want {
				t.Errorf("record %d of segment %d: %v", lsn, s.number, got)
			}
		}
	}
	for n := range maxHistory + 5 {
		w.l.begin(&segment{firstLSN: uint64(100 + n), id: SegmentID{byte(n), byte(n >> 8), byte(n >> 16), 1}})
	}
	if len(w.l.history) > maxHistory {
		t.Errorf("the history has %d segments; want its bound", len(w.l.history))
	}
	last := uint64(100 + maxHistory + 4)
	tag := w.l.history[len(w.l.history)-1].Segment
	if !w.l.Contains(model.Head{LSN: last, Segment: tag}) || w.l.Contains(model.Head{LSN: last - 1, Segment: tag}) {
		t.Error("the history lacks its newest segments")
	}
	if !w.l.Contains(model.Head{LSN: 3}) {
		t.Error("a head that is older than the kept history is refused; want it accepted")
	}
}

// TestCarriedRecordsMoveNoHead: the answer about a head stays the same when compaction relocates
// its record.
func TestCarriedRecordsMoveNoHead(t *testing.T) {
	d := store(t)
	w := mustOpen(t, d, 3)
	all := heads(t, w, 2)
	tag := w.l.Position().SegmentID
	testutil.Must(t, w.carry(1), w.l.Resume())
	if w.l.Position().SegmentID != tag {
		t.Error("a segment without records has a head")
	}
	testutil.Must(t, w.carry(2))
	all = append(all, heads(t, w, 2)...)
	knows(t, "at once", w, all, true)
	again := mustOpen(t, d, 4)
	knows(t, "after a restart", again, all, true)
	if again.l.Position() != w.l.Position() || !maps.Equal(again.objects, w.objects) {
		t.Error("a restart leads to another head")
	}
}

// TestSegmentsOfAnotherBranch: a log with a segment of a fork must be refused.
func TestSegmentsOfAnotherBranch(t *testing.T) {
	a := store(t)
	testutil.Must(t, mustOpen(t, a, 3).write(1))
	b := a.clone()
	wa, wb := mustOpen(t, a, 4), mustOpen(t, b, 5)
	for _, w := range []*world{wa, wb} {
		testutil.Must(t, w.write(2), w.l.Resume(), w.write(1), w.l.Resume(), w.write(1), w.checkpoint())
	}
	for name, p := range b.files {
		if old := a.files[name]; string(old) != string(p) && name != checkpointName(1) && !slices.Contains(KeysNames[:], name) {
			mixed := a.clone()
			mixed.files[name] = p
			for _, n := range []uint32{0, 1} {
				if _, err := openFrom(mixed, 6, n); !errors.Is(err, ErrDamaged) && name != segmentName(7) {
					t.Errorf("%s of the other, from checkpoint %d: %v", name, n, err)
				}
			}
		}
	}
}
