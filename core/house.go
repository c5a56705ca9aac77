package core

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"motte/core/control"
	"motte/core/engine"
	"motte/core/identity"
	"motte/core/log"
	"motte/core/mapping"
	"motte/core/wire"
)

// When the storage is put in order.
const (
	houseEvery = time.Second
	freeEvery  = time.Minute
	housePause = 10 * time.Second // after an error
	leastPace  = 8 << 20          // bytes of records after which a checkpoint is due: a 32nd of
	mostPace   = 64 << 20         // what is alive, between these, or as much as the checkpoint takes
	replayCost = 256              // bytes that take as long to replay as a record does beside its own
	carryPiece = 256 << 10        // bytes of records that are carried over at once, about
)

// house puts the storage in order, beside traffic: it writes checkpoints, moves
// what is alive out of segments that are mostly dead, and finishes erasures.
type house struct {
	s       *shell
	ctx     context.Context
	alive   int64           // bytes of live records
	damaged map[uint32]bool // segments that can't be moved
	numbers [5]uint64       // that Observe tells, from the checkpoint's on
}

// keepHouse does what is due, until the context ends. It gives memory that nobody
// uses back to the system, too: the runtime would keep a tenth of all.
func (s *shell) keepHouse(ctx context.Context) {
	h := &house{s: s, ctx: ctx, damaged: make(map[uint32]bool), numbers: [5]uint64{uint64(s.log.CheckpointBytes())}}
	freed := time.Now()
	for pause := houseEvery; ; {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		more, err := h.round()
		if pause = houseEvery; err != nil {
			pause = housePause
		} else if more {
			pause = 0
		}
		if time.Since(freed) > freeEvery {
			debug.FreeOSMemory()
			freed = time.Now()
		}
	}
}

// round destroys the data keys of who was erased, and does one step of what is due,
// or, if all dead records are to be given back, all steps; more: there is another
// one. Then it answers who waited.
func (h *house) round() (more bool, err error) {
	var erase []uint32
	var waiting int
	var clean bool
	h.s.between(func(e *engine.Engine) { erase, waiting, clean = e.Chores() })
	if len(erase) > 0 {
		if err = h.s.log.Erase(erase...); err == nil {
			h.s.between(func(e *engine.Engine) { e.Erased(len(erase)) })
		}
	}
	switch due := max(int64(h.numbers[0]), leastPace, min(mostPace, h.alive/32)); {
	case err != nil:
	case clean:
		err = h.clean()
	default:
		if h.s.written.Load() > due {
			err = h.checkpoint()
		}
		moved, errCompact := h.compact(0) // also if the disk is too full for a checkpoint
		more, err = moved, errors.Join(err, errCompact)
	}
	code := wire.OK
	if err != nil && h.ctx.Err() == nil { // after that nobody waits
		fmt.Fprintln(os.Stderr, "motte-core: putting the storage in order:", err)
		code = wire.StorageFailed
		if errors.Is(err, log.ErrDamaged) {
			code = wire.Damaged
		}
	}
	h.s.between(func(e *engine.Engine) {
		e.Observe(3, h.numbers[:]...)
		if waiting > 0 {
			h.s.count() // so that they see what it came to
		}
		e.Done(waiting, code)
	})
	return more, err
}

// clean gives back all records that are dead now. Two checkpoints begin it, so that
// none needs what was written before.
func (h *house) clean() error {
	began := time.Now()
	h.s.log.Rotate()
	err := errors.Join(h.carryOver(nil, nil), h.checkpoint(), h.checkpoint())
	list := h.s.log.Segments()
	for more := true; more && err == nil; {
		more, err = h.compact(list[len(list)-1].ID)
	}
	if err == nil {
		h.s.between(func(e *engine.Engine) { e.Cleaned(began) })
		err = h.checkpoint() // which remembers that
	}
	if err == nil && len(h.damaged) > 0 {
		return fmt.Errorf("%w: %d segments can't be compacted", log.ErrDamaged, len(h.damaged))
	}
	return err
}

// carryOver appends those of the records that are alive once more, and waits until
// that, and all before it, is durable and applied.
func (h *house) carryOver(records []log.Record, at []log.Location) error {
	code := make(chan wire.Code, 1)
	h.s.events.put(func(e *engine.Engine) { e.Carry(records, at, func(c wire.Code) { code <- c }) })
	select {
	case c := <-code:
		if c != wire.OK {
			return log.ErrFailed
		}
		return nil
	case <-h.ctx.Done():
		return h.ctx.Err()
	}
}

// checkpoint writes a checkpoint, a shard of the mapping between two events.
func (h *house) checkpoint() error {
	var at log.Position
	var piece []byte
	written := h.s.written.Load()
	h.s.between(func(e *engine.Engine) { at, piece = e.Checkpoint() })
	err := h.s.log.Checkpoint(at, mapping.Shards+1, func(i int) ([]byte, error) {
		if i > 0 {
			h.s.between(func(e *engine.Engine) { piece = e.Shard(i - 1) })
		}
		return piece, h.ctx.Err()
	})
	if err == nil {
		h.s.written.Add(-written)
		h.numbers[0], h.numbers[1], h.numbers[2] = uint64(h.s.log.CheckpointBytes()), at.LSN, uint64(time.Now().Unix())
	}
	return err
}

// compact carries what is alive in a segment over to the newest one, and removes
// it; more: it may be worth while again.
func (h *house) compact(last uint32) (more bool, err error) {
	var live map[uint32]int64
	h.s.between(func(e *engine.Engine) { live = e.Live() })
	s, alive, debt := plan(h.s.log.Segments(), live, last, h.damaged)
	h.alive = alive
	if s.ID == 0 {
		return false, nil
	}
	carried := live[s.ID]
	if carried > 0 {
		err = h.carry(s.ID, debt)
	}
	if h.s.between(func(e *engine.Engine) { live = e.Live() }); err == nil && live[s.ID] > 0 {
		err = fmt.Errorf("%w: not all that is alive in segment %d lies where it should", log.ErrDamaged, s.ID)
	}
	if err != nil && !errors.Is(err, log.ErrFailed) && h.ctx.Err() == nil {
		h.damaged[s.ID] = true
		h.s.between(func(e *engine.Engine) { e.Note(wire.ReasonDamagedRecord) })
	}
	if err == nil {
		err = h.s.log.Remove(s.ID)
		h.numbers[3], h.numbers[4] = h.numbers[3]+uint64(carried), h.numbers[4]+uint64(s.Bytes-carried)
	}
	return err == nil, err
}

// carry carries a segment over, piece by piece. It takes as long again as each
// piece took, so that half of the time is traffic's alone; but the more there is to
// be given back, the larger the pieces are, and then it does not rest.
func (h *house) carry(segment uint32, debt int64) error {
	var records []log.Record
	var at []log.Location
	size, piece, began := 0, carryPiece<<min(debt, 5), time.Now()
	flush := func() error {
		err := h.carryOver(records, at)
		records, at, size = nil, nil, 0 // others: those may be looked at after that gave up
		if debt == 0 {
			time.Sleep(min(time.Since(began), houseEvery)) // it may have waited for a disk that refused it
			began = time.Now()
		}
		return err
	}
	err := h.s.log.Walk(segment, func(r log.Record, place log.Location) error {
		if r.Kind != log.KindPut {
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

// plan chooses what to compact: the segment with the smallest part alive, of those
// with nothing alive, and those that hold something dead if they are not behind
// last, or if what could be given back in all is more than a sixth of what is
// alive. The debt is how many twentieths it is more.
func plan(list []log.SegmentInfo, live map[uint32]int64, last uint32, damaged map[uint32]bool) (best log.SegmentInfo, alive, debt int64) {
	dead := int64(0)
	alive = 1 // not 0: it divides
	for _, s := range list {
		if alive += live[s.ID]; s.Free {
			dead += s.Bytes - live[s.ID]
		}
	}
	for _, s := range list {
		n := live[s.ID]
		worth := n == 0 || s.ID <= last && n < s.Bytes || dead > alive/6 && n < s.Bytes/10*9
		if s.Free && worth && !damaged[s.ID] && (best.ID == 0 || n*best.Bytes < live[best.ID]*s.Bytes) {
			best = s
		}
	}
	return best, alive, max(0, (dead-alive/6)*20/alive)
}

// writeLog makes groups durable: as many as a write takes.
func (s *shell) writeLog(ctx context.Context) {
	for groups := range s.appends.batches(ctx.Done()) {
		for len(groups) > 0 {
			began := time.Now()
			at, rest, err := s.log.Append(groups)
			if groups = rest; err != nil {
				if !s.resume(ctx, err) {
					return
				}
				break
			}
			s.stats.took(time.Since(began), control.SyncLatency, control.SyncMicros)
			s.stats[control.Synced].Add(uint64(len(at)))
			for i := range at {
				s.written.Add(int64(at[i].Length) + replayCost)
			}
			end := s.log.Position()
			s.events.put(func(e *engine.Engine) { e.Committed(at, end) })
		}
	}
}

// resume says that a write failed, drops what was to be written with it, and goes
// on when a new segment can be made; false: the context ended first.
func (s *shell) resume(ctx context.Context, err error) bool {
	fmt.Fprintln(os.Stderr, "motte-core: the disk refused a write; only reads are served until it takes one:", err)
	s.between((*engine.Engine).WriteFailed) // it appends nothing more
	s.appends.take()
	for err != nil {
		select {
		case <-time.After(resumeEvery):
			err = s.log.Resume()
		case <-ctx.Done():
			return false
		}
	}
	fmt.Fprintln(os.Stderr, "motte-core: the disk takes writes again")
	at := s.log.Position()
	s.events.put(func(e *engine.Engine) { e.Resumed(at) })
	return true
}

// readFetches reads the records that Tasks are to be fed.
func (s *shell) readFetches(ctx context.Context) {
	maker := identity.NewMaker(s.log.Keys().Identity())
	for fetches := range s.fetches.batches(ctx.Done()) {
		for i, f := range fetches {
			if ctx.Err() != nil {
				return
			}
			o, lsn, _, err := s.readObject(maker, nil, f.Entry)
			s.events.put(func(e *engine.Engine) { e.Fetched(f, o, lsn, err) })
			if i%fetchBudget == 0 {
				s.between(func(*engine.Engine) {}) // which took what is there
			}
		}
	}
}
