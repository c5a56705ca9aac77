package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"motte/client/frames"
	"motte/core/access"
	"motte/core/hostwire"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/wire"
)

func removal(p access.Principal, flags wire.Flags) wire.Request {
	return wire.Request{Op: model.OpRemovePrincipal, Identity: identity.ID(p), Flags: flags}
}

func op(o model.Operation) wire.Request { return wire.Request{Op: o} }

// erase erases a principal as far as the engine is concerned. The request is not answered yet.
func (w *world) erase(p access.Principal) {
	w.t.Helper()
	n := w.ask(admin, removal(p, wire.FlagErase))
	w.settle()
	if a, done := w.answered(n); done {
		w.t.Fatalf("answered with code %d before the key is destroyed", a.code)
	}
}

// same checks that two engines that have not started have the same state.
func same(t testing.TB, got, want *Engine) {
	t.Helper()
	for _, e := range []*Engine{got, want} {
		e.cleanedAt = 0 // the log does not have it
		e.collections = append([]*collection{}, e.collections...)
		for _, c := range e.collections {
			c.indexes = append([]*index{}, c.indexes...)
		}
		// Alerts from a time without a log are known only to the engine of that time.
		e.alerts = slices.DeleteFunc(e.alerts, func(body []byte) bool { return decodeAlert(body).LSN == 0 })
	}
	if a, b := all(got), all(want); !slices.Equal(a, b) {
		t.Fatalf("the collections hold\n%+v\nwant\n%+v", a, b)
	}
	for _, e := range []*Engine{got, want} {
		for _, c := range e.collections {
			c.objects, c.touched = nil, false // compared above; and state that only concerns Tasks
		}
	}
	sameLedgers(t, got, want)
	for _, c := range []*catalogue{&got.catalogue, &want.catalogue} {
		if len(c.indexes) == 0 {
			c.indexes = nil // whether there was an index or not
		}
	}
	if !reflect.DeepEqual(got.catalogue, want.catalogue) {
		t.Fatalf("the catalogue is\n%+v\nwant\n%+v", got.catalogue, want.catalogue)
	}
	if !slices.EqualFunc(got.alerts, want.alerts, bytes.Equal) {
		t.Fatalf("%d alerts, want %d", len(got.alerts), len(want.alerts))
	}
	if !reflect.DeepEqual(got.used, want.used) {
		t.Fatalf("the segments are used by %v, want %v", got.used, want.used)
	}
}

// sameLedgers checks that no account is lower than in the other engine, and clears both. A
// checkpoint has the bits drawn on accounts without a cap. The log has them only up to their
// last record.
func sameLedgers(t testing.TB, got, want *Engine) {
	t.Helper()
	again := got.indexes
	number := make(map[*index]int)
	for i, x := range want.indexes {
		number[x] = i
	}
	for _, b := range want.accounts() {
		a := again[number[b.x]].ledger.of(b.owner)
		if a.drawn < b.drawn || a.durable < b.durable {
			t.Fatalf("index %s, owner %d: the account is %+v, want %+v", b.x.name, b.owner, a, b.account)
		}
	}
	for i, x := range want.indexes {
		x.ledger, again[i].ledger = ledger{}, ledger{}
	}
}

// TestAHeadIsOfTheHistoryOrNot: a client with a remembered head learns whether the log still has
// it.
func TestAHeadIsOfTheHistoryOrNot(t *testing.T) {
	w := indexed(t, 0)
	old := w.head()
	w.fail()
	w.resume()
	w.must(admin, put("c", "four", "data of four"), model.OK)
	now := w.head()
	if old.Segment == now.Segment {
		t.Fatal("the log continues in the segment of a failed write")
	}
	change := func(h model.Head, change func(*model.Head)) model.Head {
		change(&h)
		return h
	}
	nobody := access.Principal{0: 7}
	for _, tc := range []struct {
		name  string
		who   access.Principal
		query []byte
		want  model.Code
	}{
		{"none", admin, nil, model.OK},
		{"the newest", admin, model.AppendHead(nil, &now), model.OK},
		{"one of an earlier segment", admin, model.AppendHead(nil, &old), model.OK},
		{"one before that", admin, model.AppendHead(nil, &model.Head{LSN: 1, Segment: w.tag(1)}), model.OK},
		{"one that is to come", admin, model.AppendHead(nil, ptr(change(now, func(h *model.Head) { h.LSN++ }))), model.HistoryDiffers},
		{"one of a fork", admin, model.AppendHead(nil, ptr(change(now, func(h *model.Head) { h.Segment[0] ^= 1 }))), model.HistoryDiffers},
		{"one of a record that was lost", admin, model.AppendHead(nil, ptr(change(old, func(h *model.Head) { h.LSN++ }))), model.HistoryDiffers},
		{"half of one", admin, model.AppendHead(nil, &now)[:20], model.InvalidRequest},
		{"more than one", admin, append(model.AppendHead(nil, &now), 0), model.InvalidRequest},
		{"a stranger's", nobody, model.AppendHead(nil, &now), model.UnknownPrincipal},
	} {
		n := w.ask(tc.who, wire.Request{Op: model.OpHead, Query: tc.query})
		if a, done := w.answered(n); !done || a.code != tc.want {
			t.Errorf("%s: answered %v with code %d, want %d", tc.name, done, a.code, tc.want)
		}
	}
}

func ptr[T any](v T) *T { return &v }

// TestACompactionIsAnsweredWhenItIsDone. Only a server administrator may request it.
func TestACompactionIsAnsweredWhenItIsDone(t *testing.T) {
	w := indexed(t, 0)
	alice := w.person("alice", model.RightsAll)
	w.must2(w.ask(alice, op(model.OpCompact)), model.Denied)
	if _, _, clean := w.e.PendingMaintenance(); clean {
		t.Fatal("a denied request starts a compaction")
	}
	for _, want := range []model.Code{model.OK, model.StorageFailed} {
		first, second := w.ask(admin, op(model.OpCompact)), w.ask(admin, op(model.OpCompact))
		w.settle()
		erase, waiting, clean := w.e.PendingMaintenance()
		if waiting != 2 || !clean || len(erase) != 0 || len(w.answers) != 0 {
			t.Fatalf("%d requests wait for a compaction, which is to be done: %v; %d wait for an erasure, and %d are answered", waiting, clean, len(erase), len(w.answers))
		}
		late := w.ask(admin, op(model.OpCompact))
		if want == model.OK {
			w.e.Cleaned(w.now)
		}
		w.e.CompactionDone(waiting, want)
		w.take()
		w.must2(first, want)
		w.must2(second, want)
		if len(w.answers) != 0 {
			t.Fatal("a request that came during the compaction is answered by it")
		}
		if _, waiting, clean = w.e.PendingMaintenance(); waiting != 1 || !clean {
			t.Fatal("a request that came during the compaction starts no further one")
		}
		w.e.Cleaned(w.now)
		w.e.CompactionDone(waiting, model.OK)
		w.take()
		w.must2(late, model.OK)
		if _, waiting, clean = w.e.PendingMaintenance(); waiting != 0 || clean {
			t.Fatal("the compaction is to be done twice")
		}
	}
	w.e.Stop()
	w.must2(w.ask(admin, op(model.OpCompact)), model.ShuttingDown)
}

// TestWhoMayErase: a server administrator may, but not the last administrator.
func TestWhoMayErase(t *testing.T) {
	alice, bob, nobody := access.Principal{0: 9, 1: 'a'}, access.Principal{0: 9, 1: 'b'}, access.Principal{0: 7}
	for _, tc := range []struct {
		name    string
		by, who access.Principal
		want    model.Code
	}{
		{"an administrator", admin, alice, model.OK},
		{"an administrator, another one", admin, bob, model.OK},
		{"an administrator, itself", bob, bob, model.OK},
		{"who administers a collection", alice, bob, model.Denied},
		{"who administers a collection, itself", alice, alice, model.Denied},
		{"a stranger", nobody, alice, model.UnknownPrincipal},
		{"an administrator, who is not there", admin, nobody, model.NoPrincipal},
	} {
		w := indexed(t, 0)
		w.add(alice, "alice")
		w.add(bob, "bob")
		w.must(admin, grantRequest(model.OpGrant, "c", alice, model.RightsAll), model.OK)
		w.must(admin, grantRequest(model.OpGrant, "", bob, model.RightAdmin), model.OK)
		n := w.ask(tc.by, removal(tc.who, wire.FlagErase))
		w.settle()
		erase, _, _ := w.e.PendingMaintenance()
		if len(erase) != 0 != (tc.want == model.OK) {
			t.Errorf("%s: %d keys are to be destroyed", tc.name, len(erase))
		}
		w.eraseKeys()
		if a, done := w.answered(n); !done || a.code != tc.want {
			t.Errorf("%s: answered %v with code %d, want %d", tc.name, done, a.code, tc.want)
		}
		if w.e.Knows(tc.who) != (tc.want != model.OK && tc.who != nobody) {
			t.Errorf("%s: known is %v", tc.name, w.e.Knows(tc.who))
		}
	}
	w := indexed(t, 0)
	w.must(admin, removal(admin, wire.FlagErase), model.InvalidRequest)
	w.must(admin, removal(admin, wire.FlagErase|1), model.InvalidRequest)
}

// TestAnErasureTakesAllThatAPrincipalPut at once, and no other object. It is answered when no
// file has the key any more.
func TestAnErasureTakesAllThatAPrincipalPut(t *testing.T) {
	w := indexed(t, 0)
	w.register("d", "y", model.OptionLazy)
	alice, bob := w.person("alice", model.RightsAll), w.person("bob", model.RightsAll)
	w.must(admin, grantRequest(model.OpGrant, "d", alice, model.RightsAll), model.OK)
	w.must(alice, put("c", "hers", "data of hers"), model.OK)
	w.must(alice, put("d", "hers", "data of hers"), model.OK)
	w.must(alice, put("c", "two", "data of hers, too"), model.OK) // replaces an object of the administrator
	w.must(bob, put("c", "his", "data of his"), model.OK)
	id, owner := w.id("c", "hers"), w.e.principals[alice].owner

	n := w.ask(admin, removal(alice, wire.FlagErase))
	late := w.ask(bob, put("c", "hers", "data of his, now")) // waits until the erasure is decided
	w.must2(w.ask(admin, get("c", "hers")), model.OK)        // the erasure is not durable yet
	w.commit(1)
	if len(w.pending) != 1 || w.pending[0][0].Owner != w.e.principals[bob].owner {
		t.Fatalf("%d groups are in flight, want the one of the waiting request", len(w.pending))
	}
	w.must2(w.ask(admin, get("c", "hers")), model.NotFound) // though no Task was told yet
	w.must2(w.ask(admin, wire.Request{Op: model.OpGet, Collection: "c", Identity: id}), model.NotFound)
	w.must2(w.ask(admin, get("d", "hers")), model.NotFound)
	w.must2(w.ask(admin, get("c", "two")), model.NotFound)
	if a := w.must(admin, wire.Request{Op: model.OpList, Collection: "d"}, model.OK); len(a.objects) != 0 {
		t.Errorf("a LIST shows %d objects", len(a.objects))
	}
	if erase, _, _ := w.e.PendingMaintenance(); len(erase) != 1 || erase[0] != owner {
		t.Errorf("the keys of %v are to be destroyed", erase)
	}
	w.settle()
	w.must2(late, model.OK)
	for _, tc := range []struct {
		collection, index string
		want              []identity.ID
	}{
		{"c", "x", []identity.ID{w.id("c", "one"), w.id("c", "three"), w.id("c", "his"), w.id("c", "hers")}},
		{"d", "y", nil},
	} {
		found := w.must(admin, byPredicate(model.OpSearch, tc.collection, tc.index, "data"), model.OK)
		if got := ids(found.objects); !slices.Equal(got, sorted(tc.want)) {
			t.Errorf("a SEARCH in %q shows %x", tc.collection, got)
		}
		listed := w.must(admin, wire.Request{Op: model.OpList, Collection: tc.collection}, model.OK)
		if got := ids(listed.objects); !slices.Equal(got, sorted(tc.want)) {
			t.Errorf("a LIST of %q shows %x", tc.collection, got)
		}
		if a := w.must(admin, byPredicate(model.OpCount, tc.collection, tc.index, ""), model.OK); int(a.count) != len(tc.want) {
			t.Errorf("a COUNT in %q says %d", tc.collection, a.count)
		}
		if n := w.e.byName[tc.collection].objects.Len(); n != len(tc.want) {
			t.Errorf("%q has %d objects", tc.collection, n)
		}
	}
	if w.lastReason() != 0 {
		t.Errorf("an alert for reason %d", w.lastReason())
	}
	for _, k := range w.tasks {
		if _, ok := k.Held[id.Value()]; ok && k.Held[id.Value()].Input != "data of his, now" {
			t.Error("a Task still has erased objects")
		}
	}

	if a, done := w.answered(n); done {
		t.Fatalf("the erasure is answered with code %d, though the key is not destroyed", a.code)
	}
	again := w.replay(w.checkpoint())
	if erase, _, _ := again.PendingMaintenance(); len(erase) != 1 || erase[0] != owner {
		t.Errorf("a checkpoint remembers that the keys of %v are to be destroyed", erase)
	}
	if o, _ := again.byName["c"].objects.Get(id.Value()); o.Owner == owner {
		t.Error("a checkpoint keeps erased objects")
	}
	w.eraseKeys()
	w.must2(n, model.OK)
	if erase, _, _ := w.e.PendingMaintenance(); len(erase) != 0 {
		t.Error("the key is to be destroyed a second time")
	}
}

func ids(objects []mapping.Entry) (list []identity.ID) {
	for _, o := range objects {
		list = append(list, o.ID)
	}
	return sorted(list)
}

func sorted(list []identity.ID) []identity.ID {
	slices.SortFunc(list, func(a, b identity.ID) int { return slices.Compare(a[:], b[:]) })
	return list
}

// TestARemovalAloneKeepsWhatWasPut: it keeps the objects, and their key.
func TestARemovalAloneKeepsWhatWasPut(t *testing.T) {
	w := indexed(t, 0)
	alice := w.person("alice", model.RightsAll)
	w.must(alice, put("c", "hers", "data of hers"), model.OK)
	w.must(admin, removal(alice, 0), model.OK)
	for range 2 {
		w.must(admin, get("c", "hers"), model.OK)
		if erase, _, _ := w.e.PendingMaintenance(); len(erase) != 0 {
			t.Fatal("a removal without erasure destroys the key")
		}
		w.start(w.replay(w.checkpoint()))
		w.settle()
	}
}

// TestAnErasureThatIsNotDurableIsNone: it fails, and no object is gone.
func TestAnErasureThatIsNotDurableIsNone(t *testing.T) {
	w := indexed(t, 0)
	alice := w.person("alice", model.RightsAll)
	w.must(alice, put("c", "hers", "data of hers"), model.OK)
	n := w.ask(admin, removal(alice, wire.FlagErase))
	w.fail()
	w.must2(n, model.StorageFailed)
	if erase, _, _ := w.e.PendingMaintenance(); len(erase) != 0 {
		t.Fatal("a failed erasure destroys a key")
	}
	w.must(admin, removal(alice, wire.FlagErase), model.StorageFailed)
	w.resume()
	w.must(alice, get("c", "hers"), model.OK)
	w.erase(alice)
	w.must(admin, get("c", "hers"), model.NotFound)
}

// TestTheNumberOfAnErasedOwnerNeverComesBack: the next principal is another owner, also after a
// restart.
func TestTheNumberOfAnErasedOwnerNeverComesBack(t *testing.T) {
	for name, restart := range map[string]func(w *world){
		"in the same life":  func(*world) {},
		"from the log":      (*world).boot,
		"from a checkpoint": func(w *world) { w.start(w.replay(w.checkpoint())) },
	} {
		w := indexed(t, 0)
		alice := w.person("alice", model.RightsAll)
		w.must(alice, put("c", "hers", "data of hers"), model.OK)
		owner := w.e.principals[alice].owner
		w.erase(alice)
		w.eraseKeys()
		restart(w)
		w.settle()
		w.person("alice", model.RightsAll)
		if got := w.e.principals[alice].owner; got != owner+1 {
			t.Errorf("%s: owner %d follows owner %d; want a higher number", name, got, owner)
		}
		w.must(alice, get("c", "hers"), model.NotFound)
	}
}

// TestAnErasureIsFinishedAfterARestart: an erasure in the log may be unfinished, even though its
// request is gone. An erasure in a checkpoint is finished.
func TestAnErasureIsFinishedAfterARestart(t *testing.T) {
	w := indexed(t, 0)
	alice, bob := w.person("alice", model.RightsAll), w.person("bob", model.RightsAll)
	w.must(alice, put("c", "hers", "data of hers"), model.OK)
	both := []uint32{w.e.principals[alice].owner, w.e.principals[bob].owner}
	before := w.checkpoint()
	w.erase(alice)
	w.erase(bob)
	w.e.Erased(1) // only the first key is destroyed
	if erase, _, _ := w.e.PendingMaintenance(); len(erase) != 1 || erase[0] != both[1] {
		t.Fatalf("the keys of %v are to be destroyed", erase)
	}
	between := w.checkpoint()
	w.eraseKeys()
	after := w.checkpoint()
	for _, tc := range []struct {
		name string
		from *checkpoint
		want []uint32
	}{{"from the log", nil, both}, {"from a checkpoint before it", before, both}, {"from one between the two", between, both[1:]}, {"from one after it", after, nil}} {
		w.start(w.replay(tc.from))
		erase, _, _ := w.e.PendingMaintenance()
		if !slices.Equal(erase, tc.want) {
			t.Errorf("%s: the keys of %v are to be destroyed", tc.name, erase)
		}
		answers := len(w.answers)
		w.eraseKeys()
		if len(w.answers) != answers {
			t.Errorf("%s: a request was answered, though none was made", tc.name)
		}
		w.settle()
		w.must(admin, get("c", "hers"), model.NotFound)
	}
}

// TestACheckpointHoldsTheWholeCatalogue: an engine that reads it, without the records, has the
// same catalogue.
func TestACheckpointHoldsTheWholeCatalogue(t *testing.T) {
	w := indexed(t, model.OptionOrdered)
	row := w.e.tasks["fake"].Row
	row.Measurement, row.LeakBudget, row.Type, row.Ordered = sha([]byte("an executable")), 17, model.TypeInt64, false
	w.must(admin, wire.Request{Op: model.OpRegisterTask, Name: []byte("another"), Query: frames.AppendRow(nil, &row)}, model.OK)
	for _, name := range []string{"z", "y", "b", "a"} { // "y" and "a" will be dropped; "z" is made before "b"
		w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: name}, model.OK)
	}
	q := createIndex("z", "second", model.TypeInt64, model.OptionLazy|model.OptionAttribute)
	q.Name, q.Query = []byte("another"), []byte("a configuration")
	w.must(admin, q, model.OK)
	w.must(admin, createIndex("z", "first", model.TypeAny, 0), model.OK)
	w.must(admin, createIndex("b", "gone", model.TypeAny, 0), model.OK)
	w.must(admin, wire.Request{Op: model.OpDropIndex, Collection: "b", Index: "gone"}, model.OK)

	alice, bob, carol := w.person("alice", model.RightRead|model.RightWrite), w.person("bob", model.RightsAll), w.person("carol", model.RightsAll)
	w.must(admin, grantRequest(model.OpGrant, "", bob, model.RightAdmin), model.OK)
	w.must(admin, grantRequest(model.OpRevoke, "b", admin, model.RightsAll), model.OK) // no principal has a right there
	w.must(admin, grantRequest(model.OpRevoke, "c", alice, model.RightWrite), model.OK)
	for i, p := range []access.Principal{bob, carol} {
		w.must(p, put("c", fmt.Sprint("of ", i), "data"), model.OK)
	}
	w.must(admin, removal(bob, 0), model.OK) // his objects stay
	w.erase(carol)
	w.eraseKeys()
	w.person("carol", model.RightReadOwn)
	w.must(admin, put("y", "swept", "data"), model.OK)
	w.must(admin, wire.Request{Op: model.OpDropCollection, Collection: "y"}, model.OK)
	w.must(admin, wire.Request{Op: model.OpDropCollection, Collection: "a"}, model.OK)
	for i := range MaxAlerts + 5 {
		w.e.Damaged(mapping.Entry{Collection: 1, Loc: seglog.Location{Segment: 1, Offset: uint32(8 * i), Length: 8}})
		w.take()
	}
	w.settle()
	w.e.Cleaned(w.now.Add(time.Hour))

	got := w.replay(w.checkpoint())
	if got.cleanedAt != w.e.cleanedAt || got.alertCount != w.e.alertCount || w.e.alertCount != MaxAlerts+5 || len(got.alerts) != MaxAlerts {
		t.Errorf("%d of %d alerts, cleaned at %d; want %d, %d", len(got.alerts), got.alertCount, got.cleanedAt, w.e.alertCount, w.e.cleanedAt)
	}
	same(t, got, w.replay(nil))
}

// TestDamageIsReportedWithoutEnd: each damaged record has one alert. With very many of them, an
// alert each minute says that there are more.
func TestDamageIsReportedWithoutEnd(t *testing.T) {
	w := newWorld(t, 1)
	alerts := func() uint64 { w.settle(); return w.e.alertCount }
	damage := func(i int) {
		w.e.Damaged(mapping.Entry{Collection: 1, Loc: seglog.Location{Segment: 1, Offset: uint32(8 * i), Length: 8}})
		w.take()
	}
	before := alerts()
	for i := range maxDamaged {
		damage(i)
		damage(i)
	}
	if n := alerts() - before; n != maxDamaged {
		t.Fatalf("%d damaged records have %d alerts; want one each", maxDamaged, n)
	}
	w.jump(reportEvery)
	for i := range 5 {
		damage(i) // was reported
		damage(maxDamaged + i)
	}
	if n := alerts() - before; n != maxDamaged+1 {
		t.Errorf("more damaged records have %d alerts in a minute; want 1", n-maxDamaged)
	}
	w.jump(reportEvery)
	if damage(maxDamaged); alerts()-before != maxDamaged+2 {
		t.Errorf("a minute later, damage has no alert")
	}
}

// TestACheckpointHasAsManyPiecesAsItHas: a checkpoint with one piece too many, or with an
// invalid record in a piece, is refused.
func TestACheckpointHasAsManyPiecesAsItHas(t *testing.T) {
	w := indexed(t, 0)
	c := w.checkpoint()
	restore := func(pieces ...[]byte) (err error) {
		e := New(w.e.Config)
		for i := 0; i < len(pieces) && err == nil; i++ {
			err = e.Restore(i, pieces[i])
		}
		return err
	}
	if err := restore(c.pieces...); err != nil {
		t.Fatal(err)
	}
	if restore(append(slices.Clone(c.pieces), nil)...) == nil {
		t.Error("a checkpoint with one piece too many is accepted")
	}
	whole := map[int]bool{0: true} // lengths at which the bytes are a shorter list of records
	for n := 0; n < len(c.pieces[0]); {
		n += 17 + int(binary.BigEndian.Uint32(c.pieces[0][n+13:]))
		whole[n] = true
	}
	for n := range c.pieces[0] {
		if err := restore(c.pieces[0][:n]); (err == nil) != whole[n] {
			t.Fatalf("%d bytes of the catalogue: %v", n, err)
		}
	}
}

// TestASegmentThatHoldsObjectsMustBeThere checks that a missing segment with live records is
// noticed.
func TestASegmentThatHoldsObjectsMustBeThere(t *testing.T) {
	w := indexed(t, 0)
	for w.segment().id < 3 {
		w.must(admin, put("c", "", "data"), model.OK)
	}
	e := w.replay(nil)
	if err := e.Check(func(id uint32) bool { return id != 2 }); !errors.Is(err, seglog.ErrDamaged) {
		t.Errorf("segment 2 with live records is missing, and the check returns %v", err)
	}
	w.compact(2)
	e = w.replay(nil) // checks the segments, too: segment 2 is gone
	if e.used[2] != 0 {
		t.Errorf("the engine counts %d live bytes in a segment that is gone", e.used[2])
	}
}

// TestWhatWasSweptIsNotMissed: a checkpoint may have objects of a dropped collection. They were
// swept since then, so their segment may be gone.
func TestWhatWasSweptIsNotMissed(t *testing.T) {
	w := indexed(t, 0)
	w.must(admin, wire.Request{Op: model.OpDropCollection, Collection: "c"}, model.OK)
	c := w.checkpoint()
	for w.segment().id < 3 {
		w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: "c"}, model.OK)
		w.must(admin, wire.Request{Op: model.OpDropCollection, Collection: "c"}, model.OK)
	}
	for id := uint32(1); id < 3; id++ {
		w.compact(id)
	}
	w.start(w.replay(c))
	if n, _ := w.e.Objects(); n != 0 {
		t.Errorf("%d objects are left", n)
	}
	w.settle()
}

// TestDeadRecordsAreGivenBackWithinAWeek, however often the Core starts.
func TestDeadRecordsAreGivenBackWithinAWeek(t *testing.T) {
	w := indexed(t, 0)
	clean := func() bool { _, _, clean := w.e.PendingMaintenance(); return clean }
	w.now = w.now.Add(cleanEvery)
	w.tick(0)
	if clean() {
		t.Error("a cleaning pass is due within a week of the last one")
	}
	w.start(w.replay(w.checkpoint()))
	w.tick(time.Second)
	if !clean() {
		t.Error("no cleaning pass is due after a week")
	}
	if !clean() { // the question changes no state
		t.Error("no cleaning pass is due after a week, when asked again")
	}
	w.e.Cleaned(w.now)
	if clean() {
		t.Error("a cleaning pass is due just after one was done")
	}
	w.start(w.replay(w.checkpoint()))
	if w.tick(cleanEvery); clean() {
		t.Error("a restart forgets the last cleaning pass")
	}
	if w.tick(time.Second); !clean() {
		t.Error("no cleaning pass is due after another week")
	}
}

// TestARecordThatIsCarriedOver gets its new place, unless the object was changed meanwhile. Then
// the change must not be lost.
func TestARecordThatIsCarriedOver(t *testing.T) {
	for _, tc := range []struct {
		name      string
		meanwhile func(w *world, alice access.Principal)
		moved     bool
		want      string // content; "": the object is gone
	}{
		{"as it is", func(*world, access.Principal) {}, true, "data of hers"},
		{"beside another's change", func(w *world, _ access.Principal) { w.ask(admin, put("c", "one", "changed")) }, true, "data of hers"},
		{"and replaced", func(w *world, alice access.Principal) { w.ask(alice, put("c", "hers", "changed")) }, false, "changed"},
		{"and put again", func(w *world, alice access.Principal) { w.ask(alice, put("c", "hers", "data of hers")) }, false, "data of hers"},
		{"and put by another", func(w *world, _ access.Principal) { w.ask(admin, put("c", "hers", "data of hers")) }, false, "data of hers"},
		{"and deleted", func(w *world, _ access.Principal) { w.ask(admin, remove("hers")) }, false, ""},
		{"and deleted and put again", func(w *world, alice access.Principal) {
			w.ask(admin, remove("hers"))
			w.ask(alice, put("c", "hers", "data of hers"))
		}, false, "data of hers"},
		{"and erased", func(w *world, alice access.Principal) { w.ask(admin, removal(alice, wire.FlagErase)) }, false, ""},
		{"and dropped", func(w *world, alice access.Principal) {
			w.ask(admin, wire.Request{Op: model.OpDropCollection, Collection: "c"})
		}, false, ""},
	} {
		// The change of the object may be appended before or after the relocated record.
		for _, first := range []bool{true, false} {
			w := indexed(t, 0)
			alice := w.person("alice", model.RightsAll)
			w.must(alice, put("c", "hers", "data of hers"), model.OK)
			old, _ := w.e.byName["c"].objects.Get(w.id("c", "hers").Value())
			list, at := w.records(old.Loc.Segment)
			if first {
				tc.meanwhile(w, alice)
			}
			code := model.Code(255)
			w.e.Relocate(list, at, func(c model.Code) { code = c })
			if w.take(); !first {
				tc.meanwhile(w, alice)
			}
			if code != 255 {
				t.Fatalf("%s: code %d before it is durable", tc.name, code)
			}
			for len(w.pending) > 0 {
				w.commit(1)
			}
			now, ok := mapping.Entry{}, false
			if c := w.e.byName["c"]; c != nil {
				now, ok = c.objects.Get(old.ID.Value())
			}
			if code != model.OK || ok != (tc.moved || tc.want != "") || tc.want != "" && w.data(now) != tc.want {
				t.Errorf("%s: code %d, there is %v", tc.name, code, ok)
			}
			wasCarried := ok && w.stored(now.Loc).Sealed != nil
			if wasCarried != tc.moved {
				t.Errorf("%s: the present record was relocated: %v", tc.name, wasCarried)
			}
			used := w.e.Live()
			if w.e.Check(w.has) != nil {
				t.Errorf("%s: the mapping fails its check", tc.name)
			}
			for id, n := range used {
				if n != w.e.used[id] {
					t.Errorf("%s: the engine counts %d live bytes in segment %d; want %d", tc.name, w.e.used[id], id, n)
				}
			}
			w.settle()
			w.eraseKeys()
			same(t, w.replay(w.checkpoint()), w.replay(nil))
		}
	}
}

// TestCarryingFailsWithTheDisk, and relocates no record if none is live.
func TestCarryingFailsWithTheDisk(t *testing.T) {
	w := indexed(t, 0)
	list, at := w.records(1)
	var codes []model.Code
	note := func(c model.Code) { codes = append(codes, c) }
	w.e.Relocate(list, at, note)
	w.e.Relocate(nil, nil, note)
	w.take()
	w.fail()
	w.e.Relocate(list, at, note)
	w.e.Relocate(nil, nil, note)
	w.take()
	if want := slices.Repeat([]model.Code{model.StorageFailed}, 4); !slices.Equal(codes, want) || len(w.pending) != 0 {
		t.Fatalf("codes %v, %d groups on their way", codes, len(w.pending))
	}
	w.resume()
	w.settle()
	codes = nil
	w.e.Relocate(nil, nil, note)
	w.take()
	w.commit(1)
	for i := range at {
		at[i].Offset += 8 // no record is at this place
	}
	w.e.Relocate(list, at, note)
	w.e.Relocate(nil, nil, note)
	w.take()
	for _, g := range w.pending {
		if len(g) != 1 || g[0].Kind != seglog.KindBarrier {
			t.Fatalf("%d records are on their way, the first of kind %d", len(g), g[0].Kind)
		}
	}
	if w.settle(); !slices.Equal(codes, []model.Code{model.OK, model.OK, model.OK}) {
		t.Fatalf("codes %v", codes)
	}
	for _, name := range []string{"one", "two", "three"} {
		w.must(admin, get("c", name), model.OK)
	}
}

// TestAnAnswerFindsWhatWasMoved: an answer has the entry of a record that is then relocated. The
// entry must lead to the new place, and to no other record.
func TestAnAnswerFindsWhatWasMoved(t *testing.T) {
	for _, tc := range []struct {
		name      string
		meanwhile func(w *world, alice access.Principal)
		want      bool
	}{
		{"moved", func(w *world, _ access.Principal) { w.compact(w.where("hers").Segment) }, true},
		{"moved twice", func(w *world, _ access.Principal) {
			w.compact(w.where("hers").Segment)
			w.newSegment()
			w.compact(w.where("hers").Segment)
		}, true},
		{"not moved", func(*world, access.Principal) {}, false},
		{"deleted", func(w *world, _ access.Principal) { w.must(admin, remove("hers"), model.OK) }, false},
		{"replaced", func(w *world, _ access.Principal) { w.must(admin, put("c", "hers", "changed"), model.OK) }, false},
		{"erased", func(w *world, alice access.Principal) { w.erase(alice) }, false},
	} {
		w := indexed(t, 0)
		alice := w.person("alice", model.RightsAll)
		w.must(alice, put("c", "hers", "data of hers"), model.OK)
		w.newSegment()
		old := w.must(alice, get("c", "hers"), model.OK).objects[0]
		tc.meanwhile(w, alice)
		now, ok := w.e.Current(old)
		if ok != tc.want || ok && (!w.readable(now) || w.data(now) != "data of hers") {
			t.Errorf("%s: the entry leads to %+v: %v", tc.name, now.Loc, ok)
		}
	}
}

// where returns the location of an object of "c".
func (w *world) where(name string) seglog.Location {
	o, _ := w.e.byName["c"].objects.Get(w.id("c", name).Value())
	return o.Loc
}

// TestAnIndexIsFedWhatWasMoved: if an input's record is no longer at the requested place, it is
// requested again at its new place, or not fed.
func TestAnIndexIsFedWhatWasMoved(t *testing.T) {
	for _, tc := range []struct {
		name      string
		meanwhile func(w *world, alice access.Principal)
		want      int // number of objects that the index finds
	}{
		{"moved", func(w *world, _ access.Principal) { w.compact(1); w.compact(2) }, 4},
		{"deleted, the others moved", func(w *world, _ access.Principal) {
			w.ask(admin, remove("one"))
			w.commit(1)
			w.compact(1)
			w.compact(2)
		}, 3},
		{"replaced, the others moved", func(w *world, _ access.Principal) {
			w.ask(admin, put("c", "one", "data of one, anew"))
			w.commit(1)
			w.compact(1)
			w.compact(2)
		}, 4},
		{"erased", func(w *world, alice access.Principal) {
			w.ask(admin, removal(alice, wire.FlagErase))
			w.commit(1)
			w.eraseKeys()
		}, 3},
	} {
		w := indexed(t, 0)
		alice := w.person("alice", model.RightsAll)
		w.must(alice, put("c", "hers", "data of hers"), model.OK)
		for w.segment().id < 3 {
			w.must(admin, createIndex("c", "late", model.TypeAny, 0), model.OK)
			w.must(admin, wire.Request{Op: model.OpDropIndex, Collection: "c", Index: "late"}, model.OK)
		}
		w.ask(admin, createIndex("c", "late", model.TypeAny, 0))
		w.commit(1)
		late := w.e.byName["c"].index("late")
		w.e.TaskStarted(late.instance)
		if w.take(); len(w.fetch) != 4 {
			t.Fatalf("%s: %d inputs are to be read", tc.name, len(w.fetch))
		}
		tc.meanwhile(w, alice)
		w.settle()
		a := w.must(admin, byPredicate(model.OpSearch, "c", "late", "data"), model.OK)
		if len(a.objects) != tc.want || w.lastReason() != 0 {
			t.Errorf("%s: %d objects, alert for reason %d", tc.name, len(a.objects), w.lastReason())
		}
	}
}

// TestWritesGoOnAfterTheDiskDoes: failed writes are lost, and reported as failed. Later writes
// continue the numbers after the last durable record.
func TestWritesGoOnAfterTheDiskDoes(t *testing.T) {
	w := indexed(t, 0)
	last := w.lsn
	lost := []uint64{w.ask(admin, put("c", "four", "data of four")), w.ask(admin, remove("one")),
		w.ask(admin, byPredicate(model.OpDeleteWhere, "c", "x", "data of two"))}
	for k := w.task(w.x().instance); len(k.frames) > 0; {
		w.step(k)
	}
	lost = append(lost, w.ask(admin, wire.Request{Op: model.OpCreateCollection, Collection: "d"}),
		w.ask(admin, put("d", "one", "waits for its collection")))
	w.fail()
	for _, n := range lost {
		w.must2(n, model.StorageFailed)
	}
	if len(w.pending) != 0 {
		t.Fatalf("%d groups are appended to a failed log", len(w.pending))
	}
	w.e.Damaged(w.must(admin, get("c", "one"), model.OK).objects[0])
	w.take()
	w.must(admin, put("c", "four", "data of four"), model.StorageFailed)
	w.resume()
	if n := w.ask(admin, put("c", "four", "data of four")); w.pending[0][0].Kind != seglog.KindAlert || w.pending[0][0].LSN != last+1 {
		t.Fatalf("request %d, after that record %d of kind %d", n, w.pending[0][0].LSN, w.pending[0][0].Kind)
	}
	w.settle()
	for name, want := range map[string]model.Code{"one": model.OK, "two": model.OK, "four": model.OK} {
		w.must(admin, get("c", name), want)
	}
	w.must(admin, get("d", "one"), model.NoCollection)
	if a := w.must(admin, byPredicate(model.OpCount, "c", "x", "data"), model.OK); a.count != 4 {
		t.Errorf("count %d", a.count)
	}
	same(t, w.replay(w.checkpoint()), w.replay(nil))
}

// TestTheFirstAdministratorComesWhenTheDiskDoes: clients may connect once the administrator's
// record is durable.
func TestTheFirstAdministratorComesWhenTheDiskDoes(t *testing.T) {
	w := newWorld(t, 1)
	w.fail()
	if w.e.Knows(admin) {
		t.Fatal("the administrator is known before its record is durable")
	}
	w.newSegment()
	w.e.Resumed(w.position())
	var ready int
	for range 3 {
		o := w.e.Take()
		w.pending = append(w.pending, o.Append...)
		for _, m := range o.Host {
			if _, is := m.(hostwire.Ready); is {
				ready++
			}
		}
		if ready > 0 && !w.e.Knows(admin) {
			t.Fatal("clients may connect before there is an administrator")
		}
		var at []seglog.Location
		for _, g := range w.pending {
			for _, r := range g {
				at = append(at, w.store(r))
			}
		}
		w.pending = nil
		w.e.Committed(at, w.position())
	}
	if ready != 1 || !w.e.Knows(admin) {
		t.Fatalf("the engine reported %d times that clients may connect", ready)
	}
}

// TestAnOlderLogMayNotKnowWhoWasErased, but the data keys do. An owner without a key is gone
// with all of its objects, writes no records, and its number is not used again.
func TestAnOlderLogMayNotKnowWhoWasErased(t *testing.T) {
	w := indexed(t, 0)
	alice := access.Principal{0: 9}
	w.must(admin, wire.Request{Op: model.OpAddPrincipal, Identity: identity.ID(alice), Name: []byte("alice")}, model.OK)
	w.must(admin, wire.Request{Op: model.OpGrant, Collection: "c", Identity: identity.ID(alice), Rights: model.RightsAll}, model.OK)
	w.must(alice, put("c", "hers", "data of hers"), model.OK)
	owner := w.e.principals[alice].owner
	w.erased[owner], w.erased[owner+1] = true, true
	w.boot()
	w.must(alice, put("c", "more", "data"), model.UnknownPrincipal)
	w.must(admin, get("c", "hers"), model.NotFound)
	w.must(admin, wire.Request{Op: model.OpAddPrincipal, Identity: identity.ID(alice), Name: []byte("alice")}, model.OK)
	if got := w.e.principals[alice].owner; got != owner+2 {
		t.Errorf("the principal that is registered again is owner %d, want %d", got, owner+2)
	}
}

// TestAnAlertHasTheNumberOfItsRecord, whatever the record contains, and keeps it in a
// checkpoint.
func TestAnAlertHasTheNumberOfItsRecord(t *testing.T) {
	w := newWorld(t, 1)
	w.settle()
	w.lsn++
	w.disk = append(w.disk, seglog.Record{LSN: w.lsn, Kind: seglog.KindAlert, Body: model.AppendAlert(nil, &model.Alert{Reason: model.ReasonStorage})})
	w.places = append(w.places, seglog.Location{})
	want := w.lsn
	w.boot()
	w.settle()
	for range 2 {
		if len(w.e.alerts) != 1 || decodeAlert(w.e.alerts[0]).LSN != want {
			t.Fatalf("%d alerts; want one with LSN %d: %x", len(w.e.alerts), want, w.e.alerts)
		}
		w.start(w.replay(w.checkpoint()))
	}
}

// TestAnIndexWithoutItsTaskWaits: after a salvage, the log may lack the record of a Task.
func TestAnIndexWithoutItsTaskWaits(t *testing.T) {
	w := indexed(t, 0)
	i := slices.IndexFunc(w.disk, func(r seglog.Record) bool { return r.Kind == seglog.KindRegisterTask })
	lost := w.disk[i]
	w.disk[i] = seglog.Record{LSN: lost.LSN, Kind: seglog.KindBarrier}
	w.boot()
	w.settle()
	if len(w.tasks) != 0 {
		t.Fatal("an unknown Task was started")
	}
	w.must(admin, wire.Request{Op: model.OpRegisterTask, Name: []byte(w.e.indexes[0].task), Query: lost.Body[166:]}, model.OK)
	if w.e.Tick(w.now); len(w.e.instances) != 1 {
		t.Fatal("a Task that is registered again is not started")
	}
}

// TestACursorIsBehindAShareOfAllObjects, over several collections.
func TestACursorIsBehindAShareOfAllObjects(t *testing.T) {
	w := full(t, 30_000)
	w.stuff("c", 2, 10_000)
	for _, share := range []float64{0, 0.1, 0.5, 0.75, 0.8, 0.999} {
		c := w.e.Behind(share)
		n := len(w.e.Scan(&c, 1<<30))
		if want := 40_000 * (1 - share); math.Abs(float64(n)-want) > 400 {
			t.Errorf("%d objects are behind the cursor of %.3f; want %.0f", n, share, want)
		}
	}
	if c := newWorld(t, 1).e.Behind(0.5); c != (Cursor{}) {
		t.Errorf("the cursor of an empty store is %+v", c)
	}
}
