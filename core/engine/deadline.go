package engine

import (
	"time"

	"motte/core/model"
)

// A Task is slow if it exceeds its deadline. That may be the fault of a busy machine,
// so it first loses the query at which it works, and PUTs no longer wait for it. If
// that does not help, it is ended, and the next process gets more time.
const (
	// maxTick is the most that counts of the time between two ticks: twice the usual. More
	// has passed if the engine did not run, and then perhaps no Task did.
	maxTick = 100 * time.Millisecond
	// maxPatience is how many deadlines the oldest frame may take though the Task finishes
	// others meanwhile, and how many a PUT waits at most.
	maxPatience = 8
	// lastPatience is how many times longer a Task may take before it is ended.
	lastPatience = 4
	// maxStretch is how often the deadline of an index is doubled at most.
	maxStretch = 3
	// calmTime is the time without a miss after which it is halved again.
	calmTime = time.Minute
)

// deadlineWatch says how fast a Task works, as of the last tick. Times are those
// of the engine's clock: see Tick. All of them are late by up to a tick, in the Task's
// favour.
type deadlineWatch struct {
	left    uint64        // frames that have left the Core
	oldest  uint64        // number of the oldest frame that is not confirmed or answered
	begun   bool          // that frame has left the Core
	since   time.Duration // then the Task could begin it; or, if it has not left, read it
	moved   bool          // the Task finished a frame since the last tick
	heard   time.Duration // when the Task last finished a frame
	late    bool          // it has exceeded its deadline on the oldest frame
	waiting []*delivery   // with a waiter, in order; some have lost theirs
}

// Left says how many of its frames a Task's channel has taken. The shell tells it before
// each tick: time runs against a Task from when it can read.
func (e *Engine) Left(instance, frames uint64) {
	if x := e.instances[instance]; x != nil {
		x.left = frames
	}
}

// registered is the deadline of the Task's row. One that is shorter than a tick may take
// can't be told from a stall.
func (x *index) registered() time.Duration {
	return max(time.Duration(x.row.Deadline)*time.Millisecond, maxTick)
}

// deadline is the time that the Task has for one frame now.
func (x *index) deadline() time.Duration {
	return min(x.registered()<<x.stretched, model.MaxDeadline*time.Millisecond)
}

// checkDeadline looks whether a Task is slow.
func (e *Engine) checkDeadline(x *index) {
	if x.instance == 0 {
		return
	}
	x.progress(e.uptime)
	limit := x.deadline()
	switch {
	case e.overdue(x, lastPatience*limit):
		e.stretchDeadline(x)
		e.quarantine(x, model.ReasonTooSlow)
		return
	case e.overdue(x, limit):
		e.missDeadline(x)
	case x.late: // it has recovered
		x.late = false
		e.stretchDeadline(x)
	case x.stretched > 0 && e.uptime-x.slowAt > calmTime:
		x.stretched--
		x.slowAt = e.uptime
	}
	for len(x.waiting) > 0 && x.waiting[0].waiter == nil {
		pop(&x.waiting)
	}
	if len(x.waiting) > 0 && e.uptime-x.waiting[0].queued > maxPatience*x.registered() {
		e.waitNoMore(x)
	}
}

// progress notes what the Task has done since the last tick.
func (x *index) progress(now time.Duration) {
	if x.moved {
		x.moved, x.heard = false, now
	}
	if len(x.sent) == 0 {
		x.oldest = 0
		return
	}
	d := x.sent[0]
	if begun := d.seq <= x.left; d.seq != x.oldest || begun != x.begun {
		x.oldest, x.begun, x.since = d.seq, begun, now
	}
}

// overdue reports whether a Task has let a limit pass: on its oldest frame without
// finishing any, or, some times as long, whatever it finished meanwhile. It begins a frame
// when that has left the Core and the frames before it are finished.
func (e *Engine) overdue(x *index, limit time.Duration) bool {
	if len(x.sent) == 0 {
		return false
	}
	return e.uptime-max(x.since, x.heard) > limit || e.uptime-x.since > maxPatience*limit
}

// missDeadline notes that a Task has exceeded its deadline. The query at which it works is
// answered; a later answer of the Task to it is checked, and dropped. Writes wait for the
// index no more: queries wait behind them, as with a lazy index.
func (e *Engine) missDeadline(x *index) {
	x.late = true
	e.waitNoMore(x)
	if s := x.sent[0].search; s != nil {
		e.fail(s, model.TooSlow)
		s.req, s.seen, s.found = nil, nil, nil
	}
}

// stretchDeadline gives a Task more time, after a miss. It is sent less at a time, too: it may
// answer all that it has read at once.
func (e *Engine) stretchDeadline(x *index) {
	x.stretched = min(x.stretched+1, maxStretch)
	x.slowAt = e.uptime
}

// window lowers a limit of the frames, or their bytes, with a Task that was too slow.
func (x *index) window(most int) int { return most >> (2 * x.stretched) }

// waitNoMore lets writes wait for an index no more.
func (e *Engine) waitNoMore(x *index) {
	for _, d := range x.waiting {
		e.acknowledge(x, d)
	}
	x.waiting = nil
}
