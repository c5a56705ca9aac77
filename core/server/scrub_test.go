package server

import (
	"context"
	"encoding/binary"
	"fmt"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"motte/core/engine"
	"motte/core/model"
	"motte/core/seglog"
)

// rot alters the record of an object in place, and returns its location.
func (r *rig) rot(name string) seglog.Location {
	r.t.Helper()
	at := found(r.must(model.OK, request(0, model.OpGet, "c", name, ""))).Loc
	r.disk.flip(fmt.Sprintf("%08d.seg", at.Segment), int(at.Offset+at.Length/2))
	return at
}

func (r *rig) alerts() (n int) {
	synctest.Wait()
	return len(bodies(r.must(model.OK, request(0, model.OpAlerts, "", "", ""))))
}

// TestTheScrubFindsARecordThatRots without a request for it, within one pass, which takes about
// three days. It alerts once, however often it finds the record.
func TestTheScrubFindsARecordThatRots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.fillSegments(5)
		h := newMaintainer(r.server, r.ctx)
		if _, err := h.runStep(); err != nil { // the step sets the number of live bytes
			t.Fatal(err)
		}
		c := newScrubber(h)
		c.begin()
		at := r.rot("stays 3")
		for pass := uint64(1); pass <= 3; pass++ {
			var due time.Duration // time that all records together may take
			for c.maintainer.s.measured.scrubPasses.Load() < pass {
				began := time.Now()
				c.next = began
				if c.step() {
					t.Fatal("the scrub runs at full speed, though no verification waits for it")
				}
				if c.maintainer.s.measured.scrubPasses.Load() < pass {
					due += c.next.Sub(began)
				}
			}
			if due < scrubWithin*9/10 || due > scrubWithin*11/10 {
				t.Errorf("pass %d takes %v, want %v", pass, due, scrubWithin)
			}
			if c.maintainer.s.measured.scrubDamaged.Load() != pass {
				t.Errorf("after %d passes %d damaged records were found", pass, c.maintainer.s.measured.scrubDamaged.Load())
			}
			if n := r.alerts(); n != 1 {
				t.Errorf("after %d passes there are %d alerts, want 1", pass, n)
			}
		}
		h.scrub = c
		if _, err := h.runStep(); err != nil {
			t.Fatal(err)
		}
		r.disk.flip(fmt.Sprintf("%08d.seg", at.Segment), int(at.Offset+at.Length/2)) // the record is intact again
		if c.begin(); c.fill() {
			for _, o := range c.list {
				if c.read(o) == 0 {
					t.Error("a record is not read")
				}
			}
		}
		if c.found.Damaged != 0 || c.found.Objects != 7 {
			t.Errorf("then %d of %d records are damaged", c.found.Damaged, c.found.Objects)
		}
	})
}

// TestAVerificationIsAnsweredWhenAllWasRead, with the numbers of a pass that began after the
// request.
func TestAVerificationIsAnsweredWhenAllWasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.fillSegments(5)
		r.all.Go(func() { r.maintain(r.ctx) })
		live := uint64(0)
		for _, n := range r.engine.Live() {
			live += uint64(n)
		}
		verify := func(damaged uint64) {
			t.Helper()
			body := r.must(model.OK, request(0, model.OpVerify, "", "", "")).Body
			if len(body) != 24 {
				t.Fatalf("the answer has %d bytes", len(body))
			}
			for i, want := range []uint64{7, live, damaged} {
				if got := binary.BigEndian.Uint64(body[8*i:]); got != want {
					t.Errorf("number %d of a verification is %d, want %d", i, got, want)
				}
			}
		}
		verify(0)
		r.rot("stays 0")
		r.rot("hers")
		verify(2)
		verify(2)
		if n := r.alerts(); n != 2 {
			t.Errorf("%d alerts, want one for each damaged record", n)
		}
		r.send(1, request(0, model.OpVerify, "", "", ""))
		r.send(1, request(0, model.OpVerify, "", "", ""))
		time.Sleep(time.Minute)
		if n := len(r.answers()); n != 2 {
			t.Errorf("%d of two verifications are answered", n)
		}
		if a := r.ask(5, request(0, model.OpVerify, "", "", "")); a.Code != model.Denied {
			t.Errorf("a principal without admin gets code %d", a.Code)
		}
	})
}

// TestAScrubFollowsWhatIsMoved: if a record was relocated, replaced or deleted since its entry
// was taken, this is not damage.
func TestAScrubFollowsWhatIsMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.fillSegments(5)
		c := newScrubber(newMaintainer(r.server, r.ctx))
		if c.begin(); !c.fill() || len(c.list) != 7 {
			t.Fatalf("%d entries", len(c.list))
		}
		r.must(model.OK, request(0, model.OpDelete, "c", "stays 1", ""))
		r.must(model.OK, request(0, model.OpPut, "c", "stays 2", "changed"))
		r.tidy()
		for _, o := range c.list {
			c.read(o)
		}
		if c.found.Objects != 5 || c.found.Damaged != 0 || r.alerts() != 0 {
			t.Errorf("of %d records %d are damaged; %d alerts", c.found.Objects, c.found.Damaged, r.alerts())
		}
	})
}

// TestTheScrubReplacesADamagedCheckpoint: a start needs an intact checkpoint, and the store
// keeps only two.
func TestTheScrubReplacesADamagedCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.all.Go(func() { r.maintain(r.ctx) })
		r.must(model.OK, request(0, model.OpCompact, "", "", ""))
		verify := func() (damaged uint64) {
			t.Helper()
			return binary.BigEndian.Uint64(r.must(model.OK, request(0, model.OpVerify, "", "", "")).Body[16:])
		}
		if n := verify(); n != 0 {
			t.Fatalf("%d checkpoints that were just written are reported as damaged", n)
		}
		before := r.log.Checkpoints()
		for _, number := range before[:2] {
			r.disk.flip(fmt.Sprintf("%08d.ckp", number), 200)
		}
		if n := verify(); n != 2 {
			t.Errorf("the scrub finds %d of two damaged checkpoints", n)
		}
		if n := r.alerts(); n != 2 {
			t.Errorf("%d alerts for two damaged checkpoints", n)
		}
		if now := r.log.Checkpoints(); len(now) != 3 || now[1] <= before[0] {
			t.Errorf("the checkpoints are %v, and were %v", now, before)
		}
		if n := verify(); n != 0 {
			t.Errorf("after the repair %d checkpoints are damaged; want 0", n)
		}
		again := openRig(t, r.disk.copy())
		again.must(model.OK, request(0, model.OpGet, "c", "hers", ""))
		again.close()
	})
}

// TestTheScrubReplacesACheckpointThatCanNotBeRead: a decaying disk returns errors more often
// than wrong bytes. A temporary error has no consequence.
func TestTheScrubReplacesACheckpointThatCanNotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.all.Go(func() { r.maintain(r.ctx) })
		r.must(model.OK, request(0, model.OpCompact, "", "", ""))
		before := r.log.Checkpoints()
		newest := fmt.Sprintf("%08d.ckp", before[0])
		for _, failures := range []int{1, 1 << 30} {
			r.disk.spoiled(func(name string, p []byte) error {
				if name != newest || failures == 0 {
					return nil
				}
				failures--
				clear(p)
				return syscall.EIO
			})
			r.must(model.OK, request(0, model.OpVerify, "", "", ""))
		}
		if n := r.alerts(); n != 1 {
			t.Errorf("%d alerts for a checkpoint that can't be read", n)
		}
		if now := r.log.Checkpoints(); len(now) != 3 || now[1] <= before[0] {
			t.Errorf("the checkpoints are %v, and were %v", now, before)
		}
	})
}

// TestAStopWaitsForNoCheckpoint to be read to its end, however large it is.
func TestAStopWaitsForNoCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		ctx, cancel := context.WithCancel(r.ctx)
		h := newMaintainer(r.server, ctx)
		if err := h.checkpoint(); err != nil {
			t.Fatal(err)
		}
		reads := 0
		r.disk.spoiled(func(string, []byte) error {
			if reads++; reads == 2 { // the read of the first piece, after the header
				cancel()
			}
			return nil
		})
		newScrubber(h).checkpoints()
		r.disk.spoiled(nil)
		if reads > 2*3 || r.alerts() != 0 { // two attempts to read the header, a length and a piece
			t.Errorf("%d reads; %d alerts", reads, r.alerts())
		}
	})
}

// TestAScrubOfAFailingDiskYields: a step ends after about a second, however slow its reads are,
// so that checkpoints, erasures and compaction get their turn.
func TestAScrubOfAFailingDiskYields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.fillSegments(30)
		r.send(1, request(0, model.OpVerify, "", "", ""))
		synctest.Wait()
		c := newScrubber(newMaintainer(r.server, r.ctx))
		r.disk.spoiled(func(string, []byte) error { return syscall.EIO })
		began := time.Now()
		if more := c.step(); !more || time.Since(began) > 4*maintainEvery {
			t.Errorf("a step took %v; more is left: %v", time.Since(began), more)
		}
		r.disk.spoiled(nil)
		for c.step() {
		}
		if n := len(r.answers()); n != 1 || c.found != (engine.Verify{}) {
			t.Errorf("%d verifications are answered", n)
		}
	})
}
