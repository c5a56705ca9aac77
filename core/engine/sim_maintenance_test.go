package engine

import (
	"maps"
	"slices"
	"time"

	"motte/core/access"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/wire"
)

// house is the maintenance that the server does in small steps, beside the requests.
type house struct {
	writing *checkpoint   // the checkpoint of which not all pieces are taken
	kept    []*checkpoint // two checkpoints, the older one first

	moving  uint32 // segment whose records are being relocated; 0: none
	left    []seglog.Record
	at      []seglog.Location
	carried int  // relocations that are not durable yet
	lost    bool // one of the relocations failed

	writes map[uint64]uint64 // LSN of the last record of each request that waits for the disk or for Tasks
	shown  []mapping.Entry   // entries in answers, whose records are read late
}

// forget ends all maintenance in progress, after a crash or a failed write.
func (h *house) forget() {
	h.writing, h.moving, h.carried = nil, 0, 0
	clear(h.writes)
}

// randomCheckpoint takes more pieces of a checkpoint.
func (s *simulation) randomCheckpoint() {
	if s.writing == nil {
		s.writing = s.begin()
		return
	}
	for range 1 + s.rng.IntN(8) {
		if !s.writing.more(s.e) {
			s.kept, s.writing = append(s.kept, s.writing), nil
			s.kept = s.kept[max(0, len(s.kept)-2):]
			return
		}
	}
}

// randomCarry relocates more records of a segment that no checkpoint must replay. It removes the
// segment when all are relocated.
func (s *simulation) randomCarry() {
	if s.moving == 0 {
		if len(s.kept) < 2 {
			return
		}
		var free []uint32
		for _, g := range s.history {
			if g.id < s.kept[0].at.Segment && !g.gone {
				free = append(free, g.id)
			}
		}
		if len(free) > 0 {
			s.moving, s.lost = free[s.rng.IntN(len(free))], false
			s.left, s.at = s.records(s.moving)
		}
		return
	}
	if n := min(1+s.rng.IntN(8), len(s.left)); n > 0 {
		s.carried++
		moving := s.moving
		s.e.Relocate(s.left[:n], s.at[:n], func(code model.Code) {
			if s.moving == moving {
				s.carried, s.lost = s.carried-1, s.lost || code != model.OK
			}
		})
		first := s.left[0]
		s.left, s.at = s.left[n:], s.at[n:]
		s.take()
		s.putAgain(first)
		return
	}
	if s.lost {
		s.moving = 0
	} else if s.carried == 0 && s.writing == nil {
		s.checkUsed()
		if live := s.e.Live()[s.moving]; live != 0 {
			s.t.Fatalf("seed %d: %d bytes of segment %d are live after all live records were relocated", s.seed, live, s.moving)
		}
		s.segmentOf(s.moving).gone, s.moving = true, 0
	}
}

// putAgain sometimes replaces an object that is being relocated, perhaps by the same content.
func (s *simulation) putAgain(r seglog.Record) {
	if _, known := s.ids[r.Collection]; !known {
		return // a blob
	}
	o, err := DecodeObject(body(r))
	if err != nil {
		s.t.Fatal(err)
	}
	if who, c := s.pick(); s.rng.IntN(2) == 0 {
		for p, owner := range s.owners {
			if owner == r.Owner && s.rng.IntN(4) > 0 {
				who = p
			}
		}
		if s.rng.IntN(4) > 0 {
			c = s.ids[r.Collection]
		}
		s.randomWrite(who, c, &o)
	}
}

func (s *simulation) segmentOf(id uint32) *segment { return &s.history[id-1] }

// checkUsed compares the live bytes of each segment with the engine's counters.
func (s *simulation) checkUsed() {
	used := map[uint32]int64{}
	for _, o := range all(s.e) {
		used[o.Loc.Segment] += int64(o.Loc.Length)
	}
	live := s.e.Live()
	maps.DeleteFunc(live, func(_ uint32, n int64) bool { return n == 0 })
	if !maps.Equal(used, live) {
		s.t.Fatalf("seed %d: the live bytes by segment are %v, but the engine counts %v", s.seed, used, live)
	}
}

// readLate reads the records of answers when their clients take them. They are at the old place,
// at a new place, or gone.
func (s *simulation) readLate() {
	s.shown = slices.DeleteFunc(s.shown, func(e mapping.Entry) bool {
		if s.readable(e) {
			return false // a record never changes at its place
		}
		o := s.current(s.ids[e.Collection])[e.ID.Value()]
		now, ok := s.e.Current(e)
		if ok != (o.id == e.ID) || ok && (!s.readable(now) || s.data(now) != s.data(e)) {
			s.t.Fatalf("seed %d: a record that was relocated or erased is reported at its old place: %v", s.seed, ok)
		}
		return true
	})
}

// failDisk refuses all writes in flight, which is reported to all waiting requests. Then the
// disk takes writes again, unless the Core ends before that.
func (s *simulation) failDisk() {
	s.absorb()
	s.fail()
	s.seen = 0
	for _, c := range collections {
		s.decided[c] = maps.Clone(s.current(c))
	}
	for n, lsn := range s.writes {
		a, done := s.answered(n)
		if lost := lsn > s.lsn; lost && (!done || a.code != model.StorageFailed) || !lost && done && a.code != model.OK {
			s.t.Fatalf("seed %d: a write of record %d is answered with code %d (%v), %d are durable", s.seed, lsn, a.code, done, s.lsn)
		}
	}
	if s.moving != 0 && s.carried != 0 {
		s.t.Fatalf("seed %d: the failure of %d relocations was not reported", s.seed, s.carried)
	}
	s.forget()
	s.randomGet()
	s.randomList()
	s.randomSearch()
	s.randomTask()
	s.tick(time.Duration(s.rng.IntN(100)) * time.Millisecond)
	who, c := s.pick()
	if a, done := s.answered(s.ask(who, put(c, "m", "lost"))); !done || a.code != model.StorageFailed || len(s.pending) != 0 {
		s.t.Fatalf("seed %d: a write to a failed disk: answered %v, code %d", s.seed, done, a.code)
	}
	s.checkSearches()
	if s.rng.IntN(4) == 0 {
		s.crash()
	} else {
		s.resume()
	}
}

// randomErasure erases a principal with its objects, unless a crash or a failure of the disk
// comes first. It may register the principal again, as another owner.
func (s *simulation) randomErasure() {
	for len(s.pending) > 0 {
		s.commit(len(s.pending))
	}
	i := s.rng.IntN(len(s.people))
	who := s.people[i]
	n := s.ask(admin, removal(who, wire.FlagErase))
	switch s.rng.IntN(6) {
	case 0:
		s.crash()
		return
	case 1:
		s.failDisk()
		if a, done := s.answered(n); done && a.code != model.StorageFailed {
			s.t.Fatalf("seed %d: an erasure that is not durable is answered with code %d", s.seed, a.code)
		}
		return
	}
	s.commit(1)
	maps.DeleteFunc(s.searches, func(_ uint64, q pendingSearch) bool { return q.who == who })
	if a, done := s.answered(n); done {
		s.t.Fatalf("seed %d: an erasure is answered with code %d before the key is gone", s.seed, a.code)
	}
	if s.rng.IntN(2) == 0 { // a checkpoint records that the key must be destroyed
		s.kept, s.writing = append(s.kept[max(0, len(s.kept)-1):], s.checkpoint()), nil
	}
	crashed := s.rng.IntN(3) == 0
	if crashed {
		s.crash()
	}
	for left := s.rng.IntN(8); s.e.swept < len(s.e.erase); left-- { // its objects are removed step by step
		if erase, _, clean := s.e.PendingMaintenance(); len(erase) > s.e.swept || clean {
			s.t.Fatalf("seed %d: a key is to be destroyed, or the store cleaned, before the objects are gone", s.seed)
		}
		s.work()
		if left > 0 {
			s.randomTask()
		}
	}
	s.eraseKeys()
	if a, done := s.answered(n); done == crashed || done && a.code != model.OK || !s.erased[s.owners[who]] {
		s.t.Fatalf("seed %d: after an erasure: answered %v, code %d, the key is gone: %v", s.seed, done, a.code, s.erased[s.owners[who]])
	}
	s.checkErasedBlobs()
	s.change(wire.Request{Op: model.OpAddPrincipal, Identity: identity.ID(who), Name: []byte{'p', byte('0' + i)}})
	for _, c := range collections {
		if r := s.rights[c][who]; r != 0 {
			s.change(grantRequest(model.OpGrant, c, who, r))
		}
	}
	owner := s.e.principals[who].owner
	for _, before := range s.owners {
		if owner <= before {
			s.t.Fatalf("seed %d: owner %d follows owner %d; want a higher number", s.seed, owner, before)
		}
	}
	s.owners[who] = owner
}

// change makes a change of the catalogue, and lets no other event happen before it is done.
func (s *simulation) change(r wire.Request) {
	n := s.ask(admin, r)
	s.commit(len(s.pending))
	if a, done := s.answered(n); !done || a.code != model.OK {
		s.t.Fatalf("seed %d: operation %d: %v, code %d", s.seed, r.Op, done, a.code)
	}
}

// randomRotation gives a principal another key, unless a crash or a failure of the disk comes
// first. Everything else about the principal stays.
func (s *simulation) randomRotation() {
	for len(s.pending) > 0 {
		s.commit(len(s.pending))
	}
	i := s.rng.IntN(len(s.people))
	who := s.people[i]
	s.rotations++
	next := access.Principal{0: 3, 1: byte(s.rotations >> 8), 2: byte(s.rotations)}
	n := s.ask(admin, wire.Request{Op: model.OpRotatePrincipal, Identity: identity.ID(who), Query: next[:]})
	switch s.rng.IntN(6) {
	case 0:
		s.crash()
		return
	case 1:
		s.failDisk()
		if a, done := s.answered(n); done && a.code != model.StorageFailed {
			s.t.Fatalf("seed %d: a rotation that is not durable is answered with code %d", s.seed, a.code)
		}
		return
	}
	s.commit(1)
	if a, done := s.answered(n); !done || a.code != model.OK {
		s.t.Fatalf("seed %d: a rotation: answered %v, code %d", s.seed, done, a.code)
	}
	maps.DeleteFunc(s.searches, func(_ uint64, q pendingSearch) bool { return q.who == who })
	s.people[i] = next
	s.owners[next] = s.owners[who]
	delete(s.owners, who)
	for _, c := range collections {
		s.rights[c][next] = s.rights[c][who]
		delete(s.rights[c], who)
	}
	if s.e.Knows(who) || !s.e.Knows(next) {
		s.t.Fatalf("seed %d: after a rotation the old key is known: %v, the next one: %v", s.seed, s.e.Knows(who), s.e.Knows(next))
	}
}
