package engine

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"motte/core/leak"
	"motte/core/model"
	"motte/core/wire"
)

// poisoned returns a world with an index, and objects of which some end each process of its Task.
func poisoned(t *testing.T, deadly int) *world {
	w := newWorld(t, 1)
	w.settle()
	w.register("c", "x", 0)
	w.kills = "deadly"
	for i := range deadly {
		w.ask(admin, put("c", fmt.Sprint("deadly ", i), fmt.Sprint(i, " deadly")))
	}
	for i := range 10 {
		w.ask(admin, put("c", fmt.Sprint("good ", i), fmt.Sprint("good ", i)))
	}
	w.live(4 * time.Second * time.Duration(1+deadly))
	return w
}

// live lets everything run for a time, with the pauses after the ends of processes.
func (w *world) live(d time.Duration) {
	for ; d > 0; d -= time.Second {
		w.settle()
		w.tick(time.Second)
	}
	w.settle()
}

// found returns how many objects a search for a predicate shows, or -1 if it fails.
func (w *world) found(predicate string) int {
	n := w.ask(admin, byPredicate(model.OpSearch, "c", "x", predicate))
	w.settle()
	if a, _ := w.answered(n); a.code == model.OK {
		return len(a.objects)
	}
	return -1
}

// TestAnInputThatEndsItsTaskIsSetAside: the index serves without it, the object stays, and the
// administrator gets an alert.
func TestAnInputThatEndsItsTaskIsSetAside(t *testing.T) {
	w := poisoned(t, 3)
	if n := w.found("good"); n != 10 {
		t.Errorf("%d of 10 objects are found beside inputs that end the Task", n)
	}
	if n := len(w.x().setAside); n != 3 || len(w.x().suspects) != 0 {
		t.Errorf("%d inputs are set aside, and %d are suspects; want 3 and 0", n, len(w.x().suspects))
	}
	w.must(admin, get("c", "deadly 1"), model.OK)
	aside := 0
	for _, body := range w.e.alerts {
		if decodeAlert(body).Reason == model.ReasonSetAside {
			aside++
		}
	}
	if aside != 3 {
		t.Errorf("%d alerts say that an input was set aside, want 3", aside)
	}

	// The next process gets them no more, and one that is replaced or deleted is forgotten.
	w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
	w.live(5 * time.Second)
	before := w.x().restarts
	w.must(admin, put("c", "deadly 0", "good 10"), model.OK)
	w.must(admin, wire.Request{Op: model.OpDelete, Collection: "c", Name: []byte("deadly 1")}, model.OK)
	if n := w.found("good"); n != 11 || len(w.x().setAside) != 1 || w.x().restarts != before {
		t.Errorf("then %d objects are found, %d are set aside, after %d more restarts; want 11, 1 and 0", n, len(w.x().setAside), w.x().restarts-before)
	}
}

// TestWhatIsSetAsideCanBeTriedAgain, by a request, and by another executable.
func TestWhatIsSetAsideCanBeTriedAgain(t *testing.T) {
	retry := wire.Request{Op: model.OpRetry, Collection: "c", Index: "x"}
	w := poisoned(t, 2)
	if a := w.must(admin, retry, model.OK); a.count != 2 {
		t.Errorf("%d inputs are tried again, want 2", a.count)
	}
	w.live(20 * time.Second)
	if n := w.found("good"); n != 10 || len(w.x().setAside) != 2 {
		t.Errorf("they end the Task again: %d objects are found, %d are set aside; want 10 and 2", n, len(w.x().setAside))
	}
	w.kills = ""
	w.must(admin, retry, model.OK)
	w.settle()
	if n := w.found(""); n != 12 || len(w.x().setAside)+len(w.x().suspects) != 0 {
		t.Errorf("with a cured Task %d objects are found, want 12", n)
	}
	w.must(admin, wire.Request{Op: model.OpRetry, Collection: "c", Index: "y"}, model.NoIndex)
	w.must(w.person("p", model.RightRead), retry, model.Denied)

	w = poisoned(t, 2)
	w.kills = ""
	w.retable(func(r *model.Row) { r.Measurement[0]++ })
	w.live(5 * time.Second)
	if n := w.found(""); n != 12 {
		t.Errorf("another executable holds %d objects, want 12", n)
	}
}

// TestATaskThatEndsOverEverythingIsAtFault: only so many inputs are set aside.
func TestATaskThatEndsOverEverythingIsAtFault(t *testing.T) {
	w := newWorld(t, 1)
	w.settle()
	w.register("c", "x", 0)
	w.kills = "deadly"
	for i := range 2 * maxSetAside {
		w.ask(admin, put("c", fmt.Sprint("deadly ", i), fmt.Sprint(i, " deadly")))
	}
	w.live(time.Duration(2*maxSetAside) * maxBackoff)
	if n := len(w.x().setAside); n != maxSetAside || len(w.x().suspects) > maxSuspects {
		t.Errorf("%d inputs are set aside, want %d", n, maxSetAside)
	}
}

// TestAPredicateThatEndsItsTaskIsRefused for the principal that asks it, and for a while.
func TestAPredicateThatEndsItsTaskIsRefused(t *testing.T) {
	w := indexed(t, 0)
	other := w.person("other", model.RightRead)
	w.kills = "deadly predicate"
	ask := func(want model.Code) {
		t.Helper()
		n := w.ask(admin, byPredicate(model.OpSearch, "c", "x", "deadly predicate"))
		w.settle()
		if a, _ := w.answered(n); a.code != want {
			t.Errorf("code %d, want %d", a.code, want)
		}
		w.live(5 * time.Second)
	}
	ask(model.IndexViolated)
	ask(model.IndexViolated)
	restarts := w.x().restarts
	ask(model.TooExpensive)
	if w.x().restarts != restarts || w.found("data") != 3 {
		t.Error("the Task is asked again, or answers nothing else")
	}
	n := w.ask(other, byPredicate(model.OpSearch, "c", "x", "deadly predicate"))
	w.settle()
	if a, _ := w.answered(n); a.code != model.IndexViolated {
		t.Errorf("for another principal: code %d, want %d", a.code, model.IndexViolated)
	}
	for range killerTime / time.Minute {
		w.tick(time.Minute)
	}
	w.live(time.Second)
	ask(model.IndexViolated)
}

// TestSuspectsThatAreGoneAreForgotten: else they would use up the room for suspects.
func TestSuspectsThatAreGoneAreForgotten(t *testing.T) {
	w := newWorld(t, 1)
	w.settle()
	w.register("c", "x", model.OptionLazy)
	for i := range 100 {
		w.ask(admin, put("c", fmt.Sprint(i), "data"))
		w.commit(len(w.pending))
	}
	remove := func(from, to int) {
		for i := from; i < to; i++ {
			w.ask(admin, wire.Request{Op: model.OpDelete, Collection: "c", Name: []byte(fmt.Sprint(i))})
			w.commit(len(w.pending))
		}
	}
	remove(0, 50) // before the process ends
	w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
	remove(50, 90) // after it
	if n := len(w.x().suspects); n != 10 {
		t.Errorf("%d of 10 objects are suspects", n)
	}
	w.live(5 * time.Second)
	if n := len(w.x().suspects); n != 0 || w.found("data") != 10 {
		t.Errorf("%d objects are suspects when the index serves, want 0", n)
	}
}

// TestARetryWhileTheIndexIsDown gives the next process each input alone.
func TestARetryWhileTheIndexIsDown(t *testing.T) {
	w := poisoned(t, 2)
	w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
	w.must(admin, wire.Request{Op: model.OpRetry, Collection: "c", Index: "x"}, model.OK)
	before := w.x().restarts
	w.live(time.Minute)
	if n := w.x().restarts - before; n != 2 || len(w.x().setAside) != 2 {
		t.Errorf("%d processes end, and %d inputs are set aside; want 2 and 2", n, len(w.x().setAside))
	}
}

// TestAPutOfWhatIsSetAsideSaysSo: the Task chose what is set aside, so the answer is charged.
func TestAPutOfWhatIsSetAsideSaysSo(t *testing.T) {
	w := poisoned(t, 1)
	before := w.x().ledger.total.drawn
	a := w.must(admin, put("c", "deadly 0", "0 deadly"), model.OK)
	if charge := w.x().ledger.total.drawn - before; a.flags&wire.ReplyNotIndexed == 0 || charge != leak.NotIndexed {
		t.Errorf("flags %d, charge %d; want %d and %d", a.flags, charge, wire.ReplyNotIndexed, leak.NotIndexed)
	}
}

// TestManyInputsAreSetAsideSoon: the pauses between processes do not grow while each end finds an
// input. So a principal with many of them keeps the index of others down for a short time only.
func TestManyInputsAreSetAsideSoon(t *testing.T) {
	w := newWorld(t, 1)
	w.settle()
	w.register("c", "x", 0)
	w.kills = "deadly"
	const deadly = maxSetAside - 1
	for i := range deadly {
		w.ask(admin, put("c", fmt.Sprint("deadly ", i), fmt.Sprint(i, " deadly")))
	}
	w.ask(admin, put("c", "good", "good"))
	for range deadly + 2 {
		w.settle()
		w.tick(4 * minBackoff)
	}
	w.settle()
	if n := w.found("good"); n != 1 || len(w.x().setAside) != deadly {
		t.Errorf("%d inputs are set aside, and %d objects are found; want %d and 1", len(w.x().setAside), n, deadly)
	}
}

// TestAnInputAfterAQueryIsFound: a Task that answers a query late ends over the input after it. The
// query is blamed, and the input is found nevertheless.
func TestAnInputAfterAQueryIsFound(t *testing.T) {
	w := indexed(t, 0)
	w.ask(admin, byPredicate(model.OpSearch, "c", "x", "data"))
	w.ask(admin, put("c", "deadly", "deadly"))
	w.commit(len(w.pending))
	if len(w.x().sent) != 2 {
		t.Fatalf("%d frames are with the Task, want the query and the input", len(w.x().sent))
	}
	w.kills = "deadly"
	w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
	w.take()
	w.live(5 * time.Second)
	if n := w.found("data"); n != 3 || len(w.x().setAside) != 1 || w.x().restarts != 2 {
		t.Errorf("%d objects are found, %d inputs are set aside after %d ends; want 3, 1 and 2", n, len(w.x().setAside), w.x().restarts)
	}
}

// TestAStartOfTheCoreRemembersWhatIsSetAside, so that the Task does not end over it again. A RETRY or a
// REBUILD forgets it, also for the next start.
func TestAStartOfTheCoreRemembersWhatIsSetAside(t *testing.T) {
	for _, from := range []bool{false, true} {
		w := poisoned(t, 1)
		kills, aside := w.kills, maps.Clone(w.x().setAside)
		restart := func() int {
			var c *checkpoint
			if from {
				c = w.checkpoint()
			}
			w.start(w.replay(c))
			restarts := w.e.alertCount
			w.live(5 * time.Second)
			return int(w.e.alertCount - restarts)
		}
		if n := restart(); n != 0 || !maps.Equal(w.x().setAside, aside) || len(aside) != 1 {
			t.Errorf("checkpoint %v: after a start %d processes end, and %d inputs are set aside; want none and the one", from, n, len(w.x().setAside))
		}
		w.kills = ""
		w.must(admin, wire.Request{Op: model.OpRetry, Collection: "c", Index: "x"}, model.OK)
		w.live(time.Second)
		if restart(); len(w.x().setAside) != 0 || w.found("") != 11 {
			t.Errorf("checkpoint %v: after a RETRY and a start %d inputs are set aside, and %d objects are found", from, len(w.x().setAside), w.found(""))
		}
		w.kills = kills
		w.must(admin, wire.Request{Op: model.OpRebuild, Collection: "c", Index: "x"}, model.OK)
		w.live(10 * time.Second)
		if len(w.x().setAside) != 1 {
			t.Errorf("checkpoint %v: after a REBUILD %d inputs are set aside, want 1", from, len(w.x().setAside))
		}
	}
}
