package engine

import (
	"fmt"
	"testing"
	"time"

	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/core/wire"
)

// process returns the Task's process of the index "x".
func (w *world) process() *fakeTask { return w.task(w.x().instance) }

func (w *world) count() uint64 { return w.ask(admin, byPredicate(model.OpCount, "c", "x", "data")) }

// TestTimeInWhichTheEngineStandsStillDoesNotCount: if the engine was delayed or the machine
// suspended between two ticks, the Task is not slow.
func TestTimeInWhichTheEngineStandsStillDoesNotCount(t *testing.T) {
	for _, deadline := range []uint32{1, 1000} {
		w := indexed(t, 0)
		w.retable(func(r *model.Row) { r.Deadline = deadline })
		w.count()
		w.tick(usualTick)
		if w.jump(time.Minute); w.x().late || w.x().state != model.IndexServing {
			t.Fatalf("with a deadline of %d ms, the first stall makes the Task slow", deadline)
		}
	}
	w := indexed(t, 0)
	k := w.process()
	one, two := w.count(), w.count()
	w.tick(usualTick)
	w.step(k) // its answer waits while the engine stands still; the Task works on the other query
	for range 5 {
		w.jump(10 * w.x().registered())
	}
	w.must2(one, model.OK)
	if w.step(k); w.lastReason() != 0 {
		t.Fatalf("an alert for reason %d", w.lastReason())
	}
	w.must2(two, model.OK)
	if w.process() != k || w.x().late || w.x().stretched > 0 {
		t.Fatal("the Task is treated as slow, though the engine stood still")
	}
}

// TestTimeRunsFromWhenAFrameHasLeft, not from the last tick, and not from the time when the
// frame was queued for the channel.
func TestTimeRunsFromWhenAFrameHasLeft(t *testing.T) {
	w := indexed(t, 0)
	k := w.process()
	most := w.x().registered() - 2*usualTick
	w.now = w.now.Add(10 * w.x().registered()) // without a tick
	n := w.count()
	for _, leaves := range []bool{false, true} {
		for passed := time.Duration(0); passed < most; passed += usualTick {
			if leaves {
				w.taken()
			}
			w.jump(usualTick)
		}
	}
	if w.step(k); w.x().late || w.lastReason() != 0 {
		t.Fatalf("too slow: %v, alert for reason %d", w.x().late, w.lastReason())
	}
	w.must2(n, model.OK)
}

// TestATaskThatDoesNotReadIsSlow from the time when the Core has a frame for it.
func TestATaskThatDoesNotReadIsSlow(t *testing.T) {
	w := indexed(t, 0)
	k := w.process()
	n := w.count()
	ticks := 0
	for ; !w.x().late; ticks++ {
		w.jump(usualTick)
	}
	w.must2(n, model.TooSlow)
	for ; !k.stopped; ticks++ {
		w.jump(usualTick)
	}
	w.settle()
	if took := time.Duration(ticks) * usualTick; took > fatalDeadlines*w.x().registered()+2*usualTick || w.lastReason() != model.ReasonTooSlow {
		t.Fatalf("the Task that does not read ended after %v, for reason %d", took, w.lastReason())
	}
}

// TestAnotherExecutableBeginsAnew: it does not inherit the deadline and the failures of the
// executable that it replaces.
func TestAnotherExecutableBeginsAnew(t *testing.T) {
	w := indexed(t, 0)
	w.count()
	for range fatalDeadlines*int(w.x().registered()/usualTick) + 2 {
		w.jump(usualTick) // the Task does not answer
	}
	if x := w.x(); x.instance != 0 || x.stretched == 0 || x.failures == 0 {
		t.Fatalf("a slow Task has process %d, the deadline %v and %d failures", x.instance, x.deadline(), x.failures)
	}
	w.retable(func(r *model.Row) { r.Measurement[0]++ })
	x := w.x()
	if x.deadline() != x.registered() || x.failures != 0 || x.state != model.IndexServing {
		t.Errorf("in state %d, the new executable has the deadline %v, want %v, and %d failures, want 0",
			x.state, x.deadline(), x.registered(), x.failures)
	}
}

// crawl lets the Task of "x" handle a frame in each interval, until its index serves. It answers
// each frame immediately or, with batch, all frames together at the end.
func (w *world) crawl(interval time.Duration, batch bool) {
	w.t.Helper()
	var answers []taskwire.Answer
	last := w.process()
	for frames := 0; w.x().state != model.IndexServing; frames++ {
		if frames > 20_000 {
			w.t.Fatalf("after %d frames the index is in state %d", frames, w.x().state)
		}
		for len(w.fetch) > 0 {
			w.read()
		}
		w.tick(interval)
		k := w.process()
		if k != last {
			last, answers = k, nil
		}
		if k == nil {
			continue
		}
		if w.x().state == model.IndexStarting {
			w.e.TaskStarted(k.instance)
			w.take()
			continue
		}
		if len(k.frames) > 0 {
			f := k.frames[0]
			k.frames = k.frames[1:]
			answers = append(answers, k.handle(f)...)
		}
		if len(answers) > 0 && (!batch || len(k.frames) == 0) {
			w.says(answers[len(answers)-1]) // the last confirmation stands for all changes
			answers = nil
		}
	}
}

// TestAnIndexComesUpOnABusyMachine: an honest Task takes longer than its deadline for each
// frame, or for all frames that it has read. It must not be ended repeatedly while its index is
// built.
func TestAnIndexComesUpOnABusyMachine(t *testing.T) {
	for _, tc := range []struct {
		name     string
		interval time.Duration
		batch    bool
		restarts uint64 // maximum
	}{
		{"a frame takes one and a half deadlines", 1500 * time.Millisecond, false, 0},
		{"a frame takes six deadlines", 6 * time.Second, false, 1},
		{"a frame takes fifteen deadlines", 15 * time.Second, false, 2},
		{"a batch of all frames that were sent takes six deadlines", 50 * time.Millisecond, true, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, 1)
			w.settle()
			w.registerFake()
			w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: "c"}, model.OK)
			objects := 200
			if tc.batch {
				objects = 900
			}
			for i := range objects {
				w.must(admin, put("c", fmt.Sprint("object ", i), "data"), model.OK)
			}
			w.ask(admin, wire.Request{Op: model.OpCreateIndex, Collection: "c", Index: "x", Name: []byte("fake")})
			w.commit(1)
			w.crawl(tc.interval, tc.batch)
			if n := w.x().restarts; n > tc.restarts {
				t.Errorf("%d restarts, want %d at most", n, tc.restarts)
			}
			if a := w.must(admin, byPredicate(model.OpCount, "c", "x", "data"), model.OK); int(a.count) != objects {
				t.Errorf("the index finds %d of %d objects", a.count, objects)
			}
		})
	}
}

// TestASlowTaskLosesTheQueryAlone: its late answer is dropped, and the Task lives. It gets a
// longer deadline, and a shorter one again after it was fast for a while.
func TestASlowTaskLosesTheQueryAlone(t *testing.T) {
	for _, refuses := range []bool{false, true} {
		w := indexed(t, 0)
		k := w.process()
		lost, next := w.count(), w.count()
		w.tick(w.x().registered() + 2*usualTick)
		w.must2(lost, model.TooSlow)
		if refuses {
			w.says(taskwire.Answer{Type: taskwire.Failed, Seq: w.questions()[0], Failure: taskwire.FailQuery})
			w.says(taskwire.Answer{Type: taskwire.Found, Seq: w.x().seq})
		} else {
			w.step(k)
			w.step(k)
		}
		w.must2(next, model.OK)
		if len(w.answers) != 0 || w.lastReason() != 0 || w.process() != k {
			t.Fatalf("%d more answers, alert for reason %d", len(w.answers), w.lastReason())
		}
		w.tick(usualTick)
		if got, want := w.x().deadline(), 2*w.x().registered(); got != want {
			t.Errorf("after a miss the deadline is %v, want %v", got, want)
		}
		w.tick(calmTime + 2*usualTick)
		if got, want := w.x().deadline(), w.x().registered(); got != want {
			t.Errorf("after a calm minute the deadline is %v, want %v", got, want)
		}
	}
}

// TestALateAnswerIsStillChecked: an invalid answer to a query that the Task lost still breaks
// the contract.
func TestALateAnswerIsStillChecked(t *testing.T) {
	w := indexed(t, 0)
	lost := w.count()
	w.tick(w.x().registered() + 2*usualTick)
	w.must2(lost, model.TooSlow)
	w.says(taskwire.Answer{Type: taskwire.Found, Seq: w.questions()[0], Found: []identity.ID{{1, 2, 3}}})
	if w.settle(); w.x().state != model.IndexQuarantined || w.lastReason() != model.ReasonInvalidIdentity {
		t.Fatalf("state %d, alert for reason %d", w.x().state, w.lastReason())
	}
}

// TestAPutWaitsLittleForASlowTask: a PUT is answered when the Task misses its deadline, or after
// some deadlines even if it misses none. While the Task is late, a PUT is answered immediately.
func TestAPutWaitsLittleForASlowTask(t *testing.T) {
	w := indexed(t, 0)
	k := w.process()
	first := w.ask(admin, put("c", "four", "data of four"))
	w.commit(1)
	w.tick(w.x().registered() + 2*usualTick)
	w.must2(first, model.OK)
	second := w.ask(admin, put("c", "five", "data of five"))
	w.commit(1)
	w.must2(second, model.OK)
	// A query sees both objects, though no Task had confirmed them.
	n := w.count()
	for len(k.frames) > 0 {
		w.step(k)
	}
	if a, _ := w.answered(n); a.code != model.OK || a.count != 5 {
		t.Fatalf("code %d, count %d", a.code, a.count)
	}

	w = indexed(t, 0)
	k = w.process()
	for range 2 * maxFrameDeadlines {
		w.count()
	}
	n = w.ask(admin, put("c", "four", "data of four"))
	w.commit(1)
	for i := 1; ; i++ {
		w.tick(w.x().registered())
		if _, done := w.answered(n); done {
			if w.x().late || i != maxFrameDeadlines+1 {
				t.Fatalf("the PUT was answered after %d deadlines; the Task is late %v", i, w.x().late)
			}
			break
		}
		w.step(k)
	}
	w.settle()
	if w.lastReason() != 0 {
		t.Fatalf("alert for reason %d", w.lastReason())
	}
}
