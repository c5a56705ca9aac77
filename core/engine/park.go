package engine

import (
	"time"

	"motte/core/model"
)

// An index that nobody asks is parked: its process ends, and its shelf is kept. The next query
// wakes it, and waits until it serves. Writes don't wait for a parked index. So that the shelf
// does not grow old, many changes wake the index, too: it is brought up to date, saves, and is
// parked again.

// Limits of parking.
const (
	parkAfter    = time.Hour   // without a query
	crowdedAfter = time.Minute // the same, while more processes run than maxRunning
	maxRunning   = 256
	wakePart     = 16   // an index wakes when one in so many of its objects has changed
	maxSleepers  = 1024 // queries that wait for one index

	// maxSaving is the number of processes up to which parked indexes wake to save anew. These processes end
	// soon, so they may run beside maxRunning others.
	maxSaving = maxRunning + 128
)

// mayPark reports whether an index has nothing to do, and a shelf from which it can come back.
func (e *Engine) mayPark(x *index) bool {
	after := parkAfter
	if len(e.instances) > maxRunning {
		after = crowdedAfter
	}
	idle := x.state == model.IndexServing && e.uptime-x.askedAt > after && x.successor == nil
	kept := x.row != nil && x.row.Shelf > 0 && x.changed < e.saveChanges
	kept = kept && !x.anew && !x.active && !x.saveOpen
	kept = kept && (x.shelf.logged.highest > 0 || x.c.objects.Len() == 0)
	return idle && kept && len(x.queue)+len(x.sent)+x.finishing == 0 && x.options&model.OptionResident == 0
}

// park ends the process of an index until it is asked again.
func (e *Engine) park(x *index) {
	e.stopIndex(x, model.IndexUnavailable)
	x.state, x.unseen = model.IndexParked, 0
	x.outdated, x.accepted = false, x.accepted && !x.outdated // the next process has the present row
	e.endUpgrade(x)
}

// parkAtStart parks the indexes that have a shelf, if all of them would be too many processes. Nobody
// has asked them for longer than any process may be idle.
func (e *Engine) parkAtStart() {
	if len(e.indexes) <= maxRunning {
		return
	}
	for _, x := range e.indexes {
		if x.shelf.logged.begun != 0 && x.options&model.OptionResident == 0 {
			x.state, x.askedAt = model.IndexParked, -parkAfter
		}
	}
}

// wake starts the process of a parked index.
func (e *Engine) wake(x *index) {
	x.state, x.retryAt = model.IndexStarting, time.Time{}
	e.pump(x)
}

// saveParked wakes a parked index with nothing on its shelf, unless many processes run: a cleaning pass
// has destroyed its blobs. It saves anew, and is parked again.
func (e *Engine) saveParked(x *index) {
	lacks := x.state == model.IndexParked && x.shelf.now.highest == 0 && x.c.objects.Len() > 0
	if row := e.tasks[x.task]; lacks && row != nil && row.Shelf > 0 && len(e.instances) < maxSaving {
		e.wake(x)
	}
}

// missedByParked counts a change that an index does not get, since it is parked.
func (e *Engine) missedByParked(x *index) {
	if x.state != model.IndexParked {
		return
	}
	if x.unseen++; x.unseen >= max(e.saveChanges, x.c.objects.Len()/wakePart) {
		e.wake(x)
	}
}

// sleep lets a query wait for an index that is parked, or comes back. Otherwise wait is false. A code
// other than OK refuses the query.
func (e *Engine) sleep(x *index, q *Request) (code model.Code, wait bool) {
	awake := x.state != model.IndexParked && len(x.sleepers) == 0
	switch {
	case awake, x.state == model.IndexServing, e.tasks[x.task] == nil: // no process: see startIndex
		return model.OK, false
	case len(x.sleepers) >= maxSleepers:
		return model.Overloaded, false
	}
	x.sleepers = append(x.sleepers, q)
	if x.state == model.IndexParked {
		e.wake(x)
	}
	return model.OK, true
}

// wakeSleepers decides the queries that waited for an index as if they came now: the index serves, or
// can't come back.
func (e *Engine) wakeSleepers(x *index) {
	waiting := x.sleepers
	x.sleepers = nil
	for _, q := range waiting {
		e.work = append(e.work, func() (more bool) {
			e.retryRequest(q)
			return false
		})
	}
}
