package engine

import (
	"slices"
	"time"

	"motte/core/control"
	"motte/core/identity"
	"motte/core/task"
	"motte/core/wire"
)

// startIndex asks the host for a fresh process.
func (e *Engine) startIndex(x *index) {
	row := e.tasks[x.task]
	e.lastInstance++
	x.row, x.instance, x.state = row, e.lastInstance, wire.IndexStarting
	e.instances[x.instance] = x
	e.out.Host = append(e.out.Host, control.Message{Type: control.StartTask,
		Instance: x.instance, Measurement: row.Measurement, Memory: row.Memory})
}

// TaskStarted says that the channel to a process is up: the Task is told its
// configuration and then fed.
func (e *Engine) TaskStarted(instance uint64) {
	x := e.instances[instance]
	if x == nil || x.state != wire.IndexStarting {
		e.stopTask(instance)
		return
	}
	x.state, x.leaving = wire.IndexBuilding, make(map[identity.ID][]*delivery)
	x.queue, x.building = []*delivery{{step: task.Configure, x: x, build: true}}, 1
	e.pump(x)
}

// TaskEnded says that a process is gone, or that what it sent can't be decoded.
// One that never came up is tried again later; one that was at work broke its
// contract.
func (e *Engine) TaskEnded(instance uint64, reason wire.Reason) {
	x := e.instances[instance]
	switch {
	case x == nil:
	case x.state == wire.IndexStarting:
		e.stopIndex(x, wire.IndexUnavailable)
		e.retryLater(x)
	default:
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
		x.done(e, pop(&x.sent))
	}
	return 0
}

// refuse: the Task does not accept its configuration, an input, or a query.
func (e *Engine) refuse(x *index, a task.Answer) wire.Reason {
	if s := x.asked(a.Seq); s != nil && a.Failure == task.FailQuery && s.received == 0 {
		x.closeQuery(e.Now)
		e.end(s.req, wire.QueryRefused)
		return 0
	}
	i := slices.IndexFunc(x.sent, func(d *delivery) bool { return d.seq == a.Seq })
	switch {
	case i >= 0 && a.Failure == task.FailConfiguration && x.sent[i].step == task.Configure && !x.accepted:
		e.stopIndex(x, wire.IndexUnavailable)
		x.state = wire.IndexRefused
		return 0
	case i >= 0 && a.Failure == task.FailInput && x.sent[i].step == task.Insert && !x.sent[i].refused:
		x.sent[i].refused = true
		x.refused++
		return 0
	}
	return wire.ReasonUnasked
}

// quarantine ends a Task that broke its contract: killed, its memory gone, the
// alert in the sealed log, whoever waited told by a fixed code, and after a
// pause a fresh Task is fed from the Core's copy (design, section 5).
func (e *Engine) quarantine(x *index, r wire.Reason) {
	if !x.served.IsZero() && e.Now.Sub(x.served) > time.Minute {
		x.failures = 0
	}
	e.stopIndex(x, wire.IndexViolated)
	x.state = wire.IndexQuarantined
	x.restarts++
	e.retryLater(x)
	e.alert(wire.Alert{Reason: r, Collection: x.c.name, Index: x.name})
}

// stopIndex ends a Task, if there is one, and forgets all that was on its way
// to it: queries get the code, writes no longer wait.
func (e *Engine) stopIndex(x *index, code wire.Code) {
	if x.instance != 0 {
		e.stopTask(x.instance)
	}
	delete(e.instances, x.instance)
	all := slices.Concat(x.sent, x.open, x.queue)
	x.feed = feed{}
	for _, d := range all {
		d.dead = true
		if d.search != nil {
			e.end(d.search.req, code)
		}
		if d.waiter != nil {
			d.waiter.confirmed(e, false)
		}
	}
}

func (e *Engine) stopTask(instance uint64) {
	e.out.Host = append(e.out.Host, control.Message{Type: control.StopTask, Instance: instance})
}

func (e *Engine) retryLater(x *index) {
	x.retryAt = e.Now.Add(min(minBackoff<<min(x.failures, 20), maxBackoff))
	x.failures++
}

// Tick says what time it is: overdue Tasks are quarantined, ended ones started
// again.
func (e *Engine) Tick(now time.Time) {
	e.Now = now
	e.sweep(0)
	for _, x := range e.indexes() {
		if x.instance != 0 && e.overdue(x) {
			e.quarantine(x, wire.ReasonDeadline)
			continue
		}
		e.pump(x)
	}
}

// overdue reports whether a Task has let its deadline pass on anything. It
// begins a frame when it has finished the one before; but a frame that was sent
// maxPatience deadlines ago is late, whatever it did meanwhile.
func (e *Engine) overdue(x *index) bool {
	limit := time.Duration(x.row.Deadline) * time.Millisecond
	late := func(list []*delivery) bool {
		return len(list) > 0 && (e.Now.Sub(list[0].at) > limit && e.Now.Sub(x.heard) > limit ||
			e.Now.Sub(list[0].at) > maxPatience*limit)
	}
	return late(x.sent) || late(x.open)
}
