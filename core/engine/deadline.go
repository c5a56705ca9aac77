package engine

import (
	"time"

	"motte/core/model"
)

// A Task is slow if it exceeds its deadline. The cause may be a busy machine. So the first
// consequence is mild: the Task's current query fails, and PUTs no longer wait for the
// index. If the Task does not recover, its process is ended, and the next process gets more
// time.
const (
	// maxTick is the longest time that a tick adds to the engine's clock: twice the usual
	// tick. If more time passed, the engine did not run, and perhaps no Task did.
	maxTick = 100 * time.Millisecond
	// maxFrameDeadlines is the longest time, in deadlines, for the oldest frame of a Task that
	// finishes other frames meanwhile. A PUT waits no longer than that either.
	maxFrameDeadlines = 8
	// fatalDeadlines is the time, in deadlines, after which a Task is ended.
	fatalDeadlines = 4
	// maxStretch bounds how often the deadline of an index is doubled.
	maxStretch = 3
	// calmTime is the time without a missed deadline after which it is halved again.
	calmTime = time.Minute
)

// deadlineWatch is the progress of a Task at the last tick, by the engine's clock: see Tick.
// Times are up to a tick too late, in the Task's favour.
type deadlineWatch struct {
	left    uint64        // frames that have left the Core
	oldest  uint64        // number of the oldest frame that is not acknowledged or answered
	begun   bool          // the oldest frame has left the Core
	since   time.Duration // when it became the oldest frame, or later left the Core
	moved   bool          // the Task finished a frame since the last tick
	heard   time.Duration // when the Task last finished a frame
	late    bool          // it has exceeded its deadline on the oldest frame
	waiting []*delivery   // deliveries for which a write waited, in order
}

// Left sets the number of frames that a Task's channel has taken. The server calls it before
// each tick: the time of a frame begins when the Task can read it.
func (e *Engine) Left(instance, frames uint64) {
	if x := e.instances[instance]; x != nil {
		x.left = frames
	}
}

// registered returns the deadline of the Task's row, but at least maxTick: a shorter time
// can't be distinguished from a stall of the engine.
func (x *index) registered() time.Duration {
	return max(time.Duration(x.row.Deadline)*time.Millisecond, maxTick)
}

// deadline returns the time that the Task has for one frame now.
func (x *index) deadline() time.Duration {
	return min(x.registered()<<x.stretched, model.MaxDeadline*time.Millisecond)
}

// checkDeadline handles a Task that is slow, or has recovered.
func (e *Engine) checkDeadline(x *index) {
	if x.instance == 0 {
		return
	}
	x.progress(e.uptime)
	limit := x.deadline()
	switch {
	case e.overdue(x, fatalDeadlines*limit):
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
	if len(x.waiting) > 0 && e.uptime-x.waiting[0].queued > maxFrameDeadlines*x.registered() {
		e.releaseWrites(x)
	}
}

// progress updates the deadlineWatch at a tick.
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

// overdue reports whether a Task has exceeded a limit: on its oldest frame while it finished
// no other frame, or maxFrameDeadlines limits in any case. A Task begins a frame when the frame has
// left the Core and the frames before it are finished.
func (e *Engine) overdue(x *index, limit time.Duration) bool {
	if len(x.sent) == 0 {
		return false
	}
	return e.uptime-max(x.since, x.heard) > limit || e.uptime-x.since > maxFrameDeadlines*limit
}

// missDeadline handles a missed deadline. The Task's current query fails; a later answer to
// it is checked and dropped. Writes no longer wait for the index, as with a lazy index.
func (e *Engine) missDeadline(x *index) {
	x.late = true
	e.releaseWrites(x)
	if s := x.sent[0].search; s != nil {
		e.fail(s, model.TooSlow)
	}
}

// stretchDeadline gives a Task more time, after a miss. It also makes the Task's window
// smaller: see window.
func (e *Engine) stretchDeadline(x *index) {
	x.stretched = min(x.stretched+1, maxStretch)
	x.slowAt = e.uptime
}

// window returns a limit of the unacknowledged frames, or of their bytes. It is lower for a
// Task that was too slow.
func (x *index) window(most int) int { return most >> (2 * x.stretched) }

// releaseWrites acknowledges all writes that wait for an index.
func (e *Engine) releaseWrites(x *index) {
	for _, d := range x.waiting {
		e.acknowledge(x, d)
	}
	x.waiting = nil
}
