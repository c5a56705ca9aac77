package engine

import (
	"motte/core/mapping"
	"motte/core/seglog"
)

// An erasure takes effect when its record is durable: from then on no object of the
// owner is looked up, listed or found. Then its objects are taken away in steps, of
// which the indexes hear, then its data key is destroyed, and then the request is
// answered. A query that was asked before and is answered meanwhile may show some of the
// owner's objects and not others: an input that was not read yet can't be read any more.

// applyErase begins to take away all that an owner put. Before the start, when there is no
// w, Check does that.
func (e *Engine) applyErase(owner uint32, w *write) {
	e.erased[owner] = true
	e.erasures[owner] = len(e.erasures) + 1
	started := w != nil
	if !started {
		w = &write{} // no request waits
	}
	w.owner = owner
	w.acksMissing++
	e.erase = append(e.erase, w)
	if started && len(e.erase) == e.swept+1 { // otherwise a sweep is under way, and goes on
		e.startSweep()
	}
}

// startSweep goes on with a sweep, in later events. It stops while indexes lag too far behind,
// since each removal is queued for them; Tick begins it again.
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

// hides reports whether an erasure hides an object from a query: one that was queued
// before the erasure may show the collection as it stood then, like one that was queued
// before a deletion.
func (e *Engine) hides(s *search, o mapping.Entry) bool {
	return e.erased[o.Owner] && e.erasures[o.Owner] <= s.erasures
}

// sweep looks at the next objects of the store, and takes away those of erased owners. A
// pass over all of them serves the erasures that there were when it began; others have
// the next one.
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
	}
	return len(list) > 0 || e.swept < len(e.erase)
}

// reclaim removes an object as if it were deleted at the end of the log.
func (e *Engine) reclaim(o mapping.Entry) {
	rec := deletion(o)
	rec.LSN = e.position.LSN
	e.applyObject(&rec, seglog.Location{}, nil)
	e.touch(e.byID[o.Collection])
}

// Erased says that the data keys of the first n erasures are destroyed.
func (e *Engine) Erased(n int) {
	e.swept -= n
	e.sweeping -= n
	for range n {
		pop(&e.erase).acked(e)
	}
}
