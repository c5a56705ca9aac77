package engine

import (
	"bytes"
	"fmt"
	"math"
	"math/bits"
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

// metered returns the status of the index "x" for a principal.
func (w *world) metered(p access.Principal) wire.IndexStatus {
	w.t.Helper()
	status := w.statusOf(p)
	s := status.Index("c", "x")
	if s == nil {
		w.t.Fatalf("no index in %+v", status)
	}
	return *s
}

// TestVersionsInFlightAreCharged: a client changes 256 objects while its query is with the Task.
// The Task may name the old or the new version of each, which carries 256 bits. If the client
// deletes all objects, the Task may choose which of them were still there.
func TestVersionsInFlightAreCharged(t *testing.T) {
	const objects = 256
	for name, change := range map[string]func(name string) wire.Request{
		"overwritten": func(name string) wire.Request { return put("c", name, "data, anew") },
		"deleted":     remove,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1)
			w.settle()
			w.register("c", "x", 0)
			var old []identity.ID
			for i := range objects {
				w.must(admin, put("c", fmt.Sprint(i), "data"), model.OK)
				old = append(old, w.id("c", fmt.Sprint(i)))
			}
			before := w.metered(admin).LeakedBits
			n := w.ask(admin, byPredicate(model.OpSearch, "c", "x", "data"))
			for i := range objects {
				w.ask(admin, change(fmt.Sprint(i)))
			}
			w.commit(len(w.pending))
			var secret []identity.ID // one bit for each object
			for i := range objects {
				if i*i%3 == 1 {
					secret = append(secret, old[i])
				} else if name == "overwritten" {
					secret = append(secret, w.id("c", fmt.Sprint(i)))
				}
			}
			w.says(taskwire.Answer{Type: taskwire.Found, Seq: w.questions()[0], Found: secret})
			w.must2(n, model.OK)
			w.settle()
			bits := exactChoices(objects, len(secret))
			if name == "overwritten" {
				bits = objects
			}
			if told := w.metered(admin).LeakedBits - before; float64(told) < bits {
				t.Errorf("an answer that can carry %v bits costs %d bits", bits, told)
			}
		})
	}
}

// exactChoices returns log2 C(n,k).
func exactChoices(n, k int) (bits float64) {
	for i := range k {
		bits += math.Log2(float64(n-i)) - math.Log2(float64(i+1))
	}
	return bits
}

// TestACodeIsCharged: a Task also chooses whether a query is refused, or ends the Task. So these
// outcomes are charged like answers.
func TestACodeIsCharged(t *testing.T) {
	w := indexed(t, 0)
	for _, tc := range []struct {
		name   string
		do     func(seq uint64)
		code   model.Code
		charge uint64
	}{
		{"refused", func(seq uint64) {
			w.says(taskwire.Answer{Type: taskwire.Failed, Seq: seq, Failure: taskwire.FailQuery})
		}, model.QueryRefused, 8},
		{"ended", func(uint64) {
			w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
			w.take()
		}, model.IndexViolated, 8},
	} {
		before := w.drawn(admin)
		n := w.ask(admin, byPredicate(model.OpCount, "c", "x", "data"))
		tc.do(w.questions()[0])
		w.must2(n, tc.code)
		if told := w.drawn(admin) - before; told != leak.Whole(tc.charge) {
			t.Errorf("%s: charged %d units", tc.name, told)
		}
	}
	// The last outcome said that the index is unavailable. Another principal learns this once.
	alice := w.person("alice", model.RightRead)
	for range 3 {
		n := w.ask(alice, byPredicate(model.OpCount, "c", "x", "data"))
		w.must2(n, model.IndexUnavailable)
	}
	if told := w.drawn(alice); told != leak.Rare {
		t.Errorf("the outage is charged with %d units", told)
	}
}

// TestAnExhaustedBudgetTellsNothing: the Task is not asked, and the answer is the same whatever
// the Task does. This holds for the principal's budget, and for that of all principals together.
func TestAnExhaustedBudgetTellsNothing(t *testing.T) {
	for _, shared := range []bool{false, true} {
		w := indexed(t, 0)
		alice, bob := w.person("alice", model.RightRead), w.person("bob", model.RightRead)
		w.retable(func(r *model.Row) {
			if r.LeakBudget = 30; shared {
				r.LeakBudget, r.IndexBudget = 0, 30
			}
		})
		search := func(p access.Principal) model.Code {
			n := w.ask(p, byPredicate(model.OpSearch, "c", "x", "data of one"))
			w.settle()
			a, _ := w.answered(n)
			return a.code
		}
		answers := 0
		for range 20 {
			if search(alice) == model.OK {
				answers++
			}
		}
		// 30 bits: an answer costs 5.7, a withheld answer 8. The last 8 bits are not spent.
		if answers == 0 || answers > 5 || w.drawn(alice) > leak.Whole(30) || w.drawn(alice) <= leak.Whole(30-8) {
			t.Errorf("shared %v: %d answers, %d units drawn", shared, answers, w.drawn(alice))
		}
		w.questions()
		n := w.ask(alice, byPredicate(model.OpSearch, "c", "x", "data of one"))
		if asked := w.questions(); len(asked) > 0 {
			t.Error("the Task was asked, though the budget is exhausted")
		}
		w.must2(n, model.LeakBudgetExhausted)
		w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
		w.take()
		if code := search(alice); code != model.LeakBudgetExhausted {
			t.Errorf("with a dead Task the code is %d; want the same as with a live one", code)
		}
		w.tick(time.Minute)
		w.settle()
		want := model.OK
		if shared {
			want = model.LeakBudgetExhausted
		}
		if code := search(bob); code != want {
			t.Errorf("shared %v: another principal gets code %d", shared, code)
		}
	}
}

// TestAPutTellsWhatTheBudgetCovers: a refused input is both reported and charged, or neither. A
// refusal by the Core because of the size is not the Task's choice.
func TestAPutTellsWhatTheBudgetCovers(t *testing.T) {
	w := indexed(t, 0)
	alice := w.person("alice", model.RightRead|model.RightWrite)
	puts := func(object string) wire.ReplyFlags {
		return w.must(alice, put("c", "hers", object), model.OK).flags & wire.ReplyNotIndexed
	}
	if flags := puts("data"); flags != 0 || w.drawn(alice) != leak.Indexed {
		t.Errorf("indexed: flags %d, %d units", flags, w.drawn(alice))
	}
	if flags := puts("refuse"); flags != wire.ReplyNotIndexed || w.drawn(alice) != leak.Indexed+leak.NotIndexed {
		t.Errorf("refused: flags %d, %d units", flags, w.drawn(alice))
	}
	before := w.drawn(alice)
	if flags := puts(fmt.Sprintf("%65d", 1)); flags != wire.ReplyNotIndexed || w.drawn(alice) != before {
		t.Errorf("too large: flags %d, %d units", flags, w.drawn(alice)-before)
	}
	w.retable(func(r *model.Row) { r.LeakBudget = 30 }) // half of it is for PUTs: less than twice 12
	if flags := puts("refuse"); flags != 0 || w.drawn(alice) != before {
		t.Errorf("over budget: flags %d, %d units", flags, w.drawn(alice)-before)
	}
	w.must(alice, get("c", "hers"), model.OK)
}

// TestPutsLeaveQuestionsAHalf of a budget: writers must not exhaust the budget of searches.
func TestPutsLeaveQuestionsAHalf(t *testing.T) {
	w := indexed(t, 0)
	alice := w.person("alice", model.RightRead|model.RightWrite)
	w.retable(func(r *model.Row) { r.IndexBudget = 100 })
	told := 0
	for range 20 {
		if w.must(alice, put("c", "hers", "refuse"), model.OK).flags&wire.ReplyNotIndexed != 0 {
			told++
		}
	}
	if drawn := w.drawn(alice); told < 3 || told > 4 || drawn > leak.Whole(50) {
		t.Errorf("%d of 20 refusals are reported, for %d units", told, drawn)
	}
	w.must(alice, byPredicate(model.OpSearch, "c", "x", "data"), model.OK)
}

// inputs is the number of PUTs of threePuts.
const inputs = 3

// ends are the possible reactions of a Task after the inputs that it refuses.
var ends = map[string]func(w *world){
	"confirms": func(w *world) { confirm(w) },
	"dies": func(w *world) {
		w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
		w.take()
	},
	"is silent": func(w *world) {
		for range maxFrameDeadlines {
			w.tick(time.Duration(w.e.tasks["fake"].Deadline+1) * time.Millisecond)
		}
	},
}

// threePuts is a batch of three PUTs into the collection "c".
func threePuts() wire.Request {
	var ops []wire.Request
	for i := range inputs {
		ops = append(ops, put("c", fmt.Sprint(i), "data"))
	}
	return batch("c", ops...)
}

// TestOutcomesOfAPutAreCharged: each Task may refuse some inputs of a batch, and may end or stay
// silent. For each index, the sum of 2^-charge over the outcomes that it can cause is at most 1.
func TestOutcomesOfAPutAreCharged(t *testing.T) {
	for _, budget := range []uint64{0, 5, 25, 40, 60} {
		for other := range 1 << inputs { // set of inputs that the other Task refuses
			outcomes := make(kraft)
			for refused := range 1 << inputs {
				for name, end := range ends {
					w := indexed(t, 0)
					w.must(admin, wire.Request{Op: model.OpCreateIndex, Collection: "c", Index: "y", Name: []byte("fake")}, model.OK)
					w.retable(func(r *model.Row) { r.LeakBudget = budget })
					before := w.x().ledger.total.drawn
					n := w.ask(admin, threePuts())
					w.commit(len(w.pending))
					w.refuseInputs("x", refused)
					w.refuseInputs("y", other)
					w.confirmAll("y")
					end(w)
					w.settle()
					a, ok := w.answered(n)
					if !ok {
						t.Fatalf("refused %b, %b, then it %s: no answer", refused, other, name)
					}
					outcomes.add(fmt.Sprint(a.code, a.flags, a.body), w.x().ledger.total.drawn-before)
				}
			}
			if budget == 0 && len(outcomes) != 1<<(inputs-bits.OnesCount(uint(other))) {
				t.Errorf("the other Task refuses %b: %d outcomes", other, len(outcomes))
			}
			if sum := outcomes.sum(); sum > 1 {
				t.Errorf("budget %d, the other Task refuses %b: the parts of %v make %v", budget, other, outcomes, sum)
			}
			if budget == 5 && other == 0 && len(outcomes) > 1 {
				t.Errorf("budget %d: %v", budget, outcomes)
			}
		}
	}
}

// refuseInputs lets the Task of an index refuse the inputs whose bits are set in a set.
func (w *world) refuseInputs(index string, set int) {
	x := w.e.byName["c"].index(index)
	k := w.task(x.instance)
	for i := 0; len(k.frames) > 0; k.frames = k.frames[1:] {
		h, _ := taskwire.DecodeHeader(k.frames[0][:taskwire.HeaderSize])
		if h.Type == taskwire.Insert {
			if set>>i&1 == 1 {
				w.e.TaskAnswer(x.instance, taskwire.Answer{Type: taskwire.Failed, Seq: h.Seq, Failure: taskwire.FailInput})
			}
			i++
		}
	}
	w.take()
}

// confirmAll lets the Task of an index confirm all changes that were sent to it.
func (w *world) confirmAll(index string) {
	x := w.e.byName["c"].index(index)
	w.e.TaskAnswer(x.instance, taskwire.Answer{Type: taskwire.Applied, Seq: x.seq})
	w.take()
}

// TestABatchTellsOfEachOperation: the answer says for each operation whether its input was
// refused, and whether it replaced an object.
func TestABatchTellsOfEachOperation(t *testing.T) {
	w := indexed(t, 0)
	w.must(admin, put("c", "1", "was there"), model.OK)
	gone := put("c", "2", "data")
	w.must(admin, gone, model.OK)
	w.must(admin, remove("2"), model.OK)
	for refused := range 1 << inputs {
		n := w.ask(admin, threePuts())
		w.commit(len(w.pending))
		w.refuseInputs("x", refused)
		w.confirmAll("x")
		w.settle()
		a, ok := w.answered(n)
		replaced := 0b010
		if refused > 0 {
			replaced = 0b111 // by the earlier batch
		}
		var want []byte
		for i := range inputs {
			mark := wire.ReplyReplaced * wire.ReplyFlags(replaced>>i&1)
			want = append(want, byte(mark|wire.ReplyNotIndexed*wire.ReplyFlags(refused>>i&1)))
		}
		if !ok || a.count != inputs || !bytes.Equal(a.body[inputs*identity.Size:], want) {
			t.Errorf("refused %b: answered %v, %d operations, marks %v; want %v", refused, ok, a.count, a.body[inputs*identity.Size:], want)
		}
	}
}

// TestABatchWithNothingToTellHasIdentitiesAlone: without refusals and replacements the answer
// has no marks.
func TestABatchWithNothingToTellHasIdentitiesAlone(t *testing.T) {
	w := indexed(t, 0)
	if a := w.must(admin, threePuts(), model.OK); a.flags != 0 || len(a.body) != inputs*identity.Size {
		t.Errorf("flags %d, %d bytes", a.flags, len(a.body))
	}
}

// TestACrashGivesNothingBack: every outcome that left is in the log as drawn, since an answer
// waits for that. A restart begins with this number. A checkpoint or a new executable does not
// reset it.
func TestACrashGivesNothingBack(t *testing.T) {
	w := indexed(t, 0)
	alice := w.person("alice", model.RightRead)
	w.retable(func(r *model.Row) { r.LeakBudget, r.IndexBudget = 10_000, 20_000 })
	count := func() { w.must(alice, byPredicate(model.OpCount, "c", "x", "data"), model.OK) }
	owner := w.e.principals[alice].owner
	for range 100 {
		count()
		if a := w.x().ledger.of(owner); a.drawn > a.durable {
			t.Fatalf("outcomes of %d units left, but the log has %d", a.drawn, a.durable)
		}
	}
	records := 0
	for _, r := range w.disk {
		if r.Kind == seglog.KindDrawn {
			records++
		}
	}
	if records > 8 {
		t.Errorf("100 queries wrote %d records", records)
	}
	own, total := w.drawn(alice), w.drawn(access.Principal{})
	saved := w.checkpoint()
	for name, from := range map[string]*checkpoint{"the log": nil, "a checkpoint": saved} {
		e := w.replay(from)
		x := e.byName["c"].index("x")
		if again := x.ledger.of(owner).drawn; again < own || again > own+leak.Whole(10_000/aheadParts) {
			t.Errorf("from %s: %d units drawn, before %d", name, again, own)
		}
		if again := x.ledger.total.drawn; again < total || again > total+leak.Whole(20_000/aheadParts) {
			t.Errorf("from %s: %d units drawn in all, before %d", name, again, total)
		}
	}
	w.retable(func(r *model.Row) { r.Measurement[0]++ })
	if w.drawn(alice) != own {
		t.Error("a new executable resets the drawn bits")
	}
	w.e.SettleLedgers(func(model.Code) {})
	w.take()
	w.settle()
	w.boot()
	if w.drawn(alice) != own || w.drawn(access.Principal{}) != total {
		t.Errorf("after a clean stop %d and %d units, before %d and %d", w.drawn(alice), w.drawn(access.Principal{}), own, total)
	}
}

// TestAnOutcomeWaitsForItsCharge: an answer, and the permission to ask, wait until the charge is
// durable. If the disk refuses the record, the outcome does not leave.
func TestAnOutcomeWaitsForItsCharge(t *testing.T) {
	w := indexed(t, 0)
	w.retable(func(r *model.Row) { r.LeakBudget = 160 })
	q := byPredicate(model.OpSearch, "c", "x", "data of one")
	n := w.ask(admin, q)
	if len(w.questions()) > 0 {
		t.Error("the Task was asked before a charge was durable")
	}
	w.commit(len(w.pending))
	w.says(taskwire.Answer{Type: taskwire.Found, Seq: w.questions()[0], Found: []identity.ID{w.id("c", "one")}})
	w.must2(n, model.OK)
	for range 9 { // 160/16 bits each, until the next record is due
		n = w.ask(admin, q)
		for len(w.pending) > 0 {
			w.commit(1)
		}
		w.says(taskwire.Answer{Type: taskwire.Found, Seq: w.questions()[0], Found: []identity.ID{w.id("c", "one")}})
		if a, ok := w.answered(n); !ok {
			if len(w.pending) == 0 {
				t.Fatal("the answer does not wait for the record of its charge")
			}
			w.commit(len(w.pending))
			w.must2(n, model.OK)
		} else if a.code != model.OK {
			t.Fatalf("code %d", a.code)
		}
	}
	n = w.ask(admin, q)
	w.fail()
	if a, ok := w.answered(n); ok && a.code != model.StorageFailed {
		t.Errorf("code %d", a.code)
	}
}

// TestColludingPrincipalsShareTheIndexBudget: each principal has a budget, and all together have
// one. A principal that is removed and registered again does not reset the index's account.
func TestColludingPrincipalsShareTheIndexBudget(t *testing.T) {
	w := indexed(t, 0)
	w.retable(func(r *model.Row) { r.LeakBudget, r.IndexBudget = 40, 100 })
	answers := 0
	for i := range 30 {
		p := w.person(fmt.Sprint("p", i), model.RightRead)
		n := w.ask(p, byPredicate(model.OpSearch, "c", "x", "data of one"))
		w.settle()
		if a, _ := w.answered(n); a.code == model.OK {
			answers++
		}
		w.must(admin, removal(p, 0), model.OK)
	}
	if answers == 0 || answers > 100/5 {
		t.Errorf("%d answers", answers)
	}
	if kept := len(w.x().ledger.owners); kept > 1 { // the account of the administrator, who put the objects
		t.Errorf("%d accounts are left; want none of removed principals", kept)
	}
}

// TestWhatATaskMovesIsForAdministrators: its starts, its refusals, the state that it caused, and
// the bits that others drew. A principal sees its own account. Without read, it sees the rest of
// its budget only roughly, since a charge depends on the number of all objects.
func TestWhatATaskMovesIsForAdministrators(t *testing.T) {
	w := indexed(t, 0)
	reader, own := w.person("reader", model.RightRead), w.person("own", model.RightReadOwn|model.RightWrite)
	writer, owner := w.person("writer", model.RightWrite), w.person("owner", model.RightRead|model.RightAdmin)
	w.retable(func(r *model.Row) { r.LeakBudget, r.IndexBudget = 1600, 4000 })
	w.must(own, put("c", "refused", "refuse"), model.OK)
	for _, p := range []access.Principal{reader, own, owner} {
		w.must(p, byPredicate(model.OpCount, "c", "x", "data"), model.OK)
	}
	w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
	w.take()
	drawn := w.drawn(reader)
	for name, s := range map[string]wire.IndexStatus{"reader": w.metered(reader), "own": w.metered(own), "writer": w.metered(writer)} {
		if s.State != model.IndexNotShown || s.Restarts != 0 || s.Refused != 0 || s.IndexBits != 0 || s.IndexLeftBits != 0 || s.Fed != 0 {
			t.Errorf("%s sees %+v", name, s)
		}
	}
	if s := w.metered(reader); s.LeakedBits != drawn.Up() || s.LeftBits != (leak.Whole(1600)-drawn).Down() {
		t.Errorf("the reader sees %+v, and drew %d units", s, drawn)
	}
	if s := w.metered(own); s.LeakedBits != 0 || s.LeftBits != 1500 {
		t.Errorf("a principal with read-own sees %+v", s)
	}
	if s := w.metered(writer); s.LeakedBits != 0 || s.LeftBits != 0 {
		t.Errorf("the writer sees %+v", s)
	}
	if s := w.metered(owner); s.State != model.IndexQuarantined || s.Restarts != 1 || s.IndexBits == 0 || s.IndexLeftBits == 0 {
		t.Errorf("the administrator of the collection sees %+v", s)
	}
}

// TestTasksAreShownToWhomTheyConcern: a principal without rights sees none.
func TestTasksAreShownToWhomTheyConcern(t *testing.T) {
	w := indexed(t, 0)
	row := w.e.tasks["fake"].Row
	w.must(admin, wire.Request{Op: model.OpRegisterTask, Name: []byte("another"), Query: frames.AppendRow(nil, &row)}, model.OK)
	for _, tc := range []struct {
		label  string
		rights model.Rights
		want   []string
	}{
		{"nobody", 0, nil},
		{"reader", model.RightRead, []string{"fake"}},
		{"owner", model.RightAdmin, []string{"another", "fake"}}, // this principal may make an index
	} {
		var names []string
		for _, s := range w.statusOf(w.person(tc.label, tc.rights)).Tasks {
			names = append(names, s.Task)
		}
		if !slices.Equal(names, tc.want) {
			t.Errorf("%s sees the Tasks %v, want %v", tc.label, names, tc.want)
		}
	}
}

// TestAPutThatTheLogCantChargeTellsNothing: the disk takes a PUT, but not the record of the
// charge for its answer. After a restart the charge would be lost, so the answer must not carry
// information.
func TestAPutThatTheLogCantChargeTellsNothing(t *testing.T) {
	w := indexed(t, 0)
	w.retable(func(r *model.Row) { r.LeakBudget = 160 })
	n := w.ask(admin, put("c", "one", "refuse"))
	w.commit(len(w.pending))
	w.refuseInputs("x", 1)
	w.confirmAll("x")
	if _, ok := w.answered(n); ok || len(w.pending) == 0 {
		t.Fatal("the answer does not wait for its charge")
	}
	w.fail()
	a, ok := w.answered(n)
	if !ok || a.code != model.OK || a.flags&wire.ReplyNotIndexed != 0 {
		t.Errorf("answered %v, code %d, flags %d", ok, a.code, a.flags)
	}
	told := w.drawn(admin)
	if w.boot(); a.flags&wire.ReplyNotIndexed != 0 && w.drawn(admin) < told {
		t.Errorf("outcomes of %d units left, but a start has %d", told, w.drawn(admin))
	}
}

// TestWhatIsNotCappedIsNeverExhausted, however many bits were drawn: the sum saturates.
func TestWhatIsNotCappedIsNeverExhausted(t *testing.T) {
	w := indexed(t, 0)
	w.x().ledger.total.drawn, w.x().ledger.of(w.e.principals[admin].owner).drawn = leak.Unlimited, leak.Unlimited-1
	w.must(admin, byPredicate(model.OpSearch, "c", "x", "data of one"), model.OK)
	if a := w.must(admin, put("c", "one", "refuse"), model.OK); a.flags&wire.ReplyNotIndexed == 0 {
		t.Errorf("a PUT has flags %d", a.flags)
	}
}

// TestADeletionThatTheLogCantChargeDeletesNothing, even if the disk takes records again
// meanwhile. Otherwise a start would forget the charge, but show the deletion.
func TestADeletionThatTheLogCantChargeDeletesNothing(t *testing.T) {
	w := indexed(t, 0)
	w.retable(func(r *model.Row) { r.LeakBudget = 20 })
	names := []string{"one", "two", "three"} // sorted by identity
	slices.SortFunc(names, func(a, b string) int {
		return compare(mapping.Entry{ID: w.id("c", a)}, mapping.Entry{ID: w.id("c", b)})
	})
	named := []identity.ID{w.id("c", names[0]), w.id("c", names[1])}
	w.byHand, w.e.stride = true, 1
	n := w.ask(admin, byPredicate(model.OpDeleteWhere, "c", "x", "data"))
	w.commit(len(w.pending))
	seq := w.questions()[0]
	for i := range 4 { // the first object is gone when its turn comes, and the answer has a high charge
		w.ask(admin, put("c", names[0], fmt.Sprint("data ", i)))
	}
	w.commit(len(w.pending))
	w.fail()
	w.says(taskwire.Answer{Type: taskwire.Found, Seq: seq, Found: named})
	for before := w.drawn(admin); w.drawn(admin) == before && len(w.e.work) > 0; {
		w.work() // runs until the deletion is charged
	}
	account := w.x().ledger.of(w.e.principals[admin].owner)
	if account.drawn <= account.durable {
		t.Fatal("the test needs a charge that the log does not cover yet")
	}
	w.resume()
	w.settle()
	if a, ok := w.answered(n); !ok || a.code != model.StorageFailed {
		t.Errorf("answered %v, code %d", ok, a.code)
	}
	for _, r := range w.disk {
		if r.Kind == seglog.KindDelete {
			t.Error("an object was deleted")
		}
	}
}
