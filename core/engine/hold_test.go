package engine

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"motte/client/frames"
	"motte/core/access"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/taskwire"
	"motte/core/wire"
)

// Each of these attacks once worked against the Core. Each test is a way to harm other
// principals, or to learn about them, that must stay closed.

// retable registers the Task "fake" with a changed row, so that its indexes are rebuilt.
func (w *world) retable(change func(*model.Row)) {
	row := w.e.tasks["fake"].Row
	change(&row)
	w.must(admin, wire.Request{Op: model.OpRegisterTask, Name: []byte("fake"), Query: frames.AppendRow(nil, &row)}, model.OK)
	w.settle()
	for slices.ContainsFunc(w.e.indexes, func(x *index) bool { return x.outdated || x.state != model.IndexServing }) {
		w.tick(usualTick) // they are restarted one after the other
		w.settle()
	}
}

// person registers a principal, with rights in the collection "c".
func (w *world) person(label string, rights model.Rights) access.Principal {
	p := identity.ID{0: 9}
	copy(p[1:], label)
	w.must(admin, wire.Request{Op: model.OpAddPrincipal, Identity: p, Name: []byte(label)}, model.OK)
	if rights != 0 {
		w.must(admin, rightsOf(model.OpGrant, access.Principal(p), rights), model.OK)
	}
	return access.Principal(p)
}

func rightsOf(op model.Operation, p access.Principal, rights model.Rights) wire.Request {
	return wire.Request{Op: op, Collection: "c", Identity: identity.ID(p), Rights: rights}
}

func remove(name string) wire.Request {
	return wire.Request{Op: model.OpDelete, Collection: "c", Name: []byte(name)}
}

// x returns the index "x" of the collection "c".
func (w *world) x() *index { return w.e.byName["c"].index("x") }

// questions takes the queries that wait for the Task of the index "x", and returns their
// numbers. The Task does not see them.
func (w *world) questions() (seqs []uint64) {
	_, seqs = w.searches()
	return seqs
}

func (w *world) says(a taskwire.Answer) {
	w.e.TaskAnswer(w.x().instance, a)
	w.take()
}

// TestAnHonestTaskMayBeAskedFasterThanItAnswers: however many queries wait for it, a Task keeps
// its contract if it takes at most its deadline for each.
func TestAnHonestTaskMayBeAskedFasterThanItAnswers(t *testing.T) {
	w := indexed(t, 0)
	k := w.task(w.x().instance)
	var asked []uint64
	for range 200 {
		asked = append(asked, w.ask(admin, byPredicate(model.OpCount, "c", "x", "data")))
	}
	for _, n := range asked {
		w.tick(time.Duration(w.x().row.Deadline) * time.Millisecond)
		if k.stopped {
			t.Fatal("an honest Task was quarantined")
		}
		w.step(k)
		if a, ok := w.answered(n); !ok || a.code != model.OK || a.count != 3 {
			t.Fatalf("request %d: answered %v, code %d, count %d", n, ok, a.code, a.count)
		}
	}
	if w.lastReason() != 0 || len(w.pending) > 0 {
		t.Fatal("an honest Task raised an alert")
	}
}

// TestATaskThatDoesNothingIsEnded: it loses the query after one deadline, and is ended if it
// continues like that. A Task that does other work instead is ended when its limit of patience
// is reached.
func TestATaskThatDoesNothingIsEnded(t *testing.T) {
	for _, busy := range []bool{false, true} {
		w := indexed(t, 0)
		k := w.task(w.x().instance)
		n := w.ask(admin, byPredicate(model.OpCount, "c", "x", "data"))
		w.questions() // the Task never answers
		w.tick(usualTick)
		deadlines := func(n int) {
			for range n {
				w.tick(w.x().registered())
				if busy {
					w.must(admin, put("c", "four", "data of four"), model.OK)
				}
			}
		}
		limit := 1
		if busy {
			limit = maxFrameDeadlines
		}
		if deadlines(limit); w.x().late {
			t.Fatalf("busy %v: the Task is too slow before its deadline", busy)
		}
		w.tick(usualTick)
		if a, ok := w.answered(n); k.stopped || !ok || a.code != model.TooSlow {
			t.Fatalf("busy %v: stopped %v, answered %v, code %d", busy, k.stopped, ok, a.code)
		}
		if deadlines((fatalDeadlines-1)*limit - 1); k.stopped {
			t.Fatalf("busy %v: the Task is ended before its last deadline", busy)
		}
		if deadlines(1); !k.stopped {
			t.Fatalf("busy %v: the Task is not ended", busy)
		}
		if w.settle(); w.lastReason() != model.ReasonTooSlow {
			t.Fatalf("busy %v: alert for reason %d", busy, w.lastReason())
		}
	}
}

// TestRefusalsWaitForWhatTheyDependOn: a refusal may depend on a write that is not durable yet.
// It must not leave before the write is durable. If the write fails, no client may learn of it.
func TestRefusalsWaitForWhatTheyDependOn(t *testing.T) {
	absent, changed := put("c", "four", "other"), put("c", "one", "other")
	absent.Flags, changed.Flags = wire.FlagIfAbsent, wire.FlagIfIdentity
	for _, tc := range []struct {
		name        string
		first, then wire.Request
		want        model.Code
	}{
		{"it is there", put("c", "four", "data of four"), absent, model.PreconditionFailed},
		{"it is another", put("c", "one", "anew"), changed, model.PreconditionFailed},
		{"it is gone", remove("one"), remove("one"), model.NotFound},
		{"nothing is left", remove("one"), byPredicate(model.OpDeleteWhere, "c", "x", "data of one"), model.OK},
	} {
		for _, fails := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, the disk fails %v", tc.name, fails), func(t *testing.T) {
				w := indexed(t, 0)
				if tc.then.Flags == wire.FlagIfIdentity {
					tc.then.Identity = w.id("c", "one")
				}
				w.ask(admin, tc.first)
				n := w.ask(admin, tc.then)
				if k := w.task(w.x().instance); tc.want == model.OK {
					w.step(k)
				}
				if a, ok := w.answered(n); ok {
					t.Fatalf("the refusal with code %d leaves before the write is durable", a.code)
				}
				want := tc.want
				if fails {
					want = model.StorageFailed
					w.fail()
				} else {
					w.commit(1)
				}
				w.must2(n, want)
			})
		}
	}
	w := indexed(t, 0) // a refusal without such a write does not wait
	w.must2(w.ask(admin, remove("four")), model.NotFound)
}

// TestFewQueriesAreSentAhead: a Task gets at most as many queries as it may answer in its
// patience, and at most the bytes of its window.
func TestFewQueriesAreSentAhead(t *testing.T) {
	for _, tc := range []struct{ size, most int }{{1, windowOpen}, {model.MaxSubQuery, windowBytes / model.MaxSubQuery}} {
		w := indexed(t, 0)
		k := w.task(w.x().instance)
		var asked []uint64
		for range 2 * windowOpen {
			q := byPredicate(model.OpCount, "c", "x", "")
			q.Query = bytes.Repeat([]byte("d"), tc.size)
			asked = append(asked, w.ask(admin, q))
		}
		for i, n := range asked {
			if want := min(tc.most, len(asked)-i); len(k.frames) != want || w.x().open != want {
				t.Fatalf("%d queries of %d bytes are with the Task, want %d", len(k.frames), tc.size, want)
			}
			w.step(k)
			w.must2(n, model.OK)
		}
		if w.x().bytes != 0 {
			t.Fatalf("%d bytes are counted when nothing is with the Task", w.x().bytes)
		}
	}
}

// TestRightsCountWhenAnAnswerIsComplete: rights count when the last part of the Task's answer
// arrives. An object that the reader may no longer see then is left out.
func TestRightsCountWhenAnAnswerIsComplete(t *testing.T) {
	none := func(w *world, p access.Principal) {
		w.must(admin, wire.Request{Op: model.OpRemovePrincipal, Identity: identity.ID(p)}, model.OK)
	}
	for _, tc := range []struct {
		name   string
		change func(w *world, p access.Principal)
		want   int // number of objects
	}{
		{"nothing", func(*world, access.Principal) {}, 2},
		{"removed", none, 0},
		{"removed, and somebody else with the same key", func(w *world, p access.Principal) {
			none(w, p)
			w.person("alice", model.RightRead)
		}, 0},
		{"revoked", func(w *world, p access.Principal) {
			w.must(admin, rightsOf(model.OpRevoke, p, model.RightsAll), model.OK)
		}, 0},
		{"its own are left", func(w *world, p access.Principal) {
			w.must(admin, rightsOf(model.OpRevoke, p, model.RightRead), model.OK)
		}, 1},
	} {
		for _, op := range []model.Operation{model.OpSearch, model.OpCount} {
			w := indexed(t, 0)
			alice := w.person("alice", model.RightRead|model.RightReadOwn|model.RightWrite)
			w.must(alice, put("c", "mine", "data of mine"), model.OK)
			n := w.ask(alice, byPredicate(op, "c", "x", "data"))
			seq := w.questions()[0]
			w.says(taskwire.Answer{Type: taskwire.Found, Seq: seq, State: taskwire.StateContinues, Found: []identity.ID{w.id("c", "one"), w.id("c", "mine")}})
			tc.change(w, alice)
			w.says(taskwire.Answer{Type: taskwire.Found, Seq: seq})
			a, ok := w.answered(n)
			if objects := len(a.objects); !ok || int(a.count) != tc.want || op == model.OpSearch && objects != tc.want {
				t.Errorf("%s: answered %v, code %d, count %d, %d objects, want %d", tc.name, ok, a.code, a.count, objects, tc.want)
			}
		}
	}
}

// TestNothingIsDeletedAfterARevocation: if the Task answers a DELETE WHERE while the right is
// being revoked, the deletion is decided after the revocation.
func TestNothingIsDeletedAfterARevocation(t *testing.T) {
	revoke := func(p access.Principal) wire.Request { return rightsOf(model.OpRevoke, p, model.RightDelete) }
	removal := func(p access.Principal) wire.Request {
		return wire.Request{Op: model.OpRemovePrincipal, Identity: identity.ID(p)}
	}
	rotated := func(p access.Principal) wire.Request { return rotationRequest(p, access.Principal{0: 8}) }
	for _, change := range []func(access.Principal) wire.Request{revoke, removal, rotated} {
		w := indexed(t, 0)
		alice := w.person("alice", model.RightRead|model.RightDelete)
		deletion := w.ask(alice, byPredicate(model.OpDeleteWhere, "c", "x", "data"))
		revocation := w.ask(admin, change(alice))
		w.step(w.task(w.x().instance))
		if _, ok := w.answered(deletion); ok || len(w.pending) != 1 {
			t.Fatalf("answered %v, %d groups on their way, want the revocation alone", ok, len(w.pending))
		}
		w.commit(1)
		w.must2(revocation, model.OK)
		w.settle()
		if a, ok := w.answered(deletion); !ok || a.count != 0 {
			t.Fatalf("answered %v, code %d, %d deleted", ok, a.code, a.count)
		}
		for _, name := range []string{"one", "two", "three"} {
			w.must(admin, get("c", name), model.OK)
		}
	}
}

// TestDuplicatesKeepNoMemory: an answer that is not sent yet, and an answered query, hold no
// memory for dropped duplicates.
func TestDuplicatesKeepNoMemory(t *testing.T) {
	const parts = 16
	for _, flags := range []model.IndexOptions{0, model.OptionOrdered} {
		w := indexed(t, flags)
		w.retable(func(r *model.Row) { r.MaxResults = parts * taskwire.MaxChunk })
		w.ask(admin, byPredicate(model.OpSearch, "c", "x", "data"))
		w.ask(admin, byPredicate(model.OpCount, "c", "x", "data"))
		open := w.x().sent
		same := slices.Repeat([]identity.ID{w.id("c", "one")}, taskwire.MaxChunk)
		for _, seq := range w.questions() {
			state := taskwire.StateContinues
			for i := range parts {
				if i == parts-1 {
					state = taskwire.StateLast
				}
				w.e.TaskAnswer(w.x().instance, taskwire.Answer{Type: taskwire.Found, Seq: seq, State: state, Found: same})
			}
		}
		replies := w.e.Take().Replies
		if len(replies) != 2 || len(objectsOf(replies[0])) != 1 || replies[1].Count != 1 {
			t.Fatalf("replies: %v", replies)
		}
		if c := cap(objectsOf(replies[0])); c > 16 {
			t.Errorf("flags %d: an answer of one object keeps room for %d", flags, c)
		}
		if open[0] != nil || open[1] != nil {
			t.Errorf("flags %d: the list of open queries keeps one that is answered", flags)
		}
	}
}

// TestAnIndexIsBuiltWhileAnObjectIsOverwritten as fast as the Task confirms. The new changes
// must not displace the objects of the build.
func TestAnIndexIsBuiltWhileAnObjectIsOverwritten(t *testing.T) {
	w := newWorld(t, 1)
	w.settle()
	w.registerFake()
	w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: "c"}, model.OK)
	for i := range 2 * fetchAhead {
		w.must(admin, put("c", fmt.Sprint("object ", i), "data"), model.OK)
	}
	w.ask(admin, wire.Request{Op: model.OpCreateIndex, Collection: "c", Index: "x", Name: []byte("fake")})
	w.commit(1)
	w.e.TaskStarted(w.x().instance)
	w.take()
	overwrite := func() {
		w.ask(admin, put("c", "mine", "data"))
		w.commit(len(w.pending))
	}
	for range windowFrames + 2*fetchAhead { // more than the Task may have in flight
		overwrite()
	}
	for rounds := 0; w.x().state != model.IndexServing; rounds++ {
		if rounds == 10*windowFrames {
			t.Fatalf("after %d changes %d objects are fed", rounds, w.x().fed)
		}
		overwrite()
		for len(w.fetch) > 0 {
			w.read()
		}
		if k := w.task(w.x().instance); len(k.frames) > 0 {
			w.step(k)
		}
	}
	if a := w.must(admin, byPredicate(model.OpCount, "c", "x", "data"), model.OK); a.count != 2*fetchAhead+1 {
		t.Fatalf("count %d", a.count)
	}
}

// TestATaskThatServedCantRefuseItsConfiguration: if a Task accepted a configuration and refuses
// it later, this is a violation. Another executable may refuse it.
func TestATaskThatServedCantRefuseItsConfiguration(t *testing.T) {
	w := indexed(t, 0)
	w.e.TaskEnded(w.x().instance, model.ReasonTaskEnded)
	w.take()
	w.settle()
	refuse := func() {
		w.tick(maxBackoff)
		w.e.TaskStarted(w.x().instance)
		w.take()
		w.says(taskwire.Answer{Type: taskwire.Failed, Seq: 1, Failure: taskwire.FailConfiguration})
	}
	alerts := w.e.alertCount
	if refuse(); w.x().state != model.IndexQuarantined {
		t.Fatalf("state %d, want quarantined", w.x().state)
	}
	if w.settle(); w.e.alertCount != alerts+1 || w.lastReason() != model.ReasonUnasked {
		t.Fatalf("%d alerts, the last for reason %d", w.e.alertCount-alerts, w.lastReason())
	}
	w.tick(maxBackoff)
	if w.settle(); !w.serving("c", "x") {
		t.Fatal("the index does not serve again")
	}
	// A new executable may refuse. The index goes on with the old one.
	row := w.e.tasks["fake"].Row
	row.Measurement[0]++
	w.ask(admin, wire.Request{Op: model.OpRegisterTask, Name: []byte("fake"), Query: frames.AppendRow(nil, &row)})
	w.commit(1)
	n := w.x().successor
	w.e.TaskStarted(n.instance)
	w.e.TaskAnswer(n.instance, taskwire.Answer{Type: taskwire.Failed, Seq: 1, Failure: taskwire.FailConfiguration})
	w.take()
	if w.live(2 * time.Second); !w.serving("c", "x") || w.x().successor != nil || w.lastReason() != model.ReasonUpgradeRefused {
		t.Fatalf("state %d, last alert for reason %d; want the old process to serve", w.x().state, w.lastReason())
	}
	if len(w.e.instances) != 1 {
		t.Errorf("%d processes run; want the old one alone", len(w.e.instances))
	}
}

// beside calls see with a world in which alice has the same five objects, once alone, and once
// among many objects that she may not see.
func beside(t *testing.T, see func(w *world, alice access.Principal)) {
	for _, others := range []int{0, 300} {
		w := indexed(t, 0)
		alice := w.person("alice", model.RightReadOwn|model.RightWrite)
		w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: "d"}, model.OK)
		for i := range 5 {
			w.must(alice, put("c", fmt.Sprint("mine ", i), "data"), model.OK)
		}
		for i := range others {
			w.must(admin, put("c", fmt.Sprint("other ", i), "data"), model.OK)
		}
		if others > 0 {
			w.must(admin, put("c", "odd", "refuse"), model.OK)
			for i := range uint32(100_000) { // in another collection, more objects than a part of a LIST may skip
				id := identity.ID{byte(i), byte(i >> 8), byte(i >> 16), 1}
				w.e.byName["d"].objects.Put(mapping.Entry{ID: id, Collection: w.e.byName["d"].id, Loc: seglog.Location{Segment: 1, Offset: 8 * i, Length: 8}})
			}
		}
		see(w, alice)
	}
}

// TestThePartsOfAListTellNothingOfOthersObjects: the end of a part does not depend on objects
// that the principal may not see.
func TestThePartsOfAListTellNothingOfOthersObjects(t *testing.T) {
	var first []string
	beside(t, func(w *world, alice access.Principal) {
		var parts []string
		for next := (identity.ID{}); next != (identity.ID{}) || len(parts) == 0; {
			q, _ := Prepare(wire.Request{Op: model.OpList, Collection: "c", Number: 1, Identity: next})
			q.Principal = alice
			w.e.Request(q)
			r := w.e.Take().Replies[0]
			next = identity.ID(r.Body)
			parts = append(parts, fmt.Sprintf("%d objects, then %x", len(objectsOf(r)), next))
		}
		if first == nil {
			first = parts
		}
		if !slices.Equal(parts, first) {
			t.Errorf("the parts of the LIST are %v; want %v, as without others' objects", parts, first)
		}
	})
}

// TestAStatusTellsNothingOfOthersObjects: a principal with read-own gets a status whose numbers
// do not depend on others' objects, while an index is built and when it serves.
func TestAStatusTellsNothingOfOthersObjects(t *testing.T) {
	var first [][]byte
	beside(t, func(w *world, alice access.Principal) {
		w.must(alice, byPredicate(model.OpSearch, "c", "x", "data"), model.OK)
		w.ask(admin, wire.Request{Op: model.OpCreateIndex, Collection: "c", Index: "late", Name: []byte("fake")})
		w.commit(1)
		late := w.e.byName["c"].index("late")
		w.e.TaskStarted(late.instance)
		w.take()
		w.step(w.task(late.instance)) // its configuration, and all inputs read by now
		n := w.ask(alice, wire.Request{Op: model.OpStatus})
		a, _ := w.answered(n)
		if late.state != model.IndexBuilding || len(a.items) == 0 {
			t.Fatalf("the index is in state %d, %d items", late.state, len(a.items))
		}
		if first == nil {
			first = a.items
		}
		for i := range a.items {
			if !bytes.Equal(a.items[i], first[i]) {
				t.Errorf("item %d: %x, alone %x", i, a.items[i], first[i])
			}
		}
	})
}

// TestAStatusShowsWhoHasNoRightsOnlyItself: a principal without rights sees only itself, and no
// Tasks.
func TestAStatusShowsWhoHasNoRightsOnlyItself(t *testing.T) {
	w := indexed(t, 0)
	for i := range 50 {
		w.person(fmt.Sprint("somebody-", i), model.RightRead)
	}
	alice := w.person("alice", 0)
	want := &frames.Status{Principals: []wire.PrincipalStatus{{Principal: alice, Label: "alice"}}}
	if got := w.statusOf(alice); !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v", got)
	}
}

// TestWhatIsNotTakenCountsOverAllConnections of a principal: another connection gets no
// additional budget, but another principal does.
func TestWhatIsNotTakenCountsOverAllConnections(t *testing.T) {
	w := indexed(t, 0)
	for i := range 9 {
		w.must(admin, put("c", fmt.Sprint(i), "data"), model.OK)
	}
	alice, bob := w.person("alice", model.RightRead), w.person("bob", model.RightRead)
	show := func(p access.Principal, conn Conn, flags wire.Flags) Reply {
		q, _ := Prepare(byPredicate(model.OpSearch, "c", "x", "data"))
		q.Principal, q.Conn, q.Flags = p, conn, flags
		w.e.Request(q)
		k, o := w.task(w.x().instance), w.e.Take()
		for _, f := range o.Frames {
			for _, a := range k.handle(slices.Concat(f.Frame, f.Input)) {
				w.e.TaskAnswer(k.instance, a)
			}
		}
		return w.e.Take().Replies[0]
	}
	var held []int
	for conn := range Conn(4) {
		held = append(held, show(alice, 1+conn, wire.FlagIDsOnly*wire.Flags(conn%2)).Unsent)
	}
	const objects, identities = 12 * entrySize, 12*identity.Size + bodySize
	if want := []int{objects, identities, objects, identities}; !slices.Equal(held, want) || w.e.unsent[alice] != 2*(objects+identities) {
		t.Fatalf("the answers hold %v, in all %d", held, w.e.unsent[alice])
	}
	hold := func(p access.Principal, n int) { w.e.unsent[p] += n; w.e.allUnsent += n } // on other connections of the principal
	hold(alice, maxUnsent/2-w.e.allUnsent)
	if r := show(alice, 9, 0); r.Code != model.Overloaded || len(objectsOf(r)) != 0 || r.Unsent != 0 {
		t.Fatalf("code %d, %d objects", r.Code, len(objectsOf(r)))
	}
	if r := show(bob, 1, 0); r.Code != model.OK {
		t.Fatalf("another principal gets code %d", r.Code)
	}
	w.e.Sent(bob, w.e.unsent[bob])
	w.e.Sent(alice, 2*objects)
	if r := show(alice, 9, 0); r.Code != model.OK {
		t.Fatalf("code %d, though the budget has space", r.Code)
	}
	w.e.Sent(alice, w.e.unsent[alice])
	if _, ok := w.e.unsent[alice]; ok || w.e.allUnsent != 0 {
		t.Fatalf("after all answers were sent %d bytes are still counted; want 0", w.e.allUnsent)
	}
}

// TestAnswersThatNobodyTakesHaveOneBound: all principals together have one bound. One principal
// leaves half of it to the others, and short answers are never refused.
func TestAnswersThatNobodyTakesHaveOneBound(t *testing.T) {
	w := indexed(t, 0)
	long := Reply{Content: Frames{wire.KindStatus, [][]byte{make([]byte, 1<<20)}}}
	for i := range byte(100) {
		q := &Request{Principal: access.Principal{1, i}}
		for w.e.answer(q, long) == model.OK {
			w.e.Take()
		}
		left := maxUnsent - w.e.allUnsent
		if left < 0 || i == 0 && left < maxUnsent/2-2<<20 {
			t.Fatalf("after %d principals %d bytes are left", i+1, left)
		}
	}
	left := maxUnsent - w.e.allUnsent
	w.e.countUnsent(&Reply{Principal: access.Principal{2}, End: End{Body: make([]byte, left)}})
	batch := wire.Request{Op: model.OpBatch, Collection: "c"}
	for range shortAnswer {
		batch.Object = frames.AppendBatchOp(batch.Object, &wire.Request{Op: model.OpPut})
	}
	for _, r := range []wire.Request{batch, {Op: model.OpStatus}, {Op: model.OpList, Collection: "c"}} {
		before := w.e.Head()
		want := model.Overloaded
		if r.Op == model.OpList { // a LIST of so few objects is a short answer
			want = model.OK
		}
		if w.must(admin, r, want); w.e.Head() != before {
			t.Fatalf("operation %d was refused, but changed the state", r.Op)
		}
	}
	w.must(admin, put("c", "one", "data"), model.OK)
	w.must(admin, get("c", "one"), model.OK)
	w.must(admin, wire.Request{Op: model.OpHead}, model.OK)
	if w.e.allUnsent != maxUnsent {
		t.Fatalf("%d bytes are counted, want %d", w.e.allUnsent, maxUnsent)
	}
}

// TestARequestGivesItsRoomBackOnce, with its answer. While its record is written, the request
// keeps no second copy of its body.
func TestARequestGivesItsRoomBackOnce(t *testing.T) {
	w := indexed(t, 0)
	batch := wire.Request{Op: model.OpBatch, Collection: "c", Object: frames.AppendBatchOp(nil, &wire.Request{Op: model.OpPut, Object: []byte("data")})}
	for i, r := range []wire.Request{
		put("c", "one", "other"), batch, put("d", "one", "data"), get("c", "one"), byPredicate(model.OpCount, "c", "x", "data"),
		byPredicate(model.OpSearch, "c", "x", "data"), byPredicate(model.OpDeleteWhere, "c", "x", "data"),
		{Op: model.OpStatus}, {Op: model.OpCreateCollection, Collection: "e"}, {Op: model.OpDropCollection, Collection: "c"},
	} {
		q, code := Prepare(r)
		if code != model.OK {
			t.Fatalf("operation %d: code %d", r.Op, code)
		}
		q.Principal, q.Conn, q.Number, q.Reserved = admin, 1, 1000+uint64(i), 70+i
		w.e.Request(q)
		if len(w.e.uncommitted) > 0 && len(q.Writes) > 0 {
			t.Errorf("operation %d keeps its body while its record is written", r.Op)
		}
		w.take()
		w.settle()
		if n := w.room[q.Number]; n != q.Reserved {
			t.Errorf("operation %d gives back %d bytes, want %d once", r.Op, n, q.Reserved)
		}
	}
}

// TestAKeptInputIsNotItsRecord: a lazy index may keep many small inputs. It must not keep the
// large objects with which they were put.
func TestAKeptInputIsNotItsRecord(t *testing.T) {
	w := indexed(t, model.OptionLazy|model.OptionAttribute)
	x := w.x()
	attributes := frames.AppendAttribute(nil, "x", []byte("input"))
	body := appendObject([]byte("name"), attributes, make([]byte, 1<<20))
	w.e.follow(x, delivery{kind: taskwire.Insert}, body, &write{})
	kept := x.queue[0].input
	clear(body)
	if string(kept) != "input" || cap(kept) > 64 {
		t.Fatalf("%q is kept, with room for %d bytes", kept, cap(kept))
	}
}

// TestWhatIsOnItsWayIsOfItsCollection: an object can't be deleted through another collection,
// even while it is being replaced.
func TestWhatIsOnItsWayIsOfItsCollection(t *testing.T) {
	w := indexed(t, 0)
	w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: "d"}, model.OK)
	bob := w.person("bob", 0)
	grant := rightsOf(model.OpGrant, bob, model.RightRead|model.RightDelete)
	grant.Collection = "d"
	w.must(admin, grant, model.OK)
	w.ask(admin, put("c", "one", "data of one"))
	n := w.ask(bob, wire.Request{Op: model.OpDelete, Collection: "d", Identity: w.id("c", "one")})
	w.settle()
	w.must2(n, model.NotFound)
	w.must(admin, get("c", "one"), model.OK)
}

// TestADeletionByPredicateSeesWhatIsOnItsWay, like a deletion by identity. An object that is
// being put again unchanged is deleted. One that is being changed is not. One that is being
// deleted does not count.
func TestADeletionByPredicateSeesWhatIsOnItsWay(t *testing.T) {
	w := indexed(t, 0)
	w.ask(admin, put("c", "one", "data of one"))
	w.ask(admin, put("c", "two", "anew"))
	w.ask(admin, remove("three"))
	n := w.ask(admin, byPredicate(model.OpDeleteWhere, "c", "x", "data"))
	w.step(w.task(w.x().instance))
	w.settle()
	if a, ok := w.answered(n); !ok || a.code != model.OK || a.count != 1 {
		t.Fatalf("answered %v, code %d, %d deleted, want one", ok, a.code, a.count)
	}
	w.must(admin, get("c", "one"), model.NotFound)
	w.must(admin, get("c", "two"), model.OK)
}
