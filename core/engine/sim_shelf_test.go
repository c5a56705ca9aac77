package engine

import (
	"motte/core/identity"
	"motte/core/model"
	"motte/core/seglog"
	"motte/internal/faketask"
)

// shelves is what the histories know of blobs.
type shelves struct {
	putBy       map[identity.ID]uint32 // owner of each object that was ever durable
	compactions map[uint64]map[string]int
}

// compaction sends a COMPACT, and notes the versions at this moment.
func (s *simulation) compaction() {
	from := make(map[string]int)
	for _, c := range collections {
		from[c] = len(s.versions[c]) - 1
	}
	s.compactions[s.ask(admin, op(model.OpCompact))] = from
}

// maintain does what the server's maintainer would do next: it destroys data keys, and ends a
// cleaning pass. The pass may fail.
func (s *simulation) maintain() {
	erase, waiting, clean := s.e.PendingMaintenance()
	s.take()
	if len(erase) > 0 {
		s.eraseKeys()
	}
	if !clean {
		return
	}
	code := model.StorageFailed
	if s.rng.IntN(3) > 0 {
		s.e.Cleaned(s.now)
		code = model.OK
	}
	s.e.CompactionDone(waiting, code)
	s.take()
	for n, from := range s.compactions {
		a, done := s.answered(n)
		if !done {
			continue
		}
		if delete(s.compactions, n); a.code == model.OK {
			s.checkCompacted(from)
		}
	}
}

// blobs calls f for each entry of each blob that was ever on the disk, and that the present data
// keys open.
func (s *simulation) blobs(f func(generation uint32, entry faketask.Entry)) {
	for _, r := range s.disk {
		if _, known := s.ids[r.Collection]; known || r.Kind != seglog.KindPut || s.erased[r.Owner] {
			continue
		}
		o, err := DecodeObject(body(r))
		if err != nil {
			s.t.Fatal(err)
		}
		blob, err := decodeBlob(o.Data)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, entry := range faketask.Entries(blob) {
			f(r.Owner, entry)
		}
	}
}

// checkCompacted checks, after a COMPACT, that no blob can be opened that has an object which was
// changed or removed before the request.
func (s *simulation) checkCompacted(from map[string]int) {
	live := make(map[identity.ID]bool)
	for _, c := range collections {
		for _, v := range s.versions[c][from[c]:] {
			for _, o := range v {
				live[o.id] = true
			}
		}
	}
	s.blobs(func(generation uint32, entry faketask.Entry) {
		if !entry.Gone && !live[entry.ID] {
			s.t.Fatalf("seed %d: after a COMPACT a blob of generation %d can be opened, and has an object that was removed before", s.seed, generation)
		}
	})
}

// checkErasedBlobs checks that no blob can be opened that has an object of an erased owner.
func (s *simulation) checkErasedBlobs() {
	s.blobs(func(generation uint32, entry faketask.Entry) {
		if owner := s.putBy[entry.ID]; s.erased[owner] {
			s.t.Fatalf("seed %d: owner %d is erased, and a blob of generation %d with its object can be opened", s.seed, owner, generation)
		}
	})
}

// noteOwners notes the owners of the objects that become durable.
func (s *simulation) noteOwners(groups []seglog.Group) {
	for _, g := range groups {
		for _, r := range g {
			if _, known := s.ids[r.Collection]; known && r.Kind == seglog.KindPut {
				s.putBy[r.ID] = r.Owner
			}
		}
	}
}
