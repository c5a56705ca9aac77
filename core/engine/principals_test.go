package engine

import (
	"testing"

	"motte/core/access"
	"motte/core/hostwire"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/wire"
)

// registered adds a principal, with rights in the collection "c".
func (w *world) registered(label string, id byte, rights model.Rights) access.Principal {
	w.t.Helper()
	p := identity.ID{0: id}
	w.must(admin, wire.Request{Op: model.OpAddPrincipal, Identity: p, Name: []byte(label)}, model.OK)
	if rights != 0 {
		w.must(admin, wire.Request{Op: model.OpGrant, Collection: "c", Identity: p, Rights: rights}, model.OK)
	}
	return access.Principal(p)
}

// startWith starts the engine again, with a new administrator.
func (w *world) startWith(id access.Principal) {
	e := w.replay(nil)
	e.NewAdmin = id
	w.start(e)
}

// TestANewAdministratorIsTheOnlyOne: an operator makes one when the keys of all others are lost.
// The others lose only the right to administer the server. Clients may connect once this is
// durable, and an alert records it.
func TestANewAdministratorIsTheOnlyOne(t *testing.T) {
	w := indexed(t, 0)
	bob := w.registered("bob", 9, model.RightReadOwn|model.RightWrite)
	w.must(admin, wire.Request{Op: model.OpGrant, Identity: identity.ID(bob), Rights: model.RightAdmin}, model.OK)
	w.must(bob, put("c", "his", "data"), model.OK)
	w.must(admin, put("c", "hers", "data"), model.OK)

	carol := access.Principal{0: 10}
	e := w.replay(nil)
	e.NewAdmin = carol
	w.pending, w.tasks, w.e = nil, nil, e
	w.newSegment()
	e.Start(w.now, w.position())
	ready := func() (n int) {
		for _, m := range e.out.Host {
			if _, is := m.(hostwire.Ready); is {
				n++
			}
		}
		return n
	}
	if len(e.out.Append) != 1 || ready() != 0 {
		t.Fatalf("%d groups are appended, and clients can come: %d", len(e.out.Append), ready())
	}
	var at []seglog.Location
	for _, r := range e.Take().Append[0] {
		at = append(at, w.store(r))
	}
	e.Committed(at, w.position())
	if ready() != 1 {
		t.Fatalf("clients can come %d times", ready())
	}
	w.take()
	w.settle()

	for again := range 2 {
		alerts := wire.Request{Op: model.OpAlerts}
		if got := w.must(carol, alerts, model.OK); got.count != 1 || w.lastReason() != model.ReasonNewAdmin {
			t.Errorf("start %d: %d alerts, the last for reason %d", again, got.count, w.lastReason())
		}
		for _, p := range []access.Principal{admin, bob} {
			w.must(p, alerts, model.Denied)
		}
		w.must(admin, get("c", "hers"), model.OK)
		w.must(bob, get("c", "his"), model.OK)
		w.must(bob, get("c", "hers"), model.NotFound)
		w.must(carol, get("c", "his"), model.Denied)
		w.must(carol, wire.Request{Op: model.OpRemovePrincipal, Identity: identity.ID(carol)}, model.InvalidRequest)
		w.boot()
	}

	w.startWith(carol) // an interrupted command is repeated
	w.settle()
	if n := len(w.e.byID[0].grants); n != 1 || !w.e.isAdmin(carol) || len(w.e.principals) != 3 {
		t.Errorf("after the repetition there are %d administrators and %d principals", n, len(w.e.principals))
	}
	w.startWith(bob) // a principal that is registered already
	w.settle()
	if n := len(w.e.byID[0].grants); n != 1 || !w.e.isAdmin(bob) || len(w.e.principals) != 3 {
		t.Errorf("bob: %d administrators, %d principals", n, len(w.e.principals))
	}
	w.must(bob, get("c", "his"), model.OK)
}

// TestANewAdministratorIsMadeWholeOrNot: if the disk refuses the records, the former
// administrators stay.
func TestANewAdministratorIsMadeWholeOrNot(t *testing.T) {
	w := indexed(t, 0)
	w.startWith(access.Principal{0: 10})
	w.fail()
	w.boot()
	w.settle()
	w.must(admin, wire.Request{Op: model.OpAlerts}, model.OK)
	if n := len(w.e.principals); n != 1 {
		t.Errorf("%d principals", n)
	}
}

// rotationRequest gives a principal another key.
func rotationRequest(who, next access.Principal) wire.Request {
	return wire.Request{Op: model.OpRotatePrincipal, Identity: identity.ID(who), Query: next[:]}
}

// TestARotatedKeyKeepsAllButTheKey: with its next key the principal has the same objects,
// rights, label and drawn bits. The old key is refused, and its connections end.
func TestARotatedKeyKeepsAllButTheKey(t *testing.T) {
	w := indexed(t, model.OptionOrdered)
	w.retable(func(r *model.Row) { r.LeakBudget = 1 << 10 })
	w.settle()
	bob := w.registered("bob", 9, model.RightReadOwn|model.RightWrite|model.RightDelete)
	w.must(admin, put("c", "hers", "data"), model.OK)
	w.must(bob, put("c", "his", "data"), model.OK)
	w.must(bob, byPredicate(model.OpSearch, "c", "x", ""), model.OK)
	owner, told := w.e.principals[bob].owner, *w.e.byName["c"].index("x").ledger.of(w.e.principals[bob].owner)
	if told.drawn == 0 {
		t.Fatal("no bit was drawn")
	}

	next := access.Principal{0: 10}
	for _, p := range []access.Principal{bob, admin} { // the next key must not be registered, not even to the same principal
		w.must(admin, rotationRequest(bob, p), model.Exists)
	}
	w.must(bob, rotationRequest(bob, next), model.Denied)
	w.must(admin, rotationRequest(next, access.Principal{0: 11}), model.NoPrincipal)
	w.must(admin, rotationRequest(bob, access.Principal{}), model.InvalidRequest)
	for _, query := range [][]byte{nil, next[:31], append(next[:], 0)} {
		r := rotationRequest(bob, next)
		r.Query = query
		w.must(admin, r, model.InvalidRequest)
	}

	question := w.ask(bob, byPredicate(model.OpSearch, "c", "x", "")) // a query that is with the Task
	n := w.ask(admin, rotationRequest(bob, next))
	waits := w.ask(bob, put("c", "his", "more"))
	if _, done := w.answered(n); done {
		t.Error("the rotation is answered before it is durable")
	}
	at := make([]seglog.Location, 0, 1)
	for _, r := range w.pending[0] {
		at = append(at, w.store(r))
	}
	w.pending = w.pending[1:]
	w.e.Committed(at, w.position())
	if ended := w.e.out.Ended; len(ended) != 1 || ended[0] != bob {
		t.Errorf("connections end of %x", ended)
	}
	w.take()
	w.settle()
	w.must2(n, model.OK)
	w.must2(waits, model.UnknownPrincipal)
	if a, ok := w.answered(question); !ok || a.count != 0 {
		t.Errorf("a query of the old key: answered %v, with %d objects", ok, a.count)
	}

	status := wire.Request{Op: model.OpStatus}
	for again := range 3 {
		x := w.e.byName["c"].index("x")
		w.must(bob, get("c", "his"), model.UnknownPrincipal)
		w.must(next, get("c", "his"), model.OK)
		w.must(next, get("c", "hers"), model.NotFound)
		w.must(next, put("c", "his", "new data"), model.OK)
		p := w.e.principals[next]
		if p == nil || p.owner != owner || p.label != "bob" || p.id != next || len(w.e.principals) != 2 {
			t.Fatalf("start %d: it is %+v, of %d", again, p, len(w.e.principals))
		}
		if a := x.ledger.of(owner); a.drawn < told.drawn || a.held != 0 {
			t.Errorf("start %d: it drew %d of its budget, and %d before; %d are held", again, a.drawn, told.drawn, a.held)
		}
		w.must(next, status, model.OK)
		if again == 0 {
			w.boot()
		} else {
			w.start(w.replay(w.checkpoint()))
		}
		w.settle()
	}

	// The old key can be registered again, as another principal without objects.
	w.must(admin, wire.Request{Op: model.OpAddPrincipal, Identity: identity.ID(bob), Name: []byte("bob")}, model.Exists) // the label is in use
	if again := w.registered("robert", 9, model.RightReadOwn); again != bob {
		t.Fatal("the test registers another key than the rotated one")
	}
	w.must(bob, get("c", "his"), model.NotFound)

	// An erasure with the next key covers all objects of the principal. A rotated administrator can
	// be the last one.
	w.ask(admin, removal(next, wire.FlagErase))
	w.settle()
	w.eraseKeys()
	w.must(admin, get("c", "his"), model.NotFound)
	root := access.Principal{0: 12}
	w.must(admin, rotationRequest(admin, root), model.OK)
	w.must(admin, status, model.UnknownPrincipal)
	w.must(root, removal(root, 0), model.InvalidRequest)
	w.must(root, get("c", "hers"), model.OK)
}

// TestAHeadTellsTheNextKey: any principal learns which key will follow the Core's key, and gets
// no key if there is none.
func TestAHeadTellsTheNextKey(t *testing.T) {
	w := indexed(t, 0)
	bob := w.registered("bob", 9, 0)
	ask := wire.Request{Op: model.OpHead}
	for _, key := range [][]byte{nil, make([]byte, 32)} {
		w.e.NextKey = key
		for _, p := range []access.Principal{admin, bob} {
			if a := w.must(p, ask, model.OK); string(a.body) != string(key) {
				t.Errorf("the answer to HEAD tells %x", a.body)
			}
		}
		if a := w.must(access.Principal{0: 99}, ask, model.UnknownPrincipal); len(a.body) > 0 {
			t.Errorf("a stranger is told %x", a.body)
		}
	}
}
