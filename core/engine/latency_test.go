package engine

import (
	"testing"
	"time"

	"motte/core/access"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/wire"
)

// TestLatenciesOfAnIndex: a duration begins when the frame is queued, questions and changes are
// counted apart, and a build is not counted. Only an administrator that may read all objects sees
// them.
func TestLatenciesOfAnIndex(t *testing.T) {
	w := newWorld(t, 1)
	w.settle()
	alice := access.Principal(pattern(0x80))
	w.must(admin, wire.Request{Op: model.OpAddPrincipal, Identity: identity.ID(alice), Name: []byte("alice")}, model.OK)
	w.register("c", "i", 0)
	w.settle()
	x := w.e.byName["c"].index("i")
	if x.changes != (model.Latencies{}) || x.questions != (model.Latencies{}) {
		t.Errorf("after the build: changes %v, questions %v; want none", x.changes, x.questions)
	}
	after := func(d time.Duration) {
		w.e.At(w.now.Add(d))
		w.step(w.task(x.instance))
	}
	w.ask(admin, put("c", "a", "1"))
	w.commit(len(w.pending))
	if x.queued() != 1 {
		t.Errorf("%d frames are queued; want the change", x.queued())
	}
	after(20 * time.Millisecond)
	w.ask(admin, byPredicate(model.OpSearch, "c", "i", "1"))
	w.take()
	after(20*time.Millisecond + 300*time.Microsecond)
	want := wire.IndexStatus{Changes: model.Latencies{3: 1}, Questions: model.Latencies{0: 1}}
	if x.changes != want.Changes || x.questions != want.Questions || x.queued() != 0 {
		t.Errorf("changes %v, questions %v, %d queued; want %+v", x.changes, x.questions, x.queued(), want)
	}
	if s := w.statusOf(admin).Index("c", "i"); s.Changes != want.Changes || s.Questions != want.Questions {
		t.Errorf("an administrator sees %+v; want %+v", s, want)
	}
	for _, rights := range []model.Rights{model.RightRead, model.RightAdmin} {
		x.c.grants.Set(alice, rights)
		if s := w.statusOf(alice).Index("c", "i"); s.Changes != (model.Latencies{}) || s.Questions != (model.Latencies{}) {
			t.Errorf("a principal with rights %d sees %+v; want no latencies", rights, s)
		}
	}
}
