package engine

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"motte/core/model"
	"motte/core/seglog"
	"motte/core/wire"
)

var errDisk = errors.New("input/output error")

// misread lets the requested reads fail, and returns their number.
func (w *world) misread(err error) (n int) {
	for ; len(w.fetch) > 0; n++ {
		f := w.fetch[0]
		w.fetch = w.fetch[1:]
		w.e.Fetched(f, Object{}, 0, err)
		w.take()
	}
	return n
}

// finds checks that a search by prefix finds a number of objects.
func (w *world) finds(prefix string, want int) {
	w.t.Helper()
	if a := w.must(admin, byPredicate(model.OpSearch, "c", "x", prefix), model.OK); len(a.objects) != want {
		w.t.Fatalf("the index finds %d objects, want %d", len(a.objects), want)
	}
}

// rebuilt restarts the Task of an index with three objects.
func rebuilt(t *testing.T) *world {
	w := newWorld(t, 1)
	w.settle()
	w.register("c", "x", 0)
	for i := range 3 {
		w.must(admin, put("c", fmt.Sprint("n", i), fmt.Sprint("data ", i)), model.OK)
	}
	w.finds("data", 3)
	x := w.e.byName["c"].index("x")
	w.e.TaskEnded(x.instance, model.ReasonTaskEnded)
	w.take()
	w.commit(len(w.pending))
	w.tick(maxBackoff)
	w.e.TaskStarted(x.instance)
	w.take()
	for len(w.fetch) == 0 {
		w.step(w.task(x.instance))
	}
	return w
}

// reasons counts the alerts by reason.
func (w *world) reasons() map[model.Reason]int {
	n := make(map[model.Reason]int)
	for _, body := range w.e.alerts {
		n[decodeAlert(body).Reason]++
	}
	return n
}

// TestAnIndexGetsWhatCouldNotBeRead: a failed read is not damage, and costs the index an object
// only for a while. Changes of that time are not undone.
func TestAnIndexGetsWhatCouldNotBeRead(t *testing.T) {
	for _, c := range []struct {
		name      string
		meanwhile func(w *world)
		want      int // objects found at the end, with the prefix "data"
	}{
		{"nothing", func(*world) {}, 3},
		{"one is deleted", func(w *world) { w.must(admin, deleting("n1"), model.OK) }, 2},
		{"one is replaced", func(w *world) { w.must(admin, put("c", "n1", "other"), model.OK) }, 2},
		{"one is put again", func(w *world) { w.must(admin, put("c", "n1", "data 1"), model.OK) }, 3},
		{"it fails again", func(w *world) {
			w.tick(missedEvery)
			if n := w.misread(errDisk); n != 3 {
				w.t.Fatalf("%d objects are read again", n)
			}
			w.settle()
			w.finds("data", 0)
		}, 3},
		{"the index is built again", func(w *world) { w.e.TaskEnded(w.e.byName["c"].index("x").instance, model.ReasonTaskEnded) }, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := rebuilt(t)
			if n := w.misread(errDisk); n != 3 {
				t.Fatalf("%d reads failed", n)
			}
			w.settle()
			w.finds("data", 0)
			c.meanwhile(w)
			for range 4 {
				w.tick(maxBackoff)
				w.settle()
			}
			w.finds("data", c.want)
			if n := w.reasons(); n[model.ReasonReadFailed] == 0 || n[model.ReasonDamagedRecord] > 0 {
				t.Errorf("alerts: %v", n)
			}
		})
	}
}

// TestDamageIsNotReadAgain: each damaged record is reported once.
func TestDamageIsNotReadAgain(t *testing.T) {
	w := rebuilt(t)
	w.misread(fmt.Errorf("read: %w", seglog.ErrDamaged))
	w.settle()
	w.tick(missedEvery)
	if len(w.fetch) > 0 {
		t.Error("a damaged record is read again for the index")
	}
	w.settle()
	w.finds("data", 0)
	if n := w.reasons(); n[model.ReasonReadFailed] > 0 || n[model.ReasonDamagedRecord] != 3 {
		t.Errorf("alerts: %v", n)
	}
}

// TestADiskThatIsGoneDoesNotFillTheMemory: an index that misses too many objects starts again,
// instead of remembering them.
func TestADiskThatIsGoneDoesNotFillTheMemory(t *testing.T) {
	w := rebuilt(t)
	x := w.e.byName["c"].index("x")
	o := w.fetch[0].Entry
	for len(x.missed) < maxMissed {
		x.missed = append(x.missed, o)
	}
	instance := x.instance
	w.misread(errDisk)
	if x.instance == instance || x.state != model.IndexStarting || len(x.missed) > 0 {
		t.Fatalf("state %d, %d objects are remembered", x.state, len(x.missed))
	}
	w.tick(time.Second)
	if x.instance != 0 {
		t.Error("the index starts again immediately, and would fail again")
	}
	w.tick(maxBackoff)
	w.settle()
	w.finds("data", 3)
}

// TestAPutSaysThatItIsNotIndexed: its input had to be read again, and that failed.
func TestAPutSaysThatItIsNotIndexed(t *testing.T) {
	w := newWorld(t, 1)
	w.settle()
	w.register("c", "x", 0)
	n := w.ask(admin, put("c", "n", "data"))
	w.commit(len(w.pending))
	x := w.e.byName["c"].index("x")
	if d := x.sent; len(d) != 1 || d[0].waiter == nil {
		t.Fatalf("%d deliveries are sent", len(d))
	}
	// As if the delivery had been behind many others, without its input.
	d := x.sent[0]
	x.sent, x.queue, x.bytes = nil, []*delivery{d}, 0
	d.fetched = true
	w.e.Fetched(Fetch{Entry: d.put, instance: x.instance, delivery: d}, Object{}, 0, errDisk)
	w.take()
	w.task(x.instance).frames = w.task(x.instance).frames[1:]
	w.settle()
	if a, ok := w.answered(n); !ok || a.code != model.OK || a.flags&wire.ReplyNotIndexed == 0 {
		t.Errorf("answered %v, code %d, flags %d", ok, a.code, a.flags)
	}
	w.tick(missedEvery)
	w.settle()
	w.finds("data", 1)
}
