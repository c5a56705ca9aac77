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
	oldY := y.instance
	w.ask(admin, register)
	w.commit(len(w.pending))
	w.tick(time.Minute) // the host starts no process
	if x.state == model.IndexServing || y.state != model.IndexServing || y.instance != oldY {
		t.Fatalf("the first index has state %d, the second %d; want the second to serve with its old process", x.state, y.state)
	}
	n := w.ask(admin, byPredicate(model.OpSearch, "c", "y", "data"))
	for _, k := range w.tasks {
		for k.instance == oldY && len(k.frames) > 0 {
			w.step(k)
		}
	}
	if a, _ := w.answered(n); len(a.objects) != 3 {
		t.Errorf("the index that waits for its turn shows %d objects, code %d; want 3", len(a.objects), a.code)
	}
	w.live(2 * time.Second)
	if x.state != model.IndexServing || y.state != model.IndexServing || y.instance == oldY || x.outdated || y.outdated {
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
	if w, y := waits(t, false); y.state != model.IndexStarting || w.x().state == model.IndexServing {
		t.Errorf("while the first index is down, the second has state %d, want %d", y.state, model.IndexStarting)
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
