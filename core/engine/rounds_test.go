package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"motte/core/access"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/core/wire"
	"motte/internal/faketask"
)

// shared returns a world with objects of the administrator and of a principal that may read and
// delete its own objects only. The administrator's objects come first in the Task's order.
func shared(t *testing.T, others, own int) (*world, access.Principal) {
	w := newWorld(t, 1)
	w.settle()
	w.register("c", "x", 0)
	p := w.person("p", model.RightReadOwn|model.RightWrite|model.RightDelete)
	for i := range others {
		w.must(admin, put("c", fmt.Sprint("other ", i), "data"), model.OK)
	}
	for i := range own {
		w.must(p, put("c", fmt.Sprint("own ", i), "data"), model.OK)
	}
	return w, p
}

// ownLast is the order of a Task that ignores owners' aliases and names the objects of the owner
// with this alias last.
func ownLast(k *fakeTask, owner taskwire.Owner) (list []identity.ID) {
	var own []identity.ID
	for _, h := range k.Held {
		if h.Owner == owner {
			own = append(own, h.ID)
		} else {
			list = append(list, h.ID)
		}
	}
	slices.SortFunc(list, identity.ID.Compare)
	slices.SortFunc(own, identity.ID.Compare)
	return append(list, own...)
}

// searches returns the queries that the Task was sent and has not answered, with their numbers.
func (w *world) searches() (list []taskwire.Query, seqs []uint64) {
	k := w.task(w.x().instance)
	for _, f := range k.frames {
		if h, _ := taskwire.DecodeHeader(f[:taskwire.HeaderSize]); h.Type == taskwire.Search {
			list, seqs = append(list, faketask.ReadSearch(f[taskwire.HeaderSize:])), append(seqs, h.Seq)
		}
	}
	k.frames = nil
	return list, seqs
}

// inRounds lets a Task that ignores aliases answer all queries, until it gets none. It returns
// the limits that it was given.
func (w *world) inRounds(owner taskwire.Owner) (limits []uint32) {
	for list, seqs := w.searches(); len(list) > 0; list, seqs = w.searches() {
		for i, q := range list {
			limits = append(limits, q.Limit)
			w.says(faketask.Answer(seqs[i], q, ownLast(w.task(w.x().instance), owner)))
		}
		for w.work() {
		}
		w.take()
	}
	return limits
}

// aliasOf returns the alias of a principal in the index "x".
func (w *world) aliasOf(p access.Principal) taskwire.Owner {
	return w.e.alias(w.x(), w.e.principals[p].owner)
}

// TestAnAnswerIsFilledInRounds though the Task names objects first that the principal may not see.
func TestAnAnswerIsFilledInRounds(t *testing.T) {
	w, p := shared(t, 20, 3)
	r := byPredicate(model.OpSearch, "c", "x", "data")
	r.Limit = 2
	n := w.ask(p, r)
	limits := w.inRounds(w.aliasOf(p))
	a, _ := w.answered(n)
	if len(a.objects) != 2 || a.code != model.OK || a.flags&wire.ReplyTruncated == 0 {
		t.Errorf("the answer has %d objects, code %d, flags %d; want 2 objects and truncated", len(a.objects), a.code, a.flags)
	}
	if !slices.Equal(limits, []uint32{2, 8, 32}) {
		t.Errorf("the Task was asked for %d identities; want 2, 8 and 32", limits)
	}
	r.Object = a.body // the next page has the rest
	n = w.ask(p, r)
	w.inRounds(w.aliasOf(p))
	if a, _ = w.answered(n); len(a.objects) != 1 || a.flags != 0 {
		t.Errorf("the next page has %d objects, flags %d; want the last one, and no flag", len(a.objects), a.flags)
	}
}

// TestRoundsEnd after a few rounds and after a time, and the answer says that it is not complete.
func TestRoundsEnd(t *testing.T) {
	w, p := shared(t, 100, 3)
	w.retable(func(r *model.Row) { r.MaxResults = 10 })
	for name, op := range map[string]model.Operation{"search": model.OpSearch, "count": model.OpCount, "delete": model.OpDeleteWhere} {
		n := w.ask(p, byPredicate(op, "c", "x", "data"))
		limits := w.inRounds(w.aliasOf(p))
		a, _ := w.answered(n)
		if len(limits) != maxRounds || a.count != 0 || a.flags&wire.ReplyTruncated == 0 {
			t.Errorf("%s: %d rounds, count %d, flags %d; want %d rounds and a truncated answer", name, len(limits), a.count, a.flags, maxRounds)
		}
	}
	n := w.ask(p, byPredicate(model.OpSearch, "c", "x", "data"))
	list, seqs := w.searches()
	w.tick(roundsTime + usualTick)
	w.says(faketask.Answer(seqs[0], list[0], ownLast(w.task(w.x().instance), w.aliasOf(p))))
	if again, _ := w.searches(); len(again) > 0 {
		t.Error("a round begins after the time of rounds is over")
	}
	if a, _ := w.answered(n); a.flags&wire.ReplyTruncated == 0 {
		t.Error("an answer that ended early is not truncated")
	}
}

// TestOwnersAreHints: an honest Task fills the answer in one round, however many objects others
// have. An alias stands for one owner in one index.
func TestOwnersAreHints(t *testing.T) {
	w, p := shared(t, 100, 10)
	w.retable(func(r *model.Row) { r.MaxResults = 10 })
	for _, op := range []model.Operation{model.OpSearch, model.OpCount} {
		if a := w.must(p, byPredicate(op, "c", "x", "data"), model.OK); a.count != 10 || a.flags != 0 {
			t.Errorf("operation %d: count %d, flags %d; want 10, and no flag", op, a.count, a.flags)
		}
	}
	limited := byPredicate(model.OpSearch, "c", "x", "data")
	limited.Limit = 3
	if a := w.must(p, limited, model.OK); len(a.objects) != 3 {
		t.Errorf("a search with limit 3 shows %d objects", len(a.objects))
	}
	if a := w.must(p, byPredicate(model.OpDeleteWhere, "c", "x", "data"), model.OK); a.count != 10 {
		t.Errorf("%d objects are deleted, want all 10", a.count)
	}

	w.must(admin, createIndex("c", "y", model.TypeAny, 0), model.OK)
	w.settle()
	y := w.e.byName["c"].index("y")
	owner := w.e.principals[p].owner
	if w.e.alias(w.x(), owner) == w.e.alias(y, owner) {
		t.Error("an owner has the same alias in two indexes")
	}
	if w.e.alias(w.x(), owner) == w.aliasOf(admin) {
		t.Error("two owners have the same alias in one index")
	}
}

// TestChangesWaitForRounds, so that all rounds of a query see the same objects. A query of a
// principal that may read all objects holds no change back.
func TestChangesWaitForRounds(t *testing.T) {
	w, p := shared(t, 3, 1)
	k := w.task(w.x().instance)
	inserts := func() int { return len(k.waiting(taskwire.Insert)) }
	w.ask(admin, byPredicate(model.OpSearch, "c", "x", "data"))
	w.ask(admin, put("c", "first", "data"))
	w.commit(len(w.pending))
	if inserts() != 1 {
		t.Error("a query of a principal that reads all objects holds a change back")
	}
	w.settle()

	n := w.ask(p, byPredicate(model.OpSearch, "c", "x", "data"))
	w.ask(admin, put("c", "second", "data"))
	w.commit(len(w.pending))
	if inserts() != 0 {
		t.Error("a change is sent while a query may need another round")
	}
	w.settle()
	if a, _ := w.answered(n); len(a.objects) != 1 || len(k.Held) != 6 || w.x().holding != 0 {
		t.Errorf("then the answer has %d objects, the Task holds %d, %d queries hold changes back", len(a.objects), len(k.Held), w.x().holding)
	}

	// A query that fails lets the changes go on, and so does the end of the process.
	w.ask(p, byPredicate(model.OpSearch, "c", "x", "refuse"))
	w.ask(p, byPredicate(model.OpSearch, "c", "x", "data"))
	w.settle()
	w.ask(p, byPredicate(model.OpSearch, "c", "x", "data"))
	w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
	w.take()
	w.tick(time.Minute)
	w.settle()
	w.must(p, put("c", "third", "data"), model.OK)
	if w.x().holding != 0 || !w.serving("c", "x") {
		t.Errorf("%d queries hold changes back at the end", w.x().holding)
	}
}

// TestPagesShowEachObjectOnce: all pages together are the whole answer, while objects between the
// pages are added, replaced and removed.
func TestPagesShowEachObjectOnce(t *testing.T) {
	for _, flags := range []model.IndexOptions{0, model.OptionOrdered} {
		w := newWorld(t, 1)
		w.settle()
		w.register("c", "x", flags)
		for i := range 30 {
			w.must(admin, put("c", fmt.Sprint(i), "data"), model.OK)
		}
		kept := make(map[identity.ID]bool)
		for i := range 20 { // the others change between the pages
			kept[w.id("c", fmt.Sprint(i))] = false
		}
		r := byPredicate(model.OpSearch, "c", "x", "data")
		r.Limit = 4
		for page, more := 0, true; more; page++ {
			a := w.must(admin, r, model.OK)
			if len(a.objects) > 4 || len(a.body) != min(len(a.objects), model.MaxAfter)*identity.Size*int(a.flags>>1&1) {
				t.Fatalf("page %d has %d objects, flags %d, and ends with %d bytes", page, len(a.objects), a.flags, len(a.body))
			}
			for _, o := range a.objects {
				if shown, ok := kept[o.ID]; ok && shown {
					t.Errorf("flags %d: an object that did not change is shown twice", flags)
				} else if ok {
					kept[o.ID] = true
				}
			}
			more = a.flags&wire.ReplyTruncated != 0
			r.Object = a.body
			w.must(admin, put("c", fmt.Sprint(20+page%10), fmt.Sprint("data ", page)), model.OK)
			w.must(admin, put("c", fmt.Sprint("new ", page), "other"), model.OK)
		}
		for id, shown := range kept {
			if !shown {
				t.Errorf("flags %d: %x did not change, and no page shows it", flags, id)
			}
		}
	}
}

// TestGone: a page begins behind an object that the principal could be shown now, or nowhere.
func TestGone(t *testing.T) {
	w, p := shared(t, 3, 2)
	w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: "d"}, model.OK)
	w.must(admin, put("d", "elsewhere", "data"), model.OK)
	own, other, elsewhere := w.id("c", "own 0"), w.id("c", "other 0"), w.id("d", "elsewhere")
	altered := own
	altered[identity.Size-1] ^= 1
	behind := func(ids ...identity.ID) wire.Request {
		r := byPredicate(model.OpSearch, "c", "x", "data")
		for _, id := range ids {
			r.Object = append(r.Object, id[:]...)
		}
		return r
	}
	for name, r := range map[string]wire.Request{
		"no such object": behind(identity.ID{1}), "another version": behind(altered),
		"another owner's": behind(other), "another collection's": behind(elsewhere),
	} {
		if n := w.ask(p, r); len(w.task(w.x().instance).frames) > 0 {
			t.Errorf("%s: the Task is asked", name)
		} else if a, _ := w.answered(n); a.code != model.Gone {
			t.Errorf("%s: code %d, want %d", name, a.code, model.Gone)
		}
	}
	w.ask(p, behind(other, own, elsewhere))
	if list, _ := w.searches(); len(list) != 1 || !slices.Equal(list[0].After, []identity.ID{own}) {
		t.Errorf("the Task is asked %v; want the one object that the principal may see", list)
	}
	w.must(p, wire.Request{Op: model.OpSearch, Collection: "c", Index: "x", Object: make([]byte, (model.MaxAfter+1)*identity.Size)}, model.InvalidRequest)
	w.must(p, wire.Request{Op: model.OpSearch, Collection: "c", Index: "x", Object: own[:5]}, model.InvalidRequest)

	w, p = shared(t, 0, 2)
	for failure, want := range map[taskwire.Failure]model.Code{taskwire.FailGone: model.Gone, taskwire.FailExpensive: model.TooExpensive} {
		n := w.ask(p, behind(w.id("c", "own 0")))
		_, seqs := w.searches()
		w.says(taskwire.Answer{Type: taskwire.Failed, Seq: seqs[0], Failure: failure})
		if a, _ := w.answered(n); a.code != want {
			t.Errorf("failure %d: code %d, want %d", failure, a.code, want)
		}
	}
	w.ask(p, behind()) // FailGone is no answer to a query that begins at the front
	_, seqs := w.searches()
	w.says(taskwire.Answer{Type: taskwire.Failed, Seq: seqs[0], Failure: taskwire.FailGone})
	served := w.serving("c", "x")
	if w.settle(); served || w.lastReason() != model.ReasonUnasked {
		t.Errorf("a Task says gone though it was given no object: reason %d", w.lastReason())
	}
}

// firstRound lets the principal of shared search with the limit 2. The Task names an object of the
// principal and one of the administrator, and has more. firstRound returns the number of the request.
func (w *world) firstRound(p access.Principal) uint64 {
	r := byPredicate(model.OpSearch, "c", "x", "data")
	r.Limit = 2
	n := w.ask(p, r)
	_, seqs := w.searches()
	first := []identity.ID{w.id("c", "own 0"), w.id("c", "other 0")}
	w.says(taskwire.Answer{Type: taskwire.Found, Seq: seqs[0], Found: first, State: taskwire.StateMore})
	return n
}

// TestARoundThatFailsEndsTheAnswer with the objects of the rounds before it.
func TestARoundThatFailsEndsTheAnswer(t *testing.T) {
	w, p := shared(t, 3, 3)
	n := w.firstRound(p)
	_, seqs := w.searches()
	w.says(taskwire.Answer{Type: taskwire.Failed, Seq: seqs[0], Failure: taskwire.FailExpensive})
	w.settle()
	a, _ := w.answered(n)
	if len(a.objects) != 1 || a.code != model.OK || a.flags&wire.ReplyTruncated == 0 || w.x().holding != 0 {
		t.Errorf("the answer has %d objects, code %d, flags %d; want one object and truncated", len(a.objects), a.code, a.flags)
	}
}

// TestRightsThatGrowDuringAQuery: the Task was asked for the principal's own objects, so the
// answer is not complete.
func TestRightsThatGrowDuringAQuery(t *testing.T) {
	w, p := shared(t, 3, 2)
	n := w.ask(p, byPredicate(model.OpSearch, "c", "x", "data"))
	list, seqs := w.searches()
	w.must(admin, rightsOf(model.OpGrant, p, model.RightRead), model.OK)
	own := []identity.ID{w.id("c", "own 0"), w.id("c", "own 1")}
	w.says(faketask.Answer(seqs[0], list[0], own))
	if a, _ := w.answered(n); len(a.objects) != 2 || a.flags&wire.ReplyTruncated == 0 || len(a.body) > 0 {
		t.Errorf("the answer has %d objects, flags %d, and %d bytes; want 2 objects, truncated, without a next page", len(a.objects), a.flags, len(a.body))
	}
}

// TestRightsThatAreLostBetweenRounds: the answer has no object of the rounds before.
func TestRightsThatAreLostBetweenRounds(t *testing.T) {
	w, p := shared(t, 3, 3)
	n := w.firstRound(p)
	w.ask(admin, rightsOf(model.OpRevoke, p, model.RightReadOwn))
	w.commit(len(w.pending))
	list, seqs := w.searches()
	w.says(faketask.Answer(seqs[0], list[0], nil))
	w.settle()
	if a, _ := w.answered(n); len(a.objects) != 0 || len(a.body) != 0 {
		t.Errorf("the answer has %d objects, and %d bytes of the next page; want no object", len(a.objects), len(a.body))
	}
}

// TestADroppedIndexStaysDown, also if the answer to a query is made when it is dropped.
func TestADroppedIndexStaysDown(t *testing.T) {
	w, p := shared(t, 0, stride+1)
	w.retable(func(r *model.Row) { r.MaxResults = 2 * stride })
	n := w.ask(p, byPredicate(model.OpSearch, "c", "x", "data"))
	_, seqs := w.searches()
	var found []identity.ID
	for _, o := range all(w.e) {
		found = append(found, o.ID)
	}
	w.byHand = true
	w.says(taskwire.Answer{Type: taskwire.Found, Seq: seqs[0], Found: found})
	w.ask(admin, wire.Request{Op: model.OpDropIndex, Collection: "c", Index: "x"})
	w.commit(len(w.pending))
	w.settle()
	if a, _ := w.answered(n); len(a.objects) != len(found) || len(w.e.instances) != 0 {
		t.Errorf("the answer has %d objects, and %d processes run; want %d and 0", len(a.objects), len(w.e.instances), len(found))
	}
}

// TestOtherRightsDoNotMoveThePage: a right that does not matter for a query changes meanwhile, and
// the next page still begins after the object that the Task named last.
func TestOtherRightsDoNotMoveThePage(t *testing.T) {
	w, p := shared(t, 1, 2)
	r := byPredicate(model.OpSearch, "c", "x", "data")
	r.Limit = 2
	n := w.ask(p, r)
	_, seqs := w.searches()
	own := []identity.ID{w.id("c", "own 0"), w.id("c", "own 1")}
	slices.SortFunc(own, func(a, b identity.ID) int { return slices.Compare(b[:], a[:]) })
	w.says(taskwire.Answer{Type: taskwire.Found, Seq: seqs[0], Found: []identity.ID{own[0], w.id("c", "other 0")}, State: taskwire.StateMore})
	w.ask(admin, rightsOf(model.OpGrant, p, model.RightAdmin))
	w.commit(len(w.pending))
	list, seqs := w.searches()
	found := []identity.ID{own[1]}
	for len(found) < int(list[0].Limit) {
		found = append(found, w.id("c", "other 0"))
	}
	w.says(taskwire.Answer{Type: taskwire.Found, Seq: seqs[0], Found: found, State: taskwire.StateMore})
	w.settle()
	if a, _ := w.answered(n); !slices.Equal(a.body, slices.Concat(own[1][:], own[0][:])) {
		t.Errorf("the next page begins after %x, want %x", a.body, own[1])
	}
}
