package server

import (
	"testing"
	"testing/synctest"
	"time"

	"motte/core/model"
	"motte/core/seglog"
)

// TestAFullDiskTakesWhatGivesSpaceBack: on a full disk, writes that grow the store are refused,
// while deletions and COMPACT succeed with the reserve. When there is space again, all writes
// succeed without a restart.
func TestAFullDiskTakesWhatGivesSpaceBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.all.Go(func() { r.maintain(r.ctx) })
		r.all.Go(func() { r.watchFiles(r.ctx) })
		synctest.Wait()
		r.must(model.OK, request(0, model.OpPut, "c", "two", "data"))
		for range 2 {
			r.fill(true)
			r.must(model.StorageFailed, request(0, model.OpPut, "c", "three", "finds that it is full"))
			for range 3 {
				time.Sleep(2 * watchEvery)
				r.must(model.DiskFull, request(0, model.OpPut, "c", "three", "refused"))
				r.must(model.DiskFull, request(0, model.OpCreateCollection, "another", "", ""))
				r.must(model.OK, request(0, model.OpGet, "c", "one", ""))
			}
			r.must(model.OK, request(0, model.OpDelete, "c", "two", ""))
			r.must(model.OK, request(0, model.OpCompact, "", "", ""))
			r.must(model.NotFound, request(0, model.OpGet, "c", "two", ""))
			r.fill(false)
			time.Sleep(2 * watchEvery)
			r.must(model.OK, request(0, model.OpPut, "c", "two", "there is room again"))
		}
	})
}

// TestACheckpointFindsTheReserve: the disk is full, and a checkpoint is the first write that
// finds out.
func TestACheckpointFindsTheReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.all.Go(func() { r.watchFiles(r.ctx) })
		synctest.Wait()
		r.fill(true)
		r.written.Add(overdue)
		r.all.Go(func() { r.maintain(r.ctx) })
		time.Sleep(3 * errorPause)
		if n := r.log.CheckpointBytes(); n == 0 {
			t.Error("no checkpoint was written")
		}
		r.must(model.DiskFull, request(0, model.OpPut, "c", "two", "refused"))
	})
}

// fill fills the disk of a rig except for its reserve, or frees space.
func (r *rig) fill(full bool) {
	r.disk.mu.Lock()
	defer r.disk.mu.Unlock()
	r.disk.full = full
}

// TestADiskThatFillsUpWhileItRefuses writes for another reason: once only space is missing, the
// reserve is used.
func TestADiskThatFillsUpWhileItRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.all.Go(func() { r.watchFiles(r.ctx) })
		synctest.Wait()
		r.disk.refuse(true)
		r.must(model.StorageFailed, request(0, model.OpPut, "c", "two", "refused"))
		r.fill(true)
		r.disk.refuse(false)
		time.Sleep(3 * resumeEvery)
		r.must(model.DiskFull, request(0, model.OpPut, "c", "two", "refused"))
		r.must(model.OK, request(0, model.OpDelete, "c", "one", ""))
	})
}

// TestLostKeysFindTheReserve: lost data keys are written again, even on a full disk.
func TestLostKeysFindTheReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.all.Go(func() { r.watchFiles(r.ctx) })
		synctest.Wait()
		r.fill(true)
		r.disk.delay(time.Hour) // so that no other write finds out first
		for _, name := range seglog.KeysNames {
			if err := r.disk.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3 * watchEvery)
		r.disk.mu.Lock()
		defer r.disk.mu.Unlock()
		for _, name := range seglog.KeysNames {
			if len(r.disk.files[name]) == 0 {
				t.Errorf("%s is not there", name)
			}
		}
	})
}

// TestTheHostLearnsThatTheLogTakesNoWrites: the counters say since when a write waits, even if
// the disk neither takes nor refuses it.
func TestTheHostLearnsThatTheLogTakesNoWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.all.Go(func() { r.watchFiles(r.ctx) })
		check := func(when string, waits bool) {
			t.Helper()
			synctest.Wait()
			if at := r.stats.writeBegan.Load(); at > 0 != waits {
				t.Errorf("%s: a write waits since %d; want a waiting write: %v", when, at, waits)
			}
		}
		check("at first", false)
		r.disk.delay(time.Hour)
		began := time.Now()
		r.send(1, request(0, model.OpPut, "c", "slow", ""))
		time.Sleep(time.Minute)
		check("a write hangs", true)
		if at := r.stats.writeBegan.Load(); at != uint64(began.UnixMilli()) {
			t.Errorf("the write waits since %d, the counter says %d", began.UnixMilli(), at)
		}
		r.disk.delay(0)
		time.Sleep(time.Hour)
		r.answers()
		check("the write is done", false)
		r.disk.refuse(true)
		r.must(model.StorageFailed, request(0, model.OpPut, "c", "two", "refused"))
		time.Sleep(time.Minute)
		check("the disk refuses writes", true)
		r.disk.refuse(false)
		time.Sleep(3 * resumeEvery)
		check("the disk takes writes again", false)
	})
}
