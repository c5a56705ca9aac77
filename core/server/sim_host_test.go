package server

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
)

// simCopy is a copy of the disk that the host kept: of this store, or of a fork of its history
// that began at an LSN.
type simCopy struct {
	disk   *simDisk
	branch bool
	from   uint64
}

// copy lets the host keep a copy.
func (s *sim) copy() {
	s.note("the host keeps a copy")
	s.keep(simCopy{disk: s.disk.clone()})
}

func (s *sim) keep(c simCopy) {
	if len(s.copies) < 5 {
		s.copies = append(s.copies, c)
	} else {
		s.copies[s.rng.IntN(len(s.copies))] = c
	}
}

// tamper lets the host change the disk between two starts of a Core. Each change is tried on a
// Core, and then undone.
func (s *sim) tamper() {
	switch k := s.rng.IntN(10); {
	case k < 3 && len(s.copies) > 0:
		s.setBack()
	case k < 6:
		s.flip()
	case k < 7:
		s.fork()
	}
}

// setBack rolls the disk, or some of its files, back to a copy.
func (s *sim) setBack() {
	c := s.copies[s.rng.IntN(len(s.copies))]
	if c.branch && s.newest.LSN <= c.from {
		return // no head has been seen yet that tells the two apart
	}
	d, kinds := s.disk.clone(), []string{".keys", ".ckp", ".seg"}
	mode := s.rng.IntN(5)
	take := func(name string) bool {
		switch mode {
		case 0, 1, 2:
			return strings.HasSuffix(strings.TrimSuffix(name, ".copy"), kinds[mode])
		case 3:
			return true
		}
		return s.chance(50)
	}
	names := maps.Clone(s.disk.files)
	maps.Copy(names, c.disk.files)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		// The data keys of a fork also have its erasures. That is how a backup is restored, and no
		// head could show it.
		if !take(name) || c.branch && mode != 3 && slices.Contains(seglog.KeysNames[:], name) {
			continue
		}
		if delete(d.files, name); c.disk.files[name] != nil && !(mode == 4 && s.chance(10)) {
			d.files[name] = &simFile{data: bytes.Clone(c.disk.files[name].data)}
		}
	}
	s.note("to set back, mode %d, branch %v", mode, c.branch)
	err := s.try(d, c.branch && (mode == 2 || mode == 3), func(mapping.Entry) bool { return true })
	s.note("set back: %v", err)
	s.counts[outcome("set back", err)]++
}

func outcome(what string, err error) string {
	switch {
	case err == nil:
		return what + ": served"
	case errors.Is(err, ErrOlder):
		return what + ": older"
	}
	return what + ": damaged"
}

// try opens a store that the host has changed. Either it does not open, or it has everything
// that any client was told.
func (s *sim) try(d *simDisk, branch bool, damaged func(mapping.Entry) bool) error {
	anchor := s.newest
	sh, _, err := s.open(d, s.rng, 1<<30, anchor)
	if err != nil {
		if !errors.Is(err, seglog.ErrDamaged) && !errors.Is(err, ErrOlder) && !strings.Contains(err.Error(), "this Core reads version") {
			s.fail("a store that was tampered with does not open, but says: %v", err)
		}
		return err
	}
	p := sh.log.Position()
	if p.LSN < anchor.LSN {
		s.fail("a store opens that ends with record %d, though a client knows of record %d", p.LSN, anchor.LSN)
	}
	if s.chains[p.LSN] == p.Head().Chain {
		s.readAll(sh, s.model, p.LSN, damaged)
		return nil
	}
	// The history continues from there, with the records that were written once but not
	// acknowledged.
	if p.LSN == anchor.LSN || branch {
		s.fail("a store opens that ends with record %d, chain %x, where a client knows of record %d, chain %x, and record %d had %x",
			p.LSN, p.Chain[:4], anchor.LSN, anchor.Chain[:4], p.LSN, s.chains[p.LSN])
	}
	s.counts["served with what nobody was told of"]++
	return nil
}

// flip changes one bit of a file.
func (s *sim) flip() {
	names := slices.Sorted(maps.Keys(s.disk.files))
	name := names[s.rng.IntN(len(names))]
	d := s.disk.clone()
	f := d.files[name]
	at := s.rng.IntN(len(f.data))
	f.data[at] ^= 1 << s.rng.IntN(8)
	hit := func(e mapping.Entry) bool {
		return strings.HasPrefix(name, segmentFile(e.Loc.Segment)) && at >= int(e.Loc.Offset) && at < int(e.Loc.Offset+e.Loc.Length)
	}
	copied := d.clone()
	s.note("to flip a bit of %s, at %d", name, at)
	err := s.try(d, false, hit)
	s.note("flipped: %v", err)
	kind := name[max(0, len(name)-4):]
	s.counts[outcome("flip in "+kind, err)]++
	switch {
	case kind == ".ckp" && err != nil:
		s.fail("with a bit of %s altered, the checkpoint before, or the whole log, should do: %v", name, err)
	case (kind == "keys" || kind == "copy") && err != nil:
		s.fail("with a bit of %s altered, the other copy should do: %v", name, err)
	case kind == ".seg" && s.lastWrite.name != "" && (name != s.lastWrite.name || at < s.lastWrite.at):
		// Do not damage the last write, so that no client needs to remember it.
		sh, _, err := s.open(copied, s.rng, 1<<30, model.Head{})
		if err == nil && sh.log.Position().LSN < s.model.durable {
			s.fail("a bit of %s is altered, at %d, before the last write at %+v, and what is behind it is not missed: the log ends with record %d instead of %d",
				name, at, s.lastWrite, sh.log.Position().LSN, s.model.durable)
		}
	}
}

func segmentFile(id uint32) string {
	digits := []byte("00000000.seg")
	for i := 7; id > 0; i, id = i-1, id/10 {
		digits[i] = byte('0' + id%10)
	}
	return string(digits)
}

// fork lets a fork of the history run from here on, and keeps its files and heads.
func (s *sim) fork() {
	if s.branch {
		return
	}
	b := &sim{seed: s.seed, rng: rand.New(rand.NewPCG(s.rng.Uint64(), 4)), root: s.root, chains: maps.Clone(s.chains), repeated: maps.Clone(s.repeated), disk: s.disk.clone(), model: s.model.clone(),
		newest: s.newest, people: s.people, number: s.number + 1<<40, hostile: s.hostile, branch: true, limbo: s.limbo, lastWrite: s.lastWrite, counts: map[string]int{}}
	s.note("a fork begins")
	defer func() {
		if r := recover(); r != nil {
			b.abort()
			s.trace = append(s.trace, b.trace...)
			panic(r)
		}
	}()
	b.boot()
	from := b.log.Position().LSN
	for range 60 {
		b.step()
	}
	b.stop(false)
	s.note("the fork ends: %x", b.hash)
	s.keep(simCopy{b.disk, true, from})
	if b.newest.LSN > from {
		s.foreign = append(s.foreign, b.newest)
		s.heads = append(s.heads, b.newest)
		s.counts["branches with heads of their own"]++
	}
}

// abort ends a process whose history failed.
func (s *sim) abort() {
	if s.storage != nil && !s.storage.dead {
		s.storage.kill()
	}
	if s.server != nil && s.cancel != nil {
		s.halt()
	}
}

// compacted checks the disk after a compaction was answered. No file may have a record that was
// dead at the request.
func (s *sim) compacted(q *simRequest) {
	m := s.model
	c := m.catalogue(q.durable)
	for _, list := range m.objects {
		for i, o := range list[:max(0, len(list)-1)] {
			if o.is == nil || o.is.sealed == nil || list[i+1].lsn > q.durable || !c.has(o.is.collection) {
				continue
			}
			for name, f := range s.disk.files {
				if bytes.Contains(f.data, o.is.sealed) {
					s.fail("a compaction is done, and %s still holds the object that record %d put and record %d took away", name, o.lsn, list[i+1].lsn)
				}
			}
		}
	}
	s.checkCompactedBlobs(q.durable)
	s.counts["compactions checked"]++
}

// checkErased checks that no record of an erased owner opens, on this disk or on any copy, with
// the root key and the present data keys.
func (s *sim) checkErased(owners map[uint32]uint64, why string) {
	if len(owners) == 0 {
		return
	}
	for _, name := range seglog.KeysNames {
		keys, _, err := seglog.OpenKeys(s.root, s.disk.files[name].data)
		for owner := range owners {
			if err != nil || keys == nil || keys.Has(owner) {
				s.fail("%s: %s of today has the key of owner %d", why, name, owner)
			}
		}
	}
	for _, c := range append([]simCopy{{disk: s.disk}}, s.copies...) {
		d := c.disk.clone()
		old := d.clone()
		for _, name := range seglog.KeysNames {
			d.files[name] = &simFile{data: bytes.Clone(s.disk.files[name].data)}
		}
		if n := s.opens(d, owners); n > 0 {
			s.fail("%s: %d records of owners that were erased can be opened with the data keys of today", why, n)
		}
		if old.files[seglog.KeysNames[0]] != nil {
			s.counts["erased records that keys of then open"] += s.opens(old, owners)
		}
	}
}

// opens counts the objects of some owners that can be opened on a disk.
func (s *sim) opens(d *simDisk, owners map[uint32]uint64) (n int) {
	st := &simStorage{rng: s.rng, disk: d, direct: true, left: 1 << 30}
	l, err := seglog.Open(st, s.root, simReader{rand.New(rand.NewPCG(1, 1))}.Read, func(*seglog.DamageError) error { return nil })
	if err != nil {
		return 0
	}
	var places []seglog.Location
	if err := l.Restore(0, nil); err != nil {
		s.fail("%v", err)
	}
	err = l.Replay(func(r seglog.Record, at seglog.Location) error {
		if owners[r.Owner] != 0 && r.Kind == seglog.KindPut {
			places = append(places, at)
		}
		return nil
	})
	if err != nil {
		s.fail("reading all that can be read: %v", err)
	}
	for _, at := range places {
		if _, _, err := l.Read(nil, at); err == nil {
			n++
		}
	}
	return n
}

// checkRoom checks that no budget is held when every request is answered.
func (s *sim) checkRoom() {
	if s.largeBudget.free != largeBudget || s.smallBudget.free != smallBudget || s.answerBudget.free != answerBudget {
		s.fail("all is answered, and %d, %d and %d bytes of room are held", largeBudget-s.largeBudget.free, smallBudget-s.smallBudget.free, answerBudget-s.answerBudget.free)
	}
	for _, c := range s.conns {
		if n := c.unanswered.Load(); n != 0 || c.window != 0 {
			s.fail("all is answered, and a connection has %d requests that are not, and %d bytes of window taken", n, c.window)
		}
	}
}

// checkSpace checks that after a compaction the disk has the live records, two checkpoints, and
// little else.
func (s *sim) checkSpace() {
	var live, bytes int64
	for _, n := range s.engine.Live() {
		live += n
	}
	list := s.log.Segments()
	for i := range list {
		bytes += list[i].Bytes
	}
	segments, checkpoints := 0, 0
	for name := range s.disk.files {
		if strings.HasSuffix(name, ".ckp") {
			checkpoints++
		} else if strings.HasSuffix(name, ".seg") {
			segments++
		}
	}
	slack := int64(2048)
	if s.shelved() {
		slack += simQuota // blobs that were saved since then
	}
	if bytes > live+slack || segments != len(list) || checkpoints != 2 {
		s.fail("%d segments of %d bytes (%d files) and %d checkpoints hold %d live bytes", len(list), bytes, segments, checkpoints, live)
	}
}
