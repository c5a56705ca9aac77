package engine

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"motte/client/frames"
	"motte/core/access"
	"motte/core/identity"
	"motte/core/leak"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/taskwire"
	"motte/core/wire"
)

// shelved returns a world with a collection "c", n objects, and a serving index "x", whose Task has
// saved all of them.
func shelved(t testing.TB, n int) *world {
	w := newWorld(t, 1)
	w.calm = true
	w.settle()
	w.register("c", "x", 0)
	w.retable(func(r *model.Row) { r.Shelf, r.Measurement[3] = 8<<20, 1 })
	for i := range n {
		w.ask(admin, put("c", fmt.Sprint(i), fmt.Sprint("object ", i)))
	}
	w.save()
	if got := len(w.blobs()); got != n {
		t.Fatalf("the shelf has %d blobs, want %d", got, n)
	}
	return w
}

// save lets the Tasks save all changes.
func (w *world) save() {
	w.e.saveChanges = 1
	w.pass(3 * time.Second)
	w.e.pace = usualPace
}

// pass lets time pass, in which everything runs after each tick.
func (w *world) pass(d time.Duration) {
	for ; d > 0; d -= usualTick {
		w.taken()
		w.jump(usualTick)
		w.settle()
	}
}

// restart ends the process of the index "x", and lets the next one begin to serve.
func (w *world) restart() *fakeTask {
	w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
	w.live(time.Second)
	if w.x().state != model.IndexServing {
		w.t.Fatalf("after a restart the index is in state %d", w.x().state)
	}
	return w.process()
}

// blobs lists the blobs of the index "x".
func (w *world) blobs() []mapping.Entry {
	return slices.Collect(w.x().shelf.c.objects.After(identity.Value{}))
}

// secrets counts the records of blobs that the present data keys open and that hold some data, also
// in segments that are gone.
func (w *world) secrets(data string) (n int) {
	for _, r := range w.disk {
		if r.Kind != seglog.KindPut || w.erased[r.Owner] || !bytes.Contains(body(r), []byte(data)) {
			continue
		}
		if o, err := DecodeObject(body(r)); err == nil && len(o.Name) == 0 {
			n++
		}
	}
	return n
}

// clean does what the maintainer does for a COMPACT, and answers it with a code.
func (w *world) clean(code model.Code) {
	for range 4 {
		erase, waiting, clean := w.e.PendingMaintenance()
		w.take()
		if len(erase) > 0 {
			w.eraseKeys()
		}
		if w.settle(); !clean {
			continue
		}
		if code == model.OK {
			w.e.Cleaned(w.now)
		}
		w.e.CompactionDone(waiting, code)
		w.take()
		return
	}
}

// eraseAll erases a principal, and waits until the data keys are destroyed.
func (w *world) eraseAll(p access.Principal) {
	w.t.Helper()
	n := w.ask(admin, removal(p, wire.FlagErase))
	w.settle()
	w.eraseKeys()
	w.must2(n, model.OK)
}

// TestTheNextProcessGetsTheBlobsOfTheLastSet, and after some events no blob.
func TestTheNextProcessGetsTheBlobsOfTheLastSet(t *testing.T) {
	const n = 20
	for _, tc := range []struct {
		name  string
		event func(w *world)
		want  int // blobs
	}{
		{"its process ended", func(w *world) { w.restart() }, n},
		{"the Core started again", func(w *world) { w.boot() }, n},
		{"29 days passed", func(w *world) { w.now = w.now.Add(29 * 24 * time.Hour); w.restart() }, n},
		{"31 days passed", func(w *world) { w.now = w.now.Add(31 * 24 * time.Hour); w.restart() }, 0},
		{"31 days passed, and the Core started again", func(w *world) { w.now = w.now.Add(31 * 24 * time.Hour); w.boot() }, 0},
		{"another executable", func(w *world) { w.retable(func(r *model.Row) { r.Measurement[0]++ }) }, 0},
		{"another executable, and the Core started again", func(w *world) {
			w.retable(func(r *model.Row) { r.Measurement[0]++ })
			w.boot()
		}, 0},
		{"another largest input", func(w *world) { w.retable(func(r *model.Row) { r.MaxInput++ }) }, 0},
		{"another largest input while no process ran", func(w *world) {
			w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
			row := w.e.tasks["fake"].Row
			row.MaxInput++
			w.must(admin, wire.Request{Op: model.OpRegisterTask, Name: []byte("fake"), Query: frames.AppendRow(nil, &row)}, model.OK)
		}, 0},
		{"another deadline", func(w *world) { w.retable(func(r *model.Row) { r.Deadline++ }); w.restart() }, n},
		{"a REBUILD", func(w *world) {
			w.must(admin, wire.Request{Op: model.OpRebuild, Collection: "c", Index: "x"}, model.OK)
		}, 0},
		{"a violation", func(w *world) { w.e.TaskEnded(w.x().instance, model.ReasonInvalidIdentity) }, 0},
		{"a violation, and the Core started again", func(w *world) {
			w.e.TaskEnded(w.x().instance, model.ReasonInvalidIdentity)
			w.settle()
			w.boot()
		}, 0},
		{"a violation while the disk refused writes, and the Core started again", func(w *world) {
			w.fail()
			w.e.TaskEnded(w.x().instance, model.ReasonInvalidIdentity)
			w.resume()
			w.pass(usualPace.saveEvery / 2)
			w.boot()
		}, 0},
		{"it was too slow", func(w *world) { w.e.TaskEnded(w.x().instance, model.ReasonTooSlow) }, n},
		{"one end before it served", func(w *world) { w.endBeforeServing(1) }, n},
		{"two ends before it served", func(w *world) { w.endBeforeServing(2) }, 0},
		{"the disk refused a write", func(w *world) { w.fail(); w.resume(); w.restart() }, 0},
		{"an owner of its data was erased", func(w *world) {
			p := w.person("p", model.RightsAll)
			w.must(p, put("c", "p's", "p's"), model.OK)
			w.save()
			w.eraseAll(p)
			w.restart()
		}, 0},
		{"an owner of other data was erased", func(w *world) { w.eraseAll(w.person("p", 0)); w.restart() }, n},
		{"a COMPACT without a change", func(w *world) { w.ask(admin, op(model.OpCompact)); w.clean(model.OK); w.restart() }, n},
		{"a COMPACT after a change", func(w *world) {
			w.must(admin, put("c", "0", "changed"), model.OK)
			w.ask(admin, op(model.OpCompact))
			w.clean(model.OK)
			w.restart()
		}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := shelved(t, n)
			tc.event(w)
			for i := 0; i < 40 && w.x().state != model.IndexServing; i++ {
				w.settle()
				w.tick(usualTick)
			}
			if got := w.process().got[taskwire.Stored]; got != tc.want {
				t.Errorf("after %s, the process got %d blobs; want %d", tc.name, got, tc.want)
			}
			if found, want := w.found(""), w.x().c.objects.Len(); found != want {
				t.Errorf("after %s, %d objects are found, want %d", tc.name, found, want)
			}
		})
	}
}

// endBeforeServing lets processes of the index "x" end after they got their blobs.
func (w *world) endBeforeServing(n int) {
	for range n {
		w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
		for w.x().state != model.IndexBuilding {
			w.tick(usualTick)
			if x := w.x(); x.state == model.IndexStarting && x.instance != 0 {
				w.e.TaskStarted(x.instance)
				w.take()
			}
		}
	}
	w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
	w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
}

// TestTheCoreDecidesWhenATaskSaves: soon after a start, then after many changes or after a minute, and
// a few steps at a time.
func TestTheCoreDecidesWhenATaskSaves(t *testing.T) {
	w := shelved(t, 10)
	saves := func(d time.Duration) int {
		before := w.process().got[taskwire.Save]
		w.pass(d)
		return w.process().got[taskwire.Save] - before
	}
	if n := saves(2 * time.Minute); n != 0 {
		t.Errorf("without a change the Task saves %d times", n)
	}
	w.must(admin, put("c", "0", "changed"), model.OK)
	if n := saves(time.Second); n != 2 { // more than a minute after the last saving
		t.Errorf("after a change and a minute the Task gets %d Saves, want 2: for a blob and a Set", n)
	}
	w.must(admin, put("c", "0", "changed again"), model.OK)
	if n := saves(saveLatest - 2*time.Second); n != 0 {
		t.Errorf("within a minute the Task gets %d Saves for one change", n)
	}
	if n := saves(2 * time.Second); n != 2 {
		t.Errorf("a minute after the last saving the Task gets %d Saves, want 2", n)
	}
	w.must(admin, put("c", "1", "changed"), model.OK)
	for saves(usualTick) == 0 {
	}
	for i := range usualPace.saveChanges {
		w.ask(admin, put("c", fmt.Sprint("new ", i), "new"))
	}
	if w.settle(); w.x().active {
		t.Fatal("the saving has not ended")
	}
	if n := saves(usualPace.saveEvery - usualTick); n != 0 {
		t.Errorf("within %v the Task gets %d Saves for many changes", usualPace.saveEvery, n)
	}
	saves(usualTick)
	if n := saves(usualTick); n != savesPerTick {
		t.Errorf("in a tick the Task gets %d Saves, want %d", n, savesPerTick)
	}
}

// TestABlobHasOneOfSixSizes, whatever the Task writes.
func TestABlobHasOneOfSixSizes(t *testing.T) {
	classes := make(map[int]bool)
	for _, n := range []int{1, 4092, 4093, 8188, 8189, 16380, 16381, 32764, 32765, 65532, 65533, taskwire.MaxBlob} {
		blob := bytes.Repeat([]byte{7}, n)
		data := blobData(blob)
		back, err := decodeBlob(data)
		if err != nil || !bytes.Equal(back, blob) {
			t.Errorf("a blob of %d bytes comes back with %d: %v", n, len(back), err)
		}
		if cost := seglog.RecordSize(len(appendObject(nil, nil, data))) - int64(len(data)); cost > blobCost {
			t.Errorf("the record of a blob of %d bytes takes %d bytes more than its class, over %d", n, cost, blobCost)
		}
		classes[len(data)] = true
	}
	if got := slices.Sorted(maps.Keys(classes)); !slices.Equal(got, []int{4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10}) {
		t.Errorf("blobs are stored in %v bytes", got)
	}
	for _, data := range [][]byte{nil, {0, 0, 0, 1}, {0, 0, 0, 0, 1}, {0xff, 0xff, 0xff, 0xff, 1}, {0, 0, 0, 1, 7, 1}} {
		if _, err := decodeBlob(data); err == nil {
			t.Errorf("% x is taken for a blob", data)
		}
	}
}

// TestAFullShelfStaysWithinItsQuota: the Task gets no room, and the index serves on.
func TestAFullShelfStaysWithinItsQuota(t *testing.T) {
	for quota := range int64(9) {
		quota *= 5000
		w := newWorld(t, 1)
		w.calm = true
		w.settle()
		w.register("c", "x", 0)
		w.retable(func(r *model.Row) { r.Shelf = uint64(quota) })
		for i := range 20 {
			w.must(admin, put("c", fmt.Sprint(i), "data"), model.OK)
			w.e.saveChanges = 1
			w.tick(2 * time.Second)
			w.settle()
			if used := w.x().shelf.c.bytes; used > uint64(quota) {
				t.Fatalf("a shelf of %d bytes holds %d", quota, used)
			}
		}
		w.restart()
		if n := w.found(""); n != 20 {
			t.Errorf("with a shelf of %d bytes %d objects are found, want 20", quota, n)
		}
	}
}

// TestAFullShelfStaysWithinItsQuotaOnASlowDisk: blobs that are not durable are not counted yet, so the Task
// is not asked for more of them.
func TestAFullShelfStaysWithinItsQuotaOnASlowDisk(t *testing.T) {
	const quota = 12_000
	w := newWorld(t, 1)
	w.calm = true
	w.settle()
	w.register("c", "x", 0)
	w.retable(func(r *model.Row) { r.Shelf = quota })
	w.e.saveChanges = 1000
	for i := range 20 {
		w.must(admin, put("c", fmt.Sprint(i), "data"), model.OK)
	}
	w.e.saveChanges = 1
	for range 100 {
		w.tick(usualTick)
		for k := w.process(); len(k.frames) > 0; {
			w.step(k)
		}
		for w.work() {
		}
	}
	if w.settle(); w.x().shelf.c.bytes > quota || w.x().shelf.c.bytes == 0 {
		t.Errorf("a shelf of %d bytes holds %d", quota, w.x().shelf.c.bytes)
	}
}

// TestNoBlobIsMadeWhileTheDiskIsFull. It is made when there is room again.
func TestNoBlobIsMadeWhileTheDiskIsFull(t *testing.T) {
	w := shelved(t, 3)
	w.must(admin, put("c", "0", "changed"), model.OK)
	w.e.SetFull(true)
	if w.save(); len(w.blobs()) != 3 {
		t.Errorf("on a full disk a blob is made")
	}
	w.e.SetFull(false)
	if w.save(); len(w.blobs()) != 4 {
		t.Errorf("with room again there are %d blobs, want 4", len(w.blobs()))
	}
}

// TestManyOwnersAreAllOwners: a set of owners is bounded in memory, and never forgets one.
func TestManyOwnersAreAllOwners(t *testing.T) {
	var s ownerSet
	for owner := range uint32(maxShelfOwners) {
		s.add(owner)
	}
	if s.all || s.has(maxShelfOwners) || len(s.list) != maxShelfOwners {
		t.Fatalf("a set of %d owners has %d, all: %v", maxShelfOwners, len(s.list), s.all)
	}
	if !s.add(maxShelfOwners) || !s.all || s.list != nil || !s.has(1<<20) || s.add(1<<20) {
		t.Errorf("a set of more owners is not the set of all")
	}
	few := ownerSet{list: map[uint32]struct{}{1: {}}}
	if u := few.union(s); !u.all || few.has(2) {
		t.Error("a union with all owners is not the set of all, or changes the set")
	}
}

// TestNoGenerationIsAnOwner: principals and generations get numbers that were never used.
func TestNoGenerationIsAnOwner(t *testing.T) {
	w := shelved(t, 3)
	seen := map[uint32]bool{w.e.principals[admin].owner: true}
	note := func(owner uint32) {
		if seen[owner] || owner == 0 {
			t.Fatalf("number %d is used twice, of %v", owner, seen)
		}
		seen[owner] = true
	}
	note(w.x().shelf.now.generation)
	for i := range 30 {
		p := w.person(fmt.Sprint("p", i), model.RightsAll)
		note(w.e.principals[p].owner)
		w.must(p, put("c", "p's", fmt.Sprint("p's ", i)), model.OK)
		w.save()
		w.eraseAll(p)
		switch w.settle(); i % 4 {
		case 1:
			w.boot()
			w.settle()
			w.eraseKeys()
		case 2: // the record of a generation is lost
			w.x().anew = true
			w.e.saveChanges = 1
			w.tick(2 * time.Second)
			w.fail()
			w.resume()
		}
		w.live(2 * time.Second)
		w.save()
		note(w.x().shelf.now.generation)
	}
}

// TestASetTakesEffectAsAWhole: a start after each group of records gets the blobs of the last Set that
// is durable, and finds all objects.
func TestASetTakesEffectAsAWhole(t *testing.T) {
	w := newWorld(t, 3)
	w.settle()
	w.register("c", "x", 0)
	w.retable(func(r *model.Row) { r.Shelf = 1 << 20 })
	type moment struct {
		records int
		blobs   []uint64
	}
	moments := []moment{{}}
	w.watch = func(groups []seglog.Group) {
		records := len(w.disk)
		for _, g := range groups {
			records += len(g)
			m := moment{records, moments[len(moments)-1].blobs}
			if last := g[len(g)-1]; last.Kind == seglog.KindShelf && w.process() != nil {
				m.blobs = w.process().Numbers()
			}
			moments = append(moments, m)
		}
	}
	start := len(w.disk)
	for i := range 12 {
		w.ask(admin, put("c", fmt.Sprint(i%5), fmt.Sprint("object ", i)))
		w.e.saveChanges = 1
		for range 30 {
			w.tick(usualTick)
			for w.settleOne() {
			}
		}
	}
	all, places, history := w.disk, w.places, w.history
	for _, m := range moments {
		if m.records <= start {
			continue
		}
		v := newWorld(t, 1)
		v.disk, v.places, v.history = slices.Clone(all[:m.records]), slices.Clone(places[:m.records]), slices.Clone(history)
		v.lsn = 0
		for _, r := range v.disk {
			v.lsn = max(v.lsn, r.LSN)
		}
		v.boot()
		for v.x().state != model.IndexServing {
			v.settle()
			v.tick(usualTick)
		}
		if got := v.process().got[taskwire.Stored]; got != len(m.blobs) {
			t.Fatalf("after record %d the Task gets %d blobs, want %v", m.records, got, m.blobs)
		}
		if n := v.found(""); n != v.x().c.objects.Len() {
			t.Fatalf("after record %d %d objects are found, want %d", m.records, n, v.x().c.objects.Len())
		}
	}
	if len(moments) < 30 {
		t.Errorf("the test saw only %d groups", len(moments))
	}
}

// settleOne commits one group and lets each Task handle one frame. It reports whether there was any.
func (w *world) settleOne() (any bool) {
	for w.work() {
	}
	if any = len(w.pending) > 0; any {
		w.commit(1)
	}
	for len(w.fetch) > 0 {
		w.read()
	}
	for _, k := range slices.Clone(w.tasks) {
		if !k.stopped && len(k.frames) > 0 {
			w.step(k)
			any = true
		}
	}
	return any
}

// TestABlobThatCantBeReadCostsOnlyTheShelf: the index is built from nothing. Damage raises an alert.
func TestABlobThatCantBeReadCostsOnlyTheShelf(t *testing.T) {
	swapped := blobData([]byte("short"))[:100]
	for _, tc := range []struct {
		name   string
		o      Object
		err    error
		reason model.Reason
	}{
		{"damaged", Object{}, fmt.Errorf("read: %w", seglog.ErrDamaged), model.ReasonDamagedRecord},
		{"not readable", Object{}, errors.New("input/output error"), 0},
		{"not padded", Object{Data: swapped[:5]}, nil, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := shelved(t, 5)
			w.e.alerts = nil
			w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
			for len(w.fetch) == 0 {
				w.tick(usualTick)
				if x := w.x(); x.state == model.IndexStarting && x.instance != 0 {
					w.e.TaskStarted(x.instance)
					w.take()
				}
			}
			f := w.fetch[0]
			w.fetch = w.fetch[1:]
			w.e.Fetched(f, tc.o, 0, tc.err)
			w.take()
			w.live(2 * time.Second)
			if n := w.process().got[taskwire.Insert]; n != 5 || w.found("") != 5 {
				t.Errorf("the next process gets %d Inserts, want 5", n)
			}
			reason := model.Reason(0)
			for _, body := range w.e.alerts {
				if a := decodeAlert(body); a.Reason == model.ReasonDamagedRecord {
					if reason = a.Reason; a.Collection != "c" || a.Index != "x" {
						t.Errorf("the alert names %q and %q", a.Collection, a.Index)
					}
				}
			}
			if reason != tc.reason {
				t.Errorf("an alert for reason %d, want %d", reason, tc.reason)
			}
		})
	}
}

// TestFramesOfTheShelfThatBreakTheContract: each has its reason, ends the process and empties the
// shelf.
func TestFramesOfTheShelfThatBreakTheContract(t *testing.T) {
	blob := func(number uint64, n int) taskwire.Answer {
		return taskwire.Answer{Type: taskwire.Blob, Number: number, Blob: make([]byte, n)}
	}
	set := func(numbers ...uint64) taskwire.Answer {
		return taskwire.Answer{Type: taskwire.Set, Changed: true, Dropped: numbers}
	}
	for _, tc := range []struct {
		name   string
		say    []taskwire.Answer
		seq    uint64 // added to the number of the Save
		reason model.Reason
	}{
		{"a blob over the room", []taskwire.Answer{blob(1000, 64<<10)}, 0, model.ReasonBadFrame},
		{"the number of an old blob", []taskwire.Answer{blob(1, 10)}, 0, model.ReasonBadFrame},
		{"an unknown number", []taskwire.Answer{set(1000)}, 0, model.ReasonBadFrame},
		{"number 0", []taskwire.Answer{set(0)}, 0, model.ReasonBadFrame},
		{"a known and an unknown number", []taskwire.Answer{set(1, 1<<63)}, 0, model.ReasonBadFrame},
		{"a blob for a frame that is not sent", []taskwire.Answer{blob(1000, 10)}, 1, model.ReasonUnasked},
		{"a Set for a frame that is not sent", []taskwire.Answer{set()}, 1, model.ReasonUnasked},
		{"a blob for an earlier frame", []taskwire.Answer{blob(1000, 10)}, ^uint64(0), model.ReasonUnasked},
		{"two blobs for one Save", []taskwire.Answer{blob(1000, 10), blob(1001, 10)}, 0, model.ReasonUnasked},
		{"two Sets for one Save", []taskwire.Answer{set(), set()}, 0, model.ReasonUnasked},
		{"a Differ", []taskwire.Answer{{Type: taskwire.Differ, Bits: []byte{0}}}, 0, model.ReasonUnasked},
		{"a Lacks", []taskwire.Answer{{Type: taskwire.Lacks, Bits: []byte{0}}}, 0, model.ReasonUnasked},
		{"a refusal", []taskwire.Answer{{Type: taskwire.Failed, Failure: taskwire.FailInput}}, 0, model.ReasonUnasked},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := shelved(t, 3)
			w.retable(func(r *model.Row) { r.Shelf = 70 << 10 }) // another process
			w.save()
			w.must(admin, put("c", "0", "changed"), model.OK)
			w.e.saveChanges = 1
			for len(w.process().frames) == 0 {
				w.tick(usualTick)
			}
			k := w.process()
			save, _ := taskwire.DecodeHeader(k.frames[0][:taskwire.HeaderSize])
			if save.Type != taskwire.Save {
				t.Fatalf("the Task has a frame of type %d, want a Save", save.Type)
			}
			for _, a := range tc.say {
				a.Seq = save.Seq + tc.seq
				w.e.TaskAnswer(k.instance, a)
			}
			if w.settle(); !k.stopped || w.lastReason() != tc.reason {
				t.Fatalf("the process was stopped: %v, for reason %d, want %d", k.stopped, w.lastReason(), tc.reason)
			}
			w.e.pace = usualPace
			w.live(time.Second)
			if next := w.process(); next.got[taskwire.Stored] != 0 || next.got[taskwire.Insert] != 3 {
				t.Errorf("the next process gets %d blobs and %d Inserts, want 0 and 3", next.got[taskwire.Stored], next.got[taskwire.Insert])
			}
		})
	}
}

// TestAnErasedOwnerIsInNoBlob: whatever came before, no blob on the disk, old or new, can be opened
// that has its data.
func TestAnErasedOwnerIsInNoBlob(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(w *world, p access.Principal)
	}{
		{"as it was saved", func(*world, access.Principal) {}},
		{"its objects were deleted, and the index built anew", func(w *world, p access.Principal) {
			w.must(p, remove("p's"), model.OK)
			w.must(admin, wire.Request{Op: model.OpRebuild, Collection: "c", Index: "x"}, model.OK)
			w.live(time.Second)
			w.save()
		}},
		{"the index was dropped", func(w *world, _ access.Principal) {
			w.must(admin, wire.Request{Op: model.OpDropIndex, Collection: "c", Index: "x"}, model.OK)
		}},
		{"the collection was dropped", func(w *world, _ access.Principal) {
			w.must(admin, wire.Request{Op: model.OpDropCollection, Collection: "c"}, model.OK)
		}},
		{"the erasure failed once", func(w *world, p access.Principal) {
			w.ask(admin, removal(p, wire.FlagErase))
			w.fail()
			w.resume()
			w.save()
		}},
		{"the Core started again", func(w *world, _ access.Principal) {
			w.boot()
			w.live(2 * time.Second)
			w.save()
		}},
		{"another executable came", func(w *world, _ access.Principal) {
			w.retable(func(r *model.Row) { r.Measurement[0]++ })
			w.save()
		}},
		{"the shelf has too many owners", func(w *world, _ access.Principal) {
			w.x().held.all, w.x().held.list, w.x().unlogged = true, nil, true
			w.must(admin, put("c", "0", "changed"), model.OK)
			w.save()
			if !w.x().shelf.logged.owners.all {
				w.t.Fatal("the log does not say that the blobs may be of all owners")
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := shelved(t, 3)
			p := w.person("p", model.RightsAll)
			w.must(p, put("c", "p's", "secret"), model.OK)
			w.save()
			if w.secrets("secret") == 0 {
				t.Fatal("the secret was never saved")
			}
			tc.do(w, p)
			owner := w.e.principals[p].owner
			w.eraseAll(p)
			if w.e.byName["c"] != nil && w.x() != nil && !w.x().held.all && w.x().held.has(owner) {
				t.Error("the engine believes that the Task holds data of the owner")
			}
			if n := w.secrets("secret"); n != 0 {
				t.Errorf("%d blobs with its data can be opened", n)
			}
			if w.e.byName["c"] != nil && w.x() != nil {
				w.save()
				w.restart()
				if n := w.secrets("secret"); n != 0 || w.found("") != 3 {
					t.Errorf("later %d blobs with its data can be opened, and %d objects are found; want 0 and 3", n, w.found(""))
				}
			}
		})
	}
}

// TestACompactionLeavesNoOldObjectInABlob: not in the blobs on the disk before it, and also not if
// a pass failed, or a write, or if the request comes late.
func TestACompactionLeavesNoOldObjectInABlob(t *testing.T) {
	for _, tc := range []struct {
		name string
		do   func(w *world)
	}{
		{"at once", func(*world) {}},
		{"after a pass that failed", func(w *world) {
			w.ask(admin, op(model.OpCompact))
			w.clean(model.StorageFailed)
			w.live(2 * time.Second)
			w.must(admin, put("c", "1", "an old one"), model.OK)
			w.save()
			w.must(admin, put("c", "1", "a new one"), model.OK)
		}},
		{"after a renewal that failed", func(w *world) {
			w.ask(admin, op(model.OpCompact))
			w.e.PendingMaintenance()
			w.take()
			w.fail()
			w.resume()
		}},
		{"after a request while the disk refused writes", func(w *world) {
			w.fail()
			n := w.ask(admin, op(model.OpCompact))
			w.clean(model.OK)
			w.must2(n, model.StorageFailed)
			w.resume()
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := shelved(t, 3)
			w.must(admin, put("c", "0", "an old one"), model.OK)
			w.save()
			w.must(admin, put("c", "0", "a new one"), model.OK)
			if w.secrets("an old one") == 0 {
				t.Fatal("the old object was never saved")
			}
			tc.do(w)
			n := w.ask(admin, op(model.OpCompact))
			w.clean(model.OK)
			w.must2(n, model.OK)
			if n := w.secrets("an old one"); n != 0 {
				t.Errorf("%d blobs with the old object can be opened", n)
			}
			w.live(2 * time.Second)
			if w.restart(); w.found("") != 3 {
				t.Errorf("later %d objects are found, want 3", w.found(""))
			}
		})
	}
	t.Run("a request after the renewal waits for the next pass", func(t *testing.T) {
		w := shelved(t, 3)
		first := w.ask(admin, op(model.OpCompact))
		_, waiting, _ := w.e.PendingMaintenance()
		second := w.ask(admin, op(model.OpCompact))
		if _, again, clean := w.e.PendingMaintenance(); waiting != 1 || again != 1 || !clean {
			t.Errorf("%d and %d requests are answered by a pass, want 1", waiting, again)
		}
		w.e.Cleaned(w.now)
		w.e.CompactionDone(1, model.OK)
		w.take()
		w.must2(first, model.OK)
		if _, done := w.answered(second); done {
			t.Error("the second request is answered by the pass of the first")
		}
	})
}

// TestAnOlderLogDoesNotSaveUnderADeadGeneration: after a rollback of the log without its data keys,
// the shelf begins under another number.
func TestAnOlderLogDoesNotSaveUnderADeadGeneration(t *testing.T) {
	w := shelved(t, 3)
	dead := w.x().shelf.now.generation
	w.erased[dead] = true
	w.boot()
	w.live(2 * time.Second)
	if w.save(); w.x().shelf.now.generation == dead || w.x().shelf.now.generation == 0 || len(w.blobs()) != 3 {
		t.Errorf("the shelf saves %d blobs under generation %d; %d is destroyed", len(w.blobs()), w.x().shelf.now.generation, dead)
	}
	if got := w.restart().got[taskwire.Stored]; got != 3 {
		t.Errorf("the next process gets %d blobs, want 3", got)
	}
}

// TestASaveThatBeginsNothingKeepsTheNews: a Save that waited while the shelf was emptied has no effect.
// The next one still says that the shelf is empty. Else the Task would drop blobs that are not there.
func TestASaveThatBeginsNothingKeepsTheNews(t *testing.T) {
	w := shelved(t, 3)
	x := w.x()
	w.must(admin, put("c", "0", "changed"), model.OK)
	x.holding++ // a query holds all other frames back
	w.e.saveChanges = 1
	for !x.saveOpen {
		w.tick(usualTick)
	}
	w.e.append(&write{}, w.e.renewShelf(x)...)
	x.holding--
	w.e.pump(x)
	w.take()
	w.settle()
	w.eraseKeys()
	if !x.anew {
		t.Fatal("the notice that the shelf is empty got lost")
	}
	w.save()
	w.must(admin, put("c", "0", "changed again"), model.OK)
	w.save()
	if k := w.process(); k.stopped || len(w.blobs()) != 4 || !slices.Equal(k.Numbers(), w.numbersOnShelf()) {
		t.Errorf("the Task believes to have the blobs %v, and has %v", k.Numbers(), w.numbersOnShelf())
	}
}

// numbersOnShelf lists the numbers of the blobs of the index "x" in order.
func (w *world) numbersOnShelf() (list []uint64) {
	for _, o := range w.blobs() {
		n, _ := w.x().shelf.blobOf(o.ID.Value())
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}

// TestBlobsThatCountNoMoreAreRemovedInSteps, also if the shelf is emptied meanwhile.
func TestBlobsThatCountNoMoreAreRemovedInSteps(t *testing.T) {
	w := shelved(t, 50)
	w.byHand, w.e.stride = true, 3
	x := w.x()
	w.e.cleanShelf(x) // all blobs still count
	for range 5 {
		w.work()
	}
	w.e.emptyShelf(x)
	w.take()
	for more := true; more; {
		before := len(w.pending)
		more = w.work()
		if n := len(w.pending); n > before+1 || n > before && len(w.pending[n-1]) > 3 {
			t.Errorf("one step removes %d blobs, want 3 at most", len(w.pending[n-1]))
		}
	}
	w.byHand = false
	if w.settle(); len(w.blobs()) != 0 {
		t.Errorf("%d blobs that count no more are left", len(w.blobs()))
	}
}

// TestABlobIsOfOneShelfAndEpoch: the identity of a blob says its shelf, its number and its epoch.
func TestABlobIsOfOneShelfAndEpoch(t *testing.T) {
	w := shelved(t, 1)
	s := w.x().shelf
	seen := make(map[identity.Value]bool)
	for _, id := range []uint32{2, 3} {
		for epoch := range uint32(3) {
			for number := range uint64(100) {
				other := shelf{c: &collection{id: id}, now: shelfState{epoch: epoch}}
				v := other.blobValue(number)
				if back, counts := other.blobOf(v); seen[v] || back != number || !counts {
					t.Fatalf("value %x is not blob %d of epoch %d alone", v, number, epoch)
				}
				seen[v] = true
			}
		}
	}
	v := s.blobValue(1)
	s.now.epoch++
	if _, counts := s.blobOf(v); counts {
		t.Error("a blob of an earlier epoch counts")
	}
}

// TestRestartsInTheMiddleOfASaving: a process, or the Core, ends at each step of a saving, several times
// in a row. The next process gets the blobs of the last Set, and finds all objects.
func TestRestartsInTheMiddleOfASaving(t *testing.T) {
	during := 0
	for _, core := range []bool{false, true} {
		for step := range 10 {
			w := shelved(t, 6)
			for storm := range 3 {
				for i := range 4 {
					w.ask(admin, put("c", fmt.Sprint(i), fmt.Sprint("changed ", i, storm)))
				}
				w.settle()
				before := w.process().Numbers()
				w.e.saveChanges = 1
				for w.x().instance != 0 && !w.x().active && w.e.uptime-w.x().began < 3*usualPace.saveEvery {
					w.taken()
					w.jump(usualTick)
				}
				for range step + storm {
					w.settleOne()
				}
				after := w.process().Numbers()
				if w.x().active {
					during++
				}
				if core {
					w.boot()
				} else {
					w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
					w.take()
				}
				for i := 0; i < 20 && w.x().state != model.IndexServing; i++ {
					w.pass(usualTick)
				}
				k := w.process()
				if k == nil || !slices.Equal(k.Numbers(), before) && !slices.Equal(k.Numbers(), after) || !slices.Equal(k.Numbers(), w.numbersOnShelf()) {
					t.Fatalf("step %d: the next process gets the blobs %v; the last Sets were %v and %v, the shelf has %v", step, k.Numbers(), before, after, w.numbersOnShelf())
				}
				if got := w.found(""); got != 6 || w.found("changed") != 4 {
					t.Fatalf("step %d: %d objects are found, want 6", step, got)
				}
			}
		}
	}
	if during < 20 {
		t.Errorf("only %d restarts came during a saving", during)
	}
}

// TestTheNewestBlobMayBeDropped: a later process can't know its number, and may use it again.
func TestTheNewestBlobMayBeDropped(t *testing.T) {
	w := shelved(t, 3)
	numbers := w.process().Numbers()
	newest := numbers[len(numbers)-1]
	ask := func() (*fakeTask, uint64) {
		w.must(admin, put("c", "0", fmt.Sprint("changed ", w.number)), model.OK)
		w.e.saveChanges = 1
		for len(w.process().frames) == 0 {
			w.tick(usualTick)
		}
		save, _ := taskwire.DecodeHeader(w.process().frames[0][:taskwire.HeaderSize])
		w.process().frames = nil
		w.e.pace = usualPace
		return w.process(), save.Seq
	}
	k, seq := ask()
	w.e.TaskAnswer(k.instance, taskwire.Answer{Type: taskwire.Set, Seq: seq, Changed: true, Dropped: []uint64{newest}})
	w.settle()
	w.restart()
	k, seq = ask()
	alerts := w.e.alertCount
	w.e.TaskAnswer(k.instance, taskwire.Answer{Type: taskwire.Blob, Seq: seq, Number: newest, Blob: []byte("new")})
	w.take()
	if k.stopped || w.e.alertCount != alerts {
		t.Errorf("the Task was ended for reason %d, since it used a number that it can't know", w.lastReason())
	}
}

// TestASavingIsCharged to the account of the index, before its first blob. A budget that is used up
// ends all savings.
func TestASavingIsCharged(t *testing.T) {
	w := shelved(t, 3)
	w.retable(func(r *model.Row) { r.IndexBudget = 200 })
	w.x().ledger = ledger{}
	for i := range 10 {
		w.must(admin, put("c", "0", fmt.Sprint("changed ", i)), model.OK)
		w.save()
		drawn := w.x().ledger.total.drawn
		if want := leak.Saving * leak.Bits(min(i+1, 6)); drawn < want || drawn > want.Plus(12*leak.Bit) {
			t.Fatalf("after saving %d the index has drawn %d bits, want %d, and something for the PUTs", i, drawn.Up(), want.Up())
		}
	}
	if w.x().changed == 0 {
		t.Error("the last changes are saved, although the budget is used up")
	}
}

// TestADeadGenerationStaysDead, also if writes fail after an older log was put back.
func TestADeadGenerationStaysDead(t *testing.T) {
	w := shelved(t, 5)
	dead := w.x().shelf.now.generation
	w.erased[dead] = true
	w.boot()
	w.pass(time.Second)
	w.fail()
	w.resume()
	w.save()
	if now := w.x().shelf.now.generation; now == dead || len(w.blobs()) != 5 {
		t.Errorf("the shelf has %d blobs and generation %d; want 5 blobs, and another generation than %d", len(w.blobs()), now, dead)
	}
}
