package engine

import (
	"slices"

	"motte/core/mapping"
	"motte/core/seglog"
)

// An erasure has four stages:
//
//  1. Its record becomes durable. From then on no object of the owner is looked up, listed
//     or found.
//  2. The owner's objects are removed in steps, and the indexes are told.
//  3. The owner's data key is destroyed.
//  4. The request is answered.
//
// A query that was sent to a Task before the erasure may show some of the owner's objects
// and not others, since records that were not read yet can't be read any more.

// erasure is an owner whose data is being erased.
type erasure struct {
	owner uint32
	shelf bool   // the owner is a generation of a shelf, whose data no Task is fed
	w     *write // waits until the data key is destroyed
}

// applyErase begins to remove the objects of an owner. Before the start, w is nil, and Check
// removes them.
func (e *Engine) applyErase(owner uint32, shelf bool, w *write) {
	e.erased[owner] = true
	e.erasures[owner] = len(e.erasures) + 1
	started := w != nil
	if !started {
		w = &write{} // no request waits
	}
	w.acksMissing++
	e.erase = append(e.erase, erasure{owner, shelf, w})
	if !shelf {
		e.erasingObjects++
	}
	switch {
	case !started || len(e.erase) > e.swept+1: // Check sweeps, or a sweep is under way, and goes on
	case shelf && !e.isGeneration(owner):
		e.swept++
		e.sweeping = e.swept
		e.out.Erase = true
	default:
		e.startSweep()
	}
}

// isGeneration reports whether an owner is the generation of a shelf. Else the shelf was dropped, and
// no blob is left that a sweep would remove.
func (e *Engine) isGeneration(owner uint32) bool {
	return slices.ContainsFunc(e.indexes, func(x *index) bool { return x.shelf.logged.generation == owner })
}

// startSweep continues a sweep in later events. The sweep pauses while the queues of indexes
// are too long, since each removal is queued for them; Tick continues it.
func (e *Engine) startSweep() {
	e.sweepWaits = false
	e.work = append(e.work, func() (more bool) {
		if e.backlog > maxBacklog {
			e.sweepWaits = true
			return false
		}
		more = e.sweep()
		e.pumpTouched()
		return more
	})
}

// hides reports whether an erasure hides an object from a query. A query that was queued
// before the erasure may still show the object, as it may show an object that was deleted
// later.
func (e *Engine) hides(q *query, o mapping.Entry) bool {
	return e.erased[o.Owner] && e.erasures[o.Owner] <= q.erasures
}

// sweep scans the next objects of the store, and removes those of erased owners. A pass over
// all objects completes the erasures that were durable when the pass began. Later erasures
// need another pass.
func (e *Engine) sweep() (more bool) {
	if e.sweptTo == (Cursor{}) {
		e.sweeping = len(e.erase)
	}
	list := e.Scan(&e.sweptTo, e.stride)
	for _, o := range list {
		if e.erased[o.Owner] {
			e.reclaim(o)
		}
	}
	if len(list) == 0 {
		e.swept, e.sweptTo = e.sweeping, Cursor{}
		e.out.Erase = true
	}
	return len(list) > 0 || e.swept < len(e.erase)
}

// reclaim removes an object as a deletion at the end of the log would.
func (e *Engine) reclaim(o mapping.Entry) {
	rec := deletion(o)
	rec.LSN = e.position.LSN
	e.applyObject(&rec, seglog.Location{}, nil)
	e.touch(e.byID[o.Collection])
}

// Erased completes the first n erasures: their data keys are destroyed.
func (e *Engine) Erased(n int) {
	e.swept -= n
	e.sweeping -= n
	for range n {
		erasing := pop(&e.erase)
		if !erasing.shelf {
			e.erasingObjects--
			e.heldNoMore(erasing.owner)
		}
		erasing.w.acked(e)
	}
}
