package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"motte/client/frames"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/core/wire"
)

// parked returns a world whose index "x" has a shelf and is parked. It has three objects.
func parked(t *testing.T, options model.IndexOptions) *world {
	w := indexed(t, options)
	w.retable(func(r *model.Row) { r.Shelf = 1 << 20 })
	w.live(5 * time.Second)
	for range 70 {
		w.live(2 * time.Second)
		w.tick(time.Minute)
	}
	return w
}

// TestAnIdleIndexIsParked, and the next query waits until it is back. Its process gets no objects but
// those that were changed meanwhile.
func TestAnIdleIndexIsParked(t *testing.T) {
	w := parked(t, 0)
	x := w.x()
	if x.state != model.IndexParked || len(w.e.instances) != 0 {
		t.Fatalf("after an hour without a query the index has state %d, and %d processes run", x.state, len(w.e.instances))
	}
	w.must(admin, put("c", "four", "data of four"), model.OK) // does not wait
	lacked := w.statusOf(admin).Index("c", "x").Refed
	n, m := w.ask(admin, byPredicate(model.OpSearch, "c", "x", "data")), w.ask(admin, byPredicate(model.OpCount, "c", "x", "data"))
	if x.state != model.IndexStarting {
		t.Fatalf("a query leaves the index in state %d", x.state)
	}
	w.settle()
	a, _ := w.answered(n)
	b, _ := w.answered(m)
	if a.code != model.OK || len(a.objects) != 4 || b.count != 4 || x.state != model.IndexServing {
		t.Errorf("after the wake-up a query shows %d objects, code %d, and a count %d; want 4", len(a.objects), a.code, b.count)
	}
	if held := w.task(x.instance).Held; len(held) != 4 {
		t.Errorf("the Task holds %d objects; want 4", len(held))
	}
	s := w.statusOf(admin).Index("c", "x")
	if s.Refed != lacked+1 || s.Shelved < leastClass {
		t.Errorf("%d objects are fed again, from %d bytes of blobs; want one object, and a blob", s.Refed-lacked, s.Shelved)
	}
}

// TestAResidentIndexIsNotParked, nor one without a shelf.
func TestAResidentIndexIsNotParked(t *testing.T) {
	if w := parked(t, model.OptionResident); w.x().state != model.IndexServing {
		t.Errorf("a resident index has state %d", w.x().state)
	}
	w := indexed(t, 0)
	for range 70 {
		w.settle()
		w.tick(time.Minute)
	}
	if w.settle(); w.x().state != model.IndexServing {
		t.Errorf("an index without a shelf has state %d", w.x().state)
	}
}

// TestManyChangesWakeAParkedIndex, which saves them and is parked again.
func TestManyChangesWakeAParkedIndex(t *testing.T) {
	w := parked(t, 0)
	x := w.x()
	w.e.saveChanges = 10
	for i := range 9 {
		w.must(admin, put("c", fmt.Sprint("more ", i), "data"), model.OK)
	}
	if x.state != model.IndexParked {
		t.Fatalf("after 9 changes the index has state %d, want parked", x.state)
	}
	w.must(admin, put("c", "the tenth", "data"), model.OK)
	if x.instance == 0 {
		t.Fatalf("the tenth change does not wake the index: state %d", x.state)
	}
	w.live(5 * time.Second)
	if x.state != model.IndexParked || x.unseen != 0 {
		t.Errorf("then the index has state %d; want it parked again", x.state)
	}
	if n := w.found("data"); n != 13 {
		t.Errorf("it finds %d objects, want 13", n)
	}
}

// TestAParkedIndexThatCantComeBack fails the queries that wait for it.
func TestAParkedIndexThatCantComeBack(t *testing.T) {
	w := parked(t, 0)
	n := w.ask(admin, byPredicate(model.OpSearch, "c", "x", "data"))
	w.e.TaskStarted(w.x().instance)
	w.e.TaskEnded(w.x().instance, model.ReasonBadFrame)
	w.take()
	if a, _ := w.answered(n); a.code != model.IndexUnavailable {
		t.Errorf("the query has code %d, want unavailable", a.code)
	}
	w = parked(t, 0)
	n = w.ask(admin, byPredicate(model.OpSearch, "c", "x", "data"))
	w.must(admin, wire.Request{Op: model.OpDropIndex, Collection: "c", Index: "x"}, model.OK)
	if a, _ := w.answered(n); a.code != model.NoIndex {
		t.Errorf("the query has code %d, want no index", a.code)
	}
}

// TestFewWaitForAParkedIndex: its queue of queries is bounded.
func TestFewWaitForAParkedIndex(t *testing.T) {
	w := parked(t, 0)
	for range maxSleepers {
		w.ask(admin, byPredicate(model.OpCount, "c", "x", "data"))
	}
	w.must2(w.ask(admin, byPredicate(model.OpCount, "c", "x", "data")), model.Overloaded)
	w.settle()
	for range maxSleepers {
		if len(w.answers) == 0 || w.answers[0].code != model.OK {
			t.Fatalf("a query that waited has no answer")
		}
		w.answers = w.answers[1:]
	}
}

// TestACrowdIsParkedAtTheStart: with more indexes than processes may run, those with a shelf start
// when they are asked.
func TestACrowdIsParkedAtTheStart(t *testing.T) {
	w := newWorld(t, 1)
	w.settle()
	w.registerFake()
	w.retable(func(r *model.Row) { r.Shelf = 1 << 20 })
	for i := range maxRunning/16 + 1 {
		c := fmt.Sprint("c", i)
		w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: c}, model.OK)
		w.must(admin, put(c, "one", "data of one"), model.OK)
		for k := range 16 {
			w.must(admin, createIndex(c, fmt.Sprint("x", k), model.TypeAny, 0), model.OK)
		}
	}
	w.live(5 * time.Second)
	empty, kept := 0, "" // a Task may decide to keep nothing
	for _, x := range w.e.indexes {
		if x.shelf.logged.highest == 0 {
			empty++
		} else {
			kept = x.c.name + " " + x.name
		}
	}
	w.boot()
	if len(w.tasks) != empty || empty > len(w.e.indexes)/2 {
		t.Fatalf("%d processes start at once, want %d of %d indexes", len(w.tasks), empty, len(w.e.indexes))
	}
	c, x, _ := strings.Cut(kept, " ")
	n := w.ask(admin, byPredicate(model.OpSearch, c, x, "data"))
	w.settle()
	if a, _ := w.answered(n); len(a.objects) != 1 || len(w.e.instances) != empty+1 {
		t.Errorf("a query shows %d objects, code %d, and %d processes run; want one object and %d", len(a.objects), a.code, len(w.e.instances), empty+1)
	}
}

// TestAParkedIndexIsUpgradedWhenItWakes: the new executable may refuse its configuration then.
func TestAParkedIndexIsUpgradedWhenItWakes(t *testing.T) {
	w := parked(t, 0)
	x := w.x()
	row := w.e.tasks["fake"].Row
	row.Measurement[0]++
	w.must(admin, wire.Request{Op: model.OpRegisterTask, Name: []byte("fake"), Query: frames.AppendRow(nil, &row)}, model.OK)
	if x.state != model.IndexParked || w.statusOf(admin).Index("c", "x").Upgrade != model.UpgradeNone {
		t.Fatalf("the new executable wakes the index: state %d", x.state)
	}
	n := w.ask(admin, byPredicate(model.OpSearch, "c", "x", "data"))
	w.e.TaskStarted(x.instance)
	w.e.TaskAnswer(x.instance, taskwire.Answer{Type: taskwire.Failed, Seq: 1, Failure: taskwire.FailConfiguration})
	w.take()
	if a, _ := w.answered(n); a.code != model.IndexUnavailable || x.state != model.IndexRefused {
		t.Errorf("the query has code %d, and the index state %d; want it refused", a.code, x.state)
	}
}

// TestAnIndexThatWaitsForItsUpgradeMayBeParked: its next process has the new row.
func TestAnIndexThatWaitsForItsUpgradeMayBeParked(t *testing.T) {
	w := indexed(t, 0)
	x := w.x()
	x.outdated = true
	w.e.park(x)
	if x.outdated || x.accepted || w.e.upgradeOf(x) != model.UpgradeNone {
		t.Errorf("a parked index waits for its upgrade: %t, accepted %t", x.outdated, x.accepted)
	}
}

// TestAParkedIndexSavesAnewAfterACleaning: the pass destroys its blobs. The index is parked again when
// it has saved.
func TestAParkedIndexSavesAnewAfterACleaning(t *testing.T) {
	w := parked(t, 0)
	x := w.x()
	w.must(admin, put("c", "one", "changed"), model.OK) // so the shelf has an object that is no more
	w.now = w.now.Add(cleanEvery)
	w.tick(time.Second)
	w.clean(model.OK)
	if x.shelf.now.highest != 0 {
		t.Fatal("the shelf keeps its blobs")
	}
	w.tick(time.Second)
	if x.state != model.IndexStarting {
		t.Fatalf("the index has state %d; want that it starts", x.state)
	}
	for range 10 {
		w.live(2 * time.Second)
	}
	if x.state != model.IndexParked || x.shelf.logged.highest == 0 {
		t.Errorf("the index has state %d and blob %d; want it parked, with a shelf", x.state, x.shelf.logged.highest)
	}
}

// TestAParkedIndexSavesAnewBesideOthers: a parked index that lost its blobs wakes as soon as another
// process may run.
func TestAParkedIndexSavesAnewBesideOthers(t *testing.T) {
	w := parked(t, 0)
	x := w.x()
	x.shelf.now.highest = 0
	for i := range uint64(maxSaving) {
		w.e.instances[1000+i] = x
	}
	if w.e.saveParked(x); x.state != model.IndexParked {
		t.Fatalf("beside %d processes the index has state %d, want it parked", maxSaving, x.state)
	}
	delete(w.e.instances, 1000)
	if w.e.saveParked(x); x.state != model.IndexStarting {
		t.Errorf("beside %d processes the index has state %d, want it to start", maxSaving-1, x.state)
	}
}

// TestACleaningWaitsForShelves: it does not take the blobs from an index that comes back from them.
func TestACleaningWaitsForShelves(t *testing.T) {
	w := parked(t, model.OptionResident)
	w.now = w.now.Add(2 * cleanEvery)
	w.start(w.replay(w.checkpoint()))
	w.tick(time.Second)
	_, _, clean := w.e.PendingMaintenance()
	if x := w.x(); clean || w.e.renewing || x.shelf.now.highest == 0 {
		t.Errorf("the blobs are gone, and the index has state %d", x.state)
	}
	for w.x().state != model.IndexServing {
		w.live(time.Second)
	}
	w.e.PendingMaintenance()
	if !w.e.renewing {
		t.Error("the index serves, and no pass begins")
	}
}

// TestAQueryDoesNotSleepForEver: the Task of the index is not known after a salvage, or the disk fails
// again and again to read the objects.
func TestAQueryDoesNotSleepForEver(t *testing.T) {
	w := shelved(t, 5)
	w.e.park(w.x())
	n := w.ask(admin, byPredicate(model.OpSearch, "c", "x", ""))
	if len(w.x().sleepers) != 1 {
		t.Fatal("the query does not wait")
	}
	for range maxMissed + 1 {
		w.e.keepMissed(w.x(), mapping.Entry{})
	}
	for w.work() {
	}
	w.must2(n, model.IndexUnavailable)

	w = shelved(t, 5)
	w.e.park(w.x())
	delete(w.e.tasks, "fake")
	w.must(admin, byPredicate(model.OpSearch, "c", "x", ""), model.IndexUnavailable)
}
