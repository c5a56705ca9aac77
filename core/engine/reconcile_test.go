package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/core/wire"
)

// differing returns a world whose index has a shelf of n objects. Since the last saving two objects
// were changed, two removed, and two added. No process runs.
func differing(t *testing.T, n int) *world {
	w := shelved(t, n)
	for i := range 2 {
		w.must(admin, put("c", fmt.Sprint(i), fmt.Sprint("changed ", i)), model.OK)
		w.must(admin, remove(fmt.Sprint(n-1-i)), model.OK)
		w.must(admin, put("c", fmt.Sprint("new ", i), fmt.Sprint("new ", i)), model.OK)
	}
	w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
	w.settle()
	w.e.alerts = nil
	return w
}

// TestAStartFeedsOnlyWhatDiffers, whatever the size of runs and frames.
func TestAStartFeedsOnlyWhatDiffers(t *testing.T) {
	const n = 300
	for _, p := range []pace{usualPace,
		{saveEvery: time.Hour, saveChanges: 1000, runObjects: 1, runsFrame: 1, listObjects: 1},
		{saveEvery: time.Hour, saveChanges: 1000, runObjects: 7, runsFrame: 3, listObjects: 7},
		{saveEvery: time.Hour, saveChanges: 1000, runObjects: n, runsFrame: 1, listObjects: 2}} {
		for _, boots := range []bool{false, true} {
			w := differing(t, n)
			if boots {
				w.boot()
			}
			w.e.pace = p
			w.live(time.Second)
			k := w.process()
			if k.got[taskwire.Insert] != 4 || k.got[taskwire.Stored] != n {
				t.Errorf("%+v: a start feeds %d objects after %d blobs; want 4 after %d", p, k.got[taskwire.Insert], k.got[taskwire.Stored], n)
			}
			least := (n + p.runObjects*p.runsFrame - 1) / (p.runObjects * p.runsFrame)
			if got := k.got[taskwire.Runs]; got < least || got > least+1 {
				t.Errorf("%+v: the Task gets %d Runs, want %d", p, got, least)
			}
			for predicate, want := range map[string]int{"": n, "changed": 2, "new": 2, "object": n - 4} {
				if got := w.found(predicate); got != want {
					t.Errorf("%+v: %d objects %q are found, want %d", p, got, predicate, want)
				}
			}
		}
	}
}

// TestAStartWithoutAChangeFeedsNothing, also for an empty collection.
func TestAStartWithoutAChangeFeedsNothing(t *testing.T) {
	w := shelved(t, 40)
	if k := w.restart(); k.got[taskwire.Insert]+k.got[taskwire.List] != 0 {
		t.Errorf("a start without a change feeds %d objects, with %d Lists", k.got[taskwire.Insert], k.got[taskwire.List])
	}
	for i := range 40 {
		w.must(admin, remove(fmt.Sprint(i)), model.OK)
	}
	if k := w.restart(); k.got[taskwire.Insert] != 0 || k.got[taskwire.List] != 1 || w.found("") != 0 {
		t.Errorf("for an empty collection the Task gets %d Inserts and %d Lists, and finds %d objects", k.got[taskwire.Insert], k.got[taskwire.List], w.found(""))
	}
}

// TestWhatIsVoidIsNotFedAgain: an input that the Task refused, or that is too long.
func TestWhatIsVoidIsNotFedAgain(t *testing.T) {
	w := shelved(t, 3)
	w.must(admin, put("c", "refused", "refuse"), model.OK)
	w.must(admin, put("c", "too long", strings.Repeat("x", 65)), model.OK)
	if w.process().got[taskwire.Void] != 1 {
		t.Fatal("an input that is too long is not void")
	}
	w.save()
	k := w.restart()
	if n := k.got[taskwire.Insert] + k.got[taskwire.Void] + k.got[taskwire.Remove] + k.got[taskwire.List]; n != 0 {
		t.Errorf("the next process gets %d frames for what has not changed: %v", n, k.got)
	}
	w.must(admin, put("c", "too long", "short"), model.OK)
	if n := w.found(""); n != 4 {
		t.Errorf("%d objects are found, want 4", n)
	}
	// With a larger limit, the input is fed.
	w.must(admin, put("c", "too long", strings.Repeat("x", 65)), model.OK)
	w.save()
	w.retable(func(r *model.Row) { r.MaxInput = 65 })
	if n := w.found("xx"); n != 1 {
		t.Errorf("with a larger limit %d objects are found, want 1", n)
	}
}

// TestALieInReconciliationHarmsItsIndexAlone: the Task misses objects, or is refused since it names
// identities that are invalid. Other indexes, reads and writes are right.
func TestALieInReconciliationHarmsItsIndexAlone(t *testing.T) {
	const n = 20
	fill := func(of taskwire.Type, with byte) func(*taskwire.Answer) {
		return func(a *taskwire.Answer) {
			for i := range a.Bits {
				if a.Type == of {
					a.Bits[i] = with
				}
			}
		}
	}
	trim := func(a *taskwire.Answer, n int) { // the unused bits stay 0
		if last := len(a.Bits) - 1; last >= 0 && n%8 != 0 {
			a.Bits[last] &= 0xff << (8 - n%8)
		}
	}
	for _, tc := range []struct {
		name   string
		lie    func(*taskwire.Answer)
		added  int // of two objects, that are found
		found  int // -1: the Task is refused
		reason model.Reason
	}{
		{"nothing differs", fill(taskwire.Differ, 0), 0, -1, model.ReasonInvalidIdentity},
		{"everything differs", func(a *taskwire.Answer) { fill(taskwire.Differ, 0xff)(a); trimOne(a, trim, taskwire.Differ, 1) }, 2, n, 0},
		{"nothing is lacking", fill(taskwire.Lacks, 0), 0, -1, model.ReasonInvalidIdentity},
		{"everything is lacking", func(a *taskwire.Answer) { fill(taskwire.Lacks, 0xff)(a); trimOne(a, trim, taskwire.Lacks, n) }, 2, n, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := differing(t, n)
			w.lies = tc.lie
			w.live(time.Second)
			w.must(admin, wire.Request{Op: model.OpCreateIndex, Collection: "c", Index: "y", Name: []byte("fake")}, model.OK)
			w.live(time.Second)
			if got := w.found("new"); got != tc.added {
				t.Errorf("%d new objects are found, want %d", got, tc.added)
			}
			if got := w.found(""); got != tc.found {
				t.Errorf("%d objects are found, want %d", got, tc.found)
			}
			if w.settle(); w.lastReason() != tc.reason {
				t.Errorf("an alert for reason %d, want %d", w.lastReason(), tc.reason)
			}
			a := w.must(admin, byPredicate(model.OpSearch, "c", "y", ""), model.OK)
			if len(a.objects) != n || w.e.byName["c"].index("y").restarts != 0 {
				t.Errorf("another index finds %d objects, want %d", len(a.objects), n)
			}
			if a := w.must(admin, wire.Request{Op: model.OpList, Collection: "c"}, model.OK); len(a.objects) != n {
				t.Errorf("a LIST shows %d objects, want %d", len(a.objects), n)
			}
			w.must(admin, get("c", "new 1"), model.OK)
			w.must(admin, get("c", fmt.Sprint(n-1)), model.NotFound)

			// An honest process gets it right again: after a violation it gets no blob.
			w.lies = nil
			w.live(time.Second)
			if tc.found != n {
				w.must(admin, wire.Request{Op: model.OpRebuild, Collection: "c", Index: "x"}, model.OK)
			}
			w.live(time.Second)
			if got := w.found(""); got != n {
				t.Errorf("then %d objects are found, want %d", got, n)
			}
		})
	}
}

// trimOne clears the unused bits of an answer of one type.
func trimOne(a *taskwire.Answer, trim func(*taskwire.Answer, int), of taskwire.Type, n int) {
	if a.Type == of {
		trim(a, n)
	}
}

// TestWrongBitsBreakTheContract: an answer has a bit for each range or identity, and is given once.
func TestWrongBitsBreakTheContract(t *testing.T) {
	on := func(of taskwire.Type, change func(a *taskwire.Answer)) func(*taskwire.Answer) {
		return func(a *taskwire.Answer) {
			if a.Type == of {
				change(a)
			}
		}
	}
	short := func(a *taskwire.Answer) { a.Bits = a.Bits[:len(a.Bits)-1] }
	long := func(a *taskwire.Answer) { a.Bits = append(a.Bits, 0) }
	unused := func(a *taskwire.Answer) { a.Bits[len(a.Bits)-1] |= 1 }
	for _, tc := range []struct {
		name   string
		lie    func(*taskwire.Answer)
		reason model.Reason
	}{
		{"a Differ without a bit", on(taskwire.Differ, short), model.ReasonBadFrame},
		{"a Differ with a byte more", on(taskwire.Differ, long), model.ReasonBadFrame},
		{"a Differ with an unused bit", on(taskwire.Differ, unused), model.ReasonBadFrame},
		{"a Lacks with a byte less", on(taskwire.Lacks, short), model.ReasonBadFrame},
		{"a Lacks with a byte more", on(taskwire.Lacks, long), model.ReasonBadFrame},
		{"a Lacks with an unused bit", on(taskwire.Lacks, unused), model.ReasonBadFrame},
		{"a Lacks for a Runs", on(taskwire.Differ, func(a *taskwire.Answer) { a.Type = taskwire.Lacks }), model.ReasonUnasked},
		{"a Differ for a List", on(taskwire.Lacks, func(a *taskwire.Answer) { a.Type = taskwire.Differ }), model.ReasonUnasked},
		{"a Differ for a later frame", on(taskwire.Differ, func(a *taskwire.Answer) { a.Seq++ }), model.ReasonUnasked},
		{"a Set for a Runs", on(taskwire.Differ, func(a *taskwire.Answer) { *a = taskwire.Answer{Type: taskwire.Set, Seq: a.Seq} }), model.ReasonUnasked},
		{"a Found for a Runs", on(taskwire.Differ, func(a *taskwire.Answer) { *a = taskwire.Answer{Type: taskwire.Found, Seq: a.Seq} }), model.ReasonUnasked},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := differing(t, 20)
			w.lies = tc.lie
			for range 10 {
				if w.settle(); w.lastReason() != 0 {
					break
				}
				w.tick(usualTick)
			}
			if w.lastReason() != tc.reason {
				t.Fatalf("an alert for reason %d, want %d", w.lastReason(), tc.reason)
			}
			w.lies = nil
			w.live(time.Second)
			if k := w.process(); k.got[taskwire.Stored] != 0 || w.found("") != 20 {
				t.Errorf("the next process gets %d blobs, and finds %d objects; want 0 and 20", k.got[taskwire.Stored], w.found(""))
			}
		})
	}
}

// TestARunThatGrowsIsListedInParts: the collection grows beyond a List before the Task answers the
// Runs. It must not drop the objects that the List had no place for.
func TestARunThatGrowsIsListedInParts(t *testing.T) {
	w := differing(t, 20)
	w.e.listObjects = 7
	for !slices.ContainsFunc(w.tasks, func(k *fakeTask) bool {
		return len(k.frames) > 0 && k.frames[0][3] == byte(taskwire.Runs)
	}) {
		if !w.settleOne() {
			w.tick(usualTick)
			if x := w.x(); x.state == model.IndexStarting && x.instance != 0 {
				w.e.TaskStarted(x.instance)
				w.take()
			}
		}
	}
	for i := range 50 {
		w.ask(admin, put("c", fmt.Sprint("late ", i), "late"))
	}
	for len(w.pending) > 0 {
		w.commit(len(w.pending))
	}
	w.live(time.Second)
	if n := w.process().got[taskwire.List]; n < 10 {
		t.Errorf("70 objects come in %d Lists of 7", n)
	}
	if n := w.found("late"); n != 50 || w.found("") != 70 {
		t.Errorf("%d of 50 late objects are found, and %d of 70 in all", n, w.found(""))
	}
}

// TestOneEventComparesFewObjects: a frame covers a bounded number of runs and objects, whatever the
// size of the collection. A run that does not differ costs no List.
func TestOneEventComparesFewObjects(t *testing.T) {
	w := shelved(t, 10)
	w.stuff("c", 1, 200_000)
	x := w.x()
	w.byHand = true
	x.reconcile, x.state, x.scanned, x.scannedTo, x.building = true, model.IndexBuilding, false, identity.Value{}, 0
	w.e.pump(x)
	w.take()
	k, runs := w.process(), 0
	for ; !x.scanned; runs++ {
		h, _ := taskwire.DecodeHeader(k.frames[0])
		compared := x.sent[runs].compared.runs
		if n := len(compared); len(k.frames) > 1 || h.Type != taskwire.Runs || n != usualPace.runsFrame {
			t.Fatalf("an event sends %d frames, first one of type %d with %d runs, want one with %d", len(k.frames), h.Type, n, usualPace.runsFrame)
		}
		for _, run := range compared {
			if int(run.Count) != usualPace.runObjects {
				t.Fatalf("a run has %d objects, want %d", run.Count, usualPace.runObjects)
			}
		}
		k.frames = nil
		for more := true; more && len(k.frames) == 0; {
			more = w.e.Work()
			w.take()
		}
	}
	w.says(taskwire.Answer{Type: taskwire.Differ, Seq: x.sent[0].seq, Bits: append([]byte{0x80}, make([]byte, usualPace.runsFrame/8-1)...)})
	if list := x.sent[len(x.sent)-1]; list.kind != taskwire.List || len(list.compared.listed) != usualPace.runObjects {
		t.Fatalf("a List has %d identities, want %d", len(list.compared.listed), usualPace.runObjects)
	}
	if want := 200_010 / (usualPace.runObjects * usualPace.runsFrame); runs != want {
		t.Errorf("the test saw %d whole Runs, want %d", runs, want)
	}
}
