package engine

import (
	"fmt"
	"math"
	"testing"

	"motte/client/frames"
	"motte/core/identity"
	"motte/core/leak"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/core/wire"
)

// aNotB is "a and not b", with a Task for each letter.
func aNotB() *term { return termOf(wire.StepAndNot, leafOf("a"), leafOf("b")) }

// stepAll lets the Task of an index handle all frames that it has.
func (w *world) stepAll(index string) {
	k := w.task(w.e.byName["c"].index(index).instance)
	for len(k.frames) > 0 {
		w.step(k)
	}
	for w.work() {
	}
}

// TestADroppedIndexStaysGone, also if a query was under way.
func TestADroppedIndexStaysGone(t *testing.T) {
	for name, drop := range map[string]wire.Request{
		"index":      {Op: model.OpDropIndex, Collection: "c", Index: "b"},
		"collection": {Op: model.OpDropCollection, Collection: "c"},
	} {
		w := letters(t, 1)
		w.must(admin, putLetters("1ab"), model.OK)
		n := w.ask(admin, expression(model.OpSearch, 0, aNotB()))
		w.ask(admin, drop)
		w.commit(len(w.pending))
		w.settle()
		if _, ok := w.answered(n); !ok {
			t.Errorf("%s: no answer", name)
		}
		if len(w.e.instances) != len(w.e.indexes) {
			t.Errorf("%s: %d processes run for %d indexes", name, len(w.e.instances), len(w.e.indexes))
		}
	}
}

// TestRightsThatChangeMeanwhileExcludeNoLess: the objects of all leaves are chosen by the same rights.
func TestRightsThatChangeMeanwhileExcludeNoLess(t *testing.T) {
	grants := func(op model.Operation, rights model.Rights, p [32]byte) wire.Request {
		return wire.Request{Op: op, Collection: "c", Identity: identity.ID(p), Rights: rights}
	}
	for _, op := range []model.Operation{model.OpSearch, model.OpDeleteWhere} {
		w := letters(t, 1)
		p := w.person("p", model.RightRead|model.RightDelete)
		w.must(admin, putLetters("1ab"), model.OK)
		n := w.ask(p, expression(op, 0, aNotB()))
		w.ask(admin, grants(model.OpRevoke, model.RightRead|model.RightDelete, p))
		w.commit(len(w.pending))
		w.stepAll("b")
		w.ask(admin, grants(model.OpGrant, model.RightRead|model.RightDelete, p))
		w.commit(len(w.pending))
		w.settle()
		if a, _ := w.answered(n); a.code != model.OK || a.count != 0 || w.e.byName["c"].objects.Len() != 1 {
			t.Errorf("%v: code %d, %d objects; want none, since b excludes the only one", op, a.code, a.count)
		}
	}
	w := letters(t, 1)
	p := w.person("p", model.RightReadOwn)
	w.must(admin, putLetters("1ab"), model.OK)
	w.task(w.e.byName["c"].index("a").instance).ignoresOwners = true
	n := w.ask(p, expression(model.OpSearch, 0, aNotB()))
	w.ask(admin, grants(model.OpGrant, model.RightRead, p))
	w.commit(len(w.pending))
	w.settle()
	if a, _ := w.answered(n); a.code != model.OK || a.count != 0 {
		t.Errorf("code %d, %d objects; want none, since b excludes the only one", a.code, a.count)
	}
}

// TestSmallFramesAreCounted: a Task that names few objects in each frame takes no more memory than the
// principal has left.
func TestSmallFramesAreCounted(t *testing.T) {
	w := letters(t, 1)
	for i := range 8 {
		w.must(admin, putLetters(fmt.Sprint(i, "ab")), model.OK)
	}
	w.e.allUnsent += maxUnsent
	n := w.ask(admin, expression(model.OpCount, 0, aNotB()))
	k := w.task(w.e.byName["c"].index("a").instance)
	h, _ := taskwire.DecodeHeader(k.frames[0][:taskwire.HeaderSize])
	for id := range k.Held {
		w.e.TaskAnswer(k.instance, taskwire.Answer{Type: taskwire.Found, Seq: h.Seq, Found: []identity.ID{k.Held[id].ID}, State: taskwire.StateContinues})
	}
	w.take()
	if a, ok := w.answered(n); !ok || a.code != model.Overloaded {
		t.Errorf("code %d (answered: %v), want Overloaded", a.code, ok)
	}
	if w.e.allUnsent -= maxUnsent; w.e.allUnsent != 0 || len(w.e.unsent) != 0 {
		t.Errorf("%d bytes are counted at the end", w.e.allUnsent)
	}
}

// TestObjectsPutMeanwhileAreCounted: a query keeps the values of objects that were put before its ordering
// leaf was asked. They count as its memory.
func TestObjectsPutMeanwhileAreCounted(t *testing.T) {
	w := letters(t, 1)
	w.must(admin, putLetters("1a"), model.OK)
	n := w.ask(admin, expression(model.OpSearch, 1, aNotB()))
	const later = 50
	for i := range later {
		w.ask(admin, putLetters(fmt.Sprint(i, "ab")))
		w.commit(len(w.pending))
	}
	w.stepAll("b")
	if w.e.allUnsent < later*entrySize {
		t.Errorf("%d bytes are counted, want %d", w.e.allUnsent, later*entrySize)
	}
	w.settle()
	if a, _ := w.answered(n); a.code != model.OK || a.count != 1 || w.e.allUnsent != 0 {
		t.Errorf("code %d, %d objects; %d bytes are counted at the end", a.code, a.count, w.e.allUnsent)
	}
}

// TestAnEndedQueryKeepsNoRequest while one of its leaves waits in a queue.
func TestAnEndedQueryKeepsNoRequest(t *testing.T) {
	w := letters(t, 1)
	busy := w.e.byName["c"].index("a")
	for range windowOpen + 1 {
		w.ask(admin, byPredicate(model.OpSearch, "c", "a", "y"))
	}
	for range windowOpen {
		w.ask(admin, expression(model.OpSearch, 0, termOf(wire.StepAnd, leafOf("a"), &term{kind: wire.StepLeaf, index: "b", predicate: "refuse"})))
		w.stepAll("b")
	}
	if len(busy.queue) != windowOpen+1 {
		t.Fatalf("%d leaves wait", len(busy.queue))
	}
	for _, d := range busy.queue[1:] {
		if r := d.search.q.req; r.Query != nil || r.Object != nil || r.Expression.Leaves != nil {
			t.Fatal("an ended query keeps its request")
		}
	}
}

// TestALeafIsNotAskedLater: if the successor of an index ends, the leaf that waited for it is not asked at
// a later position of the log than the other leaves.
func TestALeafIsNotAskedLater(t *testing.T) {
	w := letters(t, 1)
	w.must(admin, putLetters("1a"), model.OK)
	x := w.e.byName["c"].index("a")
	old := w.task(x.instance)
	row := w.e.tasks["fake"].Row
	row.Measurement[0]++
	before := w.ask(admin, byPredicate(model.OpSearch, "c", "a", "y"))
	w.ask(admin, wire.Request{Op: model.OpRegisterTask, Name: []byte("fake"), Query: frames.AppendRow(nil, &row)})
	w.commit(len(w.pending))
	next := w.task(x.successor.instance)
	w.e.TaskStarted(next.instance)
	for w.take(); len(next.frames)+len(w.fetch) > 0; {
		if len(w.fetch) > 0 {
			w.read()
			continue
		}
		w.step(next)
	}
	if !x.successor.complete || x.instance != old.instance {
		t.Fatal("the successor is not complete, or has taken over")
	}
	during := w.ask(admin, expression(model.OpSearch, 0, aNotB()))
	w.ask(admin, putLetters("2ab"))
	w.commit(len(w.pending))
	w.e.TaskEnded(next.instance, model.ReasonTaskEnded)
	w.take()
	w.settle()
	if a, _ := w.answered(before); a.code != model.OK || len(a.objects) != 1 {
		t.Errorf("a query of one leaf: code %d, %d objects", a.code, len(a.objects))
	}
	a, ok := w.answered(during)
	if !ok || len(w.names(a)) > 1 {
		t.Errorf("the answer (%v) has %v, want at most 1a", ok, w.names(a))
	}
}

// TestTheOutcomesOfAnExpressionArePaid: two Tasks choose what they name, and how they end. The charges of
// all answers obey Kraft's inequality: without a change meanwhile, they have half of the share of answers.
func TestTheOutcomesOfAnExpressionArePaid(t *testing.T) {
	type plan struct {
		names string // objects that the Tasks name in the first round
		ends  taskwire.State
	}
	const share = (1 - 1./16) / 2
	for _, order := range []int{0, 1} {
		outcomes, sum := map[string]bool{}, 0.
		for _, a := range []plan{{"", taskwire.StateLast}, {"1", taskwire.StateLast}, {"2", taskwire.StateLast},
			{"12", taskwire.StateLast}, {"21", taskwire.StateLast}, {"11", taskwire.StateMore}, {"22", taskwire.StateMore}, {"12", taskwire.StateMore}, {"21", taskwire.StateMore}} {
			for _, b := range []plan{{"", taskwire.StateLast}, {"12", taskwire.StateLast}, {"11", taskwire.StateMore}, {"22", taskwire.StateMore}, {"12", taskwire.StateMore}} {
				w := letters(t, 1)
				ids := map[rune]identity.ID{}
				for _, name := range []string{"1ab", "2ab"} {
					ids[rune(name[0])] = identity.ID(w.must(admin, putLetters(name), model.OK).body)
				}
				w.retable(func(r *model.Row) { r.MaxResults = 2 })
				c := w.e.byName["c"]
				before := c.index("a").ledger.total.drawn
				r := expression(model.OpSearch, order, termOf(wire.StepAnd, leafOf("a"), leafOf("b")))
				r.Limit = 1
				n := w.ask(admin, r)
				for _, index := range []string{"b", "a"} {
					p := map[string]plan{"a": a, "b": b}[index]
					k := w.task(c.index(index).instance)
					for round := 0; len(k.frames) > 0; round++ {
						h, _ := taskwire.DecodeHeader(k.frames[0][:taskwire.HeaderSize])
						k.frames = k.frames[1:]
						answer := taskwire.Answer{Type: taskwire.Found, Seq: h.Seq, State: p.ends}
						for _, name := range p.names {
							answer.Found = append(answer.Found, ids[name])
						}
						if round > 0 {
							answer = taskwire.Answer{Type: taskwire.Failed, Seq: h.Seq, Failure: taskwire.FailQuery}
						}
						w.e.TaskAnswer(k.instance, answer)
						w.take()
						for w.work() {
						}
					}
				}
				w.settle()
				got, ok := w.answered(n)
				if !ok {
					t.Fatalf("no answer to %v %v", a, b)
				}
				key := fmt.Sprint(got.code, got.flags, got.count, got.objects, got.body)
				if got.code == model.OK && !outcomes[key] {
					sum += math.Exp2(-float64(c.index("a").ledger.total.drawn-before) / float64(leak.Bit))
					outcomes[key] = true
				}
			}
		}
		if sum > share || len(outcomes) < 5 {
			t.Errorf("order %d: the sum over %d outcomes is %v, want at most %v", order, len(outcomes), sum, share)
		}
	}
}

// TestAnObjectPutLastIsNotShown: the ordering Task learns the identity of an object that was put after it was
// asked, and names it. The Task of the leaf that excludes was not asked about this object. A version that was
// replaced meanwhile is shown.
func TestAnObjectPutLastIsNotShown(t *testing.T) {
	w := letters(t, 1)
	old := identity.ID(w.must(admin, putLetters("1a"), model.OK).body)
	n := w.ask(admin, expression(model.OpSearch, 1, aNotB()))
	w.stepAll("b")
	again := putLetters("1a")
	again.Object = []byte("other data")
	w.ask(admin, again)
	w.ask(admin, putLetters("2ab"))
	w.commit(len(w.pending))
	c := w.e.byName["c"]
	var found []identity.ID
	for o := range c.objects.After(identity.Value{}) {
		if o.ID.Value() != old.Value() {
			found = append(found, o.ID)
		}
	}
	k := w.task(c.index("a").instance)
	h, _ := taskwire.DecodeHeader(k.frames[0][:taskwire.HeaderSize])
	k.frames = nil
	w.e.TaskAnswer(k.instance, taskwire.Answer{Type: taskwire.Found, Seq: h.Seq, Found: append(found, old)})
	w.take()
	w.settle()
	a, _ := w.answered(n)
	if a.code != model.OK || len(a.objects) != 1 || a.objects[0].ID != old {
		t.Errorf("code %d, %v; want the first version of 1a", a.code, w.names(a))
	}
	if len(c.watchers)+len(c.watched.put) > 0 || w.e.allUnsent != 0 {
		t.Errorf("%d queries still watch, %d bytes are counted", len(c.watchers), w.e.allUnsent)
	}
}
