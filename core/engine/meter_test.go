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

// metered is what a status says of the index "x" to a principal.
func (w *world) metered(p access.Principal) wire.IndexStatus {
	w.t.Helper()
	status := w.statusOf(p)
	s := status.Index("c", "x")
	if s == nil {
		w.t.Fatalf("no index in %+v", status)
	}
	return *s
}

// TestVersionsInFlightAreCharged: a client that changes 256 objects while its question is
// with the Task lets it choose the old or the new version of each, which tells 256 bits.
// A deletion of all lets it choose which of them there still were.
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
			var secret []identity.ID // a bit for each object
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
				t.Errorf("an answer that tells %v bits costs %d", bits, told)
			}
		})
	}
}

// exactChoices is log2 C(n,k).
func exactChoices(n, k int) (bits float64) {
	for i := range k {
		bits += math.Log2(float64(n-i)) - math.Log2(float64(i+1))
	}
	return bits
}

// TestACodeIsCharged: whether a question was refused, or ended the Task, is the Task's
// choice, like an answer.
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
	// That the index is away was told with the last outcome. To another principal it is news,
	// once.
	alice := w.person("alice", model.RightRead)
	for range 3 {
		n := w.ask(alice, byPredicate(model.OpCount, "c", "x", "data"))
		w.must2(n, model.IndexUnavailable)
	}
	if told := w.drawn(alice); told != leak.Rare {
		t.Errorf("an outage is charged with %d units", told)
	}
}

// TestAnExhaustedBudgetTellsNothing: the Task is not asked, and whatever it does, the
// answer is the same; the principal's budget counts, and that of all together.
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
		// 30 bits: an answer costs 5.7, a withheld one 8. Less than 8 is not spent.
		if answers == 0 || answers > 5 || w.drawn(alice) > leak.Whole(30) || w.drawn(alice) <= leak.Whole(30-8) {
			t.Errorf("shared %v: %d answers, %d units drawn", shared, answers, w.drawn(alice))
		}
		w.questions()
		n := w.ask(alice, byPredicate(model.OpSearch, "c", "x", "data of one"))
		if asked := w.questions(); len(asked) > 0 {
			t.Error("the Task was asked")
		}
		w.must2(n, model.LeakBudgetExhausted)
		w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
		w.take()
		if code := search(alice); code != model.LeakBudgetExhausted {
			t.Errorf("the Task is dead: code %d", code)
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

// TestAPutTellsWhatTheBudgetCovers: that an input was refused is shown and charged, or
// neither. What the Core refuses, by its size, is no choice of the Task's.
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
	w.retable(func(r *model.Row) { r.LeakBudget = 30 }) // PUTs have a half, less than twice 12
	if flags := puts("refuse"); flags != 0 || w.drawn(alice) != before {
		t.Errorf("over budget: flags %d, %d units", flags, w.drawn(alice)-before)
	}
	w.must(alice, get("c", "hers"), model.OK)
}

// TestPutsLeaveQuestionsAHalf of a budget: what writers do must not end searches.
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
		t.Errorf("%d of 20 refusals are told, for %d units", told, drawn)
	}
	w.must(alice, byPredicate(model.OpSearch, "c", "x", "data"), model.OK)
}

// inputs is how many PUTs threePuts has.
const inputs = 3

// ends are what a Task may do behind the inputs that it refuses.
var ends = map[string]func(w *world){
	"confirms": func(w *world) { confirm(w) },
	"dies": func(w *world) {
		w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
		w.take()
	},
	"is silent": func(w *world) {
		for range maxPatience {
			w.tick(time.Duration(w.e.tasks["fake"].Deadline+1) * time.Millisecond)
		}
	},
}

// threePuts is a batch of that many PUTs into the collection "c".
func threePuts() wire.Request {
	var ops []wire.Request
	for i := range inputs {
		ops = append(ops, put("c", fmt.Sprint(i), "data"))
	}
	return batch("c", ops...)
}

// TestOutcomesOfAPutAreCharged: each Task may refuse some inputs of a batch, and may end, or
// be silent. For each index the parts of what it can bring about make no more than 1.
func TestOutcomesOfAPutAreCharged(t *testing.T) {
	for _, budget := range []uint64{0, 5, 25, 40, 60} {
		for other := range 1 << inputs { // what the other Task refuses
			outcomes := make(kraft)
			for refused := range 1 << inputs {
				for name, end := range ends {
					w := indexed(t, 0)
					w.must(admin, wire.Request{Op: model.OpCreateIndex, Collection: "c", Index: "y", Name: []byte("fake")}, model.OK)
					w.retable(func(r *model.Row) { r.LeakBudget = budget })
					before := w.x().told.total.drawn
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
					outcomes.add(fmt.Sprint(a.code, a.flags, a.body), w.x().told.total.drawn-before)
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

// refuseInputs lets the Task of an index refuse those of the last inputs whose bits are set.
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

// confirmAll lets the Task of an index confirm all changes that it was sent.
func (w *world) confirmAll(index string) {
	x := w.e.byName["c"].index(index)
	w.e.TaskAnswer(x.instance, taskwire.Answer{Type: taskwire.Applied, Seq: x.seq})
	w.take()
}

// TestABatchTellsOfEachOperation whether its input was refused, and whether it took the place
// of another object.
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
			replaced = 0b111 // by the batch before
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

// TestABatchWithNothingToTellHasIdentitiesAlone: so it was before there were marks.
func TestABatchWithNothingToTellHasIdentitiesAlone(t *testing.T) {
	w := indexed(t, 0)
	if a := w.must(admin, threePuts(), model.OK); a.flags != 0 || len(a.body) != inputs*identity.Size {
		t.Errorf("flags %d, %d bytes", a.flags, len(a.body))
	}
}

// TestACrashGivesNothingBack: what left was in the log as drawn before; an answer waits
// for that, and a restart begins with it. Nor does a checkpoint, or a new executable.
func TestACrashGivesNothingBack(t *testing.T) {
	w := indexed(t, 0)
	alice := w.person("alice", model.RightRead)
	w.retable(func(r *model.Row) { r.LeakBudget, r.IndexBudget = 10_000, 20_000 })
	count := func() { w.must(alice, byPredicate(model.OpCount, "c", "x", "data"), model.OK) }
	owner := w.e.principals[alice].owner
	for range 100 {
		count()
		if a := w.x().told.of(owner); a.drawn > a.durable {
			t.Fatalf("%d units left, the log says %d", a.drawn, a.durable)
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
		if again := x.told.of(owner).drawn; again < own || again > own+leak.Whole(10_000/aheadParts) {
			t.Errorf("from %s: %d units drawn, before %d", name, again, own)
		}
		if again := x.told.total.drawn; again < total || again > total+leak.Whole(20_000/aheadParts) {
			t.Errorf("from %s: %d units drawn in all, before %d", name, again, total)
		}
	}
	w.retable(func(r *model.Row) { r.Measurement[0]++ })
	if w.drawn(alice) != own {
		t.Error("a new executable begins anew")
	}
	w.e.SettleLedgers(func(model.Code) {})
	w.take()
	w.settle()
	w.boot()
	if w.drawn(alice) != own || w.drawn(access.Principal{}) != total {
		t.Errorf("after a clean stop %d and %d units, before %d and %d", w.drawn(alice), w.drawn(access.Principal{}), own, total)
	}
}

// TestAnOutcomeWaitsForItsCharge to be durable, be it an answer or the right to ask; and
// when the disk takes no record of it, it does not leave.
func TestAnOutcomeWaitsForItsCharge(t *testing.T) {
	w := indexed(t, 0)
	w.retable(func(r *model.Row) { r.LeakBudget = 160 })
	q := byPredicate(model.OpSearch, "c", "x", "data of one")
	n := w.ask(admin, q)
	if len(w.questions()) > 0 {
		t.Error("the Task was asked before the log could pay")
	}
	w.commit(len(w.pending))
	w.says(taskwire.Answer{Type: taskwire.Found, Seq: w.questions()[0], Found: []identity.ID{w.id("c", "one")}})
	w.must2(n, model.OK)
	for range 9 { // at 160/16 bits, until the next record is due
		n = w.ask(admin, q)
		for len(w.pending) > 0 {
			w.commit(1)
		}
		w.says(taskwire.Answer{Type: taskwire.Found, Seq: w.questions()[0], Found: []identity.ID{w.id("c", "one")}})
		if a, ok := w.answered(n); !ok {
			if len(w.pending) == 0 {
				t.Fatal("it waits for nothing")
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

// TestColludingPrincipalsShareTheIndexBudget: each has a budget of its own, all together
// have one, and a principal that comes back does not make the index forget.
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
	if kept := len(w.x().told.owners); kept > 1 { // of the administrator, who put the objects
		t.Errorf("%d accounts of principals that are gone", kept)
	}
}

// TestWhatATaskMovesIsForAdministrators: how often it was started, what it refused, the
// state that it brought about, what others drew. A principal sees its own account: of who
// may not read all objects only roughly what is left, since a charge tells their number.
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
		t.Errorf("who reads its own sees %+v", s)
	}
	if s := w.metered(writer); s.LeakedBits != 0 || s.LeftBits != 0 {
		t.Errorf("the writer sees %+v", s)
	}
	if s := w.metered(owner); s.State != model.IndexQuarantined || s.Restarts != 1 || s.IndexBits == 0 || s.IndexLeftBits == 0 {
		t.Errorf("the administrator of the collection sees %+v", s)
	}
}

// TestTasksAreShownToWhomTheyConcern: whoever has no rights learns of none.
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
		{"owner", model.RightAdmin, []string{"another", "fake"}}, // it may make an index
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

// TestAPutThatTheLogCantChargeTellsNothing: the disk takes a PUT, and then not the record
// that says that its answer tells something. After a restart that would be forgotten.
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
		t.Errorf("%d units were told, and a start knows of %d", told, w.drawn(admin))
	}
}

// TestWhatIsNotCappedIsNeverExhausted, however much it told: the sum saturates.
func TestWhatIsNotCappedIsNeverExhausted(t *testing.T) {
	w := indexed(t, 0)
	w.x().told.total.drawn, w.x().told.of(w.e.principals[admin].owner).drawn = leak.Unlimited, leak.Unlimited-1
	w.must(admin, byPredicate(model.OpSearch, "c", "x", "data of one"), model.OK)
	if a := w.must(admin, put("c", "one", "refuse"), model.OK); a.flags&wire.ReplyNotIndexed == 0 {
		t.Errorf("a PUT has flags %d", a.flags)
	}
}

// TestADeletionThatTheLogCantChargeDeletesNothing, also when the disk takes records again
// while it goes on: a start would forget the charge and see what was deleted.
func TestADeletionThatTheLogCantChargeDeletesNothing(t *testing.T) {
	w := indexed(t, 0)
	w.retable(func(r *model.Row) { r.LeakBudget = 20 })
	names := []string{"one", "two", "three"} // in the order of their identities
	slices.SortFunc(names, func(a, b string) int {
		return compare(mapping.Entry{ID: w.id("c", a)}, mapping.Entry{ID: w.id("c", b)})
	})
	named := []identity.ID{w.id("c", names[0]), w.id("c", names[1])}
	w.byHand, w.e.stride = true, 1
	n := w.ask(admin, byPredicate(model.OpDeleteWhere, "c", "x", "data"))
	w.commit(len(w.pending))
	seq := w.questions()[0]
	for i := range 4 { // the first is gone when its turn comes; and the answer is dear
		w.ask(admin, put("c", names[0], fmt.Sprint("data ", i)))
	}
	w.commit(len(w.pending))
	w.fail()
	w.says(taskwire.Answer{Type: taskwire.Found, Seq: seq, Found: named})
	for before := w.drawn(admin); w.drawn(admin) == before && len(w.e.work) > 0; {
		w.work() // until it is charged
	}
	account := w.x().told.of(w.e.principals[admin].owner)
	if account.drawn <= account.durable {
		t.Fatal("the log covers the charge")
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
