package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"motte/core/access"
	"motte/core/codec"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/wire"
)

// These tests bound the work of one event by its structure: the number and size of steps, parts
// and pieces. No test reads a clock.

// stuff adds n objects of an owner to a collection. Their values are evenly spread.
func (w *world) stuff(collection string, owner uint32, n int) {
	c := w.e.byName[collection]
	for i := range n {
		var id identity.ID
		binary.BigEndian.PutUint64(id[:], uint64(i)*(1<<63/uint64(n)*2)+1)
		binary.BigEndian.PutUint32(id[8:], owner)
		w.e.add(c, mapping.Entry{ID: id, Loc: seglog.Location{Segment: 1, Offset: 128, Length: 160}, Collection: c.id, Owner: owner})
	}
}

// full returns a world with an empty collection "c", and another one with n objects.
func full(t testing.TB, n int) *world {
	w := newWorld(t, 1)
	w.settle()
	w.registerFake()
	for _, name := range []string{"c", "full"} {
		w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: name}, model.OK)
	}
	w.stuff("full", 1, n)
	return w
}

// part requests one part of a LIST. It returns the answer, if there is one.
func (w *world) part(p access.Principal, collection string, after identity.ID) (r Reply, done bool) {
	q, _ := Prepare(wire.Request{Op: model.OpList, Collection: collection, Number: 1, Identity: after})
	q.Principal = p
	w.e.Request(q)
	return w.reply()
}

func (w *world) reply() (r Reply, done bool) {
	list := w.e.Take().Replies
	if len(list) == 0 {
		return r, false
	}
	return list[0], true
}

// TestAListOfAnEmptyCollectionIsOnePart, whatever other collections have.
func TestAListOfAnEmptyCollectionIsOnePart(t *testing.T) {
	w := full(t, 200_000)
	w.byHand = true
	r, done := w.part(admin, "c", identity.ID{})
	if !done || r.Code != model.OK || r.Count != 0 || len(objectsOf(r)) != 0 || identity.ID(r.Body) != (identity.ID{}) {
		t.Fatalf("a LIST of an empty collection: answered %v: %+v; want one empty part", done, r)
	}
	if w.e.Work() {
		t.Error("a LIST of an empty collection leaves work; want none")
	}
}

// TestAPartOfAListIsMadeInSteps: a principal that may read few of many objects waits for several
// events, and others are answered in between. The borders of the parts do not depend on other
// principals' objects. Objects that change meanwhile are shown in their state at the end.
func TestAPartOfAListIsMadeInSteps(t *testing.T) {
	const others, steps = 20 * stride, 20
	w := full(t, 0)
	w.must(admin, put("c", "admin's", "data"), model.OK)
	w.stuff("c", 1, others)
	alice := w.person("alice", model.RightReadOwn|model.RightWrite|model.RightDelete)
	for i := range 40 {
		w.must(alice, put("c", fmt.Sprint("mine ", i), "data"), model.OK)
	}
	w.byHand = true
	list := w.ask(alice, wire.Request{Op: model.OpList, Collection: "c"})
	n := 0
	for more := true; more; n++ {
		if _, done := w.answered(list); done || n > steps {
			t.Fatalf("after %d steps: answered %v, but work is left", n, done)
		}
		if w.must2(w.ask(admin, get("c", "admin's")), model.OK); n == 0 {
			w.ask(alice, remove("mine 0"))
			w.ask(alice, put("c", "mine 1", "changed"))
			w.commit(len(w.pending))
		}
		more = w.work()
	}
	a, done := w.answered(list)
	if !done || a.code != model.OK || len(a.objects) != 39 || a.count != 39 || n < steps {
		t.Fatalf("answered %v after %d steps, code %d, %d objects, count %d", done, n, a.code, len(a.objects), a.count)
	}
	for _, o := range a.objects {
		if cur, ok := w.e.lookup(w.e.byName["c"], o.ID.Value()); !ok || cur != o {
			t.Errorf("the LIST shows %+v; want the present state %+v", o, cur)
		}
	}
}

// TestAListHoldsForTheRightsAtItsEnd: a principal that loses the right, or whose collection is
// dropped, while a part is made does not get the part.
func TestAListHoldsForTheRightsAtItsEnd(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(alice access.Principal) []wire.Request
		want   model.Code
	}{
		{"revoked", func(p access.Principal) []wire.Request {
			return []wire.Request{rightsOf(model.OpRevoke, p, model.RightsAll)}
		}, model.Denied},
		{"removed", func(p access.Principal) []wire.Request { return []wire.Request{removal(p, 0)} }, model.UnknownPrincipal},
		{"dropped", func(access.Principal) []wire.Request {
			return []wire.Request{{Op: model.OpDropCollection, Collection: "c"}}
		}, model.NoCollection},
		{"dropped and made again", func(p access.Principal) []wire.Request {
			return []wire.Request{{Op: model.OpDropCollection, Collection: "c"}, {Op: model.OpCreateCollection, Collection: "c"},
				rightsOf(model.OpGrant, p, model.RightsAll)}
		}, model.NoCollection},
	} {
		w := full(t, 0)
		alice := w.person("alice", model.RightReadOwn|model.RightWrite)
		w.must(alice, put("c", "mine", "data"), model.OK)
		w.stuff("c", 1, 3*stride)
		w.byHand = true
		list := w.ask(alice, wire.Request{Op: model.OpList, Collection: "c"})
		for _, r := range tc.change(alice) {
			w.ask(admin, r)
			w.commit(len(w.pending))
		}
		if _, done := w.answered(list); done {
			t.Fatal("the LIST was answered immediately; the test needs several steps")
		}
		for w.work() {
		}
		if a, done := w.answered(list); !done || a.code != tc.want || len(a.objects) > 0 {
			t.Errorf("%s: answered %v, code %d, %d objects", tc.name, done, a.code, len(a.objects))
		}
	}
}

// TestListsOfAPrincipalTakeTurns: all LISTs of a principal together are one piece of work, so
// another principal does not wait longer. Too many LISTs are refused.
func TestListsOfAPrincipalTakeTurns(t *testing.T) {
	w := full(t, 0)
	alice := w.person("alice", model.RightReadOwn)
	bob := w.person("bob", model.RightReadOwn)
	w.stuff("c", 1, 3*stride)
	w.byHand = true
	refused := 0
	for range maxInTurn + 7 {
		if r, done := w.part(alice, "c", identity.ID{}); done && r.Code == model.Overloaded {
			refused++
		}
	}
	if refused != 7 || len(w.e.work) != 1 {
		t.Fatalf("%d LISTs are refused, and there are %d pieces of work; want some refused, and one piece", refused, len(w.e.work))
	}
	if _, done := w.part(bob, "c", identity.ID{}); done {
		t.Fatal("a LIST was answered immediately; the test needs several steps")
	}
	answered := false
	for range 2 * 4 {
		w.e.Work()
		for _, r := range w.e.Take().Replies {
			answered = answered || r.Principal == bob
		}
	}
	if !answered {
		t.Error("a principal with one LIST waits for another principal's thousand")
	}
}

// TestAnIndexBuildLooksAtItsCollectionAlone: the build of an empty collection's index ends when
// the Task accepts its configuration, whatever other collections have.
func TestAnIndexBuildLooksAtItsCollectionAlone(t *testing.T) {
	w := full(t, 300_000)
	w.ask(admin, createIndex("c", "x", model.TypeAny, 0))
	w.commit(1)
	x := w.x()
	w.e.TaskStarted(x.instance)
	w.take()
	w.step(w.task(x.instance))
	if x.state != model.IndexServing {
		t.Errorf("the index of an empty collection is in state %d after its Task accepted it; want serving", x.state)
	}
}

// TestAnIndexBuildQueuesFewObjects at a time, however many objects exist.
func TestAnIndexBuildQueuesFewObjects(t *testing.T) {
	w := full(t, 0)
	w.stuff("c", 1, 30_000)
	w.ask(admin, createIndex("c", "x", model.TypeAny, 0))
	w.commit(1)
	w.e.TaskStarted(w.x().instance)
	if n := len(w.x().queue) + len(w.x().sent); n > fetchAhead {
		t.Errorf("a build queues %d objects together; want few", n)
	}
}

// TestACommitGoesToTheIndexesThatItTouches, and not to indexes of other collections.
func TestACommitGoesToTheIndexesThatItTouches(t *testing.T) {
	w := indexed(t, 0)
	w.register("d", "x", 0)
	w.settle()
	other := w.e.byName["d"].index("x")
	w.e.TaskEnded(other.instance, model.ReasonTaskEnded)
	w.take()
	w.settle()
	w.now = w.now.Add(maxBackoff)
	w.e.Now = w.now // the Task could start again, and will with the next tick
	w.must(admin, put("c", "four", "data of four"), model.OK)
	if other.instance != 0 {
		t.Error("a commit to one collection started the Task of another")
	}
	if w.tick(0); other.instance == 0 {
		t.Error("a tick did not start the Task")
	}
}

// TestADropIsOneStep: all records become dead together, without a visit of their entries.
func TestADropIsOneStep(t *testing.T) {
	w := full(t, 50_000)
	before := w.e.Live()[1]
	w.byHand = true
	w.must(admin, wire.Request{Op: model.OpDropCollection, Collection: "full"}, model.OK)
	if live := w.e.Live()[1]; live != before-50_000*160 {
		t.Errorf("after a drop %d of %d bytes of segment 1 are live; want 0", live, before)
	}
	if n, _ := w.e.Objects(); n != 0 || w.e.Work() {
		t.Errorf("after a drop %d objects, or work, are left", n)
	}
	if _, _, clean := w.e.PendingMaintenance(); clean {
		t.Error("a drop starts a cleaning pass; want none")
	}
}

// TestAnErasureIsDoneInSteps. Each step removes a bounded number of objects. Erased objects are
// hidden from the first step on, and the key is destroyed after the last step. A COMPACT waits
// for that. A checkpoint at any moment leads to the same end.
func TestAnErasureIsDoneInSteps(t *testing.T) {
	const n = 10 * stride
	w := full(t, n/2)
	alice := w.person("alice", model.RightsAll)
	for _, name := range []string{"hers", "hers, too"} {
		w.must(alice, put("c", name, "data"), model.OK)
	}
	owner := w.e.principals[alice].owner
	w.stuff("c", owner, n)
	w.stuff("full", owner, n)
	w.byHand = true
	request := w.ask(admin, removal(alice, wire.FlagErase))
	w.commit(1)
	compact := w.ask(admin, op(model.OpCompact))
	steps := 0
	for more := true; more; steps++ {
		if erase, _, clean := w.e.PendingMaintenance(); len(erase) > 0 || clean {
			t.Fatalf("after %d steps the keys of %v are to be destroyed, or the store to be cleaned", steps, erase)
		}
		w.must2(w.ask(admin, get("c", "hers")), model.NotFound)
		if steps == 0 { // a name is free immediately
			free := put("c", "hers, too", "not hers any more")
			free.Flags = wire.FlagIfAbsent
			n := w.ask(admin, free)
			w.commit(1)
			w.must2(n, model.OK)
		}
		w.must2(w.ask(admin, get("c", "hers, too")), model.OK)
		if steps%7 == 0 {
			again := w.replay(w.checkpoint())
			if erase, _, _ := again.PendingMaintenance(); !slices.Equal(erase, []uint32{owner}) {
				t.Fatalf("after a restart the keys of %v are to be destroyed", erase)
			}
			if left, _ := again.Objects(); left != n/2+1 {
				t.Fatalf("after a restart there are %d objects", left)
			}
		}
		before, _ := w.e.Objects()
		more = w.work()
		if after, _ := w.e.Objects(); before-after > stride {
			t.Fatalf("one step removed %d objects; want fewer", before-after)
		}
	}
	if left, _ := w.e.Objects(); left != n/2+1 || steps < 2*n/stride {
		t.Errorf("%d objects are left after %d steps", left, steps)
	}
	if _, done := w.answered(request); done {
		t.Error("the erasure is answered before the key is destroyed")
	}
	if _, waiting, clean := w.e.PendingMaintenance(); waiting != 1 || !clean {
		t.Error("the COMPACT does not wait")
	}
	w.eraseKeys()
	w.must2(request, model.OK)
	if _, done := w.answered(compact); done {
		t.Error("the COMPACT is answered before the compaction is done")
	}
}

// TestErasuresThatOverlap: each ends after a pass over all objects that began after it was
// applied.
func TestErasuresThatOverlap(t *testing.T) {
	w := full(t, 0)
	alice, bob := w.person("alice", model.RightsAll), w.person("bob", model.RightsAll)
	for _, p := range []access.Principal{alice, bob} {
		w.stuff("c", w.e.principals[p].owner, 4*stride)
	}
	owners := []uint32{w.e.principals[alice].owner, w.e.principals[bob].owner}
	w.byHand = true
	w.ask(admin, removal(alice, wire.FlagErase))
	w.commit(1)
	w.work()
	w.work()
	w.ask(admin, removal(bob, wire.FlagErase))
	w.commit(1)
	for {
		erase, _, _ := w.e.PendingMaintenance()
		for _, o := range all(w.e) {
			if slices.Contains(erase, o.Owner) {
				t.Fatalf("the key of owner %d is to be destroyed, and an object is there", o.Owner)
			}
		}
		if len(erase) == 1 { // the first erasure ends alone
			w.eraseKeys()
			owners = owners[1:]
		}
		if !w.work() {
			break
		}
	}
	if erase, _, _ := w.e.PendingMaintenance(); !slices.Equal(erase, owners) || len(owners) != 1 {
		t.Errorf("the keys of %v are to be destroyed, want %v", erase, owners)
	}
	if n, _ := w.e.Objects(); n != 0 {
		t.Errorf("%d objects are left", n)
	}
}

// TestAnErasureWaitsForIndexesThatLag: it queues no removals while the queues are too long, and
// continues at a tick when they are shorter. Erased objects are hidden all the time.
func TestAnErasureWaitsForIndexesThatLag(t *testing.T) {
	w := indexed(t, 0)
	alice := w.person("alice", model.RightsAll)
	w.must(alice, put("c", "hers", "data"), model.OK)
	w.stuff("c", w.e.principals[alice].owner, 3*stride)
	w.byHand = true
	w.ask(admin, removal(alice, wire.FlagErase))
	w.commit(1)
	w.work()
	before, _ := w.e.Objects()
	const more = 2 * maxBacklog
	w.e.backlog += more
	for w.work() {
	}
	w.tick(0)
	erase, _, _ := w.e.PendingMaintenance()
	if now, _ := w.e.Objects(); now != before || len(erase) > 0 || w.e.Work() {
		t.Fatalf("of %d objects %d are left, and the keys of %v are to be destroyed", before, now, erase)
	}
	w.must2(w.ask(admin, get("c", "hers")), model.NotFound)
	w.e.backlog -= more
	w.tick(0)
	for w.work() {
	}
	if n, _ := w.e.Objects(); n != 3 {
		t.Errorf("%d objects are left", n)
	}
	if erase, _, _ := w.e.PendingMaintenance(); len(erase) != 1 {
		t.Error("the erasure has ended, but no key is to be destroyed")
	}
}

// TestPiecesOfACheckpoint: there are as many pieces as the objects need, and none for an empty
// collection.
func TestPiecesOfACheckpoint(t *testing.T) {
	w := full(t, 2*4096+1)
	for i := range 300 {
		w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: fmt.Sprint("empty-", i)}, model.OK)
	}
	w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: "one"}, model.OK)
	w.must(admin, put("one", "x", "data"), model.OK)
	_, _, rest := w.e.Checkpoint()
	var entries []int
	for piece := w.e.Section(&rest, 4096); piece != nil; piece = w.e.Section(&rest, 4096) {
		entries = append(entries, (len(piece)-4)/47)
	}
	if want := []int{4096, 4096, 1, 1}; !slices.Equal(entries, want) {
		t.Errorf("pieces of %v entries, want %v", entries, want)
	}
}

// TestCollectionsComeAndGoWhileACheckpointIsTaken: collections that are made meanwhile are only
// in the records after the checkpoint's position.
func TestCollectionsComeAndGoWhileACheckpointIsTaken(t *testing.T) {
	w := full(t, 10)
	w.must(admin, put("c", "one", "data"), model.OK)
	c := w.begin()
	c.more(w.e)
	w.must(admin, wire.Request{Op: model.OpDropCollection, Collection: "c"}, model.OK)
	for _, name := range []string{"c", "d"} {
		w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: name}, model.OK)
		w.must(admin, put(name, "two", "data"), model.OK)
	}
	c.more(w.e)
	w.must(admin, wire.Request{Op: model.OpDropCollection, Collection: "full"}, model.OK)
	for c.more(w.e) {
	}
	same(t, w.replay(c), w.replay(nil))
}

// TestPiecesThatAreNoneAreRefused checks that invalid pieces of a checkpoint are refused.
func TestPiecesThatAreNoneAreRefused(t *testing.T) {
	w := full(t, 5)
	w.stuff("c", 1, 5)
	c := w.checkpoint() // each piece has two objects
	catalogue, first, second := c.pieces[0], c.pieces[1:4], c.pieces[4:7]
	unknown := slices.Clone(first[0])
	unknown[3] = 9
	server := slices.Clone(first[0])
	server[3] = 0
	for name, pieces := range map[string][][]byte{
		"as they are":                         slices.Concat(first, second),
		"one is missing":                      slices.Concat(first[:1], first[2:], second), // looks as if its objects had been deleted
		"of an unknown collection":            {unknown},
		"of the server":                       {server, first[0]},
		"empty":                               {{}},
		"without entries":                     {first[0][:4]},
		"half a number":                       {first[0][:3]},
		"a byte is missing":                   {first[0][:len(first[0])-1]},
		"twice":                               {first[0], first[0]},
		"not in order":                        {first[1], first[0]},
		"collections not in order":            {second[0], first[0]},
		"a piece of a collection comes later": {first[0], second[0], first[1]},
		"entries not in order":                {slices.Concat(first[0][:4], first[0][4+47:], first[0][4:4+47])},
	} {
		e := New(w.e.Config)
		err := e.Restore(0, catalogue)
		for i := 0; i < len(pieces) && err == nil; i++ {
			err = e.Restore(1+i, pieces[i])
		}
		valid := name == "as they are" || name == "one is missing" || name == "of the server"
		if (err == nil) != valid || err != nil && !errors.Is(err, codec.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWhatWaitsForAChangeGoesOnInSteps: requests that arrive during a change of the catalogue
// are decided later, a few at a time and in order. Later requests follow them.
func TestWhatWaitsForAChangeGoesOnInSteps(t *testing.T) {
	w := full(t, 0)
	w.byHand = true
	w.ask(admin, wire.Request{Op: model.OpCreateCollection, Collection: "d"})
	const n = 3*stride + 7
	var names []string
	for i := range n {
		names = append(names, fmt.Sprint("object ", i))
		w.ask(admin, put("d", names[i], "data"))
	}
	w.commit(1)
	w.ask(admin, put("d", "later", "data"))
	names = append(names, "later")
	for before := 0; ; {
		if more := len(w.pending) - before; more > stride {
			t.Fatalf("%d writes are decided in one event", more)
		}
		before = len(w.pending)
		w.must2(w.ask(admin, get("c", "none")), model.NotFound)
		if !w.work() {
			break
		}
	}
	if len(w.pending) != len(names) {
		t.Fatalf("%d writes are on their way, want %d", len(w.pending), len(names))
	}
	for i, g := range w.pending {
		if o, _ := DecodeObject(g[0].Body); string(o.Name) != names[i] {
			t.Fatalf("write %d is of %q, want %q", i, o.Name, names[i])
		}
	}
}

// TestALabelIsTakenWhileItsPrincipalIsThere: a label can't be used twice, also after a restart.
func TestALabelIsTakenWhileItsPrincipalIsThere(t *testing.T) {
	w := full(t, 0)
	alice := w.person("alice", 0)
	another := wire.Request{Op: model.OpAddPrincipal, Identity: identity.ID{0: 8}, Name: []byte("alice")}
	w.must(admin, another, model.Exists)
	w.start(w.replay(w.checkpoint()))
	w.settle()
	w.must(admin, another, model.Exists)
	w.must(admin, removal(alice, 0), model.OK)
	w.must(admin, another, model.OK)
	another.Identity[0] = 7
	w.must(admin, another, model.Exists)
}

// TestAStatusIsMadeInSteps: one event does not visit all principals, or all grants of a
// collection. Several requests of a principal are answered one after the other. Every item that
// existed all the time is in the answer once.
func TestAStatusIsMadeInSteps(t *testing.T) {
	const n = 4 * stride
	w := full(t, 0)
	c := w.e.byName["c"]
	for i := range n {
		p := access.Principal{0: 5, 1: byte(i), 2: byte(i >> 8)}
		w.e.principals[p] = &principal{id: p, owner: uint32(100 + i), label: fmt.Sprint("somebody-", i)}
		c.grants.Set(p, model.RightRead)
	}
	w.byHand = true
	first, second := w.ask(admin, op(model.OpStatus)), w.ask(admin, op(model.OpStatus))
	if len(w.e.work) != 1 {
		t.Fatalf("%d pieces of work", len(w.e.work))
	}
	steps := 0
	for more := true; more; steps++ {
		if _, done := w.answered(first); done {
			break
		}
		w.must2(w.ask(admin, get("c", "none")), model.NotFound)
		if steps == 1 { // it did not exist at the request, or will not at the end
			delete(w.e.principals, access.Principal{0: 5, 1: 0xff, 2: byte(n>>8) - 1})
		}
		more = w.work()
		if a := slices.IndexFunc(w.answers, func(a answer) bool { return a.number == first && a.code == model.OK }); a >= 0 {
			seen := make(map[string]int)
			for _, item := range w.answers[a].items {
				seen[string(item)]++
			}
			if len(seen) != len(w.answers[a].items) || len(seen) < 2*n-1 {
				t.Errorf("%d items, %d different ones, of %d principals with a grant each", len(w.answers[a].items), len(seen), n)
			}
		}
	}
	if steps < 2*n/stride-1 {
		t.Errorf("the status took %d steps; want several", steps)
	}
	for w.work() {
	}
	w.must2(second, model.OK)
}
