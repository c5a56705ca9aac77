package engine

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"motte/client/frames"
	"motte/core/access"
	"motte/core/codec"
	"motte/core/identity"
	"motte/core/leak"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/core/wire"
)

// term is an expression of a test: a leaf, or an operation on two terms.
type term struct {
	kind        wire.StepKind
	index       string // of a leaf
	predicate   string
	first, last *term
}

func leafOf(index string) *term { return &term{kind: wire.StepLeaf, index: index, predicate: "y"} }

func termOf(kind wire.StepKind, first, last *term) *term {
	return &term{kind: kind, first: first, last: last}
}

func (x *term) String() string {
	switch x.kind {
	case wire.StepLeaf:
		return x.index
	case wire.StepAnd:
		return fmt.Sprintf("(%v and %v)", x.first, x.last)
	case wire.StepOr:
		return fmt.Sprintf("(%v or %v)", x.first, x.last)
	}
	return fmt.Sprintf("(%v not %v)", x.first, x.last)
}

// program appends the steps of a term.
func (x *term) program(p []byte) []byte {
	if x.kind == wire.StepLeaf {
		return codec.Writer(p).U8(byte(wire.StepLeaf), 0).Text(x.index, model.MaxIdentifier).
			U32(uint32(len(x.predicate))).Bytes([]byte(x.predicate))
	}
	return append(x.last.program(x.first.program(p)), byte(x.kind))
}

// evaluate evaluates a term for an object of which its leaves are true or not.
func (x *term) evaluate(leaf func(*term) bool) bool {
	if x.kind == wire.StepLeaf {
		return leaf(x)
	}
	first, last := x.first.evaluate(leaf), x.last.evaluate(leaf)
	switch x.kind {
	case wire.StepAnd:
		return first && last
	case wire.StepOr:
		return first || last
	}
	return first && !last
}

// leaf is a leaf of a term. Each object of the result matches it if conjunct is true.
type leaf struct {
	index    string
	conjunct bool
}

func (x *term) leaves(conjunct bool) []leaf {
	if x.kind == wire.StepLeaf {
		return []leaf{{x.index, conjunct}}
	}
	list := x.first.leaves(conjunct && x.kind != wire.StepOr)
	return append(list, x.last.leaves(conjunct && x.kind == wire.StepAnd)...)
}

func randomTerm(rng *rand.Rand, leaves int) *term {
	if leaves == 1 {
		return leafOf(string(rune('a' + rng.IntN(4))))
	}
	first := 1 + rng.IntN(leaves-1)
	return &term{kind: wire.StepAnd + wire.StepKind(rng.IntN(3)), first: randomTerm(rng, first), last: randomTerm(rng, leaves-first)}
}

func expression(op model.Operation, order int, x *term) wire.Request {
	return wire.Request{Op: op, Collection: "c", Query: x.program([]byte{byte(order)})}
}

// letters is a world whose collection "c" has the indexes a, b, c and d, each of an attribute. An
// object is in an index if its name has the letter.
func letters(t *testing.T, seed uint64) *world {
	w := newWorld(t, seed)
	w.byInput = true
	w.settle()
	w.registerFake()
	w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: "c"}, model.OK)
	for _, index := range []string{"a", "b", "c", "d"} {
		w.must(admin, wire.Request{Op: model.OpCreateIndex, Collection: "c", Index: index, Name: []byte("fake"),
			Options: model.OptionAttribute | model.OptionOrdered}, model.OK)
	}
	return w
}

// putLetters puts an object. Each of its indexes has it at a place that depends on the name.
func putLetters(name string) wire.Request {
	r := put("c", name, "data")
	for _, index := range []string{"a", "b", "c", "d"} {
		if strings.Contains(name, index) {
			r.Query = frames.AppendAttribute(r.Query, index, []byte("y"+index+fmt.Sprintf("%x", sha([]byte(index+name)))[:3]))
		}
	}
	return r
}

// names returns the names of the objects of an answer.
func (w *world) names(a answer) (list []string) {
	for _, o := range a.objects {
		stored, err := DecodeObject(body(w.stored(o.Loc)))
		if err != nil {
			w.t.Fatal(err)
		}
		list = append(list, string(stored.Name))
	}
	return list
}

// pages asks for all pages of an answer.
func (w *world) pages(p access.Principal, r wire.Request) (list []string) {
	for range 100 {
		a := w.must(p, r, model.OK)
		list = append(list, w.names(a)...)
		if a.flags&wire.ReplyTruncated == 0 {
			return list
		}
		if r.Object = a.body; len(a.body) == 0 {
			w.t.Fatalf("an answer is truncated, and does not say where the next page begins")
		}
	}
	w.t.Fatal("the answer has more than 100 pages")
	return nil
}

// TestExpressionsAgreeWithTheModel: random expressions over random objects, for a principal that may
// read all objects and for one that may read its own, with pages and with an order.
func TestExpressionsAgreeWithTheModel(t *testing.T) {
	for seed := range uint64(12) {
		w := letters(t, seed)
		own := w.person("p", model.RightReadOwn|model.RightWrite|model.RightDelete)
		rng := rand.New(rand.NewPCG(seed, 7))
		all := map[string]access.Principal{}
		for i := range 60 {
			name, p := fmt.Sprint(i), admin
			for _, letter := range "abcd" {
				if rng.IntN(2) == 0 {
					name += string(letter)
				}
			}
			if rng.IntN(3) == 0 {
				p = own
			}
			w.must(p, putLetters(name), model.OK)
			all[name] = p
		}
		for range 40 {
			x := randomTerm(rng, 1+rng.IntN(6))
			for _, p := range []access.Principal{admin, own} {
				w.checkExpression(rng, x, p, all)
			}
		}
	}
}

// checkExpression compares the answers to a SEARCH in one answer and in pages, with and without an
// order, and to a COUNT, with the model.
func (w *world) checkExpression(rng *rand.Rand, x *term, p access.Principal, all map[string]access.Principal) {
	w.t.Helper()
	var want []string
	for name, owner := range all {
		if x.evaluate(func(leaf *term) bool { return strings.Contains(name, leaf.index) }) && (p == admin || owner == p) {
			want = append(want, name)
		}
	}
	slices.Sort(want)
	if a := w.must(p, expression(model.OpCount, 0, x), model.OK); int(a.count) != len(want) || a.flags != 0 {
		w.t.Errorf("count %v: %d objects, flags %d; want %d", x, a.count, a.flags, len(want))
	}
	r := expression(model.OpSearch, 0, x)
	r.Limit = uint32(rng.IntN(2) * (1 + rng.IntN(9)))
	list := w.pages(p, r)
	slices.Sort(list)
	if !slices.Equal(list, want) {
		w.t.Errorf("search %v with limit %d: %v; want %v", x, r.Limit, list, want)
	}
	for i, leaf := range x.leaves(true) {
		r := expression(model.OpSearch, i+1, x)
		r.Limit = uint32(rng.IntN(2) * (1 + rng.IntN(9)))
		if !leaf.conjunct {
			w.must(p, r, model.InvalidRequest)
			continue
		}
		ranked := w.pages(p, byPredicate(model.OpSearch, "c", leaf.index, "y"))
		ranked = slices.DeleteFunc(ranked, func(name string) bool { return !slices.Contains(want, name) })
		if list := w.pages(p, r); !slices.Equal(list, ranked) {
			w.t.Errorf("search %v in the order of leaf %d with limit %d: %v; want %v", x, i+1, r.Limit, list, ranked)
		}
	}
}

// TestDeleteByExpression deletes what the expression finds, and no other object.
func TestDeleteByExpression(t *testing.T) {
	w := letters(t, 1)
	for _, name := range []string{"1a", "2ab", "3b", "4abc", "5c"} {
		w.must(admin, putLetters(name), model.OK)
	}
	x := termOf(wire.StepAndNot, leafOf("a"), leafOf("c"))
	if a := w.must(admin, expression(model.OpDeleteWhere, 0, x), model.OK); a.count != 2 || a.flags != 0 {
		t.Errorf("%d objects are deleted, flags %d; want 2", a.count, a.flags)
	}
	either := termOf(wire.StepOr, leafOf("a"), termOf(wire.StepOr, leafOf("b"), leafOf("c")))
	list := w.pages(admin, expression(model.OpSearch, 0, either))
	slices.Sort(list)
	if !slices.Equal(list, []string{"3b", "4abc", "5c"}) {
		t.Errorf("left are %v", list)
	}
}

// TestALeafThatExcludesIsExhausted, also one of a DELETE by predicate, or the request fails. Another leaf
// may end early: then the answer is truncated.
func TestALeafThatExcludesIsExhausted(t *testing.T) {
	w := letters(t, 1)
	for i := range 40 {
		w.must(admin, putLetters(fmt.Sprint(i, "ab")), model.OK)
	}
	w.must(admin, putLetters("a"), model.OK)
	w.retable(func(r *model.Row) { r.MaxResults = 20 }) // four rounds reach all
	not := termOf(wire.StepAndNot, leafOf("a"), leafOf("b"))
	if list := w.pages(admin, expression(model.OpSearch, 0, not)); !slices.Equal(list, []string{"a"}) {
		t.Errorf("in several rounds: %v; want a", list)
	}
	w.retable(func(r *model.Row) { r.MaxResults = 4 }) // four rounds do not reach all
	w.must(admin, expression(model.OpSearch, 0, not), model.TooExpensive)
	w.must(admin, expression(model.OpSearch, 1, not), model.TooExpensive)
	both := termOf(wire.StepAnd, leafOf("a"), leafOf("b"))
	w.must(admin, expression(model.OpDeleteWhere, 0, both), model.TooExpensive)
	a := w.must(admin, expression(model.OpSearch, 0, both), model.OK)
	if len(a.objects) == 0 || a.flags&wire.ReplyTruncated == 0 || len(a.body) > 0 {
		t.Errorf("%d objects, flags %d, anchor of %d bytes; want some objects, truncated, and no anchor", len(a.objects), a.flags, len(a.body))
	}
	if n := w.e.byName["c"].objects.Len(); n != 41 {
		t.Errorf("%d objects are left, want 41", n)
	}
}

// TestAFilterNeverEmptiesAnAnswer: the ten best of 1000 objects that are also among a few others, wherever
// they lie in the order, whether the Task uses the candidates or not.
func TestAFilterNeverEmptiesAnAnswer(t *testing.T) {
	for _, ignores := range []bool{false, true} {
		w := letters(t, 1)
		for i := range 1000 {
			name := fmt.Sprint(i, "a")
			if i%100 == 0 {
				name += "b"
			}
			w.must(admin, putLetters(name), model.OK)
		}
		for _, k := range w.tasks {
			k.ignoresCandidates = ignores
		}
		r := expression(model.OpSearch, 1, termOf(wire.StepAnd, leafOf("a"), leafOf("b")))
		r.Limit = 10
		a := w.must(admin, r, model.OK)
		if len(a.objects) != 10 || a.flags != 0 {
			t.Errorf("the Task ignores candidates: %v: %d objects, flags %d; want 10", ignores, len(a.objects), a.flags)
		}
	}
}

// TestAllLeavesSeeOnePosition: an object moves from one index to the other while the query runs. It is
// found by "a or b", and not by "a and b", whenever the Tasks answer.
func TestAllLeavesSeeOnePosition(t *testing.T) {
	for _, kind := range []wire.StepKind{wire.StepAnd, wire.StepOr} {
		w := letters(t, 1)
		moves := func(attribute string) wire.Request {
			r := put("c", "moves", "data")
			r.Query = frames.AppendAttribute(nil, attribute, []byte("y"))
			return r
		}
		w.must(admin, moves("a"), model.OK)
		n := w.ask(admin, expression(model.OpCount, 0, termOf(kind, leafOf("a"), leafOf("b"))))
		w.ask(admin, moves("b"))
		w.commit(len(w.pending))
		second := w.e.byName["c"].index("b").instance
		for k := w.task(second); len(k.frames) > 0; {
			w.step(k)
		}
		w.settle()
		a, _ := w.answered(n)
		want := map[wire.StepKind]uint32{wire.StepAnd: 0, wire.StepOr: 1}[kind]
		if a.code != model.OK || a.count != want {
			t.Errorf("operation %d: code %d, %d objects; want %d", kind, a.code, a.count, want)
		}
	}
}

// TestAnObjectPutMeanwhileIsMissedLoudly: the ordering leaf is asked later than the others. An answer that
// lacks an object that was replaced in between is truncated, and an object that came in between is not
// shown, since no Task was asked whether it is excluded.
func TestAnObjectPutMeanwhileIsMissedLoudly(t *testing.T) {
	for _, kind := range []wire.StepKind{wire.StepAnd, wire.StepAndNot} {
		w := letters(t, 1)
		w.must(admin, putLetters("1a"), model.OK)
		w.must(admin, putLetters("2ab"), model.OK)
		n := w.ask(admin, expression(model.OpSearch, 1, termOf(kind, leafOf("a"), leafOf("b"))))
		for _, name := range []string{"1a", "2ab"} { // the same attributes, other data
			r := putLetters(name)
			r.Object = []byte("other data")
			w.ask(admin, r)
			w.commit(len(w.pending))
		}
		w.settle()
		a, _ := w.answered(n)
		if a.code != model.OK || len(a.objects) != 0 || a.flags&wire.ReplyTruncated == 0 {
			t.Errorf("operation %d: code %d, %d objects, flags %d; want no object, and truncated", kind, a.code, len(a.objects), a.flags)
		}
		if c := w.e.byName["c"]; len(c.watchers)+len(c.watched.put) > 0 {
			t.Errorf("%d queries still watch, and %d values are kept", len(c.watchers), len(c.watched.put))
		}
	}
}

// TestAFailedLeafEndsTheQuery: each failure of one Task is the outcome, once. Nothing is left of the query.
func TestAFailedLeafEndsTheQuery(t *testing.T) {
	both := termOf(wire.StepAnd, leafOf("a"), leafOf("b"))
	failures := map[string]struct {
		do   func(w *world, instance, seq uint64)
		want model.Code
	}{
		"refuses": {func(w *world, instance, seq uint64) {
			w.e.TaskAnswer(instance, taskwire.Answer{Type: taskwire.Failed, Seq: seq, Failure: taskwire.FailQuery})
		}, model.QueryRefused},
		"too expensive": {func(w *world, instance, seq uint64) {
			w.e.TaskAnswer(instance, taskwire.Answer{Type: taskwire.Failed, Seq: seq, Failure: taskwire.FailExpensive})
		}, model.TooExpensive},
		"dies": {func(w *world, instance, _ uint64) { w.e.TaskEnded(instance, model.ReasonTaskEnded) }, model.IndexViolated},
		"lies": {func(w *world, instance, seq uint64) {
			w.e.TaskAnswer(instance, taskwire.Answer{Type: taskwire.Found, Seq: seq, Found: []identity.ID{{1}}})
		}, model.IndexViolated},
		"is slow": {func(w *world, _, _ uint64) { w.tick(1100 * usualTick / 50) }, model.TooSlow},
	}
	for name, f := range failures {
		for order := range 2 {
			t.Run(fmt.Sprint(name, order), func(t *testing.T) {
				w := letters(t, 1)
				w.must(admin, putLetters("1ab"), model.OK)
				x := w.e.byName["c"].index("b")
				drawn := w.e.byName["c"].index("a").ledger.total.drawn
				n := w.ask(admin, expression(model.OpSearch, order, both))
				k := w.task(x.instance)
				h, _ := taskwire.DecodeHeader(k.frames[0][:taskwire.HeaderSize])
				if f.do(w, x.instance, h.Seq); name != "is slow" {
					k.frames = nil
				}
				w.take()
				w.settle()
				a, ok := w.answered(n)
				if !ok || a.code != f.want {
					t.Errorf("code %d (answered: %v), want %d", a.code, ok, f.want)
				}
				for range 50 {
					w.tick(usualTick)
					w.settle()
				}
				c := w.e.byName["c"]
				for _, x := range c.indexes {
					if x.holding+x.finishing+len(x.queries) != 0 {
						t.Errorf("index %s: %d hold changes, %d finish, %d queries are open", x.name, x.holding, x.finishing, len(x.queries))
					}
				}
				if len(c.watchers) > 0 || w.e.allUnsent != 0 {
					t.Errorf("%d queries watch, %d bytes are counted", len(c.watchers), w.e.allUnsent)
				}
				if c.index("a").ledger.total.drawn <= drawn {
					t.Error("the other index is not charged for the outcome")
				}
				if got := w.pages(admin, expression(model.OpSearch, order, both)); len(got) != 1 {
					t.Errorf("later the query finds %v", got)
				}
			})
		}
	}
}

// TestEndedQueriesTakeNoMemory: a leaf that is refused ends its query. The other leaf of the query, for a
// Task that is busy, must not stay in its queue with its predicate.
func TestEndedQueriesTakeNoMemory(t *testing.T) {
	w := letters(t, 1)
	w.must(admin, putLetters("1ab"), model.OK)
	c := w.e.byName["c"]
	busy, other := c.index("a"), c.index("b")
	both := termOf(wire.StepAnd, leafOf("a"), &term{kind: wire.StepLeaf, index: "b", predicate: "refuse"})
	const asked = 5 * maxEnded
	for range asked {
		n := w.ask(admin, expression(model.OpSearch, 0, both))
		for k := w.task(other.instance); len(k.frames) > 0; {
			w.step(k)
		}
		for w.work() {
		}
		if a, ok := w.answered(n); !ok || a.code != model.QueryRefused {
			t.Fatalf("code %d (answered: %v)", a.code, ok)
		}
	}
	if n := len(busy.queue); n > maxEnded || n != w.e.backlog || len(busy.queries) != n+busy.open {
		t.Errorf("%d of %d leaves wait, the backlog is %d, %d queries are known", n, asked, w.e.backlog, len(busy.queries))
	}
	for _, d := range busy.queue {
		if d.search.predicate != nil {
			t.Fatal("an ended query keeps its predicate")
		}
	}
	w.settle()
	if n := w.task(busy.instance).got[taskwire.Search]; n > 2*windowOpen || w.e.backlog != 0 {
		t.Errorf("the busy Task gets %d queries that have ended; %d deliveries are left", n, w.e.backlog)
	}
	if got := w.pages(admin, expression(model.OpSearch, 0, termOf(wire.StepAnd, leafOf("a"), leafOf("b")))); len(got) != 1 {
		t.Errorf("later a query finds %v", got)
	}
}

// TestEachIndexIsChargedInFull for an answer to a query over several.
func TestEachIndexIsChargedInFull(t *testing.T) {
	w := letters(t, 1)
	for i := range 20 {
		w.must(admin, putLetters(fmt.Sprint(i, "ab")), model.OK)
	}
	c := w.e.byName["c"]
	drawn := func(index string) uint64 { return uint64(c.index(index).ledger.total.drawn) }
	single := func(do func()) uint64 {
		before := drawn("a")
		do()
		return drawn("a") - before
	}
	alone := single(func() { w.must(admin, byPredicate(model.OpSearch, "c", "a", "y"), model.OK) })
	alone += uint64(leak.Log(3) - leak.Bit) // it may be truncated in two ways
	b, other := drawn("b"), drawn("c")
	charge := single(func() {
		w.must(admin, expression(model.OpSearch, 1, termOf(wire.StepAnd, leafOf("a"), leafOf("b"))), model.OK)
	})
	if charge != alone || drawn("b")-b != alone || drawn("c") != other {
		t.Errorf("the indexes are charged %d, %d and %d; want %d, %d and 0", charge, drawn("b")-b, drawn("c")-other, alone, alone)
	}
}

// TestExplain shows an administrator how each leaf went, and nobody else.
func TestExplain(t *testing.T) {
	w := letters(t, 1)
	reader := w.person("p", model.RightRead)
	for _, name := range []string{"1a", "2ab", "3ab"} {
		w.must(admin, putLetters(name), model.OK)
	}
	r := expression(model.OpSearch, 1, termOf(wire.StepAnd, leafOf("a"), leafOf("b")))
	r.Flags = wire.FlagExplain
	w.must(reader, r, model.Denied)
	a := w.must(admin, r, model.OK)
	if a.kind != wire.KindExplain || len(a.items) != 1 || len(a.items[0]) != 2*17 || a.count != 2 {
		t.Fatalf("kind %d, %d frames, count %d", a.kind, len(a.items), a.count)
	}
	for i, want := range []string{"000000020000000103", "000000020000000101"} {
		leaf := a.items[0][17*i:]
		if got := fmt.Sprintf("%x%x", leaf[:8], leaf[16:17]); got != want {
			t.Errorf("leaf %d: %s, want %s: objects, rounds, flags", i+1, got, want)
		}
	}
	single := byPredicate(model.OpSearch, "c", "a", "y")
	single.Flags = wire.FlagExplain
	w.must(admin, single, model.InvalidRequest)
}

// TestALeafOfAMillionObjects takes 64 bytes for each object, also while it is sorted, and no step looks at
// more objects than a step may.
func TestALeafOfAMillionObjects(t *testing.T) {
	if testing.Short() {
		t.Skip("this test sorts a million objects")
	}
	const objects = 1 << 20
	live := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := live()
	rng := rand.New(rand.NewPCG(1, 2))
	s := new(search)
	for range objects {
		var o mapping.Entry
		binary.BigEndian.PutUint64(o.ID[:], rng.Uint64())
		s.kept.add(o)
	}
	m, most := new(merger), uint64(0)
	for step := 0; !s.sortStep(m, stride); step++ {
		if step%2000 == 0 {
			most = max(most, live())
		}
	}
	if n := s.kept.len(); n != objects {
		t.Errorf("%d objects are left, want %d", n, objects)
	}
	if took := (most - before) / objects; took > entrySize+4 {
		t.Errorf("a leaf takes %d bytes an object, want about %d", took, entrySize)
	}
	for i, block := range s.kept {
		if !slices.IsSortedFunc(block, compare) || i > 0 && compare(s.kept[i-1][stride-1], block[0]) > 0 {
			t.Fatalf("block %d is not sorted", i)
		}
	}
}
