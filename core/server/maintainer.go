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

// Times and sizes of maintenance.
const (
	maintainEvery  = time.Second // pause between two steps, and the longest rest in a step
	freeEvery      = time.Minute
	errorPause     = 10 * time.Second // after an error
	retryEvery     = time.Hour        // until a segment that could not be compacted is tried again
	leastPace      = 8 << 20          // least bytes of records after which a checkpoint is due
	mostPace       = 64 << 20         // most bytes, unless a checkpoint is larger: see maintainOnce
	replayCost     = 256              // bytes whose replay takes as long as the fixed work for one record
	sectionEntries = 4096             // entries in a section of a checkpoint, at most: 188 KiB
	relocateBytes  = 256 << 10        // bytes of records that are relocated at once, about
	smallSegment   = 16 << 20         // bytes: two neighbours of this size fit into one segment
	spareSmall     = 8                // small segments that are tolerated
)

// maintainer keeps the storage in order, beside traffic. It writes checkpoints, relocates
// live records out of segments that are mostly dead, and merges small segments. It finishes
// erasures, and scrubs. At times it cleans the whole store.
type maintainer struct {
	s         *server
	ctx       context.Context
	liveBytes int64              // bytes of live records
	failed    map[uint32]failure // segments that could not be compacted
	pass      cleaningPass
	scrub     *scrubber
	// The last checkpoint failed. It may have left a file, which the next checkpoint replaces.
	checkpointFailed bool
}

// failure says when a segment could not be compacted, and whether it is damaged.
type failure struct {
	at      time.Time
	damaged bool
}

// cleaningPass is a pass that cleans the whole store, one segment in each step. When it
// ends, no record that was dead when it began is on the disk.
type cleaningPass struct {
	active  bool
	works   bool   // the pass has segments or checkpoints to clean
	last    uint32 // the newest segment to be cleaned
	began   time.Time
	waiting int // requests to be answered at its end
}

func newMaintainer(s *server, ctx context.Context) *maintainer {
	return &maintainer{s: s, ctx: ctx, failed: make(map[uint32]failure)}
}

// maintain does the maintenance that is due, until the context ends. It also gives unused
// memory back to the system: the runtime would keep a tenth of all memory. An erasure does not wait
// for the end of a pause.
func (s *server) maintain(ctx context.Context) {
	m := newMaintainer(s, ctx)
	m.scrub = newScrubber(m)
	freed := time.Now()
	for pause := maintainEvery; ; {
		select {
		case <-time.After(pause):
		case <-s.erase.wake:
		case <-ctx.Done():
			return
		}
		more, err := m.runStep()
		hurry := m.scrub.step()
		if pause = maintainEvery; err != nil {
			pause = errorPause
		} else if more || hurry {
			pause = 0
		}
		if time.Since(freed) > freeEvery {
			debug.FreeOSMemory()
			freed = time.Now()
		}
	}
}

// runStep does one step of maintenance: it destroys the data keys of erased owners, writes a
// checkpoint, and compacts one segment, if these are due. Then it answers the requests that
// waited. It returns more if there is another step.
func (m *maintainer) runStep() (more bool, err error) {
	waiting, clean, err := m.erase()
	answer := 0
	if err == nil {
		more, err = m.maintainOnce(waiting, clean)
	}
	over := err == nil && m.pass.active && m.passIsOver()
	if over {
		answer = m.pass.waiting // later requests wait for the next pass, also if this pass failed
		err = m.endPass()
	}
	code := model.OK
	if err != nil && m.ctx.Err() == nil { // when the context has ended, no request waits
		say("maintenance failed: %v", err)
		m.s.useReserve(err)
		m.pass = cleaningPass{}
		if !over {
			answer = waiting
		}
		code = model.StorageFailed
		if errors.Is(err, seglog.ErrDamaged) {
			code = model.Damaged
		}
	}
	m.s.runOnEngine(func(e *engine.Engine) {
		if answer > 0 {
			m.s.countObserved() // so that the clients see the result
		}
		e.CompactionDone(answer, code)
	})
	return more, err
}

// erase destroys the data keys of erased owners. It returns how many requests wait for a
// pass, and whether a pass is due.
func (m *maintainer) erase() (waiting int, clean bool, err error) {
	var erase []uint32
	m.s.runOnEngine(func(e *engine.Engine) { erase, waiting, clean = e.PendingMaintenance() })
	if len(erase) == 0 {
		return waiting, clean, nil
	}
	if err = m.s.log.Erase(erase...); err == nil {
		m.s.runOnEngine(func(e *engine.Engine) { e.Erased(len(erase)) })
	}
	return waiting, clean, err
}

// maintainOnce writes a checkpoint if one is due, begins a pass if one is due and none is
// under way, and compacts one segment. It returns more if another segment may be due.
//
// A checkpoint is due after as many bytes of records as a 32nd of the live bytes, but
// between leastPace and mostPace, or as many as a checkpoint takes, if that is more. It is
// also due if small segments crowd the store.
func (m *maintainer) maintainOnce(waiting int, clean bool) (more bool, err error) {
	due := max(m.s.log.CheckpointBytes(), leastPace, min(mostPace, m.liveBytes/32))
	if m.s.written.Load() > due || m.crowded() {
		err = m.checkpoint()
	}
	if clean && !m.pass.active && err == nil {
		err = m.beginPass(waiting)
	}
	moved, errCompact := m.compact() // also if the disk is too full for a checkpoint
	return moved, errors.Join(err, errCompact)
}

// beginPass begins a pass. If there is anything to clean, it first makes a new segment and
// two checkpoints. So no checkpoint needs the segments before the new segment, nor the bytes
// after the data of these segments.
func (m *maintainer) beginPass(waiting int) error {
	if waiting > 0 {
		clear(m.failed)
	}
	began := time.Now()
	list, live := m.segments()
	segments := slices.ContainsFunc(list, func(s seglog.SegmentInfo) bool {
		return dirty(s, live[s.Number]) || s.Tail > 0
	})
	// More than two checkpoint files: an older one was not removed, or came back. The last
	// entry of the list is the empty state.
	checkpoints := len(m.s.log.Checkpoints()) > 3
	works := segments || checkpoints || m.checkpointFailed
	m.pass = cleaningPass{active: true, works: works, began: began, waiting: waiting}
	if !works {
		return nil
	}
	m.pass.last = list[len(list)-1].Number
	m.s.log.Rotate()
	return errors.Join(m.relocate(nil, nil), m.checkpoint(), m.checkpoint(), m.s.log.Trim())
}

// passIsOver reports whether the pass has no segment left to clean.
func (m *maintainer) passIsOver() bool {
	list, live := m.segments()
	return !slices.ContainsFunc(list, func(s seglog.SegmentInfo) bool {
		_, failed := m.failed[s.Number]
		return s.Free && s.Number <= m.pass.last && !failed && dirty(s, live[s.Number])
	})
}

// endPass ends a pass. If the pass cleaned anything, it writes a checkpoint that remembers
// the pass.
func (m *maintainer) endPass() error {
	over := m.pass
	m.pass = cleaningPass{}
	m.s.runOnEngine(func(e *engine.Engine) { e.Cleaned(over.began) })
	if over.works {
		if err := m.checkpoint(); err != nil {
			return err
		}
	}
	for _, f := range m.failed {
		if f.damaged {
			return fmt.Errorf("%w: %d segments can't be compacted", seglog.ErrDamaged, len(m.failed))
		}
	}
	if len(m.failed) > 0 {
		return fmt.Errorf("%d segments can't be read or removed", len(m.failed))
	}
	return nil
}

// relocate appends the live records among these to the log again. It waits until they, and
// all records before them, are durable and applied.
func (m *maintainer) relocate(records []seglog.Record, at []seglog.Location) error {
	code := make(chan model.Code, 1)
	m.s.events.put(func(e *engine.Engine) { e.Relocate(records, at, func(c model.Code) { code <- c }) })
	select {
	case c := <-code:
		if c != model.OK {
			return seglog.ErrFailed
		}
		return nil
	case <-m.ctx.Done():
		return m.ctx.Err()
	}
}

// checkpoint writes a checkpoint. It takes one section of the mapping between two events.
func (m *maintainer) checkpoint() error {
	var at seglog.Position
	var catalogue []byte
	var rest engine.Cursor
	written := m.s.written.Load()
	m.s.runOnEngine(func(e *engine.Engine) { at, catalogue, rest = e.Checkpoint() })
	err := m.s.log.Checkpoint(at, func() (section []byte, err error) {
		if section, catalogue = catalogue, nil; section == nil {
			m.s.runOnEngine(func(e *engine.Engine) { section = e.Section(&rest, sectionEntries) })
		}
		return section, m.ctx.Err()
	})
	m.checkpointFailed = err != nil
	if err == nil {
		m.s.written.Add(-written)
		m.s.measured.checkpointLSN.Store(at.LSN)
		m.s.measured.checkpointTime.Store(uint64(time.Now().Unix()))
	}
	return err
}

// segments lists the segments, and the bytes of live records in each.
func (m *maintainer) segments() (list []seglog.SegmentInfo, live map[uint32]int64) {
	m.s.runOnEngine(func(e *engine.Engine) { live = e.Live() })
	return m.s.log.Segments(), live
}

// compact relocates the live records of a segment to the newest segment, and removes the
// segment. It returns more if another segment may be due. A segment that can't be read or
// removed is left alone for retryEvery.
func (m *maintainer) compact() (more bool, err error) {
	list, live := m.segments()
	maps.DeleteFunc(m.failed, func(_ uint32, f failure) bool { return time.Since(f.at) > retryEvery })
	s, alive, debt := pickSegment(list, live, m.pass.last, m.failed)
	m.liveBytes = alive
	if s.Number == 0 {
		return false, nil
	}
	relocated := live[s.Number]
	if relocated > 0 {
		err = m.compactSegment(s.Number, debt)
	}
	if _, live = m.segments(); err == nil && live[s.Number] > 0 {
		err = fmt.Errorf("%w: segment %d lacks some of its live records",
			seglog.ErrDamaged, s.Number)
	}
	if err == nil {
		err = m.s.log.Remove(s.Number)
	}
	if err != nil && !errors.Is(err, seglog.ErrFailed) && !seglog.Full(err) && m.ctx.Err() == nil {
		m.skipSegment(s.Number, err)
		return true, nil
	}
	if err == nil {
		m.s.measured.movedBytes.Add(uint64(relocated))
		m.s.measured.freedBytes.Add(uint64(s.Bytes - relocated))
	}
	return err == nil, err
}

// skipSegment notes that a segment can't be compacted now.
func (m *maintainer) skipSegment(segment uint32, err error) {
	say("a segment can't be compacted: %v", err)
	damaged := errors.Is(err, seglog.ErrDamaged)
	m.failed[segment] = failure{time.Now(), damaged}
	if damaged {
		m.s.runOnEngine(func(e *engine.Engine) { e.Note(model.ReasonDamagedRecord) })
	}
}

// compactSegment relocates the live records of a segment in parts. After each part it rests
// as long as the part took, so half of the time is left to traffic alone. With a debt, the
// parts are larger, and it does not rest.
func (m *maintainer) compactSegment(segment uint32, debt int64) error {
	var records []seglog.Record
	var at []seglog.Location
	size, part, began := 0, relocateBytes<<min(debt, 5), time.Now()
	flush := func() error {
		err := m.relocate(records, at)
		records, at, size = nil, nil, 0 // new slices: the engine may use the old ones after relocate gave up
		if debt == 0 {
			time.Sleep(min(time.Since(began), maintainEvery)) // at most: relocate may wait for a failed disk
			began = time.Now()
		}
		return err
	}
	err := m.s.log.Walk(segment, func(r seglog.Record, loc seglog.Location) error {
		if r.Kind != seglog.KindPut {
			return nil
		}
		records, at = append(records, r), append(at, loc)
		if size += len(r.Sealed); size < part {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	return err
}

// dirty reports whether a segment with this many live bytes has a record to reclaim: a
// record of an object that is not live, or of a kind that checkpoints hold as well. Barriers
// do not count.
func dirty(s seglog.SegmentInfo, live int64) bool { return s.Bytes-s.BarrierBytes > live }

// pickSegment chooses the segment to compact: of the candidates, the one with the smallest
// live part. A candidate is free, and has not failed. It has no live bytes, or it is dirty
// and not newer than last. If the dead bytes of the free segments are more than a sixth of all
// live bytes, each segment whose live part is less than nine tenths is a candidate, too.
// Without a candidate, pickSegment returns the smallest free segment, while too many
// segments are small.
//
// The debt is by how many twentieths of the live bytes the dead bytes exceed this sixth.
func pickSegment(list []seglog.SegmentInfo, live map[uint32]int64, last uint32,
	failed map[uint32]failure) (best seglog.SegmentInfo, alive, debt int64) {
	dead := int64(0)
	alive = 1 // not 0: it is a divisor
	for _, s := range list {
		if alive += live[s.Number]; s.Free {
			dead += s.Bytes - live[s.Number]
		}
	}
	for _, s := range list {
		n := live[s.Number]
		worth := n == 0 || s.Number <= last && dirty(s, n) || dead > alive/6 && n < s.Bytes/10*9
		_, skipped := failed[s.Number]
		if s.Free && worth && !skipped && (best.Number == 0 || n*best.Bytes < live[best.Number]*s.Bytes) {
			best = s
		}
	}
	if best.Number == 0 {
		best = smallestSegment(list, failed, func(s seglog.SegmentInfo) bool { return s.Free })
	}
	return best, alive, max(0, (dead-alive/6)*20/alive)
}

// smallestSegment returns the smallest of the small segments for which is returns true, if
// there are more segments than their bytes need: each start makes a segment, and so does
// each failed write. It leaves out the newest segment, to which the others are relocated.
func smallestSegment(list []seglog.SegmentInfo, failed map[uint32]failure,
	is func(seglog.SegmentInfo) bool) (best seglog.SegmentInfo) {
	count, size := int64(0), int64(0)
	for _, s := range list[:max(0, len(list)-1)] {
		if _, skipped := failed[s.Number]; skipped {
			continue
		}
		count++
		size += s.Bytes
		if s.Bytes < smallSegment && is(s) && (best.Number == 0 || s.Bytes < best.Bytes) {
			best = s
		}
	}
	if count <= spareSmall+size/smallSegment {
		return seglog.SegmentInfo{}
	}
	return best
}

// crowded reports whether a checkpoint is due because too many segments are small, and all
// of them are needed by the checkpoints.
func (m *maintainer) crowded() bool {
	list := m.s.log.Segments()
	free := smallestSegment(list, m.failed, func(s seglog.SegmentInfo) bool { return s.Free })
	needed := smallestSegment(list, m.failed, func(seglog.SegmentInfo) bool { return true })
	return free.Number == 0 && needed.Number != 0
}

// writeLog makes groups durable: as many in each write as fit.
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

// resume handles a failed write: it drops the waiting groups, and returns true when a new
// segment is made. It returns false if the context ended first.
func (s *server) resume(ctx context.Context, err error) bool {
	say("the disk refused a write; only reads are served until it takes one: %v", err)
	s.runOnEngine((*engine.Engine).WriteFailed) // the engine appends no more groups
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

// readFetches reads the records that the engine asked for, for inputs of Tasks.
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
				s.runOnEngine(func(*engine.Engine) {}) // the engine has taken the records before it runs this
				ahead = 0
			}
		}
	}
}
