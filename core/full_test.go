package core

import (
	"testing"
	"testing/synctest"
	"time"

	"motte/core/wire"
)

// TestAFullDiskTakesWhatGivesSpaceBack: what grows is refused; deletions and COMPACT go on
// with the reserve, and when there is room again, everything does, without a restart.
func TestAFullDiskTakesWhatGivesSpaceBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.all.Go(func() { r.keepHouse(r.ctx) })
		r.all.Go(func() { r.watchFiles(r.ctx) })
		synctest.Wait()
		full := func(yes bool) {
			r.disk.mu.Lock()
			r.disk.full = yes
			r.disk.mu.Unlock()
		}
		r.must(wire.OK, request(0, wire.OpPut, "c", "two", "data"))
		for range 2 {
			full(true)
			r.must(wire.StorageFailed, request(0, wire.OpPut, "c", "three", "finds that it is full"))
			for range 3 {
				time.Sleep(2 * watchEvery)
				r.must(wire.DiskFull, request(0, wire.OpPut, "c", "three", "refused"))
				r.must(wire.DiskFull, request(0, wire.OpCreateCollection, "another", "", ""))
				r.must(wire.OK, request(0, wire.OpGet, "c", "one", ""))
			}
			r.must(wire.OK, request(0, wire.OpDelete, "c", "two", ""))
			r.must(wire.OK, request(0, wire.OpCompact, "", "", ""))
			r.must(wire.NotFound, request(0, wire.OpGet, "c", "two", ""))
			full(false)
			time.Sleep(2 * watchEvery)
			r.must(wire.OK, request(0, wire.OpPut, "c", "two", "there is room again"))
		}
	})
}

// TestACheckpointFindsTheReserve: the disk is full, and nothing but a checkpoint says so.
func TestACheckpointFindsTheReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.all.Go(func() { r.watchFiles(r.ctx) })
		synctest.Wait()
		r.disk.mu.Lock()
		r.disk.full = true
		r.disk.mu.Unlock()
		r.written.Add(overdue)
		r.all.Go(func() { r.keepHouse(r.ctx) })
		time.Sleep(3 * housePause)
		if n := r.log.CheckpointBytes(); n == 0 {
			t.Error("no checkpoint was written")
		}
		r.must(wire.DiskFull, request(0, wire.OpPut, "c", "two", "refused"))
	})
}
