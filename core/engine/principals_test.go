package engine

import (
	"testing"

	"motte/core/access"
	"motte/core/control"
	"motte/core/identity"
	"motte/core/log"
	"motte/core/wire"
)

// registered adds a principal with rights in the collection "c".
func (w *world) registered(label string, id byte, rights wire.Rights) access.Principal {
	w.t.Helper()
	p := identity.ID{0: id}
	w.must(admin, wire.Request{Op: wire.OpAddPrincipal, Identity: p, Name: []byte(label)}, wire.OK)
	if rights != 0 {
		w.must(admin, wire.Request{Op: wire.OpGrant, Collection: "c", Identity: p, Flags: wire.Flags(rights)}, wire.OK)
	}
	return access.Principal(p)
}

// startWith starts anew, with a new administrator.
func (w *world) startWith(id access.Principal) {
	e := w.replay(nil)
	e.NewAdmin = id
	w.start(e)
}

// TestANewAdministratorIsTheOnlyOne: an operator makes one when the keys of all others are
// lost. Those lose the right to administer the server, and nothing else. Clients can come
// when that is durable, and an alert says so.
func TestANewAdministratorIsTheOnlyOne(t *testing.T) {
	w := indexed(t, 0)
	bob := w.registered("bob", 9, wire.RightReadOwn|wire.RightWrite)
	w.must(admin, wire.Request{Op: wire.OpGrant, Identity: identity.ID(bob), Flags: wire.Flags(wire.RightAdmin)}, wire.OK)
	w.must(bob, put("c", "his", "data"), wire.OK)
	w.must(admin, put("c", "hers", "data"), wire.OK)

	carol := access.Principal{0: 10}
	e := w.replay(nil)
	e.NewAdmin = carol
	w.pending, w.tasks, w.e = nil, nil, e
	w.newSegment()
	e.Start(w.now, w.position())
	ready := func() (n int) {
		for _, m := range e.out.Host {
			if m.Type == control.Ready {
				n++
			}
		}
		return n
	}
	if len(e.out.Append) != 1 || ready() != 0 {
		t.Fatalf("%d groups are appended, and clients can come: %d", len(e.out.Append), ready())
	}
	var at []log.Location
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
		alerts := wire.Request{Op: wire.OpAlerts}
		if got := w.must(carol, alerts, wire.OK); got.count != 1 || w.lastReason() != wire.ReasonNewAdmin {
			t.Errorf("start %d: %d alerts, the last for reason %d", again, got.count, w.lastReason())
		}
		for _, p := range []access.Principal{admin, bob} {
			w.must(p, alerts, wire.Denied)
		}
		w.must(admin, get("c", "hers"), wire.OK)
		w.must(bob, get("c", "his"), wire.OK)
		w.must(bob, get("c", "hers"), wire.NotFound)
		w.must(carol, get("c", "his"), wire.Denied)
		w.must(carol, wire.Request{Op: wire.OpRemovePrincipal, Identity: identity.ID(carol)}, wire.InvalidRequest)
		w.boot()
	}

	w.startWith(carol) // a command that was cut short is done again
	w.settle()
	if n := len(w.e.byID[0].grants); n != 1 || !w.e.isAdmin(carol) || len(w.e.principals) != 3 {
		t.Errorf("done again: %d administrators, %d principals", n, len(w.e.principals))
	}
	w.startWith(bob) // one that is registered already
	w.settle()
	if n := len(w.e.byID[0].grants); n != 1 || !w.e.isAdmin(bob) || len(w.e.principals) != 3 {
		t.Errorf("bob: %d administrators, %d principals", n, len(w.e.principals))
	}
	w.must(bob, get("c", "his"), wire.OK)
}

// TestANewAdministratorIsMadeWholeOrNot: a disk that refuses the records leaves the
// administrators that there were.
func TestANewAdministratorIsMadeWholeOrNot(t *testing.T) {
	w := indexed(t, 0)
	w.startWith(access.Principal{0: 10})
	w.fail()
	w.boot()
	w.settle()
	w.must(admin, wire.Request{Op: wire.OpAlerts}, wire.OK)
	if n := len(w.e.principals); n != 1 {
		t.Errorf("%d principals", n)
	}
}
