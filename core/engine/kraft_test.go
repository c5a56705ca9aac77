package engine

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"motte/core/access"
	"motte/core/identity"
	"motte/core/leak"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/core/wire"
)

// These tests let a Task do everything that it can do, each time in an engine with the same
// state. They collect all outcomes that a client can distinguish, with their charges. For any
// number of objects, the sum of 2^-charge over all outcomes must be at most 1.

// scene is a query in a situation.
type scene struct {
	name    string
	op      model.Operation
	flags   model.IndexOptions // options of the index
	limit   uint32
	rights  model.Rights     // rights of the principal that asks
	objects []string         // names of objects of the administrator
	own     []string         // names of objects of the principal that asks
	during  []func(w *world) // steps that happen after the query was sent
	least   int              // minimum number of outcomes, so that the test checks enough
	named   int              // see most
	tight   bool             // also test budgets that cover only a part of the outcomes
}

// most returns how many identities the Task may name in an answer.
func (s *scene) most() int {
	if s.named > 0 {
		return s.named
	}
	if len(s.during) > 0 {
		return 2 // the outcomes with more versions or steps would be too many
	}
	return 3
}

// behaviour is the reaction of a Task to a query. It may let a step happen in between.
type behaviour struct {
	name string
	do   func(w *world, seq uint64, step func())
}

func overwrite(name string) func(*world) {
	return func(w *world) {
		w.ask(admin, put("c", name, "data, anew"))
		w.commit(len(w.pending))
	}
}

func takeAway(name string) func(*world) {
	return func(w *world) {
		w.ask(admin, remove(name))
		w.commit(len(w.pending))
	}
}

// confirm lets the Task confirm all changes that were sent to it.
func confirm(w *world) {
	if x := w.x(); x.instance != 0 && x.seq > x.applied {
		w.says(taskwire.Answer{Type: taskwire.Applied, Seq: x.seq})
	}
}

func scenes() (list []scene) {
	some := []string{"one", "two", "three"}
	both := []string{"one", "two"}
	for _, op := range []model.Operation{model.OpSearch, model.OpCount, model.OpDeleteWhere} {
		least := func(search, count, deleted int) int {
			return map[model.Operation]int{model.OpSearch: search, model.OpCount: count, model.OpDeleteWhere: deleted}[op]
		}
		add := func(s scene) {
			s.op, s.rights = op, cmpOr(s.rights, model.RightRead|model.RightDelete)
			s.name = fmt.Sprintf("%v/%s", map[model.Operation]string{model.OpSearch: "search", model.OpCount: "count", model.OpDeleteWhere: "delete"}[op], s.name)
			list = append(list, s)
		}
		add(scene{name: "nothing", least: 3})
		add(scene{name: "quiet", tight: true, objects: some, least: least(16, 8, 16)})
		add(scene{name: "ordered", flags: model.OptionOrdered, objects: some, least: least(27, 8, 16)})
		add(scene{name: "limit", tight: op == model.OpSearch, limit: 1, objects: some, least: least(6, 4, 6)})
		add(scene{name: "limit of an order", limit: 2, flags: model.OptionOrdered, objects: some, least: least(15, 6, 12)})
		add(scene{name: "own", rights: model.RightReadOwn | model.RightDelete, objects: []string{"one"}, own: []string{"two"}, least: least(6, 6, 6)})
		add(scene{name: "overwritten", objects: both, during: []func(*world){overwrite("one"), overwrite("two"), confirm}, least: least(15, 6, 13)})
		if op == model.OpCount {
			continue // the client learns neither order nor versions
		}
		add(scene{name: "overwritten, ordered", flags: model.OptionOrdered, objects: both,
			during: []func(*world){overwrite("one"), overwrite("two")}, least: least(19, 6, 13)})
		add(scene{name: "overwritten, lazy", flags: model.OptionLazy, objects: both,
			during: []func(*world){overwrite("one"), overwrite("one"), confirm}, least: least(11, 6, 12)})
		add(scene{name: "deleted", objects: some, during: []func(*world){takeAway("one"), takeAway("two"), takeAway("three"), confirm}, least: least(12, 6, 7)})
		add(scene{name: "new", objects: []string{"one"}, during: []func(*world){overwrite("two"), overwrite("three")}, least: least(12, 6, 12)})
		add(scene{name: "new where nothing was", during: []func(*world){overwrite("one"), takeAway("one"), overwrite("one"), confirm}, least: 4})
	}
	return list
}

func cmpOr(a, b model.Rights) model.Rights {
	if a != 0 {
		return a
	}
	return b
}

var asker = access.Principal{0: 9, 1: 'a'}

// stage makes a world, up to the moment before the scene's query.
func (s *scene) stage(t *testing.T, budget, indexBudget uint64) *world {
	w := newWorld(t, 1)
	w.settle()
	w.register("c", "x", s.flags)
	w.person("a", s.rights|model.RightWrite)
	for _, name := range s.objects {
		w.must(admin, put("c", name, "data"), model.OK)
	}
	for _, name := range s.own {
		w.must(asker, put("c", name, "data"), model.OK)
	}
	w.retable(func(r *model.Row) { r.LeakBudget, r.IndexBudget, r.MaxResults = budget, indexBudget, uint32(s.most()) })
	return w
}

// ask sends the query, and lets the disk finish the writes for which it waits.
func (s *scene) ask(w *world) (number, seq uint64) {
	r := byPredicate(s.op, "c", "x", "data")
	r.Limit = s.limit
	number = w.ask(asker, r)
	for len(w.pending) > 0 {
		w.commit(1)
	}
	if w.task(w.x().instance) == nil {
		return number, 0
	}
	for _, seq = range w.questions() {
	}
	return number, seq
}

// play lets the Task react after some steps, and then lets the remaining steps happen. It
// returns the outcome that a client sees, and its charge.
func (s *scene) play(t *testing.T, budget, indexBudget uint64, after int, b behaviour) (outcome string, charge leak.Bits) {
	w := s.stage(t, budget, indexBudget)
	own, total := w.drawn(asker), w.drawn(access.Principal{})
	number, seq := s.ask(w)
	next := 0
	step := func() {
		if next < len(s.during) {
			s.during[next](w)
			next++
		}
	}
	for range after {
		step()
	}
	if seq != 0 {
		b.do(w, seq, step)
	}
	for next < len(s.during) {
		step()
	}
	w.settle()
	a, ok := w.answered(number)
	if !ok {
		t.Fatalf("%s: %s: no answer", s.name, b.name)
	}
	charge = w.drawn(asker) - own
	if all := w.drawn(access.Principal{}) - total; all < charge {
		t.Fatalf("%s: %s: the index is charged %d, but the principal %d", s.name, b.name, all, charge)
	}
	return s.describe(w, a), charge
}

// describe writes down everything that clients can see of an outcome, except its time.
func (s *scene) describe(w *world, a answer) string {
	var text strings.Builder
	fmt.Fprintf(&text, "code %d, flags %d, count %d:", a.code, a.flags, a.count)
	for _, o := range a.objects {
		fmt.Fprintf(&text, " %x", o.ID[:])
	}
	if len(a.body) > 0 {
		fmt.Fprintf(&text, " behind %x", a.body)
	}
	if s.op == model.OpDeleteWhere {
		for o := range w.e.byName["c"].objects.After(identity.Value{}) {
			fmt.Fprintf(&text, " %x is there", o.ID[:])
		}
	}
	return text.String()
}

// drawn returns the bits that a principal has drawn through the index "x". For the zero
// principal it returns those of all together.
func (w *world) drawn(p access.Principal) leak.Bits {
	if w.e.principals[p] == nil {
		return w.x().ledger.total.drawn
	}
	return w.x().ledger.of(w.e.principals[p].owner).drawn
}

// behaviours lists all reactions of a Task to a query: with all versions of objects that exist
// or will exist, and with one identity that never existed.
func (s *scene) behaviours(t *testing.T) (list []behaviour) {
	w, most := s.stage(t, 0, 0), s.most()
	s.ask(w)
	ids := []identity.ID{{1, 2, 3}}
	see := func() {
		for o := range w.e.byName["c"].objects.After(identity.Value{}) {
			if !slices.Contains(ids, o.ID) {
				ids = append(ids, o.ID)
			}
		}
	}
	for see(); len(s.during) > 0; s.during = s.during[1:] {
		s.during[0](w)
		see()
	}
	slices.SortFunc(ids, func(a, b identity.ID) int { return bytes.Compare(a[:], b[:]) })
	lists := [][]identity.ID{nil}
	for from := 0; len(lists[from]) <= most; from++ {
		for _, id := range ids {
			lists = append(lists, append(slices.Clone(lists[from]), id))
		}
	}
	for _, names := range lists {
		if len(names) > most && names[0] != names[len(names)-1] {
			continue // otherwise too many; a few are enough
		}
		list = append(list, behaviour{fmt.Sprintf("names %x", names), func(w *world, seq uint64, _ func()) {
			w.says(taskwire.Answer{Type: taskwire.Found, Seq: seq, Found: names})
		}})
		if len(names) == s.asked() {
			list = append(list, behaviour{fmt.Sprintf("names %x, and has more", names), func(w *world, seq uint64, _ func()) {
				w.says(taskwire.Answer{Type: taskwire.Found, Seq: seq, Found: names, State: taskwire.StateMore})
			}})
			list = append(list, s.secondRounds(names, lists)...)
		}
		for _, last := range []taskwire.State{taskwire.StateLast, taskwire.StateMore} {
			if len(names) != 2 {
				continue
			}
			text := fmt.Sprintf("names %x in parts, the last of state %d", names, last)
			list = append(list, behaviour{text, func(w *world, seq uint64, step func()) {
				w.says(taskwire.Answer{Type: taskwire.Found, Seq: seq, Found: names[:1], State: taskwire.StateContinues})
				step()
				w.says(taskwire.Answer{Type: taskwire.Found, Seq: seq, Found: names[1:], State: last})
			}})
		}
	}
	for _, f := range []taskwire.Failure{taskwire.FailQuery, taskwire.FailExpensive, taskwire.FailGone} {
		list = append(list, behaviour{fmt.Sprintf("refuses with %d", f), func(w *world, seq uint64, _ func()) {
			w.says(taskwire.Answer{Type: taskwire.Failed, Seq: seq, Failure: f})
		}})
	}
	return append(list,
		behaviour{"dies", func(w *world, _ uint64, _ func()) {
			w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
			w.take()
		}},
		behaviour{"is silent", func(w *world, _ uint64, _ func()) {
			for range 2 * maxFrameDeadlines {
				w.tick(time.Duration(w.e.tasks["fake"].Deadline+1) * time.Millisecond)
			}
		}},
		behaviour{"answers something else", func(w *world, seq uint64, _ func()) {
			w.says(taskwire.Answer{Type: taskwire.Found, Seq: seq + 100})
		}})
}

// asked is how many identities the Core asks for first.
func (s *scene) asked() int {
	if s.limit > 0 {
		return min(int(s.limit), s.most())
	}
	return s.most()
}

// secondRounds lists what a Task can do in two rounds: in the first, it names these objects and
// says that it has more.
func (s *scene) secondRounds(first []identity.ID, lists [][]identity.ID) (list []behaviour) {
	if s.rights&model.RightRead != 0 {
		return nil // the Core asks once
	}
	for _, second := range lists {
		if len(second) > s.most() {
			continue
		}
		for _, state := range []taskwire.State{taskwire.StateLast, taskwire.StateMore} {
			text := fmt.Sprintf("names %x, then %x with state %d", first, second, state)
			list = append(list, behaviour{text, func(w *world, seq uint64, step func()) {
				w.says(taskwire.Answer{Type: taskwire.Found, Seq: seq, Found: first, State: taskwire.StateMore})
				step()
				if w.task(w.x().instance) == nil {
					return // it is quarantined
				}
				for _, seq := range w.questions() {
					w.says(taskwire.Answer{Type: taskwire.Found, Seq: seq, Found: second, State: state})
				}
			}})
		}
	}
	return list
}

// kraft has the outcomes, each with its smallest charge.
type kraft map[string]leak.Bits

func (k kraft) add(outcome string, charge leak.Bits) {
	if old, ok := k[outcome]; !ok || charge < old {
		k[outcome] = charge
	}
}

func (k kraft) sum() (sum float64) {
	for _, charge := range k {
		sum += math.Exp2(-float64(charge) / float64(leak.Bit))
	}
	return sum
}

// TestOutcomesOfAQueryAreCharged covers all reactions of a Task at each time: with enough
// budget, with budget for a part of the outcomes, and without budget.
func TestOutcomesOfAQueryAreCharged(t *testing.T) {
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			probe, budgets := s, []uint64{0}
			if s.tight {
				budgets = []uint64{0, 1, 9, 12}
			}
			all := probe.behaviours(t)
			for _, budget := range budgets {
				outcomes := make(kraft)
				for after := range len(s.during) + 1 {
					for _, b := range all {
						outcomes.add(s.play(t, budget, budget/9*9, after, b))
					}
				}
				if sum := outcomes.sum(); sum > 1 {
					t.Errorf("budget %d: the sum of 2^-charge over %d outcomes is %v; want at most 1", budget, len(outcomes), sum)
				}
				if budget == 0 && len(outcomes) < s.least {
					t.Errorf("found %d outcomes, want at least %d: %v", len(outcomes), s.least, outcomes)
				}
				if budget == 1 && len(outcomes) > 1 && s.op != model.OpDeleteWhere {
					t.Errorf("without budget there are %d outcomes; want one: %v", len(outcomes), outcomes)
				}
			}
		})
	}
}

// TestOutcomesOfSeveralLeavesAreCharged: a Task that answers two leaves of a query can bring about no more
// outcomes than the charge of its index covers, with each operation and with an order.
func TestOutcomesOfSeveralLeavesAreCharged(t *testing.T) {
	for _, op := range []model.Operation{model.OpSearch, model.OpCount, model.OpDeleteWhere} {
		for _, kind := range []wire.StepKind{wire.StepAnd, wire.StepOr, wire.StepAndNot} {
			for order := range 2 {
				if order > 0 && (op != model.OpSearch || kind == wire.StepOr) {
					continue
				}
				s := &scene{op: op, rights: model.RightRead | model.RightDelete, objects: []string{"one", "two"},
					flags: model.OptionOrdered, named: 2}
				probe := *s
				all := probe.behaviours(t)
				outcomes := make(kraft)
				for _, first := range all {
					for _, second := range all {
						outcomes.add(s.playLeaves(t, expression(op, order, termOf(kind, leafOf("x"), leafOf("x"))), first, second))
					}
				}
				if sum := outcomes.sum(); sum > 1 || len(outcomes) < 4 {
					t.Errorf("operations %d and %d, order %d: the sum of 2^-charge over %d outcomes is %v; want at most 1",
						op, kind, order, len(outcomes), sum)
				}
			}
		}
	}
}

// playLeaves lets the Task react to the leaves of a query, in the order in which it is asked.
func (s *scene) playLeaves(t *testing.T, r wire.Request, reactions ...behaviour) (outcome string, charge leak.Bits) {
	w := s.stage(t, 0, 0)
	drawn := w.drawn(asker)
	number := w.ask(asker, r)
	for len(reactions) > 0 && w.task(w.x().instance) != nil {
		seqs := w.questions()
		if len(seqs) == 0 {
			break
		}
		for _, seq := range seqs {
			if len(reactions) > 0 {
				reactions[0].do(w, seq, func() {})
				reactions = reactions[1:]
			}
		}
		for w.work() {
		}
	}
	w.settle()
	a, ok := w.answered(number)
	if !ok {
		t.Fatal("no answer")
	}
	return s.describe(w, a), w.drawn(asker) - drawn
}

// TestHistoriesOfTwoQueriesAreCharged: the outcome of the second query may depend on the first.
// A budget of B bits allows at most 2^B histories.
func TestHistoriesOfTwoQueriesAreCharged(t *testing.T) {
	s := scene{op: model.OpSearch, limit: 1, rights: model.RightRead, objects: []string{"one", "two"}, named: 1}
	probe := s
	all := probe.behaviours(t)
	for _, budget := range []uint64{0, 9, 12, 17, 30} {
		histories := make(kraft)
		for _, first := range all {
			for _, second := range all {
				w := s.stage(t, budget, 0)
				history := ""
				for _, b := range []behaviour{first, second} {
					number, seq := s.ask(w)
					if seq != 0 {
						b.do(w, seq, func() {})
					}
					w.settle()
					a, _ := w.answered(number)
					history += s.describe(w, a) + "; "
				}
				histories.add(history, w.drawn(asker))
			}
		}
		if sum := histories.sum(); sum > 1 {
			t.Errorf("budget %d: the sum of 2^-charge over %d histories is %v; want at most 1", budget, len(histories), sum)
		}
		if budget > 0 && math.Log2(float64(len(histories))) > float64(budget) {
			t.Errorf("a budget of %d bits allows %d histories; want at most two to that power", budget, len(histories))
		}
	}
}
