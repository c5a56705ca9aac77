package server

import (
	"errors"
	"time"

	"motte/core/engine"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
)

// Limits of the scrub.
const (
	scrubWithin = 3 * 24 * time.Hour // time of a pass over the store, about
	scrubMost   = 8 << 20            // bytes that a step reads, about; a pass over 2 TiB takes longer
	scrubPart   = 256                // entries that are kept at once
)

// scrubber reads all live records of the store, and then the checkpoints, in pass after pass. So
// it finds a damaged record before a client needs it. It checks a record as for a client: its
// seals, and its content against its identity.
type scrubber struct {
	server     *server
	maintainer *maintainer
	maker      *identity.Maker
	cursor     engine.Cursor   // position after the entries of list
	list       []mapping.Entry // the next entries to be read
	buf        []byte
	next       time.Time       // when the next entry is due
	blobs      map[uint32]bool // those of their collections that hold blobs

	waiting int           // requests to be answered at the end of this pass
	found   engine.Verify // the result of this pass up to now
}

// newScrubber returns a scrubber. Its first pass skips the part of the store that a pass would have
// read by now, by the clock. So a server that starts often still reads the whole store.
func newScrubber(m *maintainer) *scrubber {
	s := &scrubber{server: m.s, maintainer: m, maker: m.s.newMaker(), next: time.Now()}
	phase := time.Duration(time.Now().UnixNano()) % scrubWithin
	m.s.runOnEngine(func(e *engine.Engine) { s.cursor = e.Behind(phase.Seconds() / scrubWithin.Seconds()) })
	return s
}

// step reads the records that are due. It returns more if a request waits for the end of the pass.
// Then all records are due, and step rests as long as it has read, so half of the time is left to
// traffic alone.
func (s *scrubber) step() (more bool) {
	began, asked := time.Now(), 0
	s.server.runOnEngine(func(e *engine.Engine) { asked = e.Verifying() })
	if s.waiting == 0 && asked > 0 {
		s.begin()
		s.waiting = asked
	}
	hurry := s.waiting > 0
	due := func() bool { return hurry || !time.Now().Before(s.next) }
	// A disk that fails is slow: a step ends early, so that maintenance goes on.
	mayRead := func() bool {
		return due() && time.Since(began) < maintainEvery && s.maintainer.ctx.Err() == nil
	}
	for size := int64(0); size < scrubMost && mayRead(); {
		if len(s.list) == 0 && !s.fill() {
			s.end()
			return false
		}
		n := s.read(s.list[0])
		s.list = s.list[1:]
		size += n
		share := float64(n) / float64(max(1, s.maintainer.liveBytes))
		s.next = s.next.Add(time.Duration(share * float64(scrubWithin)))
	}
	if hurry {
		time.Sleep(min(time.Since(began), maintainEvery))
	} else if time.Since(s.next) > time.Minute {
		s.next = time.Now() // the machine slept, or is too slow: overdue records are not read at once
	}
	return hurry
}

// begin begins a pass.
func (s *scrubber) begin() {
	s.cursor, s.list, s.found = engine.Cursor{}, nil, engine.Verify{}
}

// fill gets the next entries. It returns false at the end of the store.
func (s *scrubber) fill() bool {
	s.server.runOnEngine(func(e *engine.Engine) {
		s.list = e.Scan(&s.cursor, scrubPart)
		s.blobs = e.Shelves(s.list)
	})
	return len(s.list) > 0
}

// checkpoints reads the checkpoints, and rests for half of the time. If a checkpoint is damaged or
// can't be read, it writes two new ones at once, since a start needs an intact checkpoint.
func (s *scrubber) checkpoints() {
	m, damaged := s.maintainer, false
	for _, number := range m.s.log.Checkpoints() {
		if number == 0 || m.ctx.Err() != nil {
			continue
		}
		began := time.Now()
		err := retry(readTries, func() error {
			return m.s.log.CheckCheckpoint(number, func() error {
				time.Sleep(min(time.Since(began), maintainEvery))
				began = time.Now()
				return m.ctx.Err()
			})
		})
		if err == nil || m.ctx.Err() != nil {
			continue
		}
		say("a checkpoint is damaged, two new ones follow: %v", err)
		damaged = true
		s.count(0, true)
		reason := model.ReasonCheckpoint
		if !errors.Is(err, seglog.ErrDamaged) {
			reason = model.ReasonReadFailed
		}
		m.s.runOnEngine(func(e *engine.Engine) { e.Note(reason) })
	}
	if damaged && m.ctx.Err() == nil {
		if err := errors.Join(m.checkpoint(), m.checkpoint()); err != nil {
			say("replace a damaged checkpoint: %v", err)
		}
	}
}

// end reads the checkpoints, ends the pass, and answers the requests that wait for it.
func (s *scrubber) end() {
	s.checkpoints()
	server := s.server
	server.measured.scrubPasses.Add(1)
	server.measured.scrubTime.Store(uint64(time.Now().Unix()))
	found, waiting := s.found, s.waiting
	s.waiting = 0
	s.begin()
	s.next = time.Now().Add(maintainEvery) // also if the store is empty
	server.runOnEngine(func(e *engine.Engine) {
		server.countObserved() // so that the clients see the result
		e.Verified(waiting, found)
	})
}

// read reads the record of an entry, or the record at its new location if it was relocated. It
// returns the bytes of the record, or 0 if the object was removed or replaced.
func (s *scrubber) read(o mapping.Entry) (n int64) {
	for there := true; there; {
		_, _, buf, err := s.server.readObject(readTries, s.server.log.Read, s.maker, s.buf, o)
		if s.buf = buf; cap(buf) > scrubMost {
			s.buf = nil
		}
		if errors.Is(err, seglog.ErrMoved) {
			s.server.runOnEngine(func(e *engine.Engine) { o, there = e.Current(o) })
			continue
		}
		n = int64(o.Loc.Length)
		s.count(n, err != nil)
		if !s.blobs[o.Collection] {
			s.found.Objects++
		}
		if errors.Is(err, seglog.ErrDamaged) {
			s.server.runOnEngine(func(e *engine.Engine) { e.Damaged(o) })
		} else if err != nil {
			s.server.runOnEngine(func(e *engine.Engine) { e.Unreadable(o) })
		}
		return n
	}
	return 0
}

// count counts a record of n bytes. With n 0, it counts a damaged checkpoint.
func (s *scrubber) count(n int64, damaged bool) {
	sums := &s.server.measured
	if n > 0 {
		sums.scrubbedRecords.Add(1)
	}
	s.found.Bytes += uint64(n)
	sums.scrubbedBytes.Add(uint64(n))
	if damaged {
		s.found.Damaged++
		sums.scrubDamaged.Add(1)
	}
}
