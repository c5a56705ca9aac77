package seglog

import (
	"bytes"
	"errors"
	"slices"
	"syscall"
	"testing"

	"motte/internal/testutil"
)

// TestCrashKeepsWhatWasAcknowledged lets the last write fail, and leaves any number of its
// bytes, or any set of its sectors. The next start must find all acknowledged records, and of
// the failed write only whole groups in order.
func TestCrashKeepsWhatWasAcknowledged(t *testing.T) {
	good := store(t)
	try := func(left func(int64, []byte) []byte) {
		t.Helper()
		d := good.clone()
		w := mustOpen(t, d, 9)
		testutil.Must(t, w.write(2))
		lsn := w.l.Position().LSN
		d.fail, d.left = errors.New("power cut"), left
		if err := w.write(6); !errors.Is(err, d.fail) {
			t.Fatalf("a write to a failing disk returns %v", err)
		}
		d.fail = nil
		if err := w.write(1); !errors.Is(err, ErrFailed) {
			t.Fatalf("an append after a failed write returns %v; want ErrFailed", err)
		}
		if w.check(t); w.l.Position().LSN != lsn {
			t.Fatal("a failed write moved the position")
		}
		again := mustOpen(t, d, 10)
		if got := again.l.Position().LSN; got < lsn || got > lsn+9 {
			t.Fatalf("position at record %d, acknowledged %d", got, lsn)
		}
		testutil.Must(t, again.write(1))
		same(t, again, mustOpen(t, d, 11))
	}
	for n := 0; n < 1300; n += 3 {
		try(first(n))
	}
	for set := range uint64(16) {
		try(sectors(set))
	}
}

// TestResume lets writes fail and the log resume. No part of a failed write may ever come back,
// whenever a crash occurs.
func TestResume(t *testing.T) {
	good := store(t)
	try := func(left func(int64, []byte) []byte) {
		t.Helper()
		d := good.clone()
		w := mustOpen(t, d, 9)
		testutil.Must(t, w.write(1))
		want, old := w.l.Position().LSN, w.l.last.number
		d.fail, d.left = syscall.ENOSPC, left
		if w.write(3) == nil || w.l.Resume() == nil || w.l.Resume() == nil {
			t.Fatal("a write to a full disk succeeds; want an error")
		}
		if err := w.write(1); !errors.Is(err, ErrFailed) {
			t.Fatalf("an append after a failed Resume returns %v; want an error", err)
		}
		w.check(t) // earlier records are read as before
		d.fail = nil
		testutil.Must(t, w.l.Resume())
		if got := mustOpen(t, d.clone(), 10).l.Position().LSN; got != want || w.l.Position().LSN != want || w.l.last.number != old+1 {
			t.Fatalf("after Resume: position at record %d, found at %d, want %d", w.l.Position().LSN, got, want)
		}
		testutil.Must(t, w.write(2), w.carry(1), w.checkpoint(), w.write(1))
		w.check(t)
		same(t, w, mustOpen(t, d, 11))
	}
	for n := 0; n < 400; n += 3 {
		try(first(n))
	}
	for set := range uint64(4) {
		try(sectors(set))
	}
	try(func(_ int64, p []byte) []byte { return slices.Concat(p, make([]byte, 4096)) })
}

// TestWhatAFailedWriteLeftStaysGone, even if it reappears after a later crash.
func TestWhatAFailedWriteLeftStaysGone(t *testing.T) {
	d := store(t)
	w := mustOpen(t, d, 9)
	testutil.Must(t, w.write(1))
	name, before := segmentName(w.l.last.number), len(d.files[segmentName(w.l.last.number)])
	d.fail, d.left = syscall.EIO, first(1<<20)
	if w.write(3) == nil {
		t.Fatal("a write to a bad disk succeeds; want an error")
	}
	d.fail = nil
	all := d.files[name]
	for n := before; n <= len(all); n += 12 {
		late := d.clone()
		late.files[name] = bytes.Clone(all[:before])
		w := mustOpen(t, late, 10) // the crash removed the failed write
		testutil.Must(t, w.write(2), w.checkpoint(), w.write(1))
		late.files[name] = bytes.Clone(all[:n]) // another crash brings it back
		same(t, w, mustOpen(t, late, 11))
	}
}

// TestResumeTwice: segments without a record are not a gap.
func TestResumeTwice(t *testing.T) {
	d := store(t)
	w := mustOpen(t, d, 9)
	for range 3 {
		testutil.Must(t, w.l.Resume(), w.l.Resume(), w.checkpoint(), w.write(1))
	}
	testutil.Must(t, w.l.Resume())
	same(t, w, mustOpen(t, d, 10))
	again, err := openFrom(d, 11, 0)
	testutil.Must(t, err)
	same(t, w, again)
}

// TestNewSegmentThatFails: a write that needs a new segment, which can't be made, changes no
// state, even if the segment exists afterwards.
func TestNewSegmentThatFails(t *testing.T) {
	for _, there := range []bool{false, true} {
		d := store(t)
		w := mustOpen(t, d, 9)
		testutil.Must(t, w.write(1))
		w.l.Rotate()
		d.fail = syscall.ENOSPC
		if err := w.write(1); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("a write that needs a new segment on a full disk returns %v", err)
		}
		d.fail = nil
		if there {
			clone := d.clone()
			late := mustOpen(t, clone, 10)
			testutil.Must(t, late.l.Resume())
			for _, name := range clone.names(segmentSuffix) {
				d.files[name] = clone.files[name]
			}
			d.unsure = map[string]bool{segmentName(w.l.Position().Segment + 1): true}
		}
		w.check(t)
		if got, want := mustOpen(t, d.clone(), 11).l.Position().LSN, w.l.Position().LSN; got != want {
			t.Fatalf("found at record %d, want %d", got, want)
		}
		testutil.Must(t, w.l.Resume(), w.write(2), w.checkpoint(), w.write(1))
		same(t, w, mustOpen(t, d, 12))
	}
}
