package engine

import (
	"bytes"
	"testing"
	"time"

	"motte/client/frames"
	"motte/core/access"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/taskwire"
	"motte/core/wire"
)

// indexed returns a world with a collection "c", a serving index "x" of it, and three objects.
func indexed(t testing.TB, flags model.IndexOptions) *world {
	w := newWorld(t, 1)
	w.settle()
	w.register("c", "x", flags)
	for _, name := range []string{"one", "two", "three"} {
		w.must(admin, put("c", name, "data of "+name), model.OK)
	}
	return w
}

func (w *world) serving(collection, index string) bool {
	return w.e.byName[collection].index(index).state == model.IndexServing
}

func (w *world) lastReason() model.Reason {
	if len(w.e.alerts) == 0 {
		return 0
	}
	return decodeAlert(w.e.alerts[len(w.e.alerts)-1]).Reason
}

func decodeAlert(body []byte) model.Alert {
	a, err := frames.DecodeAlert(body)
	if err != nil {
		panic(err)
	}
	return a
}

// TestHostileAnswersQuarantineTheTask sends each lie that fits a well-formed frame. Each must
// give a fixed code and an alert. No other data may leave, other indexes are not affected, and
// the index comes back without a request.
func TestHostileAnswersQuarantineTheTask(t *testing.T) {
	found := func(ids ...identity.ID) func(uint64) []taskwire.Answer {
		return func(seq uint64) []taskwire.Answer {
			return []taskwire.Answer{{Type: taskwire.Found, Seq: seq, Found: ids}}
		}
	}
	for _, tc := range []struct {
		name   string
		lie    func(w *world) func(seq uint64) []taskwire.Answer
		reason model.Reason
	}{
		{"forged identity", func(w *world) func(uint64) []taskwire.Answer {
			return found(identity.ID{1, 2, 3})
		}, model.ReasonInvalidIdentity},
		{"altered tag", func(w *world) func(uint64) []taskwire.Answer {
			id := w.id("c", "one")
			id[31] ^= 1
			return found(id)
		}, model.ReasonInvalidIdentity},
		{"deleted object", func(w *world) func(uint64) []taskwire.Answer {
			id := w.id("c", "two")
			w.must(admin, wire.Request{Op: model.OpDelete, Collection: "c", Name: []byte("two")}, model.OK)
			return found(id)
		}, model.ReasonInvalidIdentity},
		{"replaced object", func(w *world) func(uint64) []taskwire.Answer {
			id := w.id("c", "two")
			w.must(admin, put("c", "two", "data of two, anew"), model.OK)
			return found(id)
		}, model.ReasonInvalidIdentity},
		{"other collection", func(w *world) func(uint64) []taskwire.Answer {
			return found(w.id("d", "other"))
		}, model.ReasonOtherCollection},
		{"too many results", func(w *world) func(uint64) []taskwire.Answer {
			return found(w.id("c", "one"), w.id("c", "two"), w.id("c", "three"))
		}, model.ReasonTooManyResults},
		{"answer to nothing", func(w *world) func(uint64) []taskwire.Answer {
			return func(seq uint64) []taskwire.Answer { return []taskwire.Answer{{Type: taskwire.Found, Seq: seq + 7}} }
		}, model.ReasonUnasked},
		{"same answer twice", func(w *world) func(uint64) []taskwire.Answer {
			return func(seq uint64) []taskwire.Answer {
				return []taskwire.Answer{{Type: taskwire.Found, Seq: seq}, {Type: taskwire.Found, Seq: seq}}
			}
		}, model.ReasonUnasked},
		{"confirms what it was not sent", func(w *world) func(uint64) []taskwire.Answer {
			return func(seq uint64) []taskwire.Answer { return []taskwire.Answer{{Type: taskwire.Applied, Seq: seq + 1}} }
		}, model.ReasonUnasked},
		{"endless empty answer", func(w *world) func(uint64) []taskwire.Answer {
			return func(seq uint64) []taskwire.Answer {
				return []taskwire.Answer{{Type: taskwire.Found, Seq: seq, State: taskwire.StateContinues}}
			}
		}, model.ReasonBadFrame},
		{"silence", func(w *world) func(uint64) []taskwire.Answer {
			return func(uint64) []taskwire.Answer { return nil }
		}, model.ReasonTooSlow},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := indexed(t, 0)
			w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: "d"}, model.OK)
			w.must(admin, wire.Request{Op: model.OpCreateIndex, Collection: "d", Index: "x", Name: []byte("fake")}, model.OK)
			w.must(admin, put("d", "other", "data of other"), model.OK)
			lie := tc.lie(w)

			q := byPredicate(model.OpSearch, "c", "x", "data")
			q.Limit = 2
			n := w.ask(admin, q)
			k := w.task(w.e.byName["c"].index("x").instance)
			k.frames = nil
			for _, a := range lie(w.e.byName["c"].index("x").seq) {
				w.e.TaskAnswer(k.instance, a)
			}
			w.take()
			w.tick(2 * time.Second) // longer than the deadline, shorter than the pause
			a, ok := w.answered(n)
			violation := model.IndexViolated
			if tc.reason == model.ReasonTooSlow {
				violation = model.TooSlow
				w.tick(fatalDeadlines * time.Second)
			}
			if !ok || len(a.objects) != 0 || a.code != violation && a.code != model.OK {
				t.Fatalf("answer %v: code %d, %d objects", ok, a.code, len(a.objects))
			}
			w.settle()
			if got := w.lastReason(); got != tc.reason {
				t.Fatalf("alert for reason %d, want %d", got, tc.reason)
			}
			if k.stopped == false {
				t.Fatal("the Task was not stopped")
			}
			if !w.serving("d", "x") {
				t.Fatal("another index was touched")
			}
			w.tick(maxBackoff)
			w.settle()
			want := uint32(w.e.byName["c"].objects.Len())
			if a := w.must(admin, byPredicate(model.OpCount, "c", "x", "data"), model.OK); a.count != want {
				t.Fatalf("the rebuilt index counts %d, want %d", a.count, want)
			}
		})
	}
}

// id returns the identity of a live object.
func (w *world) id(collection, name string) identity.ID {
	c := w.e.byName[collection]
	o, ok := c.objects.Get(w.e.Maker.Named(c.id, []byte(name)))
	if !ok {
		w.t.Fatalf("no object %q in %q", name, collection)
	}
	return o.ID
}

// TestOthersObjectsAreLeftOutSilently: a Task does not know rights. If it names an object that
// the reader may not see, this is no violation, and the object is left out.
func TestOthersObjectsAreLeftOutSilently(t *testing.T) {
	w := indexed(t, 0)
	alice := access.Principal{0: 9}
	w.must(admin, wire.Request{Op: model.OpAddPrincipal, Identity: identity.ID(alice), Name: []byte("alice")}, model.OK)
	w.must(alice, byPredicate(model.OpSearch, "c", "x", ""), model.NoCollection)
	rights := model.RightReadOwn | model.RightWrite
	w.must(admin, wire.Request{Op: model.OpGrant, Collection: "c", Identity: identity.ID(alice), Rights: rights}, model.OK)
	w.must(alice, put("c", "mine", "data of mine"), model.OK)
	q := byPredicate(model.OpSearch, "c", "x", "data")
	q.Limit = 1 // one of her own objects, even if the Task names three others first
	a := w.must(alice, q, model.OK)
	if len(a.objects) != 1 || a.objects[0].ID != w.id("c", "mine") {
		t.Fatalf("alice sees %d objects", len(a.objects))
	}
	if a := w.must(alice, byPredicate(model.OpCount, "c", "x", "data"), model.OK); a.count != 1 {
		t.Fatalf("alice counts %d", a.count)
	}
	w.must(alice, get("c", "one"), model.NotFound)
	w.must(alice, put("c", "one", "overwritten"), model.Denied)
	w.must(alice, wire.Request{Op: model.OpDelete, Collection: "c", Name: []byte("one")}, model.NotFound)
	if w.lastReason() != 0 || !w.serving("c", "x") {
		t.Fatal("an honest answer raised an alert")
	}
}

// TestAPreconditionSeesAttributesAndOwner: the same bytes with another attribute, or by another
// principal, are another version. A precondition on the older version fails, and the index gets
// the new version.
func TestAPreconditionSeesAttributesAndOwner(t *testing.T) {
	w := newWorld(t, 1)
	w.settle()
	w.register("c", "x", model.OptionAttribute)
	bob := access.Principal{0: 9}
	w.must(admin, wire.Request{Op: model.OpAddPrincipal, Identity: identity.ID(bob), Name: []byte("bob")}, model.OK)
	grant := wire.Request{Op: model.OpGrant, Collection: "c", Identity: identity.ID(bob), Rights: model.RightsAll}
	w.must(admin, grant, model.OK)
	version := func(attribute string) wire.Request {
		q := put("c", "one", "the same bytes")
		q.Query = frames.AppendAttribute(nil, "x", []byte(attribute))
		return q
	}
	first := identity.ID(w.must(admin, version("red"), model.OK).body)
	steps := []struct {
		by        access.Principal
		attribute string
		differs   bool
	}{
		{admin, "red", false},
		{admin, "blue", true},
		{bob, "blue", true},
	}
	before := first
	for _, s := range steps {
		q := version(s.attribute)
		q.Flags, q.Identity = wire.FlagIfIdentity, before
		now := identity.ID(w.must(s.by, q, model.OK).body)
		if now.Value() != before.Value() || (now != before) != s.differs {
			t.Fatalf("put by %x with %s: identity %x, before %x", s.by[:1], s.attribute, now, before)
		}
		before = now
	}
	stale := version("green")
	stale.Flags, stale.Identity = wire.FlagIfIdentity, first
	w.must(admin, stale, model.PreconditionFailed)
	a := w.must(admin, byPredicate(model.OpSearch, "c", "x", "blue"), model.OK)
	if len(a.objects) != 1 || a.objects[0].ID != before {
		t.Fatalf("the index shows %v, want version %x", a.objects, before)
	}
}

// TestReadsSeeAcknowledgedWrites: a PUT is answered after the disk and the Task have confirmed
// it. A lazy index does not delay the PUT, but the next SEARCH.
func TestReadsSeeAcknowledgedWrites(t *testing.T) {
	for _, lazy := range []model.IndexOptions{0, model.OptionLazy} {
		w := indexed(t, lazy)
		n := w.ask(admin, put("c", "four", "data of four"))
		if _, ok := w.answered(n); ok {
			t.Fatal("the PUT is acknowledged before it is durable")
		}
		w.must2(w.ask(admin, get("c", "four")), model.NotFound)
		w.commit(len(w.pending))
		if _, ok := w.answered(n); ok != (lazy != 0) {
			t.Fatalf("lazy %d: acknowledged before the Task confirmed: %v", lazy, ok)
		}
		a := w.must(admin, byPredicate(model.OpSearch, "c", "x", "data of four"), model.OK)
		if len(a.objects) != 1 {
			t.Fatalf("lazy %d: the search shows %d objects", lazy, len(a.objects))
		}
	}
}

func (w *world) must2(number uint64, want model.Code) {
	w.t.Helper()
	if a, ok := w.answered(number); !ok || a.code != want {
		w.t.Fatalf("code %d, want %d", a.code, want)
	}
}

// TestSearchShowsAReplacedObjectAsItStood: the Task answers a query before it gets a change. The
// answer must show the object in its old or new state.
func TestSearchShowsAReplacedObjectAsItStood(t *testing.T) {
	w := indexed(t, 0)
	old := w.id("c", "one")
	n := w.ask(admin, byPredicate(model.OpSearch, "c", "x", "data of one"))
	w.ask(admin, put("c", "one", "data of one, anew"))
	w.commit(len(w.pending)) // durable, while the Task still works on the query
	w.settle()
	a, _ := w.answered(n)
	if a.code != model.OK || len(a.objects) != 1 || a.objects[0].ID != old {
		t.Fatalf("code %d, %d objects", a.code, len(a.objects))
	}
	if w.lastReason() != 0 {
		t.Fatal("an honest race raised an alert")
	}
}

// TestAnObjectThatIsPutAgainByAnotherShowsAsItStood: the same bytes of another owner are another
// version. A principal with read-own sees its object until the Task has the new version.
func TestAnObjectThatIsPutAgainByAnotherShowsAsItStood(t *testing.T) {
	w := indexed(t, 0)
	alice := w.person("alice", model.RightReadOwn|model.RightWrite)
	w.must(alice, put("c", "hers", "data of hers"), model.OK)
	id, owner := w.id("c", "hers"), w.e.principals[alice].owner
	n := w.ask(alice, byPredicate(model.OpSearch, "c", "x", "data of hers"))
	w.ask(admin, put("c", "hers", "data of hers"))
	w.commit(len(w.pending)) // durable, while the Task still works on the query
	w.settle()
	a, _ := w.answered(n)
	shown := a.code == model.OK && len(a.objects) == 1
	if !shown || a.objects[0].ID != id || a.objects[0].Owner != owner || w.id("c", "hers").Value() != id.Value() {
		t.Fatalf("code %d, %d objects", a.code, len(a.objects))
	}
	if a := w.must(alice, byPredicate(model.OpSearch, "c", "x", "data of hers"), model.OK); len(a.objects) != 0 {
		t.Fatal("alice still sees the object, which now belongs to another principal")
	}
}

func TestRefusalsOfTheTaskAreFixedCodes(t *testing.T) {
	w := indexed(t, 0)
	if a := w.must(admin, put("c", "odd", "refuse"), model.OK); a.flags&wire.ReplyNotIndexed == 0 {
		t.Fatal("the PUT does not report that the Task refused the input")
	}
	if a := w.must(admin, put("c", "long", string(make([]byte, 65))), model.OK); a.flags&wire.ReplyNotIndexed == 0 {
		t.Fatal("the PUT does not report that the input exceeds the Task's limit")
	}
	w.must(admin, byPredicate(model.OpSearch, "c", "x", "refuse"), model.QueryRefused)
	q := wire.Request{Op: model.OpCreateIndex, Collection: "c", Index: "bad", Name: []byte("fake"), Query: []byte("refuse")}
	w.must(admin, q, model.OK)
	if got := w.e.byName["c"].index("bad").state; got != model.IndexRefused {
		t.Fatalf("state %d", got)
	}
	w.must(admin, put("c", "one", "data"), model.OK)
}

func TestBatchIsAllOrNothing(t *testing.T) {
	w := indexed(t, 0)
	var ops []byte
	ops = frames.AppendBatchOp(ops, &wire.Request{Op: model.OpPut, Name: []byte("new"), Object: []byte("data")})
	ops = frames.AppendBatchOp(ops, &wire.Request{Op: model.OpDelete, Name: []byte("absent")})
	w.must(admin, wire.Request{Op: model.OpBatch, Collection: "c", Object: ops}, model.NotFound)
	w.must(admin, get("c", "new"), model.NotFound)
}

func TestFailedDiskStopsWritesAndKeepsReads(t *testing.T) {
	w := indexed(t, 0)
	n := w.ask(admin, put("c", "lost", "data"))
	w.fail()
	w.must2(n, model.StorageFailed)
	w.must(admin, put("c", "later", "data"), model.StorageFailed)
	w.must(admin, get("c", "lost"), model.NotFound)
	w.must(admin, get("c", "one"), model.OK)
	if a := w.must(admin, byPredicate(model.OpCount, "c", "x", ""), model.OK); a.count != 3 {
		t.Fatalf("count %d", a.count)
	}
	w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: "z"}, model.StorageFailed)
}

func TestTheLastAdministratorStays(t *testing.T) {
	w := newWorld(t, 1)
	w.settle()
	w.must(admin, wire.Request{Op: model.OpRemovePrincipal, Identity: identity.ID(admin)}, model.InvalidRequest)
	r := wire.Request{Op: model.OpRevoke, Identity: identity.ID(admin), Rights: model.RightAdmin}
	w.must(admin, r, model.InvalidRequest)
}

// TestRemovedPrincipalComesBackWithNothing: rights and ownership end with the removal, also for
// a principal that is registered again.
func TestRemovedPrincipalComesBackWithNothing(t *testing.T) {
	w := indexed(t, 0)
	alice := identity.ID{0: 9}
	add := wire.Request{Op: model.OpAddPrincipal, Identity: alice, Name: []byte("alice")}
	grant := wire.Request{Op: model.OpGrant, Collection: "c", Identity: alice,
		Rights: model.RightReadOwn | model.RightWrite}
	w.must(admin, add, model.OK)
	w.must(admin, grant, model.OK)
	w.must(access.Principal(alice), put("c", "mine", "data"), model.OK)
	w.must(admin, wire.Request{Op: model.OpRemovePrincipal, Identity: alice}, model.OK)
	w.must(access.Principal(alice), get("c", "mine"), model.UnknownPrincipal)
	w.must(admin, add, model.OK)
	w.must(access.Principal(alice), get("c", "mine"), model.NoCollection)
	w.must(admin, grant, model.OK)
	w.must(access.Principal(alice), get("c", "mine"), model.NotFound)
}

// TestReplayGivesTheSameState: a restart gives the engine the same state, except for the numbers
// of an index that are counted from the start.
func TestReplayGivesTheSameState(t *testing.T) {
	w := indexed(t, model.OptionOrdered)
	status := wire.Request{Op: model.OpStatus}
	w.must(admin, wire.Request{Op: model.OpDropCollection, Collection: "c"}, model.OK)
	w.register("d", "y", 0)
	w.must(admin, put("d", "one", "data"), model.OK)
	w.e.SettleLedgers(func(model.Code) {}) // like an orderly stop
	w.take()
	w.settle()
	y := w.e.byName["d"].index("y")
	y.changes, y.refed = model.Latencies{}, 1 // the start feeds the object
	before := w.must(admin, status, model.OK)
	w.boot()
	w.settle()
	after := w.must(admin, status, model.OK)
	if len(before.items) != len(after.items) {
		t.Fatalf("%d items, then %d", len(before.items), len(after.items))
	}
	for i := range before.items {
		if i > 0 && !bytes.Equal(before.items[i], after.items[i]) {
			t.Errorf("item %d: %x, then %x", i, before.items[i], after.items[i])
		}
	}
}

// TestDroppedCollectionIsGone: its objects can't be reached, and their memory is freed.
func TestDroppedCollectionIsGone(t *testing.T) {
	w := indexed(t, 0)
	id := w.id("c", "one")
	w.must(admin, wire.Request{Op: model.OpDropCollection, Collection: "c"}, model.OK)
	w.must(admin, get("c", "one"), model.NoCollection)
	w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: "c"}, model.OK)
	w.must(admin, wire.Request{Op: model.OpGet, Collection: "c", Identity: id}, model.NotFound)
	if n, _ := w.e.Objects(); n != 0 {
		t.Fatalf("%d objects left", n)
	}
}

// TestChangesOfTheCatalogueHoldWhatComesAfter: a write that is pipelined after the creation of
// its collection finds the collection.
func TestChangesOfTheCatalogueHoldWhatComesAfter(t *testing.T) {
	w := newWorld(t, 1)
	w.settle()
	a := w.ask(admin, wire.Request{Op: model.OpCreateCollection, Collection: "c"})
	b := w.ask(admin, put("c", "one", "data"))
	c := w.ask(admin, wire.Request{Op: model.OpCreateCollection, Collection: "c"})
	w.settle()
	w.must2(a, model.OK)
	w.must2(b, model.OK)
	w.must2(c, model.Exists)
}

// TestIndexIsBuiltBesideWrites: an index on a collection with objects finds the earlier objects.
// It also follows all puts and deletions during its build.
func TestIndexIsBuiltBesideWrites(t *testing.T) {
	w := indexed(t, 0)
	w.ask(admin, wire.Request{Op: model.OpCreateIndex, Collection: "c", Index: "late", Name: []byte("fake")})
	w.commit(len(w.pending))
	late := w.e.byName["c"].index("late")
	w.e.TaskStarted(late.instance)
	w.take()
	w.must2(w.ask(admin, byPredicate(model.OpSearch, "c", "late", "")), model.IndexUnavailable)
	w.ask(admin, put("c", "four", "data of four"))
	w.ask(admin, put("c", "one", "changed"))
	w.ask(admin, wire.Request{Op: model.OpDelete, Collection: "c", Name: []byte("two")})
	w.settle()
	if a := w.must(admin, byPredicate(model.OpSearch, "c", "late", "data"), model.OK); len(a.objects) != 2 {
		t.Fatalf("%d objects, want three and four", len(a.objects))
	}
}

// TestDamagedRecordIsReportedOnce, however often it is read.
func TestDamagedRecordIsReportedOnce(t *testing.T) {
	w := indexed(t, 0)
	a := w.must(admin, get("c", "one"), model.OK)
	for range 3 {
		w.e.Damaged(a.objects[0])
		w.take()
	}
	w.settle()
	if len(w.e.alerts) != 1 || decodeAlert(w.e.alerts[0]).Offset != a.objects[0].Loc.Offset {
		t.Fatalf("alerts: %v", w.e.alerts)
	}
	if last := w.disk[len(w.disk)-1]; last.Kind != seglog.KindAlert {
		t.Fatal("the log has no alert of the damaged record")
	}
}
