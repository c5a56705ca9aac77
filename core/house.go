package core

import (
	"cmp"
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
)

var errRefused = errors.New("the disk refuses writes")

// house puts the storage in order, beside traffic: it writes checkpoints, moves
// what is alive out of segments that are mostly dead, and finishes erasures.
type house struct {
	s       *shell
	ctx     context.Context
	erasing bool            // a data key was destroyed that checkpoints or the log still hold, wrapped
	damaged map[uint32]bool // segments that can't be moved
	numbers [6]uint64       // for a status
}

// keepHouse does what is due, until the context ends.
func (s *shell) keepHouse(ctx context.Context) {
	h := &house{s: s, ctx: ctx, erasing: s.log.Rewrapping(), damaged: make(map[uint32]bool)}
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

// round does what is due now, and answers who waited for it.
func (h *house) round() error {
	var compact, erase []*engine.Request
	var clean bool
	if !h.s.ask(h.ctx, func(e *engine.Engine) { compact, erase, clean = e.Chores() }) {
		return h.ctx.Err()
	}
	h.erasing = h.erasing || len(erase) > 0
	err := h.work(clean || len(compact) > 0)
	code := wire.OK
	if err != nil {
		fmt.Fprintln(os.Stderr, "motte-core: putting the storage in order:", err)
		code = wire.StorageFailed
	}
	h.s.ask(h.ctx, func(e *engine.Engine) {
		e.Done(compact, code)
		e.Done(erase, code)
		e.ObserveStorage(h.numbers)
	})
	return err
}

func (h *house) work(all bool) error {
	if h.erasing {
		if err := h.finishErasure(); err != nil {
			return err
		}
	}
	began, last := time.Now(), uint32(0)
	if all {
		h.s.log.Rotate()
		if err := errors.Join(h.tell(nil), h.checkpoint(), h.checkpoint()); err != nil {
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

// finishErasure makes sure that no file holds a data key that was destroyed,
// under a wrap key that is left: both checkpoints and all behind them hold those
// of the others under a new one, and then the old one is destroyed.
func (h *house) finishErasure() error {
	if err := h.s.log.AddWrap(); err != nil {
		return err
	}
	if err := errors.Join(h.tell(nil), h.checkpoint(), h.checkpoint()); err != nil {
		return err
	}
	err := h.s.log.DropWraps()
	h.erasing = err != nil
	return err
}

// tell puts moves into the log, and waits until they, and all before, are durable
// and applied.
func (h *house) tell(moved []log.Moved) error {
	code := make(chan wire.Code, 1)
	h.s.events.put(func(e *engine.Engine) { e.Moved(moved, func(c wire.Code) { code <- c }) })
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
	written := h.s.written.Load()
	if !h.s.ask(h.ctx, func(e *engine.Engine) { at, piece = e.Checkpoint() }) {
		return h.ctx.Err()
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

// compact moves what is alive out of some segments and removes them; more: it may
// be worth while again. With last not 0, every segment up to it that holds
// anything dead is.
func (h *house) compact(last uint32) (more bool, err error) {
	var live map[uint32]int64
	if !h.s.ask(h.ctx, func(e *engine.Engine) { live = e.Live() }) {
		return false, h.ctx.Err()
	}
	from, bytes := plan(h.s.log.Segments(), live, last, h.damaged)
	if len(from) == 0 {
		return false, nil
	}
	var moved []log.Moved
	if bytes > 0 {
		if moved, err = h.s.log.Move(from, h.alive()); err == nil {
			err = h.tell(moved)
		}
	}
	if errors.Is(err, log.ErrDamaged) {
		for _, id := range from {
			h.damaged[id] = true
		}
		h.s.ask(h.ctx, func(e *engine.Engine) { e.Note(wire.ReasonDamagedRecord) })
	}
	if err != nil {
		return false, err
	}
	for _, s := range h.s.log.Segments() {
		if slices.Contains(from, s.ID) {
			err = errors.Join(err, h.s.log.Remove(s.ID))
			h.numbers[5] += uint64(s.Bytes)
		}
	}
	for i := range moved {
		h.numbers[4] += uint64(moved[i].To.Length)
		h.numbers[5] -= uint64(moved[i].To.Length)
	}
	return err == nil, err
}

// alive returns what asks the engine which records of a piece are live, and takes
// as long again as the piece took, so that half of the time is traffic's alone.
func (h *house) alive() func([]log.Moved) ([]log.Moved, error) {
	began := time.Now()
	return func(list []log.Moved) ([]log.Moved, error) {
		time.Sleep(time.Since(began))
		began = time.Now()
		if !h.s.ask(h.ctx, func(e *engine.Engine) { list = e.Alive(list) }) {
			return nil, h.ctx.Err()
		}
		return list, nil
	}
}

// plan chooses what to compact, the most dead first, as much as one segment can
// take: those without anything alive, and those that hold something dead if last
// says so, or if what could be given back is more than a fifth of what is alive.
func plan(list []log.SegmentInfo, live map[uint32]int64, last uint32, damaged map[uint32]bool) (from []uint32, bytes int64) {
	var dead, alive int64
	for _, s := range list {
		if alive += live[s.ID]; s.Free {
			dead += s.Bytes - live[s.ID]
		}
	}
	slices.SortFunc(list, func(a, b log.SegmentInfo) int { return cmp.Compare(live[a.ID]*(b.Bytes+1), live[b.ID]*(a.Bytes+1)) })
	for _, s := range list {
		n := live[s.ID]
		worth := n == 0 || s.ID <= last && n < s.Bytes || dead > alive/5 && n < s.Bytes/10*9
		if s.Free && worth && !damaged[s.ID] && bytes+n < log.SegmentTarget {
			from, bytes = append(from, s.ID), bytes+n
		}
	}
	return from, bytes
}
