package core

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"motte/core/engine"
	"motte/core/log"
	"motte/core/mapping"
	"motte/core/wire"
)

// When the storage is put in order.
const (
	houseEvery     = time.Second
	housePause     = 10 * time.Second // after an error
	checkpointPace = 64 << 20         // bytes of records, at least, after which a checkpoint is due
	replayCost     = 256              // bytes that take as long to replay as a record does beside its own
	carryPiece     = 256 << 10        // bytes of records that are carried over at once, about
)

var (
	errRefused = errors.New("the disk refuses writes")
	errErasing = errors.New("an erasure comes first")
)

// house puts the storage in order, beside traffic: it writes checkpoints, moves
// what is alive out of segments that are mostly dead, and finishes erasures.
type house struct {
	s       *shell
	ctx     context.Context
	damaged map[uint32]bool // segments that can't be moved
	numbers [6]uint64       // for a status
}

// keepHouse does what is due, until the context ends.
func (s *shell) keepHouse(ctx context.Context) {
	h := &house{s: s, ctx: ctx, damaged: make(map[uint32]bool)}
	for pause := houseEvery; ; {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		if pause = houseEvery; h.round() != nil {
			pause = housePause
		}
	}
}

// round does what is due now, and answers who waited for it. Who waits for an
// erasure waits until it is done.
func (h *house) round() error {
	var compact []*engine.Request
	var erase []engine.Erasure
	var clean bool
	if !h.s.ask(h.ctx, func(e *engine.Engine) { compact, erase, clean = e.Chores() }) {
		return h.ctx.Err()
	}
	err, code := h.erase(erase), wire.OK
	if err == nil {
		err = h.work(clean || len(compact) > 0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "motte-core: putting the storage in order:", err)
		code = wire.StorageFailed
	}
	h.s.ask(h.ctx, func(e *engine.Engine) {
		e.Done(compact, code)
		e.ObserveStorage(h.numbers)
	})
	return err
}

// erase destroys data keys.
func (h *house) erase(list []engine.Erasure) error {
	var owners []uint32
	for _, x := range list {
		owners = append(owners, x.Owner)
	}
	if len(owners) == 0 {
		return nil
	}
	err := h.s.log.Erase(owners...)
	if err == nil {
		h.s.ask(h.ctx, func(e *engine.Engine) { e.Erased(len(owners)) })
	}
	return err
}

func (h *house) work(all bool) error {
	began, last := time.Now(), uint32(0)
	if all {
		h.s.log.Rotate()
		if err := errors.Join(h.tell((*engine.Engine).Mark), h.checkpoint(), h.checkpoint()); err != nil {
			return err
		}
		list := h.s.log.Segments()
		last = list[len(list)-1].ID
	} else if h.s.written.Load() > max(checkpointPace, int64(h.numbers[1])) {
		if err := h.checkpoint(); err != nil {
			return err
		}
	}
	for more := true; more; {
		var err error
		if more, err = h.compact(last); err != nil {
			return err
		}
	}
	if all {
		h.s.ask(h.ctx, func(e *engine.Engine) { e.Cleaned(began) })
	}
	return nil
}

// tell has the engine append something, and waits until that, and all before, is
// durable and applied.
func (h *house) tell(what func(*engine.Engine, func(wire.Code))) error {
	code := make(chan wire.Code, 1)
	h.s.events.put(func(e *engine.Engine) { what(e, func(c wire.Code) { code <- c }) })
	select {
	case c := <-code:
		if c != wire.OK {
			return errRefused
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
	var ok bool
	written := h.s.written.Load()
	if !h.s.ask(h.ctx, func(e *engine.Engine) { at, piece, ok = e.Checkpoint() }) || !ok {
		return errors.Join(h.ctx.Err(), errErasing)
	}
	err := h.s.log.Checkpoint(at, mapping.Shards+1, func(i int) ([]byte, error) {
		if i > 0 && !h.s.ask(h.ctx, func(e *engine.Engine) { piece = e.Shard(i - 1) }) {
			return nil, h.ctx.Err()
		}
		return piece, nil
	})
	if err == nil {
		h.s.written.Add(-written)
		h.numbers[1], h.numbers[2], h.numbers[3] = uint64(h.s.log.CheckpointBytes()), at.LSN, uint64(time.Now().Unix())
	}
	return err
}

// compact carries what is alive in a segment over to the newest one, and removes
// it; more: it may be worth while again.
func (h *house) compact(last uint32) (more bool, err error) {
	var live map[uint32]int64
	if !h.s.ask(h.ctx, func(e *engine.Engine) { live = e.Live() }) {
		return false, h.ctx.Err()
	}
	s := plan(h.s.log.Segments(), live, last, h.damaged)
	if s.ID == 0 {
		return false, nil
	}
	if live[s.ID] > 0 {
		err = h.carry(s.ID)
	}
	if errors.Is(err, log.ErrDamaged) {
		h.damaged[s.ID] = true
		h.s.ask(h.ctx, func(e *engine.Engine) { e.Note(wire.ReasonDamagedRecord) })
	}
	if err == nil {
		err = h.s.log.Remove(s.ID)
		h.numbers[4], h.numbers[5] = h.numbers[4]+uint64(live[s.ID]), h.numbers[5]+uint64(s.Bytes-live[s.ID])
	}
	return err == nil, err
}

// carry carries a segment over, piece by piece, and takes as long again as each
// piece took, so that half of the time is traffic's alone.
func (h *house) carry(segment uint32) error {
	var records []log.Record
	var at []log.Location
	size, began := 0, time.Now()
	flush := func() error {
		err := h.tell(func(e *engine.Engine, done func(wire.Code)) { e.Carry(records, at, done) })
		records, at, size = nil, nil, 0
		time.Sleep(min(time.Since(began), houseEvery)) // it may have waited for a disk that refused it
		began = time.Now()
		return err
	}
	err := h.s.log.Walk(segment, func(r log.Record, place log.Location) error {
		if r.Kind != log.KindPut {
			return nil
		}
		r.Sealed = slices.Clone(r.Sealed)
		records, at = append(records, r), append(at, place)
		if size += len(r.Sealed); size < carryPiece {
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
// last, or if what could be given back in all is more than a fifth of what is alive.
func plan(list []log.SegmentInfo, live map[uint32]int64, last uint32, damaged map[uint32]bool) (best log.SegmentInfo) {
	var dead, alive int64
	for _, s := range list {
		if alive += live[s.ID]; s.Free {
			dead += s.Bytes - live[s.ID]
		}
	}
	for _, s := range list {
		n := live[s.ID]
		worth := n == 0 || s.ID <= last && n < s.Bytes || dead > alive/5 && n < s.Bytes/10*9
		if s.Free && worth && !damaged[s.ID] && (best.ID == 0 || n*best.Bytes < live[best.ID]*s.Bytes) {
			best = s
		}
	}
	return best
}
