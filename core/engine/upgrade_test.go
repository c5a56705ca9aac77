package engine

import (
	"testing"
	"time"

	"motte/client/frames"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/core/wire"
)

// TestIndexesAreUpgradedOneAfterTheOther: while one index of a Task is built by the new
// executable, the next one serves with the old one.
func TestIndexesAreUpgradedOneAfterTheOther(t *testing.T) {
	w := indexed(t, 0)
	w.must(admin, createIndex("c", "y", model.TypeAny, 0), model.OK)
	w.settle()
	x, y := w.x(), w.e.byName["c"].index("y")
	row := w.e.tasks["fake"].Row
	row.Measurement[0]++
	register := wire.Request{Op: model.OpRegisterTask, Name: []byte("fake"), Query: frames.AppendRow(nil, &row)}
	oldX, oldY := x.instance, y.instance
	w.ask(admin, register)
	w.commit(len(w.pending))
	w.tick(time.Second) // the successor is not started yet
	if x.successor == nil || y.successor != nil || x.instance != oldX || y.instance != oldY {
		t.Fatalf("the first index has the successor %v, the second %v; want one of the first, beside the old processes", x.successor, y.successor)
	}
	for _, index := range []string{"x", "y"} {
		n := w.ask(admin, byPredicate(model.OpSearch, "c", index, "data"))
		for _, k := range w.tasks {
			for (k.instance == oldX || k.instance == oldY) && len(k.frames) > 0 {
				w.step(k)
			}
		}
		if a, _ := w.answered(n); len(a.objects) != 3 {
			t.Errorf("during the upgrade, index %q shows %d objects, code %d; want 3", index, len(a.objects), a.code)
		}
	}
	w.live(2 * time.Second)
	if x.state != model.IndexServing || y.state != model.IndexServing || x.instance == oldX || y.instance == oldY || x.outdated || y.outdated {
		t.Errorf("then the indexes have the states %d and %d; want both to serve with new processes", x.state, y.state)
	}

	// A process that ends by itself meanwhile gets the new row at once.
	oldY = y.instance
	row.MaxResults++
	register.Query = frames.AppendRow(nil, &row)
	w.ask(admin, register)
	w.commit(len(w.pending))
	w.e.TaskEnded(oldY, model.ReasonTaskEnded)
	w.take()
	w.live(5 * time.Second)
	if x.row.MaxResults != row.MaxResults || y.row.MaxResults != row.MaxResults {
		t.Errorf("the indexes have %d and %d results at most, want %d", x.row.MaxResults, y.row.MaxResults, row.MaxResults)
	}
}

// TestAnIndexIsBuiltAnew by a request of its administrator.
func TestAnIndexIsBuiltAnew(t *testing.T) {
	rebuild := wire.Request{Op: model.OpRebuild, Collection: "c", Index: "x"}
	w := poisoned(t, 1)
	before := w.x().instance
	w.kills = ""
	w.must(admin, rebuild, model.OK)
	w.live(time.Second)
	if n := w.found(""); n != 11 || w.x().instance == before {
		t.Errorf("the index shows %d objects, from the process %d; want all 11, from another process than %d", n, w.x().instance, before)
	}
	w.must(admin, wire.Request{Op: model.OpRebuild, Collection: "c", Index: "y"}, model.NoIndex)
	w.must(w.person("p", model.RightRead), rebuild, model.Denied)
}

// waits returns a world with two indexes of a Task, in two collections. The second waits for its
// upgrade, if the first one was up before.
func waits(t *testing.T, up bool) (w *world, y *index) {
	w = indexed(t, 0)
	w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: "d"}, model.OK)
	w.must(admin, createIndex("d", "y", model.TypeAny, 0), model.OK)
	w.settle()
	if !up {
		w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
	}
	row := w.e.tasks["fake"].Row
	row.Measurement[0]++
	w.ask(admin, wire.Request{Op: model.OpRegisterTask, Name: []byte("fake"), Query: frames.AppendRow(nil, &row)})
	w.commit(len(w.pending))
	return w, w.e.byName["d"].index("y")
}

// TestAnUpgradeWaitsForNoOtherIndex than one that is being upgraded: for no index that was down
// before, and for no index that is dropped meanwhile.
func TestAnUpgradeWaitsForNoOtherIndex(t *testing.T) {
	if w, y := waits(t, false); y.successor == nil || w.x().state == model.IndexServing {
		t.Errorf("while the first index is down, the second has no successor")
	}
	for name, r := range map[string]wire.Request{
		"index":      {Op: model.OpDropIndex, Collection: "c", Index: "x"},
		"collection": {Op: model.OpDropCollection, Collection: "c"},
	} {
		w, y := waits(t, true)
		if y.state != model.IndexServing || !y.outdated {
			t.Fatalf("the second index does not wait")
		}
		w.ask(admin, r)
		w.commit(len(w.pending))
		w.settle()
		if y.outdated || y.state != model.IndexServing {
			t.Errorf("%s: the index that waited has state %d, outdated is %t", name, y.state, y.outdated)
		}
	}
}

// TestANewExecutableMayRefuse the configuration of an index whose old process ended by itself.
func TestANewExecutableMayRefuse(t *testing.T) {
	w, y := waits(t, true)
	w.e.TaskEnded(y.instance, model.ReasonTaskEnded)
	w.tick(time.Second)
	w.e.TaskStarted(y.instance)
	w.e.TaskAnswer(y.instance, taskwire.Answer{Type: taskwire.Failed, Seq: 1, Failure: taskwire.FailConfiguration})
	if w.take(); y.state != model.IndexRefused {
		t.Errorf("the index has state %d, want %d", y.state, model.IndexRefused)
	}
}

// TestNoQueryFailsInAnUpgrade: while the successor is complete and the old process still works on a
// query, new queries wait for the successor. If the successor ends, they go to the old process.
func TestNoQueryFailsInAnUpgrade(t *testing.T) {
	for _, ends := range []bool{false, true} {
		w := indexed(t, 0)
		x := w.x()
		old := w.task(x.instance)
		row := w.e.tasks["fake"].Row
		row.Measurement[0]++
		before := w.ask(admin, byPredicate(model.OpSearch, "c", "x", "data"))
		w.ask(admin, wire.Request{Op: model.OpRegisterTask, Name: []byte("fake"), Query: frames.AppendRow(nil, &row)})
		w.commit(len(w.pending))
		next := w.completeSuccessor()
		if !x.successor.complete || x.instance != old.instance {
			t.Fatalf("the successor is not complete, or has taken over before the old process answered")
		}
		during := w.ask(admin, byPredicate(model.OpSearch, "c", "x", "data"))
		w.ask(admin, put("c", "one", "data of one, anew"))
		w.commit(len(w.pending))
		if len(next.frames) > 0 {
			t.Fatal("the successor got a query or a change behind it before it took over")
		}
		if ends {
			w.e.TaskEnded(next.instance, model.ReasonTaskEnded)
			w.take()
		}
		w.settle()
		for _, n := range []uint64{before, during} {
			if a, _ := w.answered(n); a.code != model.OK || len(a.objects) != 3 {
				t.Errorf("successor ends %v: a query of the upgrade has code %d and %d objects; want 3", ends, a.code, len(a.objects))
			}
		}
		w.live(5 * time.Second)
		if x.instance == old.instance || x.row.Measurement != row.Measurement || w.found("data of one, anew") != 1 {
			t.Errorf("successor ends %v: the new executable does not serve", ends)
		}
	}
}

// TestASuccessorTakesOverAtOnce if the old process ends: the index then is down only as long as the
// rest of the build takes.
func TestASuccessorTakesOverAtOnce(t *testing.T) {
	w := indexed(t, 0)
	x := w.x()
	row := w.e.tasks["fake"].Row
	row.Measurement[0]++
	w.ask(admin, wire.Request{Op: model.OpRegisterTask, Name: []byte("fake"), Query: frames.AppendRow(nil, &row)})
	w.commit(len(w.pending))
	next := x.successor.instance
	w.e.TaskStarted(next)
	w.e.TaskEnded(x.instance, model.ReasonTaskEnded)
	if w.take(); x.instance != next || x.state != model.IndexBuilding || x.successor != nil {
		t.Fatalf("the index has process %d and state %d; want the successor's process %d, building", x.instance, x.state, next)
	}
	w.live(time.Second)
	if w.found("") != 3 || x.instance != next || x.upgrading {
		t.Errorf("the index does not serve with its successor's process")
	}
}

// TestAnotherUpgradeReplacesTheSuccessor that an earlier one began.
func TestAnotherUpgradeReplacesTheSuccessor(t *testing.T) {
	w := indexed(t, 0)
	x := w.x()
	row := w.e.tasks["fake"].Row
	for range 2 {
		row.Measurement[0]++
		w.ask(admin, wire.Request{Op: model.OpRegisterTask, Name: []byte("fake"), Query: frames.AppendRow(nil, &row)})
		w.commit(len(w.pending))
	}
	w.live(2 * time.Second)
	if w.found("") != 3 || x.row.Measurement != row.Measurement || len(w.e.instances) != 1 || x.successor != nil {
		t.Errorf("%d processes run, and the index has the executable %x; want one of %x", len(w.e.instances), x.row.Measurement[:1], row.Measurement[:1])
	}
}

// TestTheRowBeforeIsKept, so that an administrator can go back to the executable before. Other
// limits of the same executable do not replace it.
func TestTheRowBeforeIsKept(t *testing.T) {
	w := indexed(t, 0)
	first := w.e.tasks["fake"].Row
	status := func() frames.TaskStatus {
		var s frames.Status
		for _, item := range w.must(admin, wire.Request{Op: model.OpStatus}, model.OK).items {
			if err := s.Add(item); err != nil {
				t.Fatal(err)
			}
		}
		return s.Tasks[0]
	}
	if b := status().Before; b != nil {
		t.Errorf("a new Task has the row before %+v", b)
	}
	w.retable(func(r *model.Row) { r.Measurement[0]++ })
	w.retable(func(r *model.Row) { r.MaxResults++ })
	if b := status().Before; b == nil || *b != first {
		t.Errorf("the row before is %+v, want %+v", b, first)
	}
	w.start(w.replay(w.checkpoint()))
	w.settle()
	if b := status().Before; b == nil || *b != first {
		t.Errorf("after a start, the row before is %+v, want %+v", b, first)
	}
}

// TestARebuildEndsAnUpgrade: the index begins anew with the new executable, and the successor ends.
func TestARebuildEndsAnUpgrade(t *testing.T) {
	w := indexed(t, 0)
	x := w.x()
	w.ask(admin, wire.Request{Op: model.OpRegisterTask, Name: []byte("fake"), Query: func() []byte {
		row := w.e.tasks["fake"].Row
		row.Measurement[0]++
		return frames.AppendRow(nil, &row)
	}()})
	w.commit(len(w.pending))
	if x.successor == nil {
		t.Fatal("no upgrade began")
	}
	w.must(admin, wire.Request{Op: model.OpRebuild, Collection: "c", Index: "x"}, model.OK)
	w.live(2 * time.Second)
	if w.found("") != 3 || len(w.e.instances) != 1 || x.successor != nil || x.upgrading {
		t.Errorf("%d processes run, and the index shows %d objects; want one process and 3 objects", len(w.e.instances), w.found(""))
	}
}

// TestLimitsThatOnlyTheCoreNeeds change without a new process; all others need one.
func TestLimitsThatOnlyTheCoreNeeds(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*model.Row)
		goesOn bool
	}{
		{"nothing", func(*model.Row) {}, true},
		{"deadline", func(r *model.Row) { r.Deadline++ }, true},
		{"operations", func(r *model.Row) { r.Operations = frames.TaskSearch }, true},
		{"leak budget", func(r *model.Row) { r.LeakBudget = 1 << 20 }, true},
		{"budget of all", func(r *model.Row) { r.IndexBudget = 1 << 20 }, true},
		{"executable", func(r *model.Row) { r.Measurement[0]++ }, false},
		{"results", func(r *model.Row) { r.MaxResults-- }, false},
		{"input", func(r *model.Row) { r.MaxInput-- }, false},
		{"memory", func(r *model.Row) { r.Memory++ }, false},
		{"shelf", func(r *model.Row) { r.Shelf++ }, false},
	} {
		w := indexed(t, 0)
		before := w.x().instance
		w.retable(c.change)
		w.live(2 * time.Second)
		if x := w.x(); (x.instance == before) != c.goesOn || *x.row != w.e.tasks["fake"].Row || w.found("") != 3 {
			t.Errorf("%s: the process goes on: %v, want %v; the index shows %d objects by the row %+v",
				c.name, x.instance == before, c.goesOn, w.found(""), x.row)
		}
	}
}

// TestAStatusShowsAnUpgrade: which indexes wait, how far a successor is, and that it ends again and
// again or refuses its configuration.
func TestAStatusShowsAnUpgrade(t *testing.T) {
	w, y := waits(t, true)
	x := w.x()
	show := func(c, index string, upgrade model.Upgrade, fed, toFeed uint64) {
		t.Helper()
		a, _ := w.answered(w.ask(admin, op(model.OpStatus)))
		status := new(frames.Status)
		for _, item := range a.items {
			if err := status.Add(item); err != nil {
				t.Fatal(err)
			}
		}
		s := status.Index(c, index)
		if s.State != model.IndexServing || s.Upgrade != upgrade || s.Fed != fed || s.ToFeed != toFeed {
			t.Errorf("index %s has state %d, upgrade %d, %d of %d objects; want it to serve, upgrade %d, %d of %d",
				index, s.State, s.Upgrade, s.Fed, s.ToFeed, upgrade, fed, toFeed)
		}
	}
	show("c", "x", model.UpgradeBuilds, 0, 3)
	show("d", "y", model.UpgradeWaits, 0, 0)
	w.e.TaskStarted(x.successor.instance)
	w.take()
	for next := w.task(x.successor.instance); x.successor.fed < 3; { // with the configuration
		if len(w.fetch) > 0 {
			w.read()
		} else {
			w.step(next)
		}
	}
	show("c", "x", model.UpgradeBuilds, 3, 3)
	for range failing {
		show("c", "x", model.UpgradeBuilds, x.successor.fed, max(3, x.successor.fed))
		w.e.TaskEnded(x.successor.instance, model.ReasonBadFrame)
		w.tick(maxBackoff)
		w.e.TaskStarted(x.successor.instance)
	}
	show("c", "x", model.UpgradeFails, 0, 3)
	w.e.TaskAnswer(x.successor.instance, taskwire.Answer{Type: taskwire.Failed, Seq: 1, Failure: taskwire.FailConfiguration})
	show("c", "x", model.UpgradeRefused, 0, 0)
	w.settle()
	show("c", "x", model.UpgradeRefused, 0, 0)
	show("d", "y", model.UpgradeNone, 0, 0)
	if y.row != &w.e.tasks["fake"].Row {
		t.Error("the index that does not refuse the new executable runs the old one")
	}
}

// TestTheWayBackKeepsTheProcess of an index that still runs the executable before.
func TestTheWayBackKeepsTheProcess(t *testing.T) {
	w := indexed(t, 0)
	x := w.x()
	old, instance := *x.row, x.instance
	row := old
	row.Measurement[0]++
	for _, r := range []*model.Row{&row, &old} {
		w.ask(admin, wire.Request{Op: model.OpRegisterTask, Name: []byte("fake"), Query: frames.AppendRow(nil, r)})
		w.commit(len(w.pending))
	}
	w.live(2 * time.Second)
	if x.instance != instance || x.successor != nil || x.outdated || w.e.upgradeOf(x) != model.UpgradeNone || w.found("") != 3 {
		t.Errorf("the index has process %d, want the old one, %d", x.instance, instance)
	}
}

// complete returns a world in which the successor of the index "x" is complete, while the old
// process still works on a query.
func complete(t *testing.T) (w *world, old, next *fakeTask) {
	w = indexed(t, 0)
	x := w.x()
	row := w.e.tasks["fake"].Row
	row.Measurement[0]++
	w.ask(admin, byPredicate(model.OpSearch, "c", "x", "data"))
	w.ask(admin, wire.Request{Op: model.OpRegisterTask, Name: []byte("fake"), Query: frames.AppendRow(nil, &row)})
	w.commit(len(w.pending))
	next = w.task(x.successor.instance)
	w.e.TaskStarted(next.instance)
	for w.take(); len(next.frames)+len(w.fetch) > 0; {
		if len(w.fetch) > 0 {
			w.read()
		} else {
			w.step(next)
		}
	}
	if !x.successor.complete {
		t.Fatal("the successor is not complete")
	}
	return w, w.task(x.instance), next
}

// TestASuccessorThatEndedIsNotComplete: when the old process answers its last query, it goes on,
// whether the next successor is not started yet, or is being built.
func TestASuccessorThatEndedIsNotComplete(t *testing.T) {
	for _, begun := range []bool{false, true} {
		w, old, next := complete(t)
		x := w.x()
		w.e.TaskEnded(next.instance, model.ReasonTaskEnded)
		if w.take(); begun {
			w.tick(2 * minBackoff)
			w.e.TaskStarted(x.successor.instance)
			w.take()
		}
		for len(old.frames) > 0 {
			w.step(old)
		}
		for w.work() {
		}
		if x.instance != old.instance || x.state != model.IndexServing {
			t.Errorf("begun anew %t: the index has process %d and state %d; want the old process %d, serving",
				begun, x.instance, x.state, old.instance)
		}
		w.live(5 * time.Second)
		if w.found("") != 3 || x.instance == old.instance || x.successor != nil {
			t.Errorf("begun anew %t: then the new executable does not serve", begun)
		}
	}
}

// TestWritesAreRefusedForASuccessorThatLagsBehind, so that its queue does not grow without end.
func TestWritesAreRefusedForASuccessorThatLagsBehind(t *testing.T) {
	w, _, _ := complete(t)
	next := w.x().successor
	for len(next.queue) <= maxBacklog {
		w.e.enqueue(next, &delivery{kind: taskwire.Remove})
	}
	w.must2(w.ask(admin, put("c", "another", "data")), model.Overloaded)
	w.e.abandon(w.x())
	w.must(admin, put("c", "another", "data"), model.OK)
}

// TestASuccessorMayTakeWhatWasSetAside: with more memory, the same executable takes an input over which
// it ended. The next start of the Core does not set the input aside again.
func TestASuccessorMayTakeWhatWasSetAside(t *testing.T) {
	w := poisoned(t, 1)
	w.kills = ""
	w.retable(func(r *model.Row) { r.Memory++ })
	w.live(2 * time.Second)
	if n := w.found(""); n != 11 {
		t.Fatalf("after the upgrade the index shows %d objects, want all 11", n)
	}
	w.start(w.replay(nil))
	w.live(2 * time.Second)
	if n := w.found(""); n != 11 {
		t.Errorf("after the next start the index shows %d objects, want all 11", n)
	}
}

// TestASuccessorIsAskedByItsOwnRow: a query that waited for a successor asks for no more results than
// the successor's row allows.
func TestASuccessorIsAskedByItsOwnRow(t *testing.T) {
	w := indexed(t, 0)
	x := w.x()
	old := w.task(x.instance)
	w.ask(admin, byPredicate(model.OpSearch, "c", "x", "data")) // keeps the old process
	row := w.e.tasks["fake"].Row
	row.MaxResults = 2
	w.ask(admin, wire.Request{Op: model.OpRegisterTask, Name: []byte("fake"), Query: frames.AppendRow(nil, &row)})
	w.commit(len(w.pending))
	w.completeSuccessor()
	n := w.ask(admin, byPredicate(model.OpSearch, "c", "x", "data"))
	alerts := w.e.alertCount
	w.settle()
	if a, _ := w.answered(n); a.code != model.OK || len(a.objects) != 2 || w.e.alertCount != alerts || x.instance == old.instance {
		t.Errorf("the query has code %d and %d objects, %d alerts; want 2 objects", a.code, len(a.objects), w.e.alertCount-alerts)
	}
}

// completeSuccessor lets the successor of the index "x" handle all frames that it gets, and returns its
// Task. The old process handles none.
func (w *world) completeSuccessor() *fakeTask {
	next := w.task(w.x().successor.instance)
	w.e.TaskStarted(next.instance)
	for w.take(); len(next.frames)+len(w.fetch) > 0; {
		if len(w.fetch) > 0 {
			w.read()
		} else {
			w.step(next)
		}
	}
	return next
}
