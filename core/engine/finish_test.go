package engine

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"motte/client/frames"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/core/wire"
)

// crowded returns an indexed world with n additional objects, "many 0" and so on, and their
// identities in order.
func crowded(t *testing.T, flags model.IndexOptions, n int) (*world, []identity.ID) {
	w := indexed(t, flags)
	w.retable(func(r *model.Row) { r.MaxResults = model.MaxResultsLimit })
	var ids []identity.ID
	for i := 0; i < n; i += wire.MaxBatch {
		batch := wire.Request{Op: model.OpBatch, Collection: "c"}
		for k := i; k < min(n, i+wire.MaxBatch); k++ {
			o := put("c", fmt.Sprint("many ", k), "many")
			batch.Object = frames.AppendBatchOp(batch.Object, &o)
		}
		a := w.must(admin, batch, model.OK)
		for p := range slices.Chunk(a.body, identity.Size) {
			ids = append(ids, identity.ID(p))
		}
	}
	slices.SortFunc(ids, func(a, b identity.ID) int { return bytes.Compare(a[:], b[:]) })
	w.byHand = true
	return w, ids
}

// named makes a query that the Task answers with these identities, in the longest allowed
// chunks.
func (w *world) named(q wire.Request, ids []identity.ID) (number uint64) {
	number = w.ask(admin, q)
	seq := w.questions()[0]
	for chunk := range slices.Chunk(ids, taskwire.MaxChunk) {
		w.says(taskwire.Answer{Type: taskwire.Found, Seq: seq, State: taskwire.StateContinues, Found: chunk})
	}
	w.says(taskwire.Answer{Type: taskwire.Found, Seq: seq})
	return number
}

// TestALargeAnswerIsFinishedInSteps: an event or a step of work handles at most a few chunks of
// a large answer. Other requests are answered in between, and the answer is correct.
func TestALargeAnswerIsFinishedInSteps(t *testing.T) {
	const n = 10*stride + 100
	for _, tc := range []struct {
		name  string
		flags model.IndexOptions // options of the index
		q     wire.Request
		limit uint32
		steps int // minimum
	}{
		{"count", 0, byPredicate(model.OpCount, "c", "x", ""), 0, 0},                // a reader of all objects needs no check of each
		{"search", 0, byPredicate(model.OpSearch, "c", "x", ""), 0, 5 * n / stride}, // each object is sorted, merged three times and packed
		{"search with a limit", 0, byPredicate(model.OpSearch, "c", "x", ""), 3*stride + 7, 3},
		{"search in the Task's order", model.OptionOrdered, byPredicate(model.OpSearch, "c", "x", ""), 0, n / stride},
	} {
		for _, idsOnly := range []bool{false, true} {
			if idsOnly && tc.q.Op != model.OpSearch {
				continue
			}
			t.Run(fmt.Sprintf("%s, identities only %v", tc.name, idsOnly), func(t *testing.T) {
				w, ids := crowded(t, tc.flags, n)
				if tc.q.Limit = tc.limit; idsOnly {
					tc.q.Flags = wire.FlagIDsOnly
				}
				asks := slices.Clone(ids)
				slices.Reverse(asks)
				if tc.limit > 0 {
					asks = asks[:tc.limit]
				}
				number := w.named(tc.q, asks)
				steps := 0
				for more := len(w.e.work) > 0; more; steps++ {
					if _, done := w.answered(number); done {
						t.Fatalf("the answer came after %d steps, though chunks are left", steps)
					}
					w.must2(w.ask(admin, get("c", "one")), model.OK)
					more = w.work()
				}
				a, done := w.answered(number)
				if !done || a.code != model.OK || int(a.count) != len(asks) {
					t.Fatalf("answered %v, code %d, count %d, want %d", done, a.code, a.count, len(asks))
				}
				if steps < tc.steps {
					t.Errorf("an answer of %d objects took %d steps, want %d at least", len(asks), steps, tc.steps)
				}
				if want := asks; tc.q.Op == model.OpSearch {
					if !w.x().ordered() {
						want = slices.Clone(want)
						slices.Reverse(want)
					}
					if got := shownBy(a); !slices.Equal(got, want) {
						t.Errorf("%d identities, the first %x; want %d, %x", len(got), got[0][:4], len(want), want[0][:4])
					}
				}
			})
		}
	}
}

// shownBy lists the identities in an answer.
func shownBy(a answer) (ids []identity.ID) {
	for _, o := range a.objects {
		ids = append(ids, o.ID)
	}
	for i, p := range a.items {
		if i < len(a.items)-1 && len(p) != idsPerFrame*identity.Size {
			return nil // a frame that is not full would show that objects were left out
		}
		for id := range slices.Chunk(p, identity.Size) {
			ids = append(ids, identity.ID(id))
		}
	}
	return ids
}

// TestManyDeletionsAreDecidedInSteps: a DELETE by predicate has at most one group in flight, and
// others' writes come in between. In the end all matching objects are deleted.
func TestManyDeletionsAreDecidedInSteps(t *testing.T) {
	const n = 5*stride + 10
	w, ids := crowded(t, 0, n)
	number := w.named(byPredicate(model.OpDeleteWhere, "c", "x", ""), ids)
	between := 0
	for round := 0; ; round++ {
		for before := len(w.pending); ; before = len(w.pending) {
			more := w.work()
			if len(w.pending) > 1 {
				t.Fatalf("%d groups are on their way, %d of them from one step", len(w.pending), len(w.pending)-before)
			}
			if !more {
				break
			}
		}
		if len(w.pending) == 0 {
			break
		}
		for _, g := range w.pending {
			if len(g) > stride {
				t.Fatalf("a group of %d deletions", len(g))
			}
		}
		if _, done := w.answered(number); done {
			t.Fatal("the DELETE is answered before all deletions are durable")
		}
		another := w.ask(admin, put("c", fmt.Sprint("between ", round), "data"))
		w.commit(len(w.pending))
		for len(w.x().sent) > 0 || len(w.fetch) > 0 {
			if len(w.fetch) > 0 {
				w.read()
				continue
			}
			w.says(taskwire.Answer{Type: taskwire.Applied, Seq: w.x().seq})
		}
		w.must2(another, model.OK)
		between++
	}
	a, done := w.answered(number)
	if !done || a.code != model.OK || a.count != n || between < 3 {
		t.Fatalf("answered %v, code %d, %d deleted of %d, %d writes in between", done, a.code, a.count, n, between)
	}
	w.must2(w.ask(admin, get("c", "many 0")), model.NotFound)
	w.must2(w.ask(admin, get("c", "one")), model.OK)
}

// TestARevocationEndsADeletion: objects that are not deleted yet stay, and the answer has the
// number of deleted ones. A right that is granted again later changes nothing.
func TestARevocationEndsADeletion(t *testing.T) {
	const n = 5 * stride
	w, ids := crowded(t, 0, n)
	w.byHand = false
	alice := w.person("alice", model.RightRead|model.RightDelete)
	w.byHand = true
	number := w.ask(alice, byPredicate(model.OpDeleteWhere, "c", "x", ""))
	seq := w.questions()[0]
	w.says(taskwire.Answer{Type: taskwire.Found, Seq: seq, Found: ids})
	for w.work() {
	}
	deleted := 0
	for _, g := range w.pending {
		deleted += len(g)
	}
	if deleted == 0 || deleted == n {
		t.Fatalf("%d deletions are on their way", deleted)
	}
	revocation := w.ask(admin, rightsOf(model.OpRevoke, alice, model.RightDelete))
	w.settle()
	w.must2(revocation, model.OK)
	w.must(admin, rightsOf(model.OpGrant, alice, model.RightDelete), model.OK)
	if a, done := w.answered(number); !done || a.code != model.OK || int(a.count) != deleted {
		t.Fatalf("answered %v, code %d, %d deleted, want %d", done, a.code, a.count, deleted)
	}
	if c := w.must(admin, byPredicate(model.OpCount, "c", "x", "many"), model.OK).count; int(c) != n-deleted {
		t.Fatalf("%d objects are left of %d", c, n)
	}
}

// TestADiskThatFailsEndsADeletion with a code, even if the disk works again before the last
// group.
func TestADiskThatFailsEndsADeletion(t *testing.T) {
	const n = 5 * stride
	w, ids := crowded(t, 0, n)
	number := w.named(byPredicate(model.OpDeleteWhere, "c", "x", ""), ids)
	for w.work() {
	}
	w.commit(1)
	w.fail()
	w.resume()
	w.settle()
	w.must2(number, model.StorageFailed)
	if left := len(w.e.pending); left != 0 || !w.idle() {
		t.Fatalf("%d changes are still on their way", left)
	}
}

// TestRightsCountWhenTheLastStepEnds: a right that is revoked while a large answer is finished
// counts.
func TestRightsCountWhenTheLastStepEnds(t *testing.T) {
	const n = 5 * stride
	for _, tc := range []struct {
		op         model.Operation
		has, loses model.Rights
		want       uint32
	}{
		{model.OpSearch, model.RightRead | model.RightReadOwn | model.RightWrite, model.RightRead, 1},
		{model.OpSearch, model.RightReadOwn | model.RightWrite, model.RightReadOwn, 0},
		{model.OpCount, model.RightReadOwn | model.RightWrite, model.RightReadOwn, 0},
	} {
		w, ids := crowded(t, 0, n)
		w.byHand = false
		alice := w.person("alice", tc.has)
		w.must(alice, put("c", "mine", "data of mine"), model.OK)
		w.byHand = true
		number := w.ask(alice, byPredicate(tc.op, "c", "x", ""))
		w.says(taskwire.Answer{Type: taskwire.Found, Seq: w.questions()[0], Found: append(ids, w.id("c", "mine"))})
		for range 4 {
			w.work()
		}
		w.ask(admin, rightsOf(model.OpRevoke, alice, tc.loses))
		w.commit(1)
		for w.work() {
		}
		if a, done := w.answered(number); !done || a.code != model.OK || a.count != tc.want {
			t.Errorf("operation %d: answered %v, code %d, count %d, want %d", tc.op, done, a.code, a.count, tc.want)
		}
	}
}

// TestWhatIsBeingFinishedIsBounded: a Task may answer faster than the engine finishes answers,
// or than the disk takes deletions. Then it gets no more queries, since each answer holds all
// its identities, and a client may have sent thousands of queries.
func TestWhatIsBeingFinishedIsBounded(t *testing.T) {
	const queries = 5 * windowOpen
	for _, op := range []model.Operation{model.OpSearch, model.OpDeleteWhere} {
		w, ids := crowded(t, 0, 3*stride)
		var numbers []uint64
		for range queries {
			numbers = append(numbers, w.ask(admin, byPredicate(op, "c", "x", "")))
		}
		sent, answered := 0, 0
		for round := 0; answered < queries; round++ {
			for asked := w.questions(); len(asked) > 0; asked = w.questions() {
				sent += len(asked)
				for _, seq := range asked {
					w.says(taskwire.Answer{Type: taskwire.Found, Seq: seq, Found: ids})
				}
			}
			// The answer to a later deletion waits for the earlier ones, and holds no identities.
			if sent-answered > windowOpen && (op == model.OpSearch || round == 0) {
				t.Fatalf("operation %d: %d answers are held", op, sent-answered)
			}
			w.commit(len(w.pending))
			for w.work() {
			}
			for _, k := range w.tasks {
				w.says(taskwire.Answer{Type: taskwire.Applied, Seq: w.x().seq})
				k.frames = slices.DeleteFunc(k.frames, func(f []byte) bool { return taskwire.Type(f[3]) != taskwire.Search })
			}
			if op == model.OpDeleteWhere {
				ids = nil
			}
			before := answered
			for _, n := range numbers {
				if a, ok := w.answered(n); ok {
					if answered++; a.code != model.OK {
						t.Errorf("operation %d: code %d", op, a.code)
					}
				}
			}
			if answered == before && len(w.pending) == 0 {
				t.Fatalf("operation %d: %d of %d answered, and nothing is left to do", op, answered, queries)
			}
		}
	}
}
