package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"motte/core/engine"
	"motte/core/model"
	"motte/core/seglog"
)

// When the storage is put in order.
const (
	houseEvery   = time.Second
	freeEvery    = time.Minute
	housePause   = 10 * time.Second // after an error
	retryEvery   = time.Hour        // a segment that could not be compacted is tried again
	leastPace    = 8 << 20          // bytes of records after which a checkpoint is due: a 32nd of
	mostPace     = 64 << 20         // what is alive, between these, or as much as the checkpoint takes
	replayCost   = 256              // bytes that take as long to replay as a record does beside its own
	pieceEntries = 4096             // of a piece of a checkpoint, at most: 188 KiB
	carryPiece   = 256 << 10        // bytes of records that are carried over at once, about
	smallSegment = 16 << 20         // bytes: two neighbours of this size fit into one segment
	spareSmall   = 8                // small segments that are tolerated
)

// maintainer puts the storage in order, beside traffic: it writes checkpoints, moves live
// records out of segments that are mostly dead, and merges small segments. Now and then
// it cleans the whole store. It finishes erasures, and scrubs.
type maintainer struct {
	s         *server
	ctx       context.Context
	liveBytes int64              // bytes of live records
	failed    map[uint32]failure // segments that could not be compacted
	pass      cleaningPass
	scrub     *scrubber
	// The last checkpoint failed: it may have left a file, which the next one replaces.
	uncleaned bool
}

// failure says when a segment could not be compacted, and whether it is damaged.
type failure struct {
	at      time.Time
	damaged bool
}

// cleaningPass is a cleaning of the whole store, of which each round does one segment: when it
// ends, no record that was dead when it began is on the disk.
type cleaningPass struct {
	active  bool
	works   bool   // there was something to be cleaned
	last    uint32 // the newest segment to be cleaned
	began   time.Time
	waiting int // requests to be answered at its end
}

func newMaintainer(s *server, ctx context.Context) *maintainer {
	return &maintainer{s: s, ctx: ctx, failed: make(map[uint32]failure)}
}

// maintain does what is due, until the context ends. It gives memory that nobody
// uses back to the system, too: the runtime would keep a tenth of all.
func (s *server) maintain(ctx context.Context) {
	h := newMaintainer(s, ctx)
	h.scrub = newScrubber(h)
	freed := time.Now()
	for pause := houseEvery; ; {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		more, err := h.runStep()
		hurry := h.scrub.step()
		if pause = houseEvery; err != nil {
			pause = housePause
		} else if more || hurry {
			pause = 0
		}
		if time.Since(freed) > freeEvery {
			debug.FreeOSMemory()
			freed = time.Now()
		}
	}
}

// round does one step of what is due: it destroys the data keys of erased owners,
// writes a checkpoint, and compacts one segment. Then it answers the requests that
// waited. more: there is another step.
func (h *maintainer) runStep() (more bool, err error) {
	waiting, clean, err := h.erase()
	answer := 0
	if err == nil {
		more, err = h.maintainOnce(waiting, clean)
	}
	over := err == nil && h.pass.active && h.passIsOver()
	if over {
		answer = h.pass.waiting // those that came since wait for the next pass, also if this one failed
		err = h.endPass()
	}
	code := model.OK
	if err != nil && h.ctx.Err() == nil { // after that nobody waits
		say("putting the storage in order: %v", err)
		h.s.useReserve(err)
		h.pass = cleaningPass{}
		if !over {
			answer = waiting
		}
		code = model.StorageFailed
		if errors.Is(err, seglog.ErrDamaged) {
			code = model.Damaged
		}
	}
	h.s.runOnEngine(func(e *engine.Engine) {
		if answer > 0 {
			h.s.countObserved() // so that they see what it came to
		}
		e.CompactionDone(answer, code)
	})
	return more, err
}

// erase destroys the data keys of erased owners. It returns how many requests wait for
// a pass, and whether one is due.
func (h *maintainer) erase() (waiting int, clean bool, err error) {
	var erase []uint32
	h.s.runOnEngine(func(e *engine.Engine) { erase, waiting, clean = e.PendingMaintenance() })
	if len(erase) == 0 {
		return waiting, clean, nil
	}
	if err = h.s.log.Erase(erase...); err == nil {
		h.s.runOnEngine(func(e *engine.Engine) { e.Erased(len(erase)) })
	}
	return waiting, clean, err
}

// maintainOnce writes a checkpoint, if one is due, begins a pass, if one is due and none is
// under way, and compacts one segment; more: there may be another one.
func (h *maintainer) maintainOnce(waiting int, clean bool) (more bool, err error) {
	due := max(h.s.log.CheckpointBytes(), leastPace, min(mostPace, h.liveBytes/32))
	if h.s.written.Load() > due || h.crowded() {
		err = h.checkpoint()
	}
	if clean && !h.pass.active && err == nil {
		err = h.beginPass(waiting)
	}
	moved, errCompact := h.compact() // also if the disk is too full for a checkpoint
	return moved, errors.Join(err, errCompact)
}

// beginPass begins a pass. If there is anything to be cleaned, a new segment and two
// checkpoints come first, so that no checkpoint needs the segments before it, nor what
// lies behind their data.
func (h *maintainer) beginPass(waiting int) error {
	if waiting > 0 {
		clear(h.failed)
	}
	began := time.Now()
	list, live := h.segments()
	segments := slices.ContainsFunc(list, func(s seglog.SegmentInfo) bool {
		return dirty(s, live[s.ID]) || s.Tail > 0
	})
	// An older checkpoint was not removed, or came back; the last of the list is the empty state.
	checkpoints := len(h.s.log.Checkpoints()) > 3
	works := segments || checkpoints || h.uncleaned
	h.pass = cleaningPass{active: true, works: works, began: began, waiting: waiting}
	if !works {
		return nil
	}
	h.pass.last = list[len(list)-1].ID
	h.s.log.Rotate()
	return errors.Join(h.relocate(nil, nil), h.checkpoint(), h.checkpoint(), h.s.log.Trim())
}

// passIsOver reports whether the pass has nothing left to clean.
func (h *maintainer) passIsOver() bool {
	list, live := h.segments()
	return !slices.ContainsFunc(list, func(s seglog.SegmentInfo) bool {
		_, failed := h.failed[s.ID]
		return s.Free && s.ID <= h.pass.last && !failed && dirty(s, live[s.ID])
	})
}

// endPass notes that a pass is over, with a checkpoint that remembers it, if the pass
// cleaned anything.
func (h *maintainer) endPass() error {
	over := h.pass
	h.pass = cleaningPass{}
	h.s.runOnEngine(func(e *engine.Engine) { e.Cleaned(over.began) })
	if over.works {
		if err := h.checkpoint(); err != nil {
			return err
		}
	}
	for _, f := range h.failed {
		if f.damaged {
			return fmt.Errorf("%w: %d segments can't be compacted", seglog.ErrDamaged, len(h.failed))
		}
	}
	if len(h.failed) > 0 {
		return fmt.Errorf("%d segments can't be read or removed", len(h.failed))
	}
	return nil
}

// relocate appends those of the records that are alive once more, and waits until
// that, and all before it, is durable and applied.
func (h *maintainer) relocate(records []seglog.Record, at []seglog.Location) error {
	code := make(chan model.Code, 1)
	h.s.events.put(func(e *engine.Engine) { e.Relocate(records, at, func(c model.Code) { code <- c }) })
	select {
	case c := <-code:
		if c != model.OK {
			return seglog.ErrFailed
		}
		return nil
	case <-h.ctx.Done():
		return h.ctx.Err()
	}
}

// checkpoint writes a checkpoint, a piece of the mapping between two events.
func (h *maintainer) checkpoint() error {
	var at seglog.Position
	var catalogue []byte
	var rest engine.Cursor
	written := h.s.written.Load()
	h.s.runOnEngine(func(e *engine.Engine) { at, catalogue, rest = e.Checkpoint() })
	err := h.s.log.Checkpoint(at, func() (piece []byte, err error) {
		if piece, catalogue = catalogue, nil; piece == nil {
			h.s.runOnEngine(func(e *engine.Engine) { piece = e.Section(&rest, pieceEntries) })
		}
		return piece, h.ctx.Err()
	})
	h.uncleaned = err != nil
	if err == nil {
		h.s.written.Add(-written)
		h.s.measured.checkpointLSN.Store(at.LSN)
		h.s.measured.checkpointTime.Store(uint64(time.Now().Unix()))
	}
	return err
}

// segments lists the segments, and the bytes of live records in each.
func (h *maintainer) segments() (list []seglog.SegmentInfo, live map[uint32]int64) {
	h.s.runOnEngine(func(e *engine.Engine) { live = e.Live() })
	return h.s.log.Segments(), live
}

// compact carries the live records of a segment over to the newest one, and removes
// it; more: it may be worth while again. A segment that can't be read or removed is left
// alone for a while.
func (h *maintainer) compact() (more bool, err error) {
	list, live := h.segments()
	maps.DeleteFunc(h.failed, func(_ uint32, f failure) bool { return time.Since(f.at) > retryEvery })
	s, alive, debt := pickSegment(list, live, h.pass.last, h.failed)
	h.liveBytes = alive
	if s.ID == 0 {
		return false, nil
	}
	carried := live[s.ID]
	if carried > 0 {
		err = h.compactSegment(s.ID, debt)
	}
	if _, live = h.segments(); err == nil && live[s.ID] > 0 {
		err = fmt.Errorf("%w: live records of segment %d are not where they should be",
			seglog.ErrDamaged, s.ID)
	}
	if err == nil {
		err = h.s.log.Remove(s.ID)
	}
	if err != nil && !errors.Is(err, seglog.ErrFailed) && !seglog.Full(err) && h.ctx.Err() == nil {
		h.setAside(s.ID, err)
		return true, nil
	}
	if err == nil {
		h.s.measured.movedBytes.Add(uint64(carried))
		h.s.measured.freedBytes.Add(uint64(s.Bytes - carried))
	}
	return err == nil, err
}

// setAside notes that a segment can't be compacted now.
func (h *maintainer) setAside(segment uint32, err error) {
	say("a segment can't be compacted: %v", err)
	damaged := errors.Is(err, seglog.ErrDamaged)
	h.failed[segment] = failure{time.Now(), damaged}
	if damaged {
		h.s.runOnEngine(func(e *engine.Engine) { e.Note(model.ReasonDamagedRecord) })
	}
}

// compactSegment carries a segment over, piece by piece. It takes as long again as each
// piece took, so that half of the time is traffic's alone; but the more there is to
// be given back, the larger the pieces are, and then it does not rest.
func (h *maintainer) compactSegment(segment uint32, debt int64) error {
	var records []seglog.Record
	var at []seglog.Location
	size, piece, began := 0, carryPiece<<min(debt, 5), time.Now()
	flush := func() error {
		err := h.relocate(records, at)
		records, at, size = nil, nil, 0 // others: those may be looked at after that gave up
		if debt == 0 {
			time.Sleep(min(time.Since(began), houseEvery)) // it may have waited for a disk that refused it
			began = time.Now()
		}
		return err
	}
	err := h.s.log.Walk(segment, func(r seglog.Record, place seglog.Location) error {
		if r.Kind != seglog.KindPut {
			return nil
		}
		records, at = append(records, r), append(at, place)
		if size += len(r.Sealed); size < piece {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	return err
}

// dirty reports whether a segment with so many bytes of live records holds a record
// that is to be given back: of an object that is not alive, or of a kind that
// checkpoints hold as well. BarrierBytes do not count.
func dirty(s seglog.SegmentInfo, live int64) bool { return s.Bytes-s.BarrierBytes > live }

// pickSegment chooses what to compact: the segment with the smallest part alive, of those
// with nothing alive, and those that are dirty if they are not behind last, or if what
// could be given back in all is more than a sixth of what is alive. If there is none of
// these, it is the smallest, as long as too many are small. The debt is how many
// twentieths there are to be given back beyond the sixth.
func pickSegment(list []seglog.SegmentInfo, live map[uint32]int64, last uint32,
	failed map[uint32]failure) (best seglog.SegmentInfo, alive, debt int64) {
	dead := int64(0)
	alive = 1 // not 0: it divides
	for _, s := range list {
		if alive += live[s.ID]; s.Free {
			dead += s.Bytes - live[s.ID]
		}
	}
	for _, s := range list {
		n := live[s.ID]
		worth := n == 0 || s.ID <= last && dirty(s, n) || dead > alive/6 && n < s.Bytes/10*9
		_, not := failed[s.ID]
		if s.Free && worth && !not && (best.ID == 0 || n*best.Bytes < live[best.ID]*s.Bytes) {
			best = s
		}
	}
	if best.ID == 0 {
		best = smallestSegment(list, failed, func(s seglog.SegmentInfo) bool { return s.Free })
	}
	return best, alive, max(0, (dead-alive/6)*20/alive)
}

// smallestSegment returns the smallest of the small segments for which is holds, if there are
// more segments than their bytes need: each start makes one, and so does each failed
// write. The newest one, to which the others are carried, is not looked at.
func smallestSegment(list []seglog.SegmentInfo, failed map[uint32]failure,
	is func(seglog.SegmentInfo) bool) (best seglog.SegmentInfo) {
	count, size := int64(0), int64(0)
	for _, s := range list[:max(0, len(list)-1)] {
		if _, not := failed[s.ID]; not {
			continue
		}
		count++
		size += s.Bytes
		if s.Bytes < smallSegment && is(s) && (best.ID == 0 || s.Bytes < best.Bytes) {
			best = s
		}
	}
	if count <= spareSmall+size/smallSegment {
		return seglog.SegmentInfo{}
	}
	return best
}

// crowded reports whether a checkpoint is due because there are too many small segments,
// and the checkpoints need all of them.
func (h *maintainer) crowded() bool {
	list := h.s.log.Segments()
	free := smallestSegment(list, h.failed, func(s seglog.SegmentInfo) bool { return s.Free })
	needed := smallestSegment(list, h.failed, func(seglog.SegmentInfo) bool { return true })
	return free.ID == 0 && needed.ID != 0
}

// writeLog makes groups durable: as many as a write takes.
func (s *server) writeLog(ctx context.Context) {
	for groups := range s.appends.batches(ctx.Done()) {
		for len(groups) > 0 {
			began := time.Now()
			s.stats.writeBegan.Store(uint64(began.UnixMilli()))
			at, rest, err := s.log.Append(groups)
			if groups = rest; err != nil {
				if !s.resume(ctx, err) {
					return
				}
				break
			}
			s.stats.commits.add(time.Since(began))
			s.stats.synced.Add(uint64(len(at)))
			for i := range at {
				s.written.Add(int64(at[i].Length) + replayCost)
			}
			end := s.log.Position()
			committed := func(e *engine.Engine) { e.Committed(at, end) }
			if len(at) == 1 && s.appends.len() == 0 {
				s.submit(committed)
			} else {
				s.events.put(committed) // the disk does not wait for the engine
			}
		}
		s.stats.writeBegan.Store(0)
	}
}

// resume says that a write failed, drops what was to be written with it, and goes
// on when a new segment can be made; false: the context ended first.
func (s *server) resume(ctx context.Context, err error) bool {
	say("the disk refused a write; only reads are served until it takes one: %v", err)
	s.runOnEngine((*engine.Engine).WriteFailed) // it appends nothing more
	s.appends.take()
	for err != nil {
		s.useReserve(err) // also if the disk has become full since the write failed
		select {
		case <-time.After(resumeEvery):
			err = s.log.Resume()
		case <-ctx.Done():
			return false
		}
	}
	say("the disk takes writes again")
	at := s.log.Position()
	s.events.put(func(e *engine.Engine) { e.Resumed(at) })
	return true
}

// readFetches reads the records that Tasks are to be fed.
func (s *server) readFetches(ctx context.Context) {
	maker := s.newMaker()
	ahead := 0 // bytes of records that the engine may not have taken
	for fetches := range s.fetches.batches(ctx.Done()) {
		for _, f := range fetches {
			if ctx.Err() != nil {
				return
			}
			o, lsn, _, err := s.readObject(readTries, s.log.Read, maker, nil, f.Entry)
			s.events.put(func(e *engine.Engine) { e.Fetched(f, o, lsn, err) })
			if ahead += int(f.Entry.Loc.Length); ahead > fetchBudget {
				s.runOnEngine(func(*engine.Engine) {}) // which took what is there
				ahead = 0
			}
		}
	}
}
