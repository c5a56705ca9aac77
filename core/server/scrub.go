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
	s          *server
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

func newScrubber(h *maintainer) *scrubber {
	c := &scrubber{s: h.s, maintainer: h, maker: h.s.newMaker(), next: time.Now()}
	phase := time.Duration(time.Now().UnixNano()) % scrubWithin
	h.s.runOnEngine(func(e *engine.Engine) {
		n, _ := e.Objects()
		c.skip = int(float64(n) * phase.Seconds() / scrubWithin.Seconds())
	})
	return c
}

// step reads the records whose turn has come; more: a request waits for the rest of
// them. That takes as long again as the reading took, so that traffic comes first.
func (c *scrubber) step() (more bool) {
	began, asked := time.Now(), 0
	c.s.runOnEngine(func(e *engine.Engine) { asked = e.Verifying() })
	if c.waiting == 0 && asked > 0 {
		c.begin()
		c.waiting = asked
	}
	hurry := c.waiting > 0
	due := func() bool { return hurry || !time.Now().Before(c.next) }
	// A disk that fails takes its time: maintenance must have its turn meanwhile.
	mayRead := func() bool { return due() && time.Since(began) < houseEvery && c.maintainer.ctx.Err() == nil }
	for size := int64(0); size < scrubMost && mayRead(); {
		if len(c.list) == 0 && !c.fill() {
			c.end()
			return false
		}
		n := c.read(c.list[0])
		c.list = c.list[1:]
		size += n
		share := float64(n) / float64(max(1, c.maintainer.liveBytes))
		c.next = c.next.Add(time.Duration(share * float64(scrubWithin)))
	}
	if hurry {
		time.Sleep(min(time.Since(began), houseEvery))
	} else if time.Since(c.next) > time.Minute {
		c.next = time.Now() // the machine slept, or is too slow: lost time is not made up for
	}
	return hurry
}

// begin begins a pass.
func (c *scrubber) begin() {
	c.cursor, c.list, c.skip, c.found = engine.Cursor{}, nil, 0, engine.Verify{}
}

// fill takes the next entries; false: there are none.
func (c *scrubber) fill() bool {
	for len(c.list) == 0 {
		c.s.runOnEngine(func(e *engine.Engine) { c.list = e.Scan(&c.cursor, scrubPiece) })
		if len(c.list) == 0 {
			return false
		}
		n := min(c.skip, len(c.list))
		c.list, c.skip = c.list[n:], c.skip-n
	}
	return true
}

// checkpoints reads the checkpoints, resting half of the time. If one is damaged, or the
// disk does not give it, two others take their places at once: a start needs one that is
// whole.
func (c *scrubber) checkpoints() {
	h, damaged := c.maintainer, false
	for _, number := range h.s.log.Checkpoints() {
		if number == 0 || h.ctx.Err() != nil {
			continue
		}
		began := time.Now()
		err := retry(readTries, func() error {
			return h.s.log.CheckCheckpoint(number, func() error {
				time.Sleep(min(time.Since(began), houseEvery))
				began = time.Now()
				return h.ctx.Err()
			})
		})
		if err == nil || h.ctx.Err() != nil {
			continue
		}
		say("two other checkpoints follow: %v", err)
		damaged = true
		c.count(0, true)
		reason := model.ReasonCheckpoint
		if !errors.Is(err, seglog.ErrDamaged) {
			reason = model.ReasonReadFailed
		}
		h.s.runOnEngine(func(e *engine.Engine) { e.Note(reason) })
	}
	if damaged && h.ctx.Err() == nil {
		if err := errors.Join(h.checkpoint(), h.checkpoint()); err != nil {
			say("replace a damaged checkpoint: %v", err)
		}
	}
}

// end ends a pass, with the checkpoints, and answers the requests that wait for it.
func (c *scrubber) end() {
	c.checkpoints()
	s := c.s
	s.measured.scrubPasses.Add(1)
	s.measured.scrubTime.Store(uint64(time.Now().Unix()))
	found, waiting := c.found, c.waiting
	c.waiting = 0
	c.begin()
	c.next = time.Now().Add(houseEvery) // also if the store is empty
	s.runOnEngine(func(e *engine.Engine) {
		s.countObserved() // so that they see what it came to
		e.Verified(waiting, found)
	})
}

// read reads the record of an entry, or of the entry that has taken its place, and returns
// the record's bytes. 0: there is no such entry any more.
func (c *scrubber) read(o mapping.Entry) (n int64) {
	for there := true; there; {
		_, _, buf, err := c.s.readObject(readTries, c.s.log.Read, c.maker, c.buf, o)
		if c.buf = buf; cap(buf) > scrubMost {
			c.buf = nil
		}
		if errors.Is(err, seglog.ErrMoved) {
			c.s.runOnEngine(func(e *engine.Engine) { o, there = e.Current(o) })
			continue
		}
		n = int64(o.Loc.Length)
		c.count(n, err != nil)
		if errors.Is(err, seglog.ErrDamaged) {
			c.s.runOnEngine(func(e *engine.Engine) { e.Damaged(o) })
		} else if err != nil {
			c.s.runOnEngine(func(e *engine.Engine) { e.Unreadable(o) })
		}
		return n
	}
	return 0
}

// count counts a record that was read, or, with n 0, a checkpoint that is damaged.
func (c *scrubber) count(n int64, damaged bool) {
	sums := &c.s.measured
	if n > 0 {
		c.found.Objects++
		sums.scrubbedRecords.Add(1)
	}
	c.found.Bytes += uint64(n)
	sums.scrubbedBytes.Add(uint64(n))
	if damaged {
		c.found.Damaged++
		sums.scrubDamaged.Add(1)
	}
}
