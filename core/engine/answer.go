package engine

import (
	"time"

	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/task"
	"motte/core/wire"
)

// startIndex asks the host for a fresh process.
func (e *Engine) startIndex(x *index) {
	row := e.tasks[x.task]
	e.lastInstance++
	x.row, x.instance, x.state = row, e.lastInstance, wire.IndexStarting
	e.instances[x.instance] = x
	e.out.Start = append(e.out.Start, StartTask{x.instance, row.Measurement, row.Memory})
}

// TaskStarted says that the channel to a process is up: the Task is told its
// configuration and then fed.
func (e *Engine) TaskStarted(instance uint64) {
	x := e.instances[instance]
	if x == nil || x.state != wire.IndexStarting {
		e.out.Stop = append(e.out.Stop, instance)
		return
	}
	x.state = wire.IndexBuilding
	x.leaving = make(map[identity.ID]*delivery)
	x.queue = append(x.queue, &delivery{step: stepConfigure, x: x, build: true})
	x.building = 1
	e.pump(x)
}

// TaskEnded says that a process is gone. One that never came up is tried again
// later; one that was at work broke its contract.
func (e *Engine) TaskEnded(instance uint64) {
	x := e.instances[instance]
	switch {
	case x == nil:
	case x.state == wire.IndexStarting:
		e.halt(x, wire.IndexUnavailable)
		e.retryLater(x)
	default:
		e.quarantine(x, wire.ReasonTaskEnded)
	}
}

// TaskBroke says that a Task sent what can't be decoded.
func (e *Engine) TaskBroke(instance uint64, reason wire.Reason) {
	if x := e.instances[instance]; x != nil {
		e.quarantine(x, reason)
	}
}

// TaskAnswer takes a frame from a Task. Nothing in it is believed: it must
// answer what was asked, once, and name only what the Core itself keeps
// (paper, section 5: "enabling simple verification on returned results").
func (e *Engine) TaskAnswer(instance uint64, a task.Answer) {
	x := e.instances[instance]
	if x == nil {
		return // it was stopped; its last words don't matter
	}
	var reason wire.Reason
	switch a.Type {
	case task.Applied:
		reason = e.confirm(x, a.Seq)
	case task.Found:
		reason = e.found(x, a)
	case task.Failed:
		reason = e.refuse(x, a)
	}
	if reason != 0 {
		e.quarantine(x, reason)
		return
	}
	e.pump(x)
}

// confirm: every change up to seq is done.
func (e *Engine) confirm(x *index, seq uint64) wire.Reason {
	if seq <= x.applied || seq > x.seq {
		return wire.ReasonUnasked
	}
	x.applied = seq
	for len(x.sent) > 0 && x.sent[0].seq <= seq {
		d := x.sent[0]
		x.sent[0] = nil
		x.sent = x.sent[1:]
		x.done(e, d)
	}
	return 0
}

// refuse: the Task does not accept its configuration, an input, or a query.
func (e *Engine) refuse(x *index, a task.Answer) wire.Reason {
	if a.Failure == task.FailQuery {
		s := x.take(a.Seq)
		if s == nil || s.received > 0 {
			return wire.ReasonUnasked
		}
		e.answer(s, Reply{Code: wire.QueryRefused})
		return 0
	}
	for _, d := range x.sent {
		if d.seq != a.Seq {
			continue
		}
		switch {
		case a.Failure == task.FailConfiguration && d.step == stepConfigure:
			e.out.Stop = append(e.out.Stop, x.instance)
			e.halt(x, wire.IndexUnavailable)
			x.state = wire.IndexRefused
			return 0
		case a.Failure == task.FailInput && d.step == stepInsert && !d.refused:
			d.refused = true
			x.refused++
			return 0
		}
	}
	return wire.ReasonUnasked
}

// known returns the object that a Task names in answer to s, if it may name
// it: live in the index's collection, or leaving it by a change that the Task
// was sent after s, or not yet.
func (e *Engine) known(x *index, s *search, id identity.ID) (mapping.Entry, wire.Reason) {
	o, ok := e.objects.Get(id.Value())
	switch {
	case ok && o.Collection != x.c.id:
		return o, wire.ReasonOtherCollection
	case ok && o.ID == id:
		return o, 0
	}
	if d := x.leaving[id]; d != nil && (d.seq == 0 || d.seq > s.delivery.seq) {
		return d.gone, 0
	}
	return mapping.Entry{}, wire.ReasonInvalidIdentity
}

// quarantine ends a Task that broke its contract: killed, its memory gone, the
// alert in the sealed log, whoever waited told by a fixed code, and after a
// pause a fresh Task is fed from the Core's copy (design, section 5).
func (e *Engine) quarantine(x *index, r wire.Reason) {
	e.out.Stop = append(e.out.Stop, x.instance)
	if !x.served.IsZero() && e.Now.Sub(x.served) > time.Minute {
		x.failures = 0
	}
	e.halt(x, wire.IndexViolated)
	x.state = wire.IndexQuarantined
	x.restarts++
	e.retryLater(x)
	e.alert(wire.Alert{Reason: r, Collection: x.c.name, Index: x.name})
}

// stopIndex ends a Task for a reason of ours.
func (e *Engine) stopIndex(x *index, code wire.Code) {
	if x.instance != 0 {
		e.out.Stop = append(e.out.Stop, x.instance)
	}
	e.halt(x, code)
}

// halt forgets all that was on its way to a Task: queries get the code, writes
// no longer wait for it.
func (e *Engine) halt(x *index, code wire.Code) {
	delete(e.instances, x.instance)
	x.instance, x.served = 0, time.Time{}
	sent, queue, open := x.sent, x.queue, x.open
	x.sent, x.queue, x.open, x.leaving = nil, nil, nil, nil
	x.seq, x.applied, x.bytes, x.fetching = 0, 0, 0, 0
	x.shard, x.building, x.fed, x.refused = 0, 0, 0, 0
	for _, s := range open {
		e.answer(s, Reply{Code: code})
	}
	for _, d := range append(sent, queue...) {
		delete(e.fetches, d.token)
		if d.search != nil {
			e.answer(d.search, Reply{Code: code})
		}
		if d.waiter != nil {
			d.waiter.confirmed(e, false)
		}
	}
}

func (e *Engine) retryLater(x *index) {
	x.retryAt = e.Now.Add(min(minBackoff<<min(x.failures, 20), maxBackoff))
	x.failures++
}

// Tick says what time it is: overdue Tasks are quarantined, ended ones started
// again, queries whose time is up answered.
func (e *Engine) Tick(now time.Time) {
	e.Now = now
	e.sweep()
	for _, x := range e.indexes() {
		if x.instance == 0 {
			if x.state != wire.IndexRefused && !now.Before(x.retryAt) {
				e.startIndex(x)
			}
			continue
		}
		if e.overdue(x) {
			e.quarantine(x, wire.ReasonDeadline)
			continue
		}
		e.expire(x)
		e.pump(x)
	}
}

// overdue reports whether a Task has let its deadline pass on anything.
func (e *Engine) overdue(x *index) bool {
	limit := time.Duration(x.row.Deadline) * time.Millisecond
	return len(x.sent) > 0 && e.Now.Sub(x.sent[0].at) > limit ||
		len(x.open) > 0 && e.Now.Sub(x.open[0].delivery.at) > limit
}
