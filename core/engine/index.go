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

// Limits of the frames in flight to one Task.
const (
	windowFrames = 1024    // frames that are sent and not acknowledged or answered
	windowOpen   = 8       // queries sent and not finished: each holds results, and may take a deadline
	windowBytes  = 4 << 20 // bytes of sent frames; a single frame may be larger
	fetchAhead   = 128     // deliveries at the front of the queue whose inputs are read
	maxBackoff   = 30 * time.Second
	minBackoff   = 100 * time.Millisecond
)

// Limits of the queues for Tasks that lag behind.
const (
	// keepBytes is the most bytes of inputs in the queue of one index: two windows, so that
	// a Task that keeps up waits for no read. Inputs beyond it are read from the log later.
	// The first input in a queue may always be held, whatever its size.
	keepBytes   = 8 << 20
	keepAll     = 64 << 20 // bytes of inputs in all queues, without the first input of each
	inputCost   = 64       // bytes of memory that an input in a queue takes beside its content
	maxBacklog  = 1 << 20  // queued changes of all indexes, beyond which writes are refused: see full
	fairBacklog = 1 << 12  // an index with no more queued changes than this refuses no write
)

// index is a Task instance bound to one collection. It follows the log: changes and queries
// go to the Task through one queue, in log order. So a query sees all changes that were
// committed before it.
type index struct {
	c *collection
	definition

	state model.IndexState
	row   *model.Row // the Task's row when its process was started
	session

	stretched int           // how often its deadline was doubled
	slowAt    time.Duration // when stretched changed last, by the clock of the engine

	outdated  bool   // the process has an older row of the Task: see upgradeNext
	upgrading bool   // it has not served since its upgrade began
	successor *index // the index that is being built to replace this one's process
	replaces  *index // of a successor: the index
	complete  bool   // of a successor: it has all objects

	askedAt  time.Duration // when a query came last, by the clock of the engine
	unseen   int           // changes while it was parked
	sleepers []*Request    // queries that wait until it is back
	accepted bool          // this executable accepted the configuration; to refuse it now is a violation
	failures int           // failures in a row; each makes the pause before the next start longer
	retryAt  time.Time
	restarts uint64
	outages  uint64 // outages that the Task caused
	ledger   ledger
	shelf    *shelf
	poison

	done               uint64          // frames that its Tasks have acknowledged or answered
	refed, shelved     uint64          // see wire.IndexStatus
	changes, questions model.Latencies // see count

	finishing int // queries whose round the Task has answered, and whose results are in memory: see finished
}

// session is the state of an index with one Task process. It ends with the process.
type session struct {
	instance   uint64 // number of the process; 0: no process
	seq        uint64 // number of the last frame sent
	applied    uint64 // number up to which the Task has acknowledged all changes
	queue      []*delivery
	unread     int         // Inserts in the queue whose inputs are not read yet
	inputBytes int         // bytes of inputs in the queue, or being read for it
	sent       []*delivery // unacknowledged changes and unanswered queries, in the order of their numbers
	queries    []*delivery // queries of queue and sent, in order
	open       int         // queries in sent
	holding    int         // queries that were sent and hold changes back
	ended      int         // queries that ended since the queue was searched for their leaves: see noteEnded
	bytes      int         // bytes of the frames in sent
	served     time.Time   // when the index began to serve
	refused    uint64      // inputs that the Task refused

	// superseded holds the changes that the Task has not acknowledged, oldest first, by the
	// identity that they replace or delete. The Task may still name this identity in the
	// answer to a query that was sent before such a change. The answer then shows the old
	// version of the object. The change is not acknowledged to a client yet, so the query may
	// count as earlier (docs/decisions).
	superseded map[identity.ID][]*delivery

	missed   []mapping.Entry // objects that the index lacks, since their records could not be read
	missedAt time.Time       // when some of missed are read again

	scannedTo identity.Value // value up to which the objects are queued for the build
	scanned   bool           // all objects are queued
	building  int            // deliveries of the build that are not acknowledged
	fed       uint64         // deliveries of the build that are acknowledged, and objects that the Task held
	saving
	deadlineWatch
}

// delivery is one frame for a Task, from the time it is queued until the Task has acknowledged
// or answered it.
type delivery struct {
	kind        taskwire.Type
	lsn         uint64
	put         mapping.Entry // the object of an Insert
	replaced    mapping.Entry // the entry that the change replaces or removes, if hasReplaced
	hasReplaced bool
	input       []byte // the input of an Insert; nil until it is read
	counted     int    // bytes that inputBytes of the session counts for it
	fetched     bool   // the input is read, or is being read
	build       bool
	waiter      *write        // the write that waits for the delivery: see acknowledge
	op          int           // number of the waiter's operation
	choice      bool          // the Task may refuse the input; the answer to the PUT tells it
	refused     bool          // the Task refused the input, or it is set aside
	queued      time.Duration // when the waiter began to wait, by the clock of the engine
	search      *search       // the query of a Search
	began       time.Duration // when it was queued: see At
	room        int           // bytes that the answer to a Save may have
	compared    *comparison   // of a Runs or List

	// Set when the frame is sent:
	seq  uint64 // number of the frame; 0: not sent
	size int
}

// full reports whether the queues are so long that writes must be refused. A single index
// may fill them. Then writes are refused only in collections with an index, or a successor, that
// lags behind.
func (e *Engine) full(x *index) bool {
	longest := len(x.queue)
	if x.successor != nil {
		longest = max(longest, len(x.successor.queue))
	}
	return e.backlog > maxBacklog && longest > fairBacklog
}

// enqueue adds a delivery to the queue of an index.
func (e *Engine) enqueue(x *index, d *delivery) {
	d.began = e.at
	x.queue = append(x.queue, d)
	e.backlog++
	if d.search != nil {
		x.queries = append(x.queries, d)
	}
	if d.unread() {
		x.unread++
	}
}

// mayCountInput reports whether the queue of an index may hold another input of n bytes. A
// queue without inputs may always hold one input. So each index makes progress, whatever the
// size of its inputs and of other queues.
func (e *Engine) mayCountInput(x *index, n int) bool {
	return x.inputBytes == 0 || x.inputBytes+n <= keepBytes && e.queuedInputBytes+n <= keepAll
}

// countInput counts n bytes for a delivery, in place of the bytes that were counted for it.
func (e *Engine) countInput(x *index, d *delivery, n int) {
	x.inputBytes += n - d.counted
	e.queuedInputBytes += n - d.counted
	d.counted = n
}

// inputBytes returns how many bytes an input keeps in memory, if it is part of a record with
// a body of this size. The whole record is kept, since several indexes can share it. If the
// body is more than twice as long as the input, a copy of the input is kept.
func inputBytes(input, body int) int {
	if 2*input >= body {
		return inputCost + body
	}
	return inputCost + input
}

// own returns the input, or a copy of it, as inputBytes counts it.
func own(input []byte, body int) []byte {
	if 2*len(input) >= body {
		return input
	}
	return bytes.Clone(input)
}

func (x *index) ordered() bool { return x.options&model.OptionOrdered != 0 }

// input returns the bytes of an object that the index is fed; nil: it has no input. An index
// gets no input that is over the limit of its Task.
func (x *index) input(o Object) (input []byte, tooLong bool) {
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

// follow queues the delivery of a durable record with this body. An index without a running Task
// skips it, since its next build gets the object from the mapping.
func (e *Engine) follow(x *index, d delivery, body []byte, w *write) {
	if d.hasReplaced {
		x.outlives(&d)
	}
	if x.superseded == nil || x.unreached(d.value()) {
		e.missedByParked(x)
		return
	}
	if d.hasReplaced {
		x.superseded[d.replaced.ID] = append(x.superseded[d.replaced.ID], &d)
	}
	if d.kind == taskwire.Insert && w.setInput(e, x, &d, body) {
		d.kind = x.without(&d)
	}
	if d.kind != taskwire.Insert && !d.hasReplaced {
		if d.kind == taskwire.Void {
			e.enqueue(x, &d) // no write waits for it: it changes no answer
		}
		return
	}
	if w != nil && x.state == model.IndexServing && x.options&model.OptionLazy == 0 && !x.late {
		d.waiter, d.choice, d.queued = w, d.kind == taskwire.Insert || d.refused, e.uptime
		w.acksMissing++
		x.waiting = append(x.waiting, &d)
	}
	e.enqueue(x, &d)
}

// outlives notes that an object was replaced or removed.
func (x *index) outlives(d *delivery) {
	if d.replaced.ID != d.put.ID {
		delete(x.setAside, d.replaced.ID)
		delete(x.suspects, d.replaced.ID)
	}
	if x.shelf.now.generation != 0 {
		x.shelf.dirty = true
	}
}

// value returns the value of the object of a change.
func (d *delivery) value() identity.Value {
	if d.hasReplaced {
		return d.replaced.ID.Value()
	}
	return d.put.ID.Value()
}

// without returns the frame for an object without an input for the index. If the Task has a shelf,
// the frame tells it the identity, so that the object counts as held after the next start.
func (x *index) without(d *delivery) taskwire.Type {
	if x.row.Shelf > 0 && !d.refused {
		return taskwire.Void
	}
	return taskwire.Remove
}

// setInput sets the input of an Insert whose record has this body, if its queue may hold the
// input and all inputs before it have been read. It returns true if the index gets no input: the
// object has none, or its input is too long or set aside.
func (w *write) setInput(e *Engine, x *index, d *delivery, body []byte) (without bool) {
	o, _ := DecodeObject(body) // the engine made this record
	input, tooLong := x.input(o)
	if tooLong {
		w.setFlag(d.op, wire.ReplyNotIndexed)
	}
	if d.refused = x.isSetAside(d.put.ID); d.refused || input == nil {
		return true
	}
	if n := inputBytes(len(input), len(body)); x.unread == 0 && e.mayCountInput(x, n) {
		d.input = own(input, len(body))
		e.countInput(x, d, n)
	}
	return false
}

// pump starts a process if one is due, continues a build, sends the deliveries that may be
// sent, and reads inputs ahead. The queue of an index that is not up is empty.
func (e *Engine) pump(x *index) {
	down := x.instance == 0 && x.state != model.IndexRefused && x.state != model.IndexParked
	if down && !e.Now.Before(x.retryAt) {
		e.startIndex(x)
	}
	if x.state == model.IndexBuilding && !x.scanned && x.building < fetchAhead {
		e.build(x)
	}
	e.sendQueued(x)
	e.readAhead(x)
	if x.state == model.IndexBuilding && x.scanned && x.building == 0 {
		x.accepted = true
		if x.complete = x.replaces != nil; x.complete {
			e.switchOver(x.replaces)
			return
		}
		e.begun(x)
	}
	if x.successor != nil {
		e.switchOver(x)
	}
}

// sendQueued sends the deliveries at the front of the queue that may be sent.
func (e *Engine) sendQueued(x *index) {
	for len(x.queue) > 0 && (x.queue[0].ended() || x.maySend(x.queue[0])) {
		e.backlog--
		d := pop(&x.queue)
		if d.ended() {
			x.queries = slices.Delete(x.queries, x.open, x.open+1)
			continue
		}
		e.send(x, d)
	}
}

// begun notes that an index begins to serve.
func (e *Engine) begun(x *index) {
	x.state, x.served, x.accepted = model.IndexServing, e.Now, true
	x.shelf.loads = 0
	e.endUpgrade(x)
	e.wakeSleepers(x)
}

// startIndex asks the host for a process.
func (e *Engine) startIndex(x *index) {
	row := e.tasks[x.task]
	if row == nil {
		return // a salvaged log may not know the Task any more
	}
	e.lastInstance++
	x.row, x.instance, x.state = &row.Row, e.lastInstance, model.IndexStarting
	x.outdated, x.accepted = false, x.accepted && !x.outdated
	if x.forExecutable(row.Measurement) {
		e.recallSetAside(x)
	}
	e.instances[x.instance] = x
	e.tellHost(hostwire.StartTask{Instance: x.instance, Index: x.number,
		Measurement: row.Measurement, Memory: row.Memory})
}

// build queues the next objects of the collection for an index that is being built. A change
// during the build is queued when it happens. So when an object is queued here, each change
// of it is either in the mapping, or is queued after the object.
func (e *Engine) build(x *index) {
	if x.reconcile {
		e.buildFromShelf(x)
		return
	}
	for o := range x.c.objects.After(x.scannedTo) {
		if x.building >= fetchAhead {
			return
		}
		x.scannedTo = o.ID.Value()
		if x.isSetAside(o.ID) {
			continue
		}
		e.feed(x, o)
	}
	x.scanned = true
}

// maySend reports whether the first delivery of the queue may be sent now. A query may be sent
// while other queries hold changes back.
func (x *index) maySend(d *delivery) bool {
	full := len(x.sent) >= x.window(windowFrames) || x.bytes >= x.window(windowBytes)
	held := x.holding > 0 && d.search == nil || x.replaces != nil && d.search != nil
	return !full && !held && !x.mustWait(d) && x.open+x.finishing < windowOpen && !d.unread()
}

// ended reports whether a delivery is a leaf of a query that another leaf ended. It need not be sent.
func (d *delivery) ended() bool { return d.search != nil && d.search.q.ended }

// maxEnded is the most leaves of ended queries that wait in the queue of an index, for their turn.
const maxEnded = 1024

// noteEnded notes that a query ended while one of its leaves may be in the queue of an index. So many
// queries that end early take no more memory than a few.
func (e *Engine) noteEnded(x *index) {
	if x.ended++; x.ended < maxEnded {
		return
	}
	before := len(x.queue)
	x.queue = slices.DeleteFunc(x.queue, (*delivery).ended)
	waiting := slices.DeleteFunc(slices.Clone(x.queries[x.open:]), (*delivery).ended)
	x.queries = append(x.queries[:x.open], waiting...)
	e.backlog -= before - len(x.queue)
	x.ended = 0
}

// unread reports whether the input of a delivery has not been read.
func (d *delivery) unread() bool {
	return (d.kind == taskwire.Insert || d.kind == taskwire.Stored) && d.input == nil
}

// readAhead asks for the inputs of the deliveries at the front of the queue.
func (e *Engine) readAhead(x *index) {
	for _, d := range x.queue[:min(len(x.queue), fetchAhead)] {
		if d.fetched || !d.unread() {
			continue
		}
		size := int(d.put.Loc.Length)
		if !e.mayCountInput(x, size) {
			return // pump tries again when earlier inputs are sent
		}
		d.fetched = true
		e.countInput(x, d, size)
		e.out.Fetch = append(e.out.Fetch, Fetch{d.put, x.instance, d})
	}
}

// Fetched brings a record that Fetch asked for, or the error of the read. The engine may
// keep the memory of which o is a part. If there is no input for the index, the object is
// removed from it, since the Task may hold an older version.
func (e *Engine) Fetched(f Fetch, o Object, lsn uint64, err error) {
	x, d := e.instances[f.instance], f.delivery
	if x == nil {
		return // the process ended
	}
	var input []byte
	switch {
	case errors.Is(err, seglog.ErrMoved) && e.fetchAgain(f):
		return
	case d.kind == taskwire.Stored:
		e.fetchedBlob(x, d, o, err)
		return
	case errors.Is(err, seglog.ErrMoved):
		// A later change in the queue replaces or removes the object.
	case err != nil:
		if d.waiter != nil {
			d.waiter.setFlag(d.op, wire.ReplyNotIndexed)
		}
		if errors.Is(err, seglog.ErrDamaged) {
			e.Damaged(d.put)
		} else if !e.keepMissed(x, d.put) {
			return
		}
	default:
		if input, _ = x.input(o); input == nil {
			d.kind, d.lsn = x.without(d), lsn
		}
	}
	n, body := 0, int(d.put.Loc.Length)
	if input != nil {
		n, d.lsn, d.input = inputBytes(len(input), body), lsn, own(input, body)
	} else if d.kind != taskwire.Void {
		d.kind = taskwire.Remove
		if !d.hasReplaced {
			d.replaced = d.put
		}
	}
	x.unread--
	e.countInput(x, d, n)
	e.pump(x)
}

// fetchAgain asks for a record that has moved. It returns false if the object was removed or
// changed.
func (e *Engine) fetchAgain(f Fetch) bool {
	cur, ok := e.Current(f.delivery.put)
	if ok {
		f.delivery.put = cur
		e.out.Fetch = append(e.out.Fetch, Fetch{cur, f.instance, f.delivery})
	}
	return ok
}

// fetchedBlob takes a blob that was read for a Stored frame, or the error of the read.
func (e *Engine) fetchedBlob(x *index, d *delivery, o Object, err error) {
	if errors.Is(err, seglog.ErrDamaged) {
		e.Damaged(d.put)
	}
	blob, malformed := decodeBlob(o.Data)
	if err != nil || malformed != nil {
		e.shelfLost(x)
		e.pump(x)
		return
	}
	body := int(d.put.Loc.Length)
	d.input = own(blob, body)
	x.unread--
	e.countInput(x, d, inputBytes(len(blob), body))
	e.pump(x)
}

// An index lacks an object while its record can't be read. The record may be intact, so it is
// read again.
const (
	maxMissed   = 4096             // objects that one index lacks; with more, it is built again
	missedEvery = 10 * time.Second // time between two attempts to read some of them
	missedPart  = 8                // objects of an attempt: each may delay the reads of all indexes
)

// keepMissed notes that an index lacks an object whose record could not be read. It returns
// false if the index lacks too many objects. Then the index waits, and is built from the
// beginning.
func (e *Engine) keepMissed(x *index, o mapping.Entry) bool {
	e.Unreadable(o)
	if x.missed = append(x.missed, o); len(x.missed) <= maxMissed {
		return true
	}
	e.stopIndex(x, model.IndexUnavailable)
	x.state, x.retryAt = model.IndexStarting, e.Now.Add(maxBackoff)
	e.wakeSleepers(x)
	return false
}

// readMissed queues some of the missed objects again. It skips an object that was changed or
// removed: the queue has this change.
func (e *Engine) readMissed(x *index) {
	if len(x.missed) == 0 || e.Now.Before(x.missedAt) {
		return
	}
	x.missedAt = e.Now.Add(missedEvery)
	for range min(missedPart, len(x.missed)) {
		o := pop(&x.missed)
		if cur, ok := e.lookup(x.c, o.ID.Value()); ok && cur.ID == o.ID && !x.isSetAside(o.ID) {
			e.enqueue(x, &delivery{kind: taskwire.Insert, put: cur})
		}
	}
}

// send makes the frame of a delivery.
func (e *Engine) send(x *index, d *delivery) {
	x.seq++
	d.seq = x.seq
	var f, input []byte
	switch d.kind {
	case taskwire.Configure:
		f = taskwire.AppendConfigure(nil, d.seq, &taskwire.Configuration{Type: x.dataType,
			Ordered: x.ordered(), MaxResults: x.row.MaxResults, Shelf: x.row.Shelf, Config: x.config})
	case taskwire.Insert:
		owner := e.alias(x, d.put.Owner)
		x.holds(d.put.Owner)
		f, input = taskwire.AppendInsertHead(nil, d.seq, d.lsn, d.put.ID, owner, len(d.input)), d.input
		d.input = nil
		e.countInput(x, d, 0)
	case taskwire.Remove:
		f = taskwire.AppendRemove(nil, d.seq, d.lsn, d.replaced.ID)
	case taskwire.Void:
		f = taskwire.AppendVoid(nil, d.seq, d.lsn, d.put.ID)
		x.holds(d.put.Owner)
	case taskwire.Search:
		f = e.sendSearch(x, d.seq, d.search)
	default:
		f, input = e.sendOfShelf(x, d)
	}
	if !d.asks() && (!d.build || x.reconcile && d.kind != taskwire.Stored) {
		x.changed++
	}
	d.size = len(f) + len(input)
	x.bytes += d.size
	x.sent = append(x.sent, d)
	e.out.Frames = append(e.out.Frames, TaskFrame{x.instance, f, input})
}

// sendOfShelf makes a frame of the shelf or of a reconciliation.
func (e *Engine) sendOfShelf(x *index, d *delivery) (f, input []byte) {
	switch d.kind {
	case taskwire.Stored:
		f, input = taskwire.AppendStoredHead(nil, d.seq, d.lsn, len(d.input)), d.input
		d.input = nil
		e.countInput(x, d, 0)
	case taskwire.Save:
		f = x.sendSave(d)
	case taskwire.Runs:
		f = e.sendRuns(x, d)
	case taskwire.List:
		f = e.sendList(x, d)
	}
	return f, input
}

// sendSearch makes the frame of a round of a search.
func (e *Engine) sendSearch(x *index, seq uint64, s *search) []byte {
	x.open++
	if s.instance == 0 {
		s.instance, s.began = x.instance, e.uptime
		if s.holds {
			x.holding++
		}
	}
	x.holds(s.q.p.owner)                 // the predicate is data of the principal
	s.ask = min(s.ask, x.row.MaxResults) // a successor may have another row than the query was decided by
	return taskwire.AppendSearch(nil, seq, &taskwire.Query{Limit: s.ask, Owner: s.owner,
		After: s.after, Within: s.within, Predicate: s.predicate})
}

// ackDeliveries removes the sent deliveries for which is returns true, since the Task has
// acknowledged or answered them. It acknowledges the writes that wait for them.
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
		x.count(d, e.at-d.began)
		delete(x.suspects, d.put.ID)
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

// count counts a delivery that took this time.
func (x *index) count(d *delivery, took time.Duration) {
	x.done++
	switch {
	case d.build:
	case d.search != nil:
		x.questions.Add(took)
	case d.kind == taskwire.Insert || d.kind == taskwire.Remove || d.kind == taskwire.Void:
		x.changes.Add(took)
	}
}

// TaskStarted says that the channel to a process is up. The Task gets its configuration, and
// then the objects.
func (e *Engine) TaskStarted(instance uint64) {
	x := e.instances[instance]
	if x == nil || x.state != model.IndexStarting {
		e.tellHost(hostwire.StopTask{Instance: instance})
		return
	}
	x.state, x.superseded = model.IndexBuilding, make(map[identity.ID][]*delivery)
	x.building = 1
	e.openShelf(x)
	e.enqueue(x, &delivery{kind: taskwire.Configure, build: true})
	e.pump(x)
}

// TaskEnded says that a Task's process ended, or that its bytes can't be decoded.
func (e *Engine) TaskEnded(instance uint64, reason model.Reason) {
	if x := e.instances[instance]; x != nil {
		e.quarantine(x, reason)
	}
}

// TaskAnswer takes a frame from a Task. The engine believes no part of it: the Task must
// answer a frame that it was sent, once, and name only objects that the Core keeps (paper,
// section 5: "enabling simple verification on returned results").
func (e *Engine) TaskAnswer(instance uint64, a taskwire.Answer) {
	x := e.instances[instance]
	if x == nil {
		return // the process was stopped; its late frames are dropped
	}
	var reason model.Reason
	switch {
	case a.Type == taskwire.Found:
		reason = e.found(x, a)
	case a.Type == taskwire.Failed:
		reason = e.refuse(x, a)
	case a.Type == taskwire.Blob, a.Type == taskwire.Set:
		reason = e.saved(x, a)
	case a.Type == taskwire.Differ, a.Type == taskwire.Lacks:
		reason = e.compared(x, a)
	case a.Seq <= x.applied || a.Seq > x.seq:
		reason = model.ReasonUnasked
	default: // every change up to that number is done
		x.applied = a.Seq
		e.ackDeliveries(x, func(d *delivery) bool { return !d.asks() && d.seq <= a.Seq })
	}
	if reason != 0 {
		e.quarantine(x, reason)
	}
	e.pump(x)
}

// refuse handles a Task that does not accept its configuration, an input, or a query.
func (e *Engine) refuse(x *index, a taskwire.Answer) model.Reason {
	is := func(d *delivery) bool { return d.seq == a.Seq }
	i := slices.IndexFunc(x.sent, is)
	if i < 0 {
		return model.ReasonUnasked
	}
	switch d := x.sent[i]; {
	case a.Failure == taskwire.FailConfiguration && d.kind == taskwire.Configure && !x.accepted:
		e.refused(x)
	case a.Failure == taskwire.FailInput && d.kind == taskwire.Insert:
		d.kind = taskwire.Remove // so that it can't be refused again
		d.refused = true
		x.refused++
	case d.search != nil && d.search == x.asked(a.Seq) && d.search.named == 0:
		return e.refuseSearch(x, d.search, a)
	default:
		return model.ReasonUnasked
	}
	return 0
}

// refused handles a Task that does not accept its configuration. A successor that does so is given
// up: its index keeps the old executable until its process ends.
func (e *Engine) refused(x *index) {
	if of := x.replaces; of != nil {
		e.abandon(of)
		e.alert(model.Alert{Reason: model.ReasonUpgradeRefused, Collection: of.c.name, Index: of.name})
		e.endUpgrade(of)
		return
	}
	e.stopIndex(x, model.IndexUnavailable)
	x.state = model.IndexRefused
	e.outage(x)
	e.endUpgrade(x)
	e.wakeSleepers(x)
}

// refuseSearch handles a Task that refuses a query. If it refuses a later round, that round is
// the last, and the answer shows the objects of the rounds before.
func (e *Engine) refuseSearch(x *index, s *search, a taskwire.Answer) model.Reason {
	code := model.QueryRefused
	switch {
	case a.Failure == taskwire.FailExpensive:
		code = model.TooExpensive
	case a.Failure == taskwire.FailGone && len(s.after) > 0:
		code = model.Gone
	case a.Failure != taskwire.FailQuery:
		return model.ReasonUnasked
	}
	if s.rounds > 0 {
		s.rounds, s.more = maxRounds-1, true
		e.answered(x, a.Seq)
		return 0
	}
	e.ackDeliveries(x, func(d *delivery) bool { return d.seq == a.Seq })
	e.fail(s, code)
	return 0
}

// quarantine ends a Task that broke its contract, or was too slow. The Task is killed, and
// its memory is gone. An alert goes into the sealed log. Requests that waited get a fixed
// code. After a pause, a new Task is fed from the Core's copy (design, section 5). A Task
// that ended before it got its configuration is only started again.
func (e *Engine) quarantine(x *index, r model.Reason) {
	if !x.served.IsZero() && e.Now.Sub(x.served) > time.Minute {
		x.failures = 0
	}
	e.findPoison(x, r)
	x.retryAt = e.Now.Add(min(minBackoff<<min(x.failures, 20), maxBackoff))
	x.failures++
	code, state := model.IndexViolated, model.IndexQuarantined
	if r == model.ReasonTooSlow {
		code, state = model.TooSlow, model.IndexStarting
	} else if r != model.ReasonTaskEnded {
		e.emptyShelf(x) // the Task may have been taken over, also when it made the blobs
	}
	e.stopIndex(x, code)
	if x.state != model.IndexStarting || r != model.ReasonTaskEnded {
		x.state = state
		x.restarts++
		e.outage(x)
		e.alert(model.Alert{Reason: r, Collection: x.c.name, Index: x.name})
	}
	e.wakeSleepers(x)
	if x.successor != nil {
		e.adopt(x)
	}
}

// stopIndex ends the Task of an index, if it runs, and drops all deliveries for it. Its queries
// fail with the code, except those in finish. Writes no longer wait for it.
func (e *Engine) stopIndex(x *index, code model.Code) {
	if x.instance != 0 {
		delete(e.instances, x.instance)
		e.tellHost(hostwire.StopTask{Instance: x.instance})
	}
	e.releaseWrites(x)
	for _, d := range slices.Clone(x.queries) { // a query that fails changes the list: see noteEnded
		// The old process still serves. But a leaf of several must not be asked later than the others.
		if x.replaces != nil && !d.search.q.several() {
			e.enqueue(x.replaces, &delivery{kind: d.kind, search: d.search})
		} else {
			e.fail(d.search, code)
		}
	}
	e.backlog -= len(x.queue)
	e.queuedInputBytes -= x.inputBytes
	x.session, x.complete = session{}, false
}

// At tells the engine the time at which it takes its next inputs. Only the measured latencies of
// indexes depend on it.
func (e *Engine) At(now time.Time) { e.at = max(e.at, now.Sub(e.began)) }

// Tick tells the engine the time. Slow Tasks lose queries or are ended, and ended Tasks are
// started again. The clock of the engine leaves out the time in which the engine did not
// run.
func (e *Engine) Tick(now time.Time) {
	e.At(now)
	e.uptime += min(max(now.Sub(e.Now), 0), maxTick)
	e.Now = now
	if e.sweepWaits && e.backlog <= maxBacklog {
		e.startSweep()
	}
	for _, x := range e.indexes {
		e.tickIndex(x)
		if x.successor != nil {
			e.tickIndex(x.successor)
		}
	}
}

func (e *Engine) tickIndex(x *index) {
	e.checkDeadline(x)
	e.readMissed(x)
	if e.mayPark(x) {
		e.park(x)
	}
	e.saveParked(x)
	e.save(x)
	e.pump(x)
}
