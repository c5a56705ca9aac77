package server

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"motte/client/frames"
	"motte/core/engine"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/wire"
	"motte/internal/testutil"
)

// erase requests the erasure of the principal of key(5).
func (s *testServer) erase(admin *tls.Conn) {
	s.t.Helper()
	do(s.t, admin, model.OK, &wire.Request{Op: model.OpRemovePrincipal, Number: 9, Identity: identity.ID(principalOf(key(5))), Flags: wire.FlagErase})
}

// TestAStoreOpensAfterAnErasure, even though the log after the checkpoint has records that no
// key opens any more.
func TestAStoreOpensAfterAnErasure(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	admin := s.dial(key(1))
	do(t, admin, model.OK, request(1, model.OpCreateCollection, "c", "", ""))
	s.add(admin)
	do(t, admin, model.OK, &wire.Request{Op: model.OpGrant, Number: 3, Collection: "c",
		Identity: identity.ID(principalOf(key(5))), Rights: model.RightWrite})
	do(t, s.dial(key(5)), model.OK, request(1, model.OpPut, "c", "hers", "data of hers"))
	do(t, admin, model.OK, request(4, model.OpPut, "c", "before", "data"))
	s.erase(admin)
	do(t, admin, model.OK, request(5, model.OpPut, "c", "after", "data"))
	for range 2 {
		s.stop()
		s = start(t, dir)
		admin = s.dial(key(1))
		do(t, admin, model.OK, request(1, model.OpGet, "c", "before", ""), request(2, model.OpGet, "c", "after", ""))
		do(t, admin, model.NotFound, request(3, model.OpGet, "c", "hers", ""))
		do(t, admin, model.OK, request(4, model.OpCompact, "", "", ""))
	}
	s.stop()
}

// TestAnErasureDoesNotWaitForMaintenance: its data key is destroyed, and it is answered, before the
// next step of maintenance.
func TestAnErasureDoesNotWaitForMaintenance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.all.Go(func() { r.maintain(r.ctx) })
		began := time.Now()
		r.must(model.OK, &wire.Request{Op: model.OpRemovePrincipal, Identity: identity.ID(principalOf(key(5))), Flags: wire.FlagErase})
		if took := time.Since(began); took != 0 {
			t.Errorf("the erasure took %v of simulated time", took)
		}
	})
}

// TestADamagedCheckpointIsNotTheEnd: the older checkpoint leads to the same state, and an alert
// records the damage. Without both checkpoints, reclaimed segments are missing, and the store
// must not open.
func TestADamagedCheckpointIsNotTheEnd(t *testing.T) {
	flip := func(path string) error {
		p, err := os.ReadFile(path)
		if err == nil {
			p[len(p)/2] ^= 1
			err = os.WriteFile(path, p, 0o600)
		}
		return err
	}
	cut := func(path string) error { return os.Truncate(path, 1000) }
	both := func(spoil func(string) error) func(string, string) error {
		return func(older, newer string) error { return errors.Join(spoil(older), spoil(newer)) }
	}
	newest := func(spoil func(string) error) func(string, string) error {
		return func(_, newer string) error { return spoil(newer) }
	}
	whole := t.TempDir()
	s := start(t, whole)
	admin := s.dial(key(1))
	do(t, admin, model.OK, request(1, model.OpCreateCollection, "c", "", ""))
	var gets []*wire.Request
	for i := range uint64(10) {
		name := fmt.Sprint("object ", i)
		do(t, admin, model.OK, request(10+i, model.OpPut, "c", name, "data of "+name), request(50+i, model.OpPut, "c", name, "changed"))
		if gets = append(gets, request(100+i, model.OpGet, "c", name, "")); i == 5 {
			do(t, admin, model.OK, request(2, model.OpCompact, "", "", ""))
		}
	}
	s.stop()
	for _, c := range []struct {
		name   string
		damage func(older, newer string) error
		opens  bool
		alerts int
	}{
		{"nothing", func(string, string) error { return nil }, true, 0},
		{"the newest is altered", newest(flip), true, 1},
		{"the newest is cut", newest(cut), true, 1},
		{"the newest is missing", newest(os.Remove), true, 0},
		{"the older one is altered", func(older, _ string) error { return flip(older) }, true, 0},
		{"they are exchanged", func(older, newer string) error {
			return errors.Join(os.Rename(older, older+"x"), os.Rename(newer, older), os.Rename(older+"x", newer))
		}, false, 0},
		{"both are altered", both(flip), false, 0},
		{"both are missing", both(os.Remove), false, 0},
	} {
		dir := t.TempDir()
		if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, "root.key"), 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := filepath.Glob(filepath.Join(dir, "*.ckp"))
		if err != nil || len(list) != 2 {
			t.Fatalf("%v: checkpoints %v", err, list)
		}
		if err := c.damage(list[0], list[1]); err != nil {
			t.Fatal(err)
		}
		if !c.opens {
			ends := testutil.Control(t)
			err := Run(Config{Dir: dir, RootKey: filepath.Join(dir, "root.key"), Listen: "127.0.0.1:0", Admin: principalOf(key(1)), Control: ends[1]})
			if !errors.Is(err, seglog.ErrDamaged) {
				t.Errorf("%s: %v", c.name, err)
			}
			ends[0].Close()
			ends[1].Close()
			continue
		}
		s := start(t, dir)
		admin := s.dial(key(1))
		do(t, admin, model.OK, gets...)
		do(t, admin, model.OK, request(4, model.OpPut, "c", "another", "data")) // the server takes writes
		var reasons []model.Reason
		if _, err := admin.Write(frames.AppendRequest(nil, request(3, model.OpAlerts, "", "", ""))); err != nil {
			t.Fatal(err)
		}
		for h, body := reply(t, admin); h.Kind == wire.KindAlert; h, body = reply(t, admin) {
			a, err := frames.DecodeAlert(body)
			if err != nil {
				t.Fatal(err)
			}
			reasons = append(reasons, a.Reason)
		}
		if !slices.Equal(reasons, slices.Repeat([]model.Reason{model.ReasonCheckpoint}, c.alerts)) {
			t.Errorf("%s: alerts for %v", c.name, reasons)
		}
		s.stop()
	}
}

// TestWhatIsCompactedNext: of the segments that no checkpoint needs, the one with the best ratio
// of freed to relocated bytes; and none while little could be freed.
func TestWhatIsCompactedNext(t *testing.T) {
	const size = 1000
	segments := func(free, of uint32) (list []seglog.SegmentInfo) {
		for id := range of {
			list = append(list, seglog.SegmentInfo{Number: id + 1, Bytes: size, Free: id < free})
		}
		return list
	}
	type live = map[uint32]int64
	for _, c := range []struct {
		name    string
		list    []seglog.SegmentInfo
		live    live
		last    uint32
		damaged uint32
		want    uint32 // 0: no segment
	}{
		{"no segment", nil, nil, 0, 0, 0},
		{"all are alive", segments(3, 4), live{1: size, 2: size, 3: size, 4: size}, 4, 0, 0},
		{"one is dead", segments(3, 4), live{1: size, 3: size, 4: size}, 0, 0, 2},
		{"a dead one that a checkpoint needs", segments(1, 4), live{1: size, 3: size, 4: size}, 0, 0, 0},
		{"a dead one without records", []seglog.SegmentInfo{{Number: 1, Free: true}, {Number: 2, Bytes: size}}, live{2: size}, 0, 0, 1},
		{"as little is dead as may be", segments(4, 4), live{1: 900, 2: 829, 3: 850, 4: 850}, 0, 0, 0},
		{"a little more, and the one that is mostly dead", segments(4, 4), live{1: 900, 2: 819, 3: 850, 4: 850}, 0, 0, 2},
		{"much is dead, but not in those that are free", segments(1, 4), live{1: 950, 2: 10, 3: 10, 4: 10}, 0, 0, 0},
		{"much is dead, and the freest is mostly alive", segments(2, 3), live{1: 100, 2: 901, 3: size}, 0, 1, 0},
		{"all that is dead is to be given back", segments(4, 4), live{1: 999, 2: size, 3: 998, 4: size}, 4, 0, 3},
		{"but not what died since", segments(4, 4), live{1: 999, 2: size, 3: 998, 4: size}, 2, 0, 1},
		{"and not what is damaged", segments(4, 4), live{1: 999, 2: size, 3: 998, 4: size}, 4, 3, 1},
		{"a damaged one that is dead", segments(2, 2), live{2: size}, 0, 1, 0},
		{"of several that are mostly dead, the one that costs least", segments(3, 3), live{1: 300, 2: 100, 3: 200}, 0, 0, 2},
		{"a small one, by its part", []seglog.SegmentInfo{{Number: 1, Bytes: size, Free: true}, {Number: 2, Bytes: size / 10, Free: true}},
			live{1: 200, 2: 50}, 0, 0, 1},
	} {
		got, alive, debt := pickSegment(c.list, c.live, c.last, map[uint32]failure{c.damaged: {}})
		if got.Number != c.want {
			t.Errorf("%s: segment %d, want %d", c.name, got.Number, c.want)
		}
		want := int64(1)
		for _, n := range c.live {
			want += n
		}
		if alive != want || debt < 0 {
			t.Errorf("%s: %d bytes are live, want %d; debt %d", c.name, alive, want, debt)
		}
	}
	for dead, want := range map[int64]int64{1666: 0, 1700: 0, 2200: 1, 10_000: 16} { // beside 10 000 live bytes
		list := []seglog.SegmentInfo{{Number: 1, Bytes: 10_000, Free: true}, {Number: 2, Bytes: dead, Free: true}}
		if _, _, debt := pickSegment(list, live{1: 10_000}, 0, nil); debt != want {
			t.Errorf("%d bytes are dead: the debt is %d, want %d", dead, debt, want)
		}
	}
}

// fillSegments makes several segments, each with an object that stays and one
// that is deleted.
func (r *rig) fillSegments(n int) {
	r.t.Helper()
	for i := range n {
		r.log.Rotate()
		r.must(model.OK, request(0, model.OpPut, "c", fmt.Sprint("stays ", i), strings.Repeat("data", 100)))
		r.must(model.OK, request(0, model.OpPut, "c", fmt.Sprint("goes ", i), "data"))
		r.must(model.OK, request(0, model.OpDelete, "c", fmt.Sprint("goes ", i), ""))
	}
}

// rounds runs the maintainer's steps until no work is left, and returns their number.
func (r *rig) rounds(h *maintainer) (n int) {
	r.t.Helper()
	for again := true; again; n++ {
		more, err := h.runStep()
		if err != nil {
			r.t.Fatal(err)
		}
		again = more || h.pass.active
	}
	return n
}

// weekLater sets the time of the last pass to eight days ago.
func (r *rig) weekLater() {
	r.runOnEngine(func(e *engine.Engine) { e.Cleaned(time.Now().Add(-8 * 24 * time.Hour)) })
}

func (r *rig) passDue() (due bool) {
	r.runOnEngine(func(e *engine.Engine) { _, _, due = e.PendingMaintenance() })
	return due
}

// TestAPassOverACleanStoreMovesNothing: a segment with only live records is clean, even if
// compaction wrote it. So the second of two weekly passes over an unchanged store has nothing to
// do.
func TestAPassOverACleanStoreMovesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer func() { r.close() }()
		r.fillSegments(5)
		h := newMaintainer(r.server, r.ctx)
		r.weekLater()
		if !r.passDue() {
			t.Fatal("after a week no pass is due")
		}
		r.rounds(h)
		if h.s.measured.movedBytes.Load() == 0 || r.passDue() {
			t.Fatalf("the first pass moved %d bytes; another is due: %v", h.s.measured.movedBytes.Load(), r.passDue())
		}
		for restarted := range 2 {
			moved, files := h.s.measured.movedBytes.Load(), r.disk.copy().files
			r.weekLater()
			if !r.passDue() {
				t.Fatal("after another week no pass is due")
			}
			r.rounds(h)
			if h.s.measured.movedBytes.Load() != moved || r.passDue() {
				t.Errorf("a pass over a clean store moved %d bytes, want 0; another is due: %v", h.s.measured.movedBytes.Load()-moved, r.passDue())
			}
			if !maps.EqualFunc(files, r.disk.copy().files, bytes.Equal) {
				t.Error("a pass over a clean store wrote to the disk")
			}
			if restarted == 0 { // the checkpoint has enough information for that
				r.close()
				r = openRig(t, r.disk.copy())
				h = newMaintainer(r.server, r.ctx)
				r.must(model.OK, request(0, model.OpGet, "c", "stays 0", ""))
			}
		}
	})
}

// TestAPassYields: during a pass, an erasure is confirmed, and a due checkpoint is written. A
// compaction that is requested meanwhile is answered only when all records that were dead at the
// request are gone.
func TestAPassYields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.fillSegments(6)
		h := newMaintainer(r.server, r.ctx)
		r.weekLater()
		if more, err := h.runStep(); !more || err != nil || !h.pass.active {
			t.Fatalf("the first step of a pass: more %v, %v, under way %v", more, err, h.pass.active)
		}
		last := h.pass.last
		left := func() (n int) {
			list, live := h.segments()
			for _, s := range list {
				if s.Number <= last && dirty(s, live[s.Number]) {
					n++
				}
			}
			return n
		}
		if n := left(); n < 2 {
			t.Fatalf("after the first step %d segments are still to be cleaned", n)
		}
		erasure := &wire.Request{Op: model.OpRemovePrincipal, Identity: identity.ID(principalOf(key(5))), Flags: wire.FlagErase}
		r.send(1, erasure)
		for r.knows(5) {
			synctest.Wait()
		}
		written := h.s.measured.checkpointLSN.Load()
		r.written.Add(1 << 40)
		compaction := request(0, model.OpCompact, "", "", "")
		r.send(1, compaction)
		if _, err := h.runStep(); err != nil {
			t.Fatal(err)
		}
		if h.s.measured.checkpointLSN.Load() <= written {
			t.Error("a checkpoint that is due during a pass is not written")
		}
		answers := r.answers()
		if code, done := answers[erasure.Number]; !done || code != model.OK {
			t.Errorf("an erasure during a pass is answered: %v, code %d", done, code)
		}
		if left() == 0 || !h.pass.active {
			t.Fatal("the pass is over, so this test checks nothing")
		}
		for h.pass.active { // the weekly pass
			if _, err := h.runStep(); err != nil {
				t.Fatal(err)
			}
		}
		if code, done := r.answers()[compaction.Number]; done {
			t.Fatalf("a compaction that was requested during a pass is answered, with code %d, at the end of this pass; want a further pass", code)
		}
		r.rounds(h)
		if code, done := r.answers()[compaction.Number]; !done || code != model.OK {
			t.Errorf("a compaction is answered: %v, code %d", done, code)
		}
		for _, s := range r.log.Segments() {
			if s.Free && s.Bytes-s.BarrierBytes > r.engine.Live()[s.Number] {
				t.Errorf("segment %d has %d bytes, of which only %d are live", s.Number, s.Bytes-s.BarrierBytes, r.engine.Live()[s.Number])
			}
		}
	})
}

// TestManyStartsLeaveFewSegments: each start makes a segment. Small segments are merged, even if
// all of their records are live.
func TestManyStartsLeaveFewSegments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		for i := range 40 {
			r.must(model.OK, request(0, model.OpPut, "c", fmt.Sprint("object ", i), "data"))
			r.rounds(newMaintainer(r.server, r.ctx))
			r.close()
			r = openRig(t, r.disk.copy())
		}
		defer r.close()
		if n := len(r.log.Segments()); n > spareSmall+2 {
			t.Errorf("after 40 starts there are %d segments", n)
		}
		for i := range 40 {
			r.must(model.OK, request(0, model.OpGet, "c", fmt.Sprint("object ", i), ""))
		}
	})
}

// TestASegmentThatCantBeReadIsTriedAgain: an unreadable segment does not end a pass, which
// cleans all others. A compaction returns an error. When the disk can read the segment again,
// the next compaction takes it, without a restart.
func TestASegmentThatCantBeReadIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.fillSegments(3)
		at := found(r.must(model.OK, request(0, model.OpGet, "c", "stays 1", ""))).Loc
		r.all.Go(func() { r.maintain(r.ctx) })
		name := fmt.Sprintf("%08d.seg", at.Segment)
		r.disk.flip(name, int(at.Offset+at.Length/2))
		for range 2 {
			r.must(model.Damaged, request(0, model.OpCompact, "", "", ""))
			for _, s := range r.log.Segments() {
				if s.Free && s.Number != at.Segment && s.Bytes-s.BarrierBytes > r.engine.Live()[s.Number] {
					t.Errorf("one segment is damaged, and segment %d is not cleaned", s.Number)
				}
			}
		}
		r.disk.flip(name, int(at.Offset+at.Length/2))
		r.must(model.OK, request(0, model.OpCompact, "", "", ""))
		if r.log.Has(at.Segment) {
			t.Error("the segment was not compacted")
		}
		r.must(model.OK, request(0, model.OpGet, "c", "stays 1", ""))
	})
}

// TestASegmentThatCantBeRemoved does not keep others from being compacted. Once it can be
// removed, the next compaction does so.
func TestASegmentThatCantBeRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.fillSegments(3)
		at := found(r.must(model.OK, request(0, model.OpGet, "c", "stays 1", ""))).Loc
		keep := func(name string) {
			r.disk.mu.Lock()
			defer r.disk.mu.Unlock()
			r.disk.keeps = name
		}
		keep(fmt.Sprintf("%08d.seg", at.Segment))
		r.all.Go(func() { r.maintain(r.ctx) })
		r.must(model.StorageFailed, request(0, model.OpCompact, "", "", ""))
		for _, s := range r.log.Segments() {
			if s.Free && s.Number != at.Segment && s.Bytes-s.BarrierBytes > r.engine.Live()[s.Number] {
				t.Errorf("one segment can't be removed, and segment %d is not cleaned", s.Number)
			}
		}
		keep("")
		r.must(model.OK, request(0, model.OpCompact, "", "", ""))
		if r.log.Has(at.Segment) {
			t.Error("the segment, which can be removed again, is still there")
		}
		r.must(model.OK, request(0, model.OpGet, "c", "stays 1", ""))
	})
}

// TestAPassTakesWhatCameBack: a crash may bring a removed segment back, and the removal of an
// old checkpoint may fail. The store does not need either, but both have dead records.
func TestAPassTakesWhatCameBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		r.fillSegments(3)
		before := r.disk.copy()
		h := newMaintainer(r.server, r.ctx)
		if err := errors.Join(h.checkpoint(), h.checkpoint()); err != nil {
			t.Fatal(err)
		}
		older := r.disk.copy()
		r.tidy()
		r.close()

		disk := r.disk.copy()
		back := []string{"00000001.seg", "00000001.ckp"}
		disk.files[back[0]], disk.files[back[1]] = before.files[back[0]], older.files[back[1]]
		r = openRig(t, disk)
		defer r.close()
		r.all.Go(func() { r.maintain(r.ctx) })
		r.must(model.OK, request(0, model.OpCompact, "", "", ""))
		for _, name := range back {
			if disk.copy().files[name] != nil {
				t.Errorf("%s came back, and a compaction leaves it there", name)
			}
		}
		r.must(model.OK, request(0, model.OpGet, "c", "stays 1", ""))
	})
}

// TestMarksAreNotOvercounted: otherwise a pass would treat dead records as barriers. After a
// start, the count of one segment may be too low.
func TestMarksAreNotOvercounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer func() { r.close() }()
		for start := range 4 {
			h := newMaintainer(r.server, r.ctx)
			r.fillSegments(2)
			if err := errors.Join(h.checkpoint(), h.relocate(nil, nil), h.relocate(nil, nil)); err != nil {
				t.Fatal(err)
			}
			if start == 2 {
				r.tidy()
			}
			low := 0
			for _, s := range r.log.Segments() {
				marks := int64(0)
				err := r.log.Walk(s.Number, func(rec seglog.Record, at seglog.Location) error {
					if rec.Kind == seglog.KindBarrier {
						marks += int64(at.Length)
					}
					return nil
				})
				if err != nil || s.BarrierBytes > marks {
					t.Errorf("start %d: %v: segment %d has %d bytes of marks, and %d are counted", start, err, s.Number, marks, s.BarrierBytes)
				}
				if s.BarrierBytes < marks {
					low++
				}
			}
			if low > start {
				t.Errorf("after %d starts the counts of %d segments are too low", start, low)
			}
			r.close()
			r = openRig(t, r.disk.copy())
		}
	})
}
