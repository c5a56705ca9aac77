package engine

import (
	"time"

	"motte/core/model"
)

// An upgrade replaces the process of an index that serves. A successor is built beside it, by the
// new executable: an index of its own, which gets the same changes and no queries. When the
// successor is complete, new queries wait in its queue until the old process has answered its
// last one. Then the index takes the session of the successor, and the old process ends. So no
// query fails. The indexes of a Task are upgraded one after the other.

// upgradeNext begins to upgrade the next index of a Task that still runs with an older row, if no
// other index of the Task is being upgraded. If a successor never serves, the indexes keep the old
// executable until their processes end. If it refuses its configuration, the next index is
// upgraded.
func (e *Engine) upgradeNext(task string) {
	var next *index
	for _, x := range e.indexes {
		switch {
		case x.task != task:
		case x.upgrading && !x.outdated:
			return
		case x.outdated && next == nil:
			next = x
		}
	}
	if next == nil {
		return
	}
	next.upgrading = true
	if next.state != model.IndexServing {
		e.restartIndex(next)
		return
	}
	next.outdated = false
	next.successor = &index{c: next.c, definition: next.definition, state: model.IndexStarting,
		shelf: &shelf{c: newCollection(0, "")}, replaces: next}
	e.pump(next.successor)
}

// endUpgrade notes that no index waits for x any more: x serves, or never will. If x was being
// upgraded, the next index has its turn.
func (e *Engine) endUpgrade(x *index) {
	if x.upgrading {
		x.upgrading = false
		e.upgradeNext(x.task)
	}
}

// failing is how often in a row a successor ends until a status says that the upgrade fails.
const failing = 3

// upgradeOf returns how far an index is on its way to the registered row of its Task.
func (e *Engine) upgradeOf(x *index) model.Upgrade {
	row := e.tasks[x.task]
	switch {
	case x.successor != nil && x.successor.failures >= failing:
		return model.UpgradeFails
	case x.successor != nil:
		return model.UpgradeBuilds
	case x.outdated:
		return model.UpgradeWaits
	case x.state == model.IndexServing && row != nil && x.row != &row.Row:
		return model.UpgradeRefused
	}
	return model.UpgradeNone
}

// switchOver gives an index the session of its complete successor, if the old process has no
// query left.
func (e *Engine) switchOver(x *index) {
	n := x.successor
	if n == nil || !n.complete || len(x.queries)+x.finishing > 0 {
		return
	}
	e.adopt(x)
	e.begun(x)
	e.pump(x)
}

// adopt ends the process of an index and gives it that of its successor, in whatever state it is.
func (e *Engine) adopt(x *index) {
	n := x.successor
	e.stopIndex(x, model.IndexUnavailable)
	x.successor, n.replaces = nil, nil
	x.refed += n.refed
	x.session, x.row, x.poison, x.state = n.session, n.row, n.poison, n.state
	x.accepted, x.failures, x.retryAt = n.accepted, n.failures, n.retryAt
	x.stretched, x.slowAt = n.stretched, n.slowAt
	if x.instance != 0 {
		e.instances[x.instance] = x
	}
	e.emptyShelf(x) // its blobs are of the old executable
	if had := x.shelf.now.setAside; len(had)+len(x.setAside) > 0 {
		e.logSetAside(x)
	}
}

// abandon ends the upgrade of an index. Queries that wait for the successor go to the old process.
func (e *Engine) abandon(x *index) {
	n := x.successor
	if n == nil {
		return
	}
	x.successor = nil
	e.stopIndex(n, model.IndexUnavailable)
	n.state = model.IndexRefused // no event that concerns n starts a process again
}

// rebuild answers a REBUILD: the index is built anew, also with the inputs that were set aside,
// and no predicate is refused any more. The answer does not wait until the index serves.
func (e *Engine) rebuild(q *Request) model.Code {
	x := q.in.index(q.Index)
	if x == nil {
		return model.NoIndex
	}
	x.poison = poison{}
	e.emptyShelf(x)
	e.logSetAside(x)
	e.restartIndex(x)
	e.pump(x)
	return e.answer(q, Reply{})
}

// restartIndex lets an index begin anew, with the present row of its Task, also if it refused
// its configuration. The new process does not inherit the failures of the old one.
func (e *Engine) restartIndex(x *index) {
	e.abandon(x)
	e.stopIndex(x, model.IndexUnavailable)
	x.state, x.accepted, x.outdated, x.retryAt = model.IndexStarting, false, false, time.Time{}
	x.failures, x.stretched = 0, 0
	e.touch(x.c)
}
