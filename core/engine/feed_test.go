package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"motte/core/model"
	"motte/core/seglog"
	"motte/core/taskwire"
	"motte/core/wire"
)

// checkFeeds fails the test if the counters of the queues differ from the queues.
func (w *world) checkFeeds() {
	w.t.Helper()
	backlog, all := 0, 0
	list := slices.Clone(w.e.indexes)
	for _, x := range w.e.indexes {
		if x.successor != nil {
			list = append(list, x.successor)
		}
	}
	for _, x := range list {
		unread, kept, held := 0, 0, 0
		for _, d := range x.queue {
			if kept += d.counted; d.unread() {
				unread++
			}
			held += cap(d.input)
		}
		if x.unread != unread || x.inputBytes != kept || held > kept {
			w.t.Fatalf("an index counts %d inputs to be read and %d bytes that are kept; they are %d and %d, %d of them inputs",
				x.unread, x.inputBytes, unread, kept, held)
		}
		backlog += len(x.queue)
		all += kept
	}
	if w.e.backlog != backlog || w.e.queuedInputBytes != all {
		w.t.Fatalf("the queues hold %d deliveries and %d bytes, and %d and %d are counted", backlog, all, w.e.backlog, w.e.queuedInputBytes)
	}
}

// lagging returns a world with lazy indexes over objects of any size. Their Tasks do not answer
// until the test steps them.
func lagging(t *testing.T, indexes ...string) *world {
	w := newWorld(t, 1)
	w.settle()
	w.register("c", indexes[0], model.OptionLazy)
	for _, name := range indexes[1:] {
		w.must(admin, wire.Request{Op: model.OpCreateIndex, Collection: "c", Index: name, Options: model.OptionLazy, Name: []byte("fake")}, model.OK)
	}
	w.retable(func(r *model.Row) { r.MaxInput = model.MaxObject })
	return w
}

// TestALaggingIndexKeepsItsBudget: while a Task does not answer, its queue keeps few bytes of
// inputs, however many PUTs are acknowledged. Later the Task gets all inputs, in the order of
// the log.
func TestALaggingIndexKeepsItsBudget(t *testing.T) {
	const puts, size = 40, 1 << 20
	w := lagging(t, "x")
	for i := range puts {
		n := w.ask(admin, put("c", fmt.Sprint(i), fmt.Sprintf("%03d", i)+strings.Repeat("x", size-3)))
		w.commit(len(w.pending))
		w.must2(n, model.OK)
		if x := w.x(); x.inputBytes > keepBytes || x.bytes > windowBytes+size+1024 {
			t.Fatalf("after %d PUTs the queue keeps %d bytes, and %d are with the Task", i+1, x.inputBytes, x.bytes)
		}
		w.checkFeeds()
	}
	if len(w.x().queue) < puts/2 {
		t.Fatalf("%d changes are queued", len(w.x().queue))
	}
	k := w.task(w.x().instance)
	var got []string
	for len(k.frames) > 0 || len(w.fetch) > 0 {
		if len(w.fetch) > 0 {
			w.read()
		} else {
			got = append(got, string(k.frames[0][taskwire.HeaderSize+40:][:3]))
			w.step(k)
		}
		if w.checkFeeds(); w.x().inputBytes > keepBytes {
			t.Fatalf("while the Task catches up, the queue keeps %d bytes", w.x().inputBytes)
		}
	}
	if len(got) != puts || !slices.IsSorted(got) || !w.idle() {
		t.Fatalf("the Task got %d of %d inputs, in the order %v", len(got), puts, got)
	}
	if a := w.must(admin, byPredicate(model.OpCount, "c", "x", ""), model.OK); a.count != puts {
		t.Fatalf("the index finds %d objects; want all", a.count)
	}
}

// TestAnInputOverTheBudgetIsFed: an input larger than the whole budget of a queue is fed, too,
// one at a time.
func TestAnInputOverTheBudgetIsFed(t *testing.T) {
	const puts, size = 3, keepBytes + 1
	w := lagging(t, "x")
	for i := range puts {
		w.ask(admin, put("c", fmt.Sprint(i), strings.Repeat("x", size)))
	}
	w.commit(len(w.pending))
	for k := w.task(w.x().instance); len(k.frames)+len(w.fetch) > 0; {
		if x := w.x(); x.inputBytes > size+1024 || x.bytes > size+1024 {
			t.Fatalf("the queue keeps %d bytes, %d are with the Task", x.inputBytes, x.bytes)
		}
		if len(w.fetch) > 0 {
			w.read()
		} else {
			w.step(k)
		}
		w.checkFeeds()
	}
	if a := w.must(admin, byPredicate(model.OpCount, "c", "x", ""), model.OK); a.count != puts {
		t.Fatalf("the Task got %d of %d inputs", a.count, puts)
	}
}

// TestManyLaggingIndexesKeepOneSum: all queues share one budget, plus one input each.
func TestManyLaggingIndexesKeepOneSum(t *testing.T) {
	const size = 1 << 20
	var names []string
	for i := range MaxIndexes {
		names = append(names, fmt.Sprint("x", i))
	}
	w := lagging(t, names...)
	for i := range 24 {
		w.ask(admin, put("c", fmt.Sprint(i), strings.Repeat("x", size)))
		w.commit(len(w.pending))
		w.checkFeeds()
	}
	if w.e.queuedInputBytes > keepAll+len(names)*(size+1024) || w.e.queuedInputBytes < keepAll/2 {
		t.Errorf("%d lagging indexes keep %d bytes; want at most the common budget", len(names), w.e.queuedInputBytes)
	}
	w.settle()
	for _, name := range names {
		if a := w.must(admin, byPredicate(model.OpCount, "c", name, ""), model.OK); a.count != 24 {
			t.Errorf("index %s finds %d", name, a.count)
		}
	}
	if w.checkFeeds(); w.e.queuedInputBytes != 0 {
		t.Errorf("%d bytes are kept after all inputs were fed; want 0", w.e.queuedInputBytes)
	}
}

// TestIndexesShareALargeInput: the input of a PUT is not copied for each index.
func TestIndexesShareALargeInput(t *testing.T) {
	w := lagging(t, "x", "y", "z")
	object := bytes.Repeat([]byte("x"), model.MaxObject)
	w.ask(admin, put("c", "one", string(object)))
	record := w.pending[0][0].Body
	r := w.store(w.pending[0][0])
	w.e.Committed([]seglog.Location{r}, w.position())
	frames := w.e.Take().Frames
	if len(frames) != 3 {
		t.Fatalf("%d frames", len(frames))
	}
	for _, f := range frames {
		if len(f.Frame) > 1024 || !bytes.Equal(f.Input, object) || &f.Input[0] != &record[len(record)-len(object)] {
			t.Errorf("a frame of %d bytes has a copy of its input of %d bytes; want the shared input", len(f.Frame), len(f.Input))
		}
		if n := binary.BigEndian.Uint32(f.Frame[4:]); int(n) != len(f.Frame)-taskwire.HeaderSize+len(f.Input) {
			t.Errorf("a frame says that its payload has %d bytes", n)
		}
	}
}

// TestManySmallInputsAreCounted with their overhead.
func TestManySmallInputsAreCounted(t *testing.T) {
	x := &index{session: session{}}
	e := New(Config{})
	n := 0
	for ; e.mayCountInput(x, inputBytes(1, 8)); n++ {
		d := delivery{kind: taskwire.Insert}
		e.countInput(x, &d, inputBytes(1, 8))
	}
	if most := keepBytes / inputCost; n > most {
		t.Errorf("%d inputs of a byte are kept, want at most %d", n, most)
	}
}

// TestALaggingIndexRefusesWritesForItselfAlone: when an index lags behind with a full queue,
// writes to its collection are refused. Writes to other collections are not.
func TestALaggingIndexRefusesWritesForItselfAlone(t *testing.T) {
	w := lagging(t, "x")
	w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: "d"}, model.OK)
	w.must(admin, wire.Request{Op: model.OpCreateIndex, Collection: "d", Index: "y", Name: []byte("fake")}, model.OK)
	for len(w.x().queue) <= maxBacklog {
		w.e.enqueue(w.x(), &delivery{kind: taskwire.Remove})
	}
	w.must2(w.ask(admin, put("c", "one", "data")), model.Overloaded)
	w.must2(w.ask(admin, byPredicate(model.OpCount, "c", "x", "")), model.Overloaded)
	n := w.ask(admin, put("d", "one", "data"))
	w.commit(len(w.pending))
	w.step(w.task(w.e.byName["d"].index("y").instance))
	w.must2(n, model.OK)
}
