package engine

import (
	"bytes"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"motte/client/frames"
	"motte/core/access"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/wire"
	"motte/internal/testutil"
)

// statusOf returns the status of a principal, as a client decodes it.
func (w *world) statusOf(p access.Principal) *frames.Status {
	w.t.Helper()
	s := new(frames.Status)
	for _, body := range w.must(p, op(model.OpStatus), model.OK).items {
		if err := s.Add(body); err != nil {
			w.t.Fatalf("item %x: %v", body, err)
		}
	}
	return s
}

// building returns a world in which each kind of status item has data: the Task of an index has
// broken its contract once, and is now fed the second of three objects.
func building(t *testing.T) *world {
	w := newWorld(t, 1)
	w.e.KeyInStore = true
	w.settle()
	w.registerFake()
	w.retable(func(r *model.Row) { r.LeakBudget, r.IndexBudget = 1600, 4000 })
	w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: "people"}, model.OK)
	w.must(admin, quotaRequest("people", model.Quota{Bytes: 1 << 30, Objects: 1000}), model.OK)
	w.must(admin, wire.Request{Op: model.OpCreateIndex, Collection: "people", Index: "by_age", Type: model.TypeInt64,
		Options: model.OptionOrdered, Name: []byte("fake"), Query: []byte(`{"type":"int64"}`)}, model.OK)
	for _, o := range [][2]string{{"ada", "refuse"}, {"grace", "85"}, {"edsger", "72"}} {
		w.must(admin, put("people", o[0], o[1]), model.OK)
	}
	w.must(admin, byPredicate(model.OpSearch, "people", "by_age", "8"), model.OK)
	alice := identity.ID(pattern(0x80))
	w.must(admin, wire.Request{Op: model.OpAddPrincipal, Identity: alice, Name: []byte("alice")}, model.OK)
	w.must(admin, wire.Request{Op: model.OpGrant, Collection: "people", Identity: alice,
		Rights: model.RightRead | model.RightWrite}, model.OK)
	x := w.e.byName["people"].index("by_age")
	x.changes, x.questions = model.Latencies{3: 2, 7: 1}, model.Latencies{1: 1}
	x.shelved = 1 << 12
	w.e.TaskEnded(x.instance, model.ReasonTaskEnded)
	w.take()
	w.commit(len(w.pending))
	w.tick(time.Minute)
	w.e.TaskStarted(x.instance)
	w.take()
	for x.fed < 2 {
		for len(w.fetch) > 0 {
			w.read()
		}
		w.step(w.task(x.instance))
	}
	w.e.Observe(measurements(w.now))
	return w
}

// measurements returns different numbers, measured at a given time.
func measurements(now time.Time) model.Measurements {
	return model.Measurements{
		LogBytes: 1 << 20, Segments: 3, Connections: 5,
		CheckpointBytes: 52_000, CheckpointLSN: 4700, CheckpointTime: uint64(now.Unix()) - 12,
		MovedBytes: 1_000_000, FreedBytes: 2_000_000,
		ScrubbedRecords: 7, ScrubbedBytes: 7000, ScrubPasses: 2, ScrubTime: uint64(now.Unix()) - 50, ScrubDamaged: 1,
		DiskBytes: 8 << 20,
	}
}

// pattern returns 32 consecutive bytes from first on.
func pattern(first byte) (p [32]byte) {
	for i := range p {
		p[i] = first + byte(i)
	}
	return p
}

// TestGoldenStatus fixes a frame of each kind of status item, encoded and decoded. The frames
// have the header of package wire.
func TestGoldenStatus(t *testing.T) {
	w := building(t)
	n := w.ask(admin, op(model.OpStatus))
	a, _ := w.answered(n)
	items := make(map[wire.StatusKind][]byte) // the last item of each kind
	for _, body := range a.items {
		items[wire.StatusKind(body[0])] = body
	}
	now, live := uint64(w.now.Unix()), uint64(0)
	for _, o := range all(w.e) {
		live += uint64(o.Loc.Length)
	}
	for _, g := range []struct {
		name, comment string
		kind          wire.StatusKind
		want          frames.Status
	}{
		{"server", "Status of the server", wire.StatusServer, frames.Status{Server: &model.ServerStatus{Flags: model.ServerKeyInStore,
			Objects: 3, Alerts: 1, Now: now, Started: now - 60, LiveBytes: live, Measurements: measurements(w.now)}}},
		{"collection", "Status of a collection", wire.StatusCollection, frames.Status{Collections: []wire.CollectionStatus{{Collection: "people",
			Rights: model.RightsAll, Objects: 3, Bytes: live, Quota: model.Quota{Bytes: 1 << 30, Objects: 1000}}}}},
		{"index", "Status of an index that is being built", wire.StatusIndex, frames.Status{Indexes: []wire.IndexStatus{{Collection: "people",
			Index: "by_age", Task: "fake", Type: model.TypeInt64, Options: model.OptionOrdered, State: model.IndexBuilding,
			Fed: 2, ToFeed: 3, LeakedBits: 18, LeftBits: 1582, IndexBits: 26, IndexLeftBits: 3974, Restarts: 1, Refused: 1, Number: 1,
			Queued: 2, Refed: 3, Shelved: 1 << 12, Changes: model.Latencies{3: 2, 7: 1}, Questions: model.Latencies{1: 1}}}}},
		{"task", "Status of a Task, with its row", wire.StatusTask,
			frames.Status{Tasks: []frames.TaskStatus{{Task: "fake", Row: w.e.tasks["fake"].Row}}}},
		{"principal", "Status of a principal", wire.StatusPrincipal,
			frames.Status{Principals: []wire.PrincipalStatus{{Principal: pattern(0x80), Label: "alice"}}}},
		{"grant", "Status of a grant", wire.StatusGrant, frames.Status{Grants: []wire.GrantStatus{{Collection: "people",
			Principal: pattern(0x80), Rights: model.RightRead | model.RightWrite}}}},
	} {
		body := items[g.kind]
		var got frames.Status
		if err := got.Add(body); err != nil || !reflect.DeepEqual(got, g.want) {
			t.Errorf("%s: %v\n got %+v\nwant %+v", g.name, err, got, g.want)
		}
		head := pattern(0xc0)
		p := append(wire.AppendReplyHeader(nil, &wire.ReplyHeader{Kind: a.kind, Number: 0x0102030405060708, BodyLen: len(body),
			Head: model.Head{LSN: 4711, Segment: [16]byte(head[:16]), Chain: [16]byte(head[16:])}}), body...)
		testutil.Golden(t, filepath.Join("..", "wire", "testdata", "reply-status-"+g.name+".hex"), g.comment, p)
		delete(items, g.kind)
	}
	if len(items) > 0 {
		t.Errorf("the items %x have no golden vectors", items)
	}
}

// TestAStatusHidesConfigurations, since they may contain data about objects.
func TestAStatusHidesConfigurations(t *testing.T) {
	w := building(t)
	const config = `{"type":"int64"}`
	for _, item := range w.must(admin, op(model.OpStatus), model.OK).items {
		if bytes.Contains(item, []byte(config)) {
			t.Errorf("item %x holds the configuration of an index", item)
		}
	}
	if !strings.Contains(string(w.e.byName["people"].index("by_age").config), config) {
		t.Error("the test needs an index with a configuration")
	}
}

// TestAConfigurationIsForAdministrators of the collection.
func TestAConfigurationIsForAdministrators(t *testing.T) {
	w := building(t)
	alice := access.Principal(pattern(0x80))
	q := wire.Request{Op: model.OpConfiguration, Collection: "people", Index: "by_age"}
	want := wire.AppendConfiguration(nil, []byte(`{"type":"int64"}`))
	if a := w.must(admin, q, model.OK); len(a.items) != 1 || !bytes.Equal(a.items[0], want) || a.kind != wire.KindStatus {
		t.Errorf("an administrator gets %q of kind %d; want %q", a.items, a.kind, want)
	}
	w.must(alice, q, model.Denied)
	w.e.byName["people"].grants.Set(alice, model.RightAdmin)
	w.must(alice, q, model.OK)
	q.Index = "by_name"
	w.must(alice, q, model.NoIndex)
}

// TestStatusOfTheServer: only a server administrator sees the measurements and the counters of
// the engine.
func TestStatusOfTheServer(t *testing.T) {
	w := building(t)
	w.settle()
	w.fail()
	s := w.statusOf(admin).Server
	if s == nil {
		t.Fatal("an administrator does not see the server")
	}
	if want := model.ServerKeyInStore | model.ServerReadOnly; s.Flags != want || s.Alerts != w.e.alertCount || s.Alerts < 2 {
		t.Errorf("flags %d, %d alerts", s.Flags, s.Alerts)
	}
	if up, age := frames.Age(s, s.Started), frames.Age(s, s.CheckpointTime); up != 60 || age != 12 || frames.Age(s, 0) != 0 || frames.Age(s, s.Now+1) != 0 {
		t.Errorf("the server is up for %d seconds, and the checkpoint is %d old", up, age)
	}
	if w.statusOf(pattern(0x80)).Server != nil {
		t.Error("a user sees the server")
	}
}

// TestAStatusBeforeMeasurements has zeros in their place.
func TestAStatusBeforeMeasurements(t *testing.T) {
	w := newWorld(t, 1)
	w.settle()
	if s := w.statusOf(admin).Server; s == nil || s.LogBytes != 0 || frames.Age(s, s.CheckpointTime) != 0 {
		t.Errorf("%+v", s)
	}
}
