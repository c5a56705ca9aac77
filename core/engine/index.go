package engine

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"motte/core/hostwire"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/taskwire"
	"motte/core/wire"
)

// Limits of what is on its way to one Task.
const (
	windowFrames = 1024    // frames sent and not confirmed or answered
	windowOpen   = 8       // queries sent and not finished: each holds its results, and may take its deadline
	windowBytes  = 4 << 20 // bytes of them, save that one frame may always go
	fetchAhead   = 128     // inputs being read for the front of the queue
	maxBackoff   = 30 * time.Second
	minBackoff   = 100 * time.Millisecond
)

// Limits of the queues for Tasks that lag behind.
const (
	// keepBytes is how many bytes of inputs the queue of one index holds: two windows, so
	// that a Task that keeps up waits for no read. Other inputs are read again from the log.
	// The first in the queue may always be held, whatever its size.
	keepBytes   = 8 << 20
	keepAll     = 64 << 20 // bytes that all queues hold, beside the first input of each
	inputCost   = 64       // bytes that an input in a queue takes beside its content
	maxBacklog  = 1 << 20  // queued changes, of all indexes, after which writes are refused
	fairBacklog = 1 << 12  // as Overloaded, unless no index of the collection has as many as this
)

// index is one Task instance bound to one collection: a follower of the log.
// Changes and queries go to the Task through one queue, in log order, so that
// a query sees all that was committed before it.
type index struct {
	c *collection
	definition

	state model.IndexState
	row   *model.Row // in force for the process
	session

	stretched int           // how often its deadline is doubled
	slowAt    time.Duration // when that changed last

	accepted bool // its configuration, by this executable: to refuse it now is a violation
	failures int  // in a row: the next start waits longer
	retryAt  time.Time
	restarts uint64
	outages  uint64 // by the Task's doing
	told     ledger

	finishing int // queries that a Task has answered, and that hold their results
}

// session is where an index stands with its Task's process; it ends with that.
type session struct {
	instance   uint64 // 0: no process
	seq        uint64 // of the last frame sent
	applied    uint64 // as the Task confirmed
	queue      []*delivery
	unread     int         // Inserts in the queue without their input
	inputBytes int         // bytes of inputs in the queue, or being read for it
	sent       []*delivery // changes not confirmed and queries not answered, in the order of their numbers
	queries    []*delivery // of both lists, in order
	open       int         // of the queries, sent
	bytes      int         // of the frames in sent
	served     time.Time   // since when the index does
	refused    uint64      // inputs

	// superseded holds the changes that the Task has not confirmed, oldest first,
	// by the identity that they replace or delete. It may still name that in
	// answer to a query that it was sent before such a change; the answer then
	// shows the object as it stood. Nobody has been told yet that the change is
	// done, so the query comes before it (docs/decisions).
	superseded map[identity.ID][]*delivery

	missed   []mapping.Entry // objects that it lacks, as their records could not be read
	missedAt time.Time       // when some of them are read again

	scannedTo identity.Value // up to which the objects are queued while building
	scanned   bool           // all are
	building  int            // deliveries of the build not yet confirmed
	fed       uint64         // and those that are
	deadlineWatch
}

// delivery is one frame for a Task, from the time it is queued until the Task
// has confirmed or answered it.
type delivery struct {
	step        taskwire.Type
	lsn         uint64
	put         mapping.Entry // Insert
	replaced    mapping.Entry // what it replaces or removes, if hasReplaced
	hasReplaced bool
	input       []byte // of an Insert; nil until fetched
	counted     int    // bytes that it is counted with in kept
	fetched     bool   // or being fetched
	build       bool
	waiter      *write        // told when it is confirmed, or too late
	op          int           // which of the waiter's operations it is
	choice      bool          // the Task may refuse the input, and the waiter is told
	refused     bool          // the Task refused it
	queued      time.Duration // since when it waits
	search      *search       // Search

	// Since it was sent:
	seq  uint64 // 0 before
	size int
}

// full reports whether the queues are so long that no write should be added. One index
// may fill them; then writes are refused only in collections with an index that lags
// behind.
func (e *Engine) full(x *index) bool { return e.backlog > maxBacklog && len(x.queue) > fairBacklog }

// enqueue adds a delivery to the queue of an index.
func (e *Engine) enqueue(x *index, d *delivery) {
	x.queue = append(x.queue, d)
	e.backlog++
	if d.search != nil {
		x.queries = append(x.queries, d)
	}
	if d.unread() {
		x.unread++
	}
}

// mayCountInput reports whether the queue of an index may hold another input of n bytes. If
// it holds none, it may: so each index goes on, whatever the size of its inputs and of
// other queues.
func (e *Engine) mayCountInput(x *index, n int) bool {
	return x.inputBytes == 0 || x.inputBytes+n <= keepBytes && e.queuedInputBytes+n <= keepAll
}

// keep counts n bytes for a delivery, in place of the bytes that were counted for it.
func (e *Engine) countInput(x *index, d *delivery, n int) {
	x.inputBytes += n - d.counted
	e.queuedInputBytes += n - d.counted
	d.counted = n
}

// holds returns how many bytes it takes to keep an input that is part of a record with
// such a body: all of the record, which several indexes can share, or a copy, if the
// record is more than twice as much.
func inputBytes(input, body int) int {
	if 2*input >= body {
		return inputCost + body
	}
	return inputCost + input
}

// own returns an input that holds no more than that.
func own(input []byte, body int) []byte {
	if 2*len(input) >= body {
		return input
	}
	return bytes.Clone(input)
}

func (x *index) ordered() bool { return x.options&model.OptionOrdered != 0 }

// input returns what the index is fed of an object; nil: nothing. An input over
// the Task's limit is refused.
func (x *index) input(o Object) (input []byte, refused bool) {
	input = o.Data
	if x.options&model.OptionAttribute != 0 {
		// The Core checked the attributes when it stored them.
		attributes, _ := wire.DecodeAttributes(o.Attributes)
		input = attributes[x.name]
	}
	if uint64(len(input)) > uint64(x.row.MaxInput) {
		return nil, true
	}
	return input, false
}

// follow queues what a durable record, with this body, means for the index. An
// index that is not up gets it from the mapping, when it is built.
func (e *Engine) follow(x *index, d delivery, body []byte, w *write) {
	if x.superseded == nil {
		return
	}
	if d.hasReplaced {
		x.superseded[d.replaced.ID] = append(x.superseded[d.replaced.ID], &d)
	}
	if d.step == taskwire.Insert {
		// The engine made this record.
		o, _ := DecodeObject(body)
		input, refused := x.input(o)
		if refused {
			w.mark(d.op, wire.ReplyNotIndexed)
		}
		if input == nil {
			d.step = taskwire.Remove
		} else if n := inputBytes(len(input), len(body)); x.unread == 0 && e.mayCountInput(x, n) {
			// No input before it has still to be read.
			d.input = own(input, len(body))
			e.countInput(x, &d, n)
		}
	}
	if d.step == taskwire.Remove && !d.hasReplaced {
		return
	}
	if w != nil && x.state == model.IndexServing && x.options&model.OptionLazy == 0 && !x.late {
		d.waiter, d.choice, d.queued = w, d.step == taskwire.Insert, e.uptime
		w.acksMissing++
		x.waiting = append(x.waiting, &d)
	}
	e.enqueue(x, &d)
}

// pump starts what is to be started, sends what may be sent, reads inputs ahead, and
// goes on with a build. An index that is not up has nothing in its queue.
func (e *Engine) pump(x *index) {
	if x.instance == 0 && x.state != model.IndexRefused && !e.Now.Before(x.retryAt) {
		e.startIndex(x)
	}
	if x.state == model.IndexBuilding && !x.scanned && x.building < fetchAhead {
		e.build(x)
	}
	for len(x.queue) > 0 && x.maySend(x.queue[0]) {
		e.backlog--
		e.send(x, pop(&x.queue))
	}
	e.readAhead(x)
	if x.state == model.IndexBuilding && x.scanned && x.building == 0 {
		x.state, x.served, x.accepted = model.IndexServing, e.Now, true
	}
}

// startIndex asks the host for a process.
func (e *Engine) startIndex(x *index) {
	row := e.tasks[x.task]
	if row == nil {
		return // a salvaged log may not know the Task any more
	}
	e.lastInstance++
	x.row, x.instance, x.state = &row.Row, e.lastInstance, model.IndexStarting
	e.instances[x.instance] = x
	e.tellHost(hostwire.StartTask{Instance: x.instance, Index: x.number,
		Measurement: row.Measurement, Memory: row.Memory})
}

// build queues the next objects of the collection for an index that is being built. What
// is put or deleted meanwhile is queued as it happens: at the time an object is queued
// here, all changes of it are either in the mapping or behind.
func (e *Engine) build(x *index) {
	for o := range x.c.objects.After(x.scannedTo) {
		if x.building >= fetchAhead {
			return
		}
		x.scannedTo = o.ID.Value()
		e.enqueue(x, &delivery{step: taskwire.Insert, put: o, build: true})
		x.building++
	}
	x.scanned = true
}

// maySend reports whether the Task may be sent the first delivery of its queue now.
func (x *index) maySend(d *delivery) bool {
	full := len(x.sent) >= x.window(windowFrames) || x.bytes >= x.window(windowBytes)
	return !full && x.open+x.finishing < windowOpen && !d.unread()
}

// unread reports whether the input of a delivery has not been read.
func (d *delivery) unread() bool { return d.step == taskwire.Insert && d.input == nil }

// readAhead reads the inputs of the front of the queue.
func (e *Engine) readAhead(x *index) {
	for _, d := range x.queue[:min(len(x.queue), fetchAhead)] {
		if d.fetched || !d.unread() {
			continue
		}
		size := int(d.put.Loc.Length)
		if !e.mayCountInput(x, size) {
			return // when those before it are sent
		}
		d.fetched = true
		e.countInput(x, d, size)
		e.out.Fetch = append(e.out.Fetch, Fetch{d.put, x.instance, d})
	}
}

// Fetched brings a record that Fetch asked for, or tells that it can't be read. The
// engine may keep what o is part of. An object that the index must not have is removed,
// in case that the Task holds an older version of it.
func (e *Engine) Fetched(f Fetch, o Object, lsn uint64, err error) {
	x, d := e.instances[f.instance], f.delivery
	if x == nil {
		return // the process that it was for is gone
	}
	var input []byte
	if errors.Is(err, seglog.ErrMoved) {
		if cur, ok := e.Current(d.put); ok {
			d.put = cur
			e.out.Fetch = append(e.out.Fetch, Fetch{cur, f.instance, d})
			return
		}
		// A change behind this one says what became of it.
	} else if err != nil {
		if d.waiter != nil {
			d.waiter.mark(d.op, wire.ReplyNotIndexed)
		}
		if errors.Is(err, seglog.ErrDamaged) {
			e.Damaged(d.put)
		} else if !e.keepMissed(x, d.put) {
			return
		}
	} else {
		input, _ = x.input(o)
	}
	n, body := 0, int(d.put.Loc.Length)
	if input != nil {
		n, d.lsn, d.input = inputBytes(len(input), body), lsn, own(input, body)
	} else if d.step = taskwire.Remove; !d.hasReplaced {
		d.replaced = d.put
	}
	x.unread--
	e.countInput(x, d, n)
	e.pump(x)
}

// Objects whose records could not be read, though they may be as they were written, are
// missing in an index until they can be.
const (
	maxMissed   = 4096             // in one index; beyond it, the index is built again
	missedEvery = 10 * time.Second // some of them are read again
	missedPart  = 8                // so many: each one may hold up the reads of all indexes
)

// keepMissed notes that an index lacks an object whose record could not be read. It returns
// false if the index lacks too much: then it waits, and is built from the beginning.
func (e *Engine) keepMissed(x *index, o mapping.Entry) bool {
	e.Unreadable(o)
	if x.missed = append(x.missed, o); len(x.missed) <= maxMissed {
		return true
	}
	e.stopIndex(x, model.IndexUnavailable)
	x.state, x.retryAt = model.IndexStarting, e.Now.Add(maxBackoff)
	return false
}

// readMissed queues some of the objects that an index lacks once more, unless they are
// gone: then a later change in the queue says so.
func (e *Engine) readMissed(x *index) {
	if len(x.missed) == 0 || e.Now.Before(x.missedAt) {
		return
	}
	x.missedAt = e.Now.Add(missedEvery)
	for range min(missedPart, len(x.missed)) {
		o := pop(&x.missed)
		if cur, ok := e.lookup(x.c, o.ID.Value()); ok && cur.ID == o.ID {
			e.enqueue(x, &delivery{step: taskwire.Insert, put: cur})
		}
	}
}

// send makes the frame of a delivery.
func (e *Engine) send(x *index, d *delivery) {
	x.seq++
	d.seq = x.seq
	var f, input []byte
	switch d.step {
	case taskwire.Configure:
		f = taskwire.AppendConfigure(nil, d.seq, x.dataType, x.ordered(), x.row.MaxResults, x.config)
	case taskwire.Insert:
		f, input = taskwire.AppendInsertHead(nil, d.seq, d.lsn, d.put.ID, len(d.input)), d.input
		d.input = nil
		e.countInput(x, d, 0)
	case taskwire.Remove:
		f = taskwire.AppendRemove(nil, d.seq, d.lsn, d.replaced.ID)
	case taskwire.Search:
		x.open++
		f = taskwire.AppendSearch(nil, d.seq, d.search.ask, d.search.req.Query)
	}
	d.size = len(f) + len(input)
	x.bytes += d.size
	x.sent = append(x.sent, d)
	e.out.Frames = append(e.out.Frames, TaskFrame{x.instance, f, input})
}

// ackDeliveries takes off what was sent that for which is holds: the Task has confirmed or
// answered it.
func (e *Engine) ackDeliveries(x *index, is func(*delivery) bool) {
	x.sent = slices.DeleteFunc(x.sent, func(d *delivery) bool {
		if !is(d) {
			return false
		}
		x.bytes, x.moved = x.bytes-d.size, true
		if d.search != nil { // the oldest: see asked
			x.open--
			pop(&x.queries)
		}
		if d.hasReplaced {
			later := x.superseded[d.replaced.ID][1:]
			x.superseded[d.replaced.ID] = later
			if len(later) == 0 {
				delete(x.superseded, d.replaced.ID)
			}
		}
		if d.build {
			x.building--
			x.fed++
		}
		e.acknowledge(x, d)
		return true
	})
}

// TaskStarted says that the channel to a process is up: the Task is told its
// configuration and then fed.
func (e *Engine) TaskStarted(instance uint64) {
	x := e.instances[instance]
	if x == nil || x.state != model.IndexStarting {
		e.tellHost(hostwire.StopTask{Instance: instance})
		return
	}
	x.state, x.superseded = model.IndexBuilding, make(map[identity.ID][]*delivery)
	x.building = 1
	e.enqueue(x, &delivery{step: taskwire.Configure, build: true})
	e.pump(x)
}

// TaskEnded says that a process is gone, or that what it sent can't be decoded.
func (e *Engine) TaskEnded(instance uint64, reason model.Reason) {
	if x := e.instances[instance]; x != nil {
		e.quarantine(x, reason)
	}
}

// TaskAnswer takes a frame from a Task. Nothing in it is believed: it must
// answer what was asked, once, and name only what the Core itself keeps
// (paper, section 5: "enabling simple verification on returned results").
func (e *Engine) TaskAnswer(instance uint64, a taskwire.Answer) {
	x := e.instances[instance]
	if x == nil {
		return // it was stopped; its last words don't matter
	}
	var reason model.Reason
	switch {
	case a.Type == taskwire.Found:
		reason = e.found(x, a)
	case a.Type == taskwire.Failed:
		reason = e.refuse(x, a)
	case a.Seq <= x.applied || a.Seq > x.seq:
		reason = model.ReasonUnasked
	default: // every change up to that number is done
		x.applied = a.Seq
		e.ackDeliveries(x, func(d *delivery) bool { return d.search == nil && d.seq <= a.Seq })
	}
	if reason != 0 {
		e.quarantine(x, reason)
	}
	e.pump(x)
}

// refuse: the Task does not accept its configuration, an input, or a query.
func (e *Engine) refuse(x *index, a taskwire.Answer) model.Reason {
	is := func(d *delivery) bool { return d.seq == a.Seq }
	i := slices.IndexFunc(x.sent, is)
	if i < 0 {
		return model.ReasonUnasked
	}
	switch d := x.sent[i]; {
	case a.Failure == taskwire.FailConfiguration && d.step == taskwire.Configure && !x.accepted:
		e.stopIndex(x, model.IndexUnavailable)
		x.state = model.IndexRefused
		e.outage(x)
	case a.Failure == taskwire.FailInput && d.step == taskwire.Insert:
		d.step = taskwire.Remove // as what it counts now, so that it can't be refused again
		d.refused = true
		x.refused++
	case a.Failure == taskwire.FailQuery && d.search != nil &&
		d.search == x.asked(a.Seq) && d.search.named == 0:
		e.ackDeliveries(x, is)
		e.fail(d.search, model.QueryRefused)
	default:
		return model.ReasonUnasked
	}
	return 0
}

// quarantine ends a Task that broke its contract, or was too slow: killed, its memory gone, the
// alert in the sealed log, those that waited told by a fixed code, and after a
// pause a fresh Task is fed from the Core's copy (design, section 5). One that
// ended before it was told anything is only tried again.
func (e *Engine) quarantine(x *index, r model.Reason) {
	if !x.served.IsZero() && e.Now.Sub(x.served) > time.Minute {
		x.failures = 0
	}
	x.retryAt = e.Now.Add(min(minBackoff<<min(x.failures, 20), maxBackoff))
	x.failures++
	code, state := model.IndexViolated, model.IndexQuarantined
	if r == model.ReasonTooSlow {
		code, state = model.TooSlow, model.IndexStarting
	}
	e.stopIndex(x, code)
	if x.state != model.IndexStarting || r != model.ReasonTaskEnded {
		x.state = state
		x.restarts++
		e.outage(x)
		e.alert(model.Alert{Reason: r, Collection: x.c.name, Index: x.name})
	}
}

// stopIndex ends a Task, if there is one, and forgets all that was on its way
// to it: queries get the code, writes no longer wait.
func (e *Engine) stopIndex(x *index, code model.Code) {
	if x.instance != 0 {
		delete(e.instances, x.instance)
		e.tellHost(hostwire.StopTask{Instance: x.instance})
	}
	e.waitNoMore(x)
	for _, d := range x.queries {
		e.fail(d.search, code)
	}
	e.backlog -= len(x.queue)
	e.queuedInputBytes -= x.inputBytes
	x.session = session{}
}

// Tick says what time it is: slow Tasks lose queries or are ended, ended ones started
// again. The engine's own clock does not count the time in which the engine stood still.
func (e *Engine) Tick(now time.Time) {
	e.uptime += min(max(now.Sub(e.Now), 0), maxTick)
	e.Now = now
	if e.sweepWaits && e.backlog <= maxBacklog {
		e.startSweep()
	}
	for _, x := range e.indexes {
		e.checkDeadline(x)
		e.readMissed(x)
		e.pump(x)
	}
}
