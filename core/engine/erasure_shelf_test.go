package engine

import (
	"testing"

	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/core/wire"
)

// TestNoBlobIsTakenDuringAnErasure: a Save that was sent before is answered by a hostile Task with data
// of the owner that it got only after the erasure was decided.
func TestNoBlobIsTakenDuringAnErasure(t *testing.T) {
	w := indexed(t, 0)
	w.retable(func(r *model.Row) { r.Shelf = 1 << 20 })
	alice := w.person("alice", model.RightsAll)
	w.settle()
	for w.x().saveOpen == false || len(w.task(w.x().instance).frames) == 0 {
		w.tick(usualTick)
	}
	x := w.x()
	k := w.task(x.instance)
	save, _ := taskwire.DecodeHeader(k.frames[0][:taskwire.HeaderSize])
	if save.Type != taskwire.Save {
		t.Fatalf("the Task got a frame of type %d, want a Save", save.Type)
	}
	w.ask(alice, put("c", "hers", "a secret"))
	w.ask(admin, wire.Request{Op: model.OpRemovePrincipal, Identity: identity.ID(alice), Flags: wire.FlagErase})
	blobs := len(w.pending)
	w.e.TaskAnswer(x.instance, taskwire.Answer{Type: taskwire.Blob, Seq: save.Seq, Number: 1, Blob: []byte("a secret")})
	w.take()
	if len(w.pending) != blobs || x.shelf.c.objects.Len() != 0 || !x.shelf.failed {
		t.Errorf("the blob was stored: %d groups are pending, want %d", len(w.pending), blobs)
	}
}

// TestAPutWithoutAnInputWaitsForNoTask, although the Task is told of the object.
func TestAPutWithoutAnInputWaitsForNoTask(t *testing.T) {
	w := indexed(t, model.OptionAttribute)
	w.retable(func(r *model.Row) { r.Shelf = 1 << 20 })
	n := w.ask(admin, put("c", "without", "an object without the attribute"))
	w.commit(len(w.pending))
	w.must2(n, model.OK)
	k := w.task(w.x().instance)
	if h, _ := taskwire.DecodeHeader(k.frames[len(k.frames)-1][:taskwire.HeaderSize]); h.Type != taskwire.Void {
		t.Errorf("the Task got a frame of type %d, want a Void", h.Type)
	}
}

// TestADroppedShelfDelaysNoOther: while the data key of a shelf that was dropped is not destroyed yet,
// other Tasks save. Else a client that makes and drops indexes could keep all others from it.
func TestADroppedShelfDelaysNoOther(t *testing.T) {
	w := shelved(t, 5)
	w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: "d"}, model.OK)
	w.must(admin, createIndex("d", "y", model.TypeAny, 0), model.OK)
	w.must(admin, put("d", "other", "another object"), model.OK)
	w.save()
	w.must(admin, put("c", "new", "a new object"), model.OK)
	w.ask(admin, wire.Request{Op: model.OpDropIndex, Collection: "d", Index: "y"})
	if w.settle(); len(w.e.erase) != 1 {
		t.Fatalf("%d erasures are under way, want that of the dropped shelf", len(w.e.erase))
	}
	if w.save(); len(w.blobs()) != 6 {
		t.Errorf("the other shelf has %d blobs, want 6", len(w.blobs()))
	}
}

// TestADroppedShelfIsNotSwept: its blobs go with it. Else each drop of an index would visit all objects
// of the store.
func TestADroppedShelfIsNotSwept(t *testing.T) {
	for _, r := range []wire.Request{
		{Op: model.OpDropIndex, Collection: "c", Index: "x"},
		{Op: model.OpDropCollection, Collection: "c"},
	} {
		w := shelved(t, 5)
		w.byHand = true
		n := w.ask(admin, r)
		w.commit(len(w.pending))
		if list, _, _ := w.e.PendingMaintenance(); len(list) != 1 {
			t.Errorf("operation %d: the keys of %d owners may be destroyed at once, want 1", r.Op, len(list))
		}
		w.settle()
		w.eraseKeys()
		w.must2(n, model.OK)
		if w.secrets("object 1") != 0 || len(w.e.erase)+w.e.swept+w.e.sweeping != 0 {
			t.Errorf("operation %d: the blobs can be opened, or an erasure is left", r.Op)
		}
	}
}

// TestAPredicateIsDataOfItsPrincipal: a Task may have kept it in a blob, so an erasure of the principal
// ends the shelf's generation, although the principal has put no object.
func TestAPredicateIsDataOfItsPrincipal(t *testing.T) {
	w := shelved(t, 3)
	asks := w.person("asks", model.RightRead)
	w.must(asks, byPredicate(model.OpSearch, "c", "x", "a secret predicate"), model.OK)
	w.must(admin, put("c", "0", "changed"), model.OK)
	w.save()
	before := w.x().shelf.now.generation
	w.eraseAll(asks)
	if after := w.x().shelf.now.generation; before == 0 || after == before {
		t.Errorf("the generation %d is %d after the erasure", before, after)
	}
}

// TestShelvesLeaveNumbersToOthers: when indexes have used up the numbers of shelves, collections and
// principals can still be made.
func TestShelvesLeaveNumbersToOthers(t *testing.T) {
	w := shelved(t, 3)
	w.e.lastCollection, w.e.lastOwner = shelfNumbers-1, shelfNumbers-1
	w.must(admin, createIndex("c", "y", model.TypeAny, 0), model.LimitReached)
	w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: "more"}, model.OK)
	w.person("more", model.RightRead)
	if w.e.maySave() {
		t.Error("a shelf may still take the number of an owner")
	}
}
