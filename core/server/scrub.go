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

// How fast the store is scrubbed.
const (
	scrubWithin = 3 * 24 * time.Hour // a pass over the store takes about this long
	scrubMost   = 8 << 20            // bytes that one round reads, about: more than 2 TiB take longer
	scrubPiece  = 256                // entries that are kept at once
)

// scrubber reads every live record of the store again and again, so that one that rots
// is found before a client needs it, and then the checkpoints. A record is checked as
// for a client: its seals, and its content against its identity.
type scrubber struct {
	server     *server
	maintainer *maintainer
	maker      *identity.Maker
	cursor     engine.Cursor   // behind the entries taken last
	list       []mapping.Entry // to be read next
	buf        []byte
	next       time.Time // when it is to be read
	skip       int       // entries not to be read: a start goes on about where the last one would be

	waiting int           // requests to be answered at the end of this pass
	found   engine.Verify // in this pass
}

func newScrubber(m *maintainer) *scrubber {
	s := &scrubber{server: m.s, maintainer: m, maker: m.s.newMaker(), next: time.Now()}
	phase := time.Duration(time.Now().UnixNano()) % scrubWithin
	m.s.runOnEngine(func(e *engine.Engine) {
		n, _ := e.Objects()
		s.skip = int(float64(n) * phase.Seconds() / scrubWithin.Seconds())
	})
	return s
}

// step reads the records whose turn has come; more: a request waits for the rest of
// them. That takes as long again as the reading took, so that traffic comes first.
func (s *scrubber) step() (more bool) {
	began, asked := time.Now(), 0
	s.server.runOnEngine(func(e *engine.Engine) { asked = e.Verifying() })
	if s.waiting == 0 && asked > 0 {
		s.begin()
		s.waiting = asked
	}
	hurry := s.waiting > 0
	due := func() bool { return hurry || !time.Now().Before(s.next) }
	// A disk that fails takes its time: maintenance must have its turn meanwhile.
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
		s.next = time.Now() // the machine slept, or is too slow: lost time is not made up for
	}
	return hurry
}

// begin begins a pass.
func (s *scrubber) begin() {
	s.cursor, s.list, s.skip, s.found = engine.Cursor{}, nil, 0, engine.Verify{}
}

// fill takes the next entries; false: there are none.
func (s *scrubber) fill() bool {
	for len(s.list) == 0 {
		s.server.runOnEngine(func(e *engine.Engine) { s.list = e.Scan(&s.cursor, scrubPiece) })
		if len(s.list) == 0 {
			return false
		}
		n := min(s.skip, len(s.list))
		s.list, s.skip = s.list[n:], s.skip-n
	}
	return true
}

// checkpoints reads the checkpoints, resting half of the time. If one is damaged, or the
// disk does not give it, two others take their places at once: a start needs one that is
// whole.
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
		say("two other checkpoints follow: %v", err)
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

// end ends a pass, with the checkpoints, and answers the requests that wait for it.
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
		server.countObserved() // so that they see what it came to
		e.Verified(waiting, found)
	})
}

// read reads the record of an entry, or of the entry that has taken its place, and returns
// the record's bytes. 0: there is no such entry any more.
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
		if errors.Is(err, seglog.ErrDamaged) {
			s.server.runOnEngine(func(e *engine.Engine) { e.Damaged(o) })
		} else if err != nil {
			s.server.runOnEngine(func(e *engine.Engine) { e.Unreadable(o) })
		}
		return n
	}
	return 0
}

// count counts a record that was read, or, with n 0, a checkpoint that is damaged.
func (s *scrubber) count(n int64, damaged bool) {
	sums := &s.server.measured
	if n > 0 {
		s.found.Objects++
		sums.scrubbedRecords.Add(1)
	}
	s.found.Bytes += uint64(n)
	sums.scrubbedBytes.Add(uint64(n))
	if damaged {
		s.found.Damaged++
		sums.scrubDamaged.Add(1)
	}
}
