package engine

import (
	"fmt"
	"testing"

	"motte/client/frames"
	"motte/core/access"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/wire"
)

// total returns the usage of a collection's state.
func (s state) total() (u usage) {
	for _, o := range s {
		u.objects++
		u.bytes += o.size
	}
	return u
}

// allowed is a second implementation of the rule of quotas: a write passes if it does not grow
// the collection, or if the collection stays within its quota.
func (s *simulation) allowed(c string, model state) bool {
	before, after, quota := s.decided[c].total(), model.total(), s.quotas[c]
	return (after.objects <= before.objects || quota.Objects == 0 || after.objects <= int64(quota.Objects)) &&
		(after.bytes <= before.bytes || quota.Bytes == 0 || after.bytes <= int64(quota.Bytes))
}

// randomQuota sets a quota close to the present usage, or no quota.
func (s *simulation) randomQuota() {
	for len(s.pending) > 0 {
		s.commit(len(s.pending))
	}
	c := collections[s.rng.IntN(2)]
	there, quota := s.current(c).total(), model.Quota{}
	if s.rng.IntN(3) > 0 {
		quota.Objects = uint64(max(0, there.objects+s.rng.Int64N(9)-2))
	}
	if s.rng.IntN(3) > 0 {
		quota.Bytes = uint64(max(0, there.bytes+s.rng.Int64N(1000)-200))
	}
	s.change(quotaRequest(c, quota))
	s.quotas[c] = quota
}

// checkUsage compares the engine's counters with the present and the expected state.
func (s *simulation) checkUsage(name string) {
	c := s.e.byName[name]
	if n := s.current(name).total(); c.bytes != uint64(n.bytes) {
		s.t.Fatalf("seed %d: the engine counts for %q %d bytes; want %d", s.seed, name, c.bytes, n.bytes)
	}
	if n := s.decided[name].total(); !s.e.changing && c.limited() && c.projected != n {
		s.t.Fatalf("seed %d: the engine expects for %q %+v; want %+v", s.seed, name, c.projected, n)
	}
	if c.quota != s.quotas[name] {
		s.t.Fatalf("seed %d: the quota of %q is %+v; want %+v", s.seed, name, c.quota, s.quotas[name])
	}
}

func quotaRequest(collection string, q model.Quota) wire.Request {
	return wire.Request{Op: model.OpQuota, Collection: collection, Query: model.AppendQuota(nil, q)}
}

// recordOf returns the bytes that an object takes.
func recordOf(r wire.Request) uint64 {
	return uint64(seglog.RecordSize(len(appendObject(r.Name, r.Query, r.Object))))
}

func batch(collection string, ops ...wire.Request) wire.Request {
	r := wire.Request{Op: model.OpBatch, Collection: collection}
	for i := range ops {
		r.Object = frames.AppendBatchOp(r.Object, &ops[i])
	}
	return r
}

// quotaWorld returns a world with a collection "c", and a principal with all rights there except
// admin.
func quotaWorld(t *testing.T) (*world, access.Principal) {
	w := newWorld(t, 1)
	w.settle()
	p := access.Principal{0: 7}
	w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: "c"}, model.OK)
	w.must(admin, wire.Request{Op: model.OpAddPrincipal, Identity: identity.ID(p), Name: []byte("p")}, model.OK)
	w.must(admin, wire.Request{Op: model.OpGrant, Collection: "c", Identity: identity.ID(p), Rights: model.RightsAll}, model.OK)
	return w, p
}

func TestAQuotaHoldsAtItsLimit(t *testing.T) {
	one := put("c", "n0", "some object")
	size := recordOf(one)
	longer := put("c", "n0", "some object"+string(make([]byte, 8)))
	for _, c := range []struct {
		name  string
		quota model.Quota
	}{
		{"objects", model.Quota{Objects: 3}},
		{"bytes", model.Quota{Bytes: 3 * size}},
		{"both", model.Quota{Objects: 3, Bytes: 3 * size}},
		{"bytes, almost another object", model.Quota{Bytes: 4*size - 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, p := quotaWorld(t)
			w.must(admin, quotaRequest("c", c.quota), model.OK)
			for i := range 3 {
				w.must(p, put("c", fmt.Sprint("n", i), "some object"), model.OK)
			}
			w.must(p, put("c", "n3", "some object"), model.QuotaExceeded)
			w.must(p, wire.Request{Op: model.OpPut, Collection: "c", Object: []byte("some object")}, model.QuotaExceeded)
			w.must(p, put("c", "n2", "same length"), model.OK) // as large as the object that it replaces
			if c.quota.Bytes == 3*size {
				w.must(p, longer, model.QuotaExceeded)
			}
			w.must(p, deleting("n1"), model.OK)
			w.must(p, put("c", "n3", "some object"), model.OK)
			w.must(p, put("c", "n4", "some object"), model.QuotaExceeded)
			// After a start the engine knows the quota and the usage, from the log and from a
			// checkpoint.
			for _, from := range []*checkpoint{nil, w.checkpoint()} {
				w.start(w.replay(from))
				w.settle()
				w.must(p, put("c", "n4", "some object"), model.QuotaExceeded)
			}
			// Objects above a lowered quota stay, and can be read, replaced and deleted.
			w.must(admin, quotaRequest("c", model.Quota{Objects: 1, Bytes: 1}), model.OK)
			w.must(p, get("c", "n0"), model.OK)
			w.must(p, put("c", "n0", "same length"), model.OK)
			w.must(p, longer, model.QuotaExceeded)
			w.must(p, batch("c", deleting("n2"), put("", "n5", "some object")), model.OK)
			w.must(p, batch("c", deleting("n3"), put("", "n6", "some"), put("", "n7", "some")), model.QuotaExceeded)
			w.must(p, deleting("n3"), model.OK)
			w.must(admin, quotaRequest("c", model.Quota{}), model.OK)
			w.must(p, put("c", "n9", "some object"), model.OK)
		})
	}
}

// TestAQuotaCountsWhatIsOnItsWay: a write is decided before earlier writes are durable. Each of
// these counts, a batch as a whole. A write that the disk refuses does not count.
func TestAQuotaCountsWhatIsOnItsWay(t *testing.T) {
	w, p := quotaWorld(t)
	w.must(admin, quotaRequest("c", model.Quota{Objects: 3}), model.OK)
	answered := func(numbers ...uint64) (codes []model.Code) {
		t.Helper()
		for _, n := range numbers {
			a, ok := w.answered(n)
			if !ok {
				t.Fatalf("request %d is not answered", n)
			}
			codes = append(codes, a.code)
		}
		return codes
	}
	same := func(got []model.Code, want ...model.Code) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("answers %d, want %d", got, want)
		}
	}
	numbers := []uint64{
		w.ask(p, put("c", "a", "1")),
		w.ask(p, batch("c", put("", "b", "1"), put("", "c", "1"), put("", "d", "1"))), // two of three would fit
		w.ask(p, batch("c", put("", "b", "1"), put("", "b", "2"), put("", "c", "1"))), // results in two objects
		w.ask(p, put("c", "d", "1")),
		w.ask(p, put("c", "a", "2")),
		w.ask(p, deleting("a")),
		w.ask(p, put("c", "d", "1")),
		w.ask(p, put("c", "a", "1")),
	}
	w.settle()
	same(answered(numbers...), model.OK, model.QuotaExceeded, model.OK, model.QuotaExceeded, model.OK, model.OK, model.OK, model.QuotaExceeded)
	if a := w.must(p, get("c", "b"), model.OK); w.data(a.objects[0]) != "2" {
		t.Error("the accepted batch did not have its effect")
	}
	// The quota is set between two writes. The later write is checked against it.
	numbers = []uint64{w.ask(p, put("c", "b", "3")), w.ask(admin, quotaRequest("c", model.Quota{Objects: 4})), w.ask(p, put("c", "e", "1")), w.ask(p, put("c", "f", "1"))}
	w.settle()
	same(answered(numbers...), model.OK, model.OK, model.OK, model.QuotaExceeded)
	// A write that the disk refused has no effect, and no usage.
	w.must(p, deleting("e"), model.OK)
	n := w.ask(p, put("c", "f", "1"))
	w.fail()
	same(answered(n), model.StorageFailed)
	w.resume()
	w.must(p, put("c", "g", "1"), model.OK)
	w.must(p, put("c", "h", "1"), model.QuotaExceeded)
}

// deleting returns the deletion of a named object.
func deleting(name string) wire.Request {
	return wire.Request{Op: model.OpDelete, Collection: "c", Name: []byte(name)}
}

// TestAQuotaIsTheServersAdministrators: otherwise a collection's administrator could give itself
// the whole disk. Principals that may read the whole collection see the quota, and others do
// not.
func TestAQuotaIsTheServersAdministrators(t *testing.T) {
	w, p := quotaWorld(t)
	w.must(p, quotaRequest("c", model.Quota{Objects: 1}), model.Denied)
	w.must(access.Principal{0: 9}, quotaRequest("c", model.Quota{Objects: 1}), model.UnknownPrincipal)
	w.must(admin, quotaRequest("d", model.Quota{Objects: 1}), model.NoCollection)
	w.must(admin, quotaRequest("", model.Quota{Objects: 1}), model.InvalidRequest)
	short := quotaRequest("c", model.Quota{Objects: 1})
	short.Query = short.Query[:15]
	w.must(admin, short, model.InvalidRequest)
	short.Query = append(short.Query, 0, 0)
	w.must(admin, short, model.InvalidRequest)
	quota := model.Quota{Bytes: 1 << 40, Objects: 1<<64 - 1}
	w.must(admin, quotaRequest("c", quota), model.OK)
	w.must(p, put("c", "n", "some object"), model.OK)
	see := func(who access.Principal) wire.CollectionStatus {
		t.Helper()
		list := w.statusOf(who).Collections
		if len(list) == 0 {
			t.Fatal("the collection is not shown")
		}
		return list[0]
	}
	if s := see(p); s.Quota != quota || s.Bytes != recordOf(put("c", "n", "some object")) || s.Objects != 1 {
		t.Errorf("a principal that may read the collection sees %+v", s)
	}
	w.must(admin, wire.Request{Op: model.OpRevoke, Collection: "c", Identity: identity.ID(p), Rights: model.RightRead}, model.OK)
	if s := see(p); s.Quota != (model.Quota{}) || s.Bytes != 0 || s.Objects != 0 {
		t.Errorf("a principal that may not read all objects sees %+v", s)
	}
}

// TestWhatEndsWithoutARequestFreesItsQuota: an erasure removes objects that no deletion names.
// Compaction relocates records, which frees no quota.
func TestWhatEndsWithoutARequestFreesItsQuota(t *testing.T) {
	w, p := quotaWorld(t)
	w.must(admin, quotaRequest("c", model.Quota{Objects: 2}), model.OK)
	w.must(p, put("c", "a", "1"), model.OK)
	w.must(admin, put("c", "b", "1"), model.OK)
	w.start(w.replay(nil)) // begins a new segment
	w.settle()
	w.compact(1)
	w.must(admin, put("c", "d", "1"), model.QuotaExceeded)
	n := w.ask(admin, wire.Request{Op: model.OpRemovePrincipal, Identity: identity.ID(p), Flags: wire.FlagErase})
	w.settle()
	w.eraseKeys()
	if a, ok := w.answered(n); !ok || a.code != model.OK {
		t.Fatalf("the erasure is not done: answered %v, code %d", ok, a.code)
	}
	w.must(admin, put("c", "d", "1"), model.OK)
	w.must(admin, put("c", "e", "1"), model.QuotaExceeded)
}
