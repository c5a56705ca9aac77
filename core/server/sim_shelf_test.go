package server

import (
	"bytes"
	"fmt"
	"maps"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"motte/core/codec"
	"motte/core/engine"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/wire"
	"motte/internal/faketask"
)

const (
	simQuota       = 64 << 10 // bytes of a shelf: some are full
	simObjectFront = 6        // bytes before the name in the body of an object's record
)

// shelved reports whether the Tasks have shelves.
func (s *sim) shelved() bool { return slices.Contains([]uint64{0, 2, 5, 6, 8}, s.seed%10) }

// simShelf is the state of a shelf, as the last record of it says.
type simShelf struct {
	collection        uint32 // of the index
	index             string
	begun             uint64
	generation, epoch uint32
	highest           uint64
	all               bool   // its blobs may hold data of any owner
	owners            string // numbers of 4 bytes each
}

// decodeSimShelf decodes the body of the record of a shelf.
func decodeSimShelf(collection uint32, p []byte) (s simShelf, err error) {
	r := codec.NewReader(p)
	s.collection, s.index = collection, r.Text(model.MaxIdentifier)
	r.Take(32) // measurement
	s.begun, s.generation, s.epoch, s.highest = r.U64(), r.U32(), r.U32(), r.U64()
	r.Take(int(r.U8()) * identity.Size) // inputs that are set aside
	s.all, s.owners = r.Bool(), string(r.Rest())
	return s, r.Done()
}

// has reports whether the blobs may hold data of an owner.
func (s *simShelf) has(owner uint32) bool {
	for o := range slices.Chunk([]byte(s.owners), 4) {
		if simU32(o) == owner {
			return true
		}
	}
	return s.all
}

// applyShelf applies the record of a shelf, unless its index is gone. It returns the generation.
func (c *simCatalogue) applyShelf(collection uint32, body []byte) (generation uint32) {
	next, _ := decodeSimShelf(collection, body)
	for id, was := range c.shelves {
		if was.collection == collection && was.index == next.index {
			c.shelves[id] = next
			c.owners = max(c.owners, next.generation)
		}
	}
	return next.generation
}

// ofShelf reports whether a group is of a shelf, and not of a request.
func (m *simModel) ofShelf(g seglog.Group) bool {
	return m.holdsBlobs(g[0].Collection) || g[0].Kind == seglog.KindShelf || g[0].Kind == seglog.KindRemovePrincipal && simGeneration(&g[0]) != 0
}

// holdsBlobs reports whether a collection is, or was, that of a shelf.
func (m *simModel) holdsBlobs(collection uint32) bool {
	return slices.ContainsFunc(m.cats, func(c *simCatalogue) bool {
		_, is := c.shelves[collection]
		return is
	})
}

// simGeneration returns the generation of a shelf that a record ends, or 0.
func simGeneration(r *seglog.Record) uint32 {
	if r.Kind != seglog.KindRemovePrincipal {
		return 0
	}
	n := decodeSimEntry(r.Body)
	if n.principal != [32]byte{} || n.flags != 1 {
		return 0
	}
	return n.owner
}

// explainShelf checks a group of a shelf. It has changes of one shelf alone, or it ends generations.
func (s *sim) explainShelf(g seglog.Group) {
	cat := s.model.catalogue(g[0].LSN - 1)
	if simGeneration(&g[0]) != 0 {
		if !renews(cat, g) {
			s.fail("the group of record %d should end generations of the shelves %+v: %+v", g[0].LSN, cat.shelves, g)
		}
		s.counts["shelves renewed"] += len(g) / 2
		return
	}
	of := uint32(0)
	if g[0].Kind == seglog.KindDelete {
		of = g[0].Collection // also of an index that is being dropped
	}
	for id, shelf := range cat.shelves {
		next, err := decodeSimShelf(g[0].Collection, g[len(g)-1].Body)
		if id == g[0].Collection || g[0].Kind == seglog.KindShelf && err == nil && shelf.collection == next.collection && shelf.index == next.index {
			of = id
		}
	}
	for i := range g {
		r := &g[i]
		switch {
		case r.Kind == seglog.KindShelf && i == len(g)-1:
			s.explainState(cat, of, r)
		case of != 0 && r.Collection == of && r.Kind == seglog.KindDelete:
			if !s.model.hasBlob(r) {
				s.fail("record %d removes a blob that does not exist", r.LSN)
			}
		case of != 0 && r.Collection == of && r.Kind == seglog.KindPut && len(g) == 1:
			s.explainBlob(cat, of, r)
		default:
			s.fail("record %d, kind %d of collection %d, is in a group of shelf %d", r.LSN, r.Kind, r.Collection, of)
		}
	}
}

// hasBlob reports whether the blob that a record removes is there, or its generation has ended and
// the engine is still removing its blobs.
func (m *simModel) hasBlob(r *seglog.Record) bool {
	for _, c := range slices.Backward(m.objects[r.ID.Value()]) {
		if c.is != nil {
			return c.is.id == r.ID && (m.object(r.ID.Value(), r.LSN-1) == c.is || m.erased[c.is.owner] != 0)
		}
	}
	return false
}

// explainState checks the record of a shelf. Its index may be about to be dropped. A generation, once
// begun, goes on, and its owners are never forgotten.
func (s *sim) explainState(cat *simCatalogue, of uint32, r *seglog.Record) {
	next, err := decodeSimShelf(r.Collection, r.Body)
	if err != nil {
		s.fail("record %d of a shelf: %v", r.LSN, err)
	}
	before, there := cat.shelves[of]
	s.counts["states of shelves"]++
	if !there {
		return
	}
	if before.generation == 0 && next.generation != 0 {
		if next.generation <= max(cat.owners, s.model.generations) {
			s.fail("record %d: generation %d is not new", r.LSN, next.generation)
		}
		return
	}
	if next.generation != before.generation || next.epoch < before.epoch || next.epoch == before.epoch && next.highest < before.highest {
		s.fail("record %d: the shelf %+v follows %+v", r.LSN, next, before)
	}
	for o := range slices.Chunk([]byte(before.owners), 4) {
		if !next.has(simU32(o)) {
			s.fail("record %d: the shelf forgets owner %d of generation %d", r.LSN, simU32(o), next.generation)
		}
	}
}

// explainBlob checks a new blob: its generation, size and place, and that its shelf says which
// owners' data it may hold. No blob is made while a principal is being erased.
func (s *sim) explainBlob(cat *simCatalogue, of uint32, r *seglog.Record) {
	shelf := cat.shelves[of]
	name, attributes, data := simU16(r.Body), simU32(r.Body[2:]), r.Body[simObjectFront:]
	if name != 0 || attributes != 0 || r.Owner != shelf.generation || shelf.generation == 0 {
		s.fail("record %d: a blob of owner %d is put on the shelf %+v", r.LSN, r.Owner, shelf)
	}
	if n := len(data); bits.OnesCount(uint(n)) != 1 || n < 4<<10 || n > 128<<10 {
		s.fail("record %d: a blob takes %d bytes", r.LSN, n)
	}
	used := int64(0)
	for v := range s.model.objects {
		if o := s.model.object(v, r.LSN-1); o != nil && o.collection == of {
			used += seglog.RecordSize(simObjectFront + len(o.data))
		}
	}
	if used+seglog.RecordSize(len(r.Body)) > simQuota {
		s.fail("record %d: the shelf holds %d bytes, and gets a blob of %d", r.LSN, used, len(data))
	}
	s.counts["blobs"]++
	for owner := range s.model.erased {
		generation := slices.ContainsFunc(s.model.cats, func(c *simCatalogue) bool {
			return slices.ContainsFunc(slices.Collect(maps.Values(c.shelves)), func(of simShelf) bool { return of.generation == owner })
		})
		if s.log.HasKey(owner) && !generation {
			s.fail("record %d: a blob is made while owner %d is being erased", r.LSN, owner)
		}
	}
	if s.hostile {
		return
	}
	putBy := s.model.putBy()
	for _, entry := range simEntries(data) {
		owner, known := putBy[entry.ID]
		switch {
		case entry.Gone:
		case !known:
			s.fail("record %d: a blob has an object that was never put", r.LSN)
		case s.model.erased[owner] != 0:
			s.fail("record %d: a blob has an object of owner %d, who is erased", r.LSN, owner)
		case !shelf.has(owner):
			s.fail("record %d: a blob has an object of owner %d, which its shelf does not say", r.LSN, owner)
		}
	}
}

// simEntries decodes the padded content of a blob of a fake Task. It returns nothing for other data.
func simEntries(data []byte) []faketask.Entry {
	r := codec.NewReader(data)
	blob := r.Take(int(r.U32()))
	r.Zero(r.Len())
	if r.Done() != nil {
		return nil
	}
	return faketask.Entries(blob)
}

// putBy returns the owner of each object that was ever put.
func (m *simModel) putBy() map[identity.ID]uint32 {
	all := make(map[identity.ID]uint32)
	for _, list := range m.objects {
		for _, c := range list {
			if c.is != nil {
				all[c.is.id] = c.is.owner
			}
		}
	}
	return all
}

// renews reports whether a group has pairs of records: one ends the generation of a shelf, and the
// next one says that the shelf is empty.
func renews(c *simCatalogue, g []seglog.Record) bool {
	ended := make(map[uint32]bool)
	for pair := range slices.Chunk(g, 2) {
		generation := simGeneration(&pair[0])
		if generation == 0 || ended[generation] || len(pair) < 2 || pair[1].Kind != seglog.KindShelf {
			return false
		}
		ended[generation] = true
		next, err := decodeSimShelf(pair[1].Collection, pair[1].Body)
		ok := false
		for _, was := range c.shelves {
			same := was.collection == next.collection && was.index == next.index
			ok = ok || same && was.generation == generation && next.epoch > was.epoch
		}
		if err != nil || !ok || next.generation != 0 || next.highest != 0 || next.owners != "" || next.all {
			return false
		}
	}
	return true
}

// endsShelves reports whether a group that a request caused ends exactly the right shelves, after
// its first record: those of the indexes that are dropped, or those that may hold data of the owner
// that is erased.
func (m *simModel) endsShelves(q *simRequest, g []seglog.Record) bool {
	if q.writes != nil {
		return false
	}
	c := m.catalogue(g[0].LSN - 1)
	rest := g[1:]
	ended := make(map[uint32]bool)
	for i := range rest {
		ended[simGeneration(&rest[i])] = true
	}
	for _, shelf := range c.shelves {
		must := false
		switch q.r.Op {
		case model.OpRemovePrincipal:
			must = q.r.Flags != 0 && shelf.has(decodeSimEntry(g[0].Body).owner)
		case model.OpDropCollection:
			must = shelf.collection == g[0].Collection
		case model.OpDropIndex:
			must = shelf.collection == g[0].Collection && shelf.index == q.r.Index
		default:
			return false
		}
		drops := q.r.Op != model.OpRemovePrincipal
		if shelf.generation != 0 && (must && !ended[shelf.generation] || drops && !must && ended[shelf.generation]) {
			return false
		}
	}
	if q.r.Op == model.OpRemovePrincipal {
		return q.r.Flags != 0 && renews(c, rest)
	}
	return !ended[0]
}

// lull lets a minute pass without a request, so that Tasks save. Their processes keep up.
func (s *sim) lull() {
	s.note("a lull")
	for range 300 + s.rng.IntN(400) {
		for _, k := range slices.Clone(s.fakes) {
			if k.net == nil {
				s.startFake(k)
			}
			s.workFake(k, 1<<30)
			s.rest() // two Tasks that answer at the same time would race
		}
		if s.storage.calls() > 0 && s.chance(50) {
			s.release(0, true)
		}
		s.pass(100 * time.Millisecond)
		s.pump(1 << 30)
	}
	s.counts["lulls"]++
}

// openBlobs calls f for each entry of each blob that can be opened with the data keys of today, on
// this disk or on a copy. Copies of forks are left out: there, numbers mean other owners.
func (s *sim) openBlobs(f func(owner uint32, entry faketask.Entry)) {
	for _, c := range append([]simCopy{{disk: s.disk}}, s.copies...) {
		if c.branch {
			continue
		}
		d := c.disk.clone()
		for _, name := range seglog.KeysNames {
			d.files[name] = &simFile{data: bytes.Clone(s.disk.files[name].data)}
		}
		st := &simStorage{rng: s.rng, disk: d, direct: true, left: 1 << 30}
		l, err := seglog.Open(st, s.root, simReader{rand.New(rand.NewPCG(1, 1))}.Read, func(*seglog.DamageError) error { return nil })
		if err != nil {
			continue
		}
		if err := l.Restore(0, nil); err != nil {
			s.fail("%v", err)
		}
		var places []seglog.Location
		err = l.Replay(func(r seglog.Record, at seglog.Location) error {
			if r.Kind == seglog.KindPut {
				places = append(places, at)
			}
			return nil
		})
		if err != nil {
			s.fail("reading all that can be read: %v", err)
		}
		for _, at := range places {
			rec, _, err := l.Read(nil, at)
			if err != nil {
				continue
			}
			if o, err := engine.DecodeObject(rec.Body); err == nil && len(o.Name) == 0 {
				for _, entry := range simEntries(o.Data) {
					f(rec.Owner, entry)
				}
			}
		}
	}
}

// checkErasedBlobs checks that no blob with an object of an erased owner can be opened.
func (s *sim) checkErasedBlobs(owners map[uint32]uint64) {
	if !s.shelved() {
		return
	}
	putBy := s.model.putBy()
	s.openBlobs(func(generation uint32, entry faketask.Entry) {
		if owner := putBy[entry.ID]; owners[owner] != 0 {
			s.fail("owner %d is erased, and a blob of generation %d with its object can be opened", owner, generation)
		}
	})
}

// checkCompactedBlobs checks, after a COMPACT, that no blob with an object that was changed or
// removed before its request can be opened.
func (s *sim) checkCompactedBlobs(durable uint64) {
	if !s.shelved() {
		return
	}
	gone := make(map[identity.ID]uint64)
	for _, list := range s.model.objects {
		for i, c := range list[:max(0, len(list)-1)] {
			if next := list[i+1]; c.is != nil && next.lsn <= durable && (next.is == nil || next.is.id != c.is.id) {
				gone[c.is.id] = next.lsn
			}
		}
		for _, c := range list { // the same content may have come back
			if c.is != nil && c.lsn > gone[c.is.id] {
				delete(gone, c.is.id)
			}
		}
	}
	s.openBlobs(func(generation uint32, entry faketask.Entry) {
		if at := gone[entry.ID]; at != 0 && !entry.Gone {
			s.fail("a COMPACT was answered, and a blob of generation %d with an object that record %d took away can be opened", generation, at)
		}
	})
}

func simU16(p []byte) uint16 { return uint16(p[0])<<8 | uint16(p[1]) }

// TestAHostThatAltersBlobsCostsOnlyTheShelf: a blob that was damaged, or exchanged, is never given to a
// Task. The index is built from the objects, there is an alert, and every answer is right.
func TestAHostThatAltersBlobsCostsOnlyTheShelf(t *testing.T) {
	quiet(t)
	at := func(s *sim, e mapping.Entry) []byte {
		return s.disk.files[segmentFile(e.Loc.Segment)].data[e.Loc.Offset:][:e.Loc.Length]
	}
	for _, tc := range []struct {
		name  string
		alter func(s *sim, a, b []mapping.Entry) // the blobs of two shelves, in the order of their LSNs
	}{
		{"a flipped bit of the content", func(s *sim, a, _ []mapping.Entry) { at(s, a[0])[200] ^= 1 }},
		{"a flipped bit of the last seal", func(s *sim, a, _ []mapping.Entry) { at(s, a[0])[a[0].Loc.Length-1] ^= 0x80 }},
		{"a flipped bit of the head", func(s *sim, a, _ []mapping.Entry) { at(s, a[0])[40] ^= 1 }},
		{"a content of zeros", func(s *sim, a, _ []mapping.Entry) { clear(at(s, a[0])[simSealed:]) }},
		{"a second half of zeros", func(s *sim, a, _ []mapping.Entry) { clear(at(s, a[0])[a[0].Loc.Length/2:]) }},
		{"two blobs of a shelf exchanged", func(s *sim, a, _ []mapping.Entry) { exchange(at(s, a[0]), at(s, a[1])) }},
		{"blobs of two shelves exchanged", func(s *sim, a, b []mapping.Entry) { exchange(at(s, a[0]), at(s, b[0])) }},
		{"a blob of another shelf copied over", func(s *sim, a, b []mapping.Entry) { copy(at(s, a[0]), at(s, b[0])) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(10)
				s.hostile = false
				defer func() {
					if failed := recover(); failed != nil {
						s.abort()
						t.Errorf("%v", failed)
					}
				}()
				a, b := s.twoShelves()
				for range 2 { // else a start reads all records, and refuses a store with a damaged one
					s.written.Add(1 << 40)
					for range 30 {
						s.quieten()
						s.pass(100 * time.Millisecond)
					}
				}
				s.quieten()
				s.must(wire.Request{Op: model.OpPut, Collection: "a", Name: []byte("last"), Object: []byte("0 last")})
				s.stop(false)
				tc.alter(s, a, b)
				s.disturbed = true
				s.altered = func(e mapping.Entry) bool { return e.Loc == a[0].Loc || e.Loc == a[1].Loc || e.Loc == b[0].Loc }
				s.boot()
				s.until(func() bool { return s.ready })
				for _, c := range []string{"a", "b"} {
					for range 30 {
						s.pass(100 * time.Millisecond)
						s.quieten()
					}
					s.must(wire.Request{Op: model.OpSearch, Collection: c, Index: "x", Query: []byte("0")})
					if n := s.counts[fmt.Sprintf("op %d code %d", model.OpSearch, model.OK)]; n == 0 {
						t.Errorf("the index of %q does not serve", c)
					}
					delete(s.counts, fmt.Sprintf("op %d code %d", model.OpSearch, model.OK))
				}
				if s.noticed == 0 {
					t.Error("no alert says that a record is damaged")
				}
				s.stop(false)
			})
		})
	}
}

func exchange(a, b []byte) {
	old := bytes.Clone(a)
	copy(a, b)
	copy(b, old)
}

// twoShelves boots a Core with some objects in two collections, lets their Tasks save, and returns
// the blobs of each.
func (s *sim) twoShelves() (a, b []mapping.Entry) {
	s.boot()
	s.setUp()
	for i := range 12 {
		s.must(wire.Request{Op: model.OpPut, Collection: []string{"a", "b"}[i%2], Name: fmt.Append(nil, i), Object: fmt.Append(nil, "0 ", i)})
	}
	for range 3 {
		for _, k := range s.fakes {
			k.Calm = true // one object in each blob
		}
		s.lull()
	}
	cat := s.model.catalogue(s.model.durable)
	var c engine.Cursor
	for _, o := range s.engine.Scan(&c, 1<<20) {
		switch cat.shelves[o.Collection].collection {
		case cat.collections["a"]:
			a = append(a, o)
		case cat.collections["b"]:
			b = append(b, o)
		}
	}
	byLSN := func(x, y mapping.Entry) int { return int(x.LSN) - int(y.LSN) }
	slices.SortFunc(a, byLSN)
	slices.SortFunc(b, byLSN)
	if len(a) < 2 || len(b) < 2 || a[0].Loc.Length != a[1].Loc.Length || a[0].Loc.Length != b[0].Loc.Length {
		s.fail("the shelves have the blobs %+v and %+v", a, b)
	}
	return a, b
}
