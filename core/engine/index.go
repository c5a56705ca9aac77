package engine

import (
	"bytes"
	"errors"
	"time"

	"motte/core/access"
	"motte/core/identity"
	"motte/core/log"
	"motte/core/mapping"
	"motte/core/task"
	"motte/core/wire"
)

// Limits of what is on its way to one Task.
const (
	windowFrames = 1024    // frames sent and not confirmed or answered
	windowOpen   = 8       // queries among them: they may take as long as their deadline each
	maxPatience  = 8       // deadlines that a frame may take with all that was sent before it
	windowBytes  = 4 << 20 // bytes of them, save that one frame may always go
	keepInputs   = 1024    // queued changes that keep their input in memory; others read it again
	fetchAhead   = 128     // inputs being read for the front of the queue
	maxBacklog   = 1 << 20 // queued changes after which writes are refused as Overloaded
	buildScan    = 1 << 16 // entries of the mapping looked at in one go while building
	maxBackoff   = 30 * time.Second
	minBackoff   = 100 * time.Millisecond
)

// index is one Task instance bound to one collection: a follower of the log.
// Changes and queries go to the Task through one queue, in log order, so that
// a query sees all that was committed before it.
type index struct {
	c     *collection
	entry // as it was created: name, Task, data type, flags, configuration

	state wire.IndexState
	row   *wire.Row // in force for the process
	feed

	accepted bool // its configuration, by this executable: to refuse it now is a violation
	failures int  // in a row: the next start waits longer
	retryAt  time.Time
	restarts uint64
	leaked   map[access.Principal]uint64 // bits
}

// feed is where an index stands with its Task's process; it ends with that.
type feed struct {
	instance uint64 // 0: no process
	seq      uint64 // of the last frame sent
	applied  uint64 // as the Task confirmed
	queue    []*delivery
	sent     []*delivery // changes sent and not confirmed
	open     []*delivery // queries sent and not answered
	bytes    int         // of the frames in sent and open
	heard    time.Time   // when the Task last finished a frame: only then did it begin the next
	fetching int
	served   time.Time // since when the index does
	refused  uint64    // inputs

	// leaving holds the changes that the Task has not confirmed, oldest first,
	// by the identity that they replace or delete. It may still name that in
	// answer to a query that it was sent before such a change; the answer then
	// shows the object as it stood. Nobody has been told yet that the change is
	// done, so the query comes before it (docs/decisions).
	leaving map[identity.ID][]*delivery

	shard    int    // next to be scanned while building
	building int    // deliveries of the build not yet confirmed
	fed      uint64 // and those that are
}

// delivery is one frame for a Task, from the time it is queued until the Task
// has confirmed or answered it.
type delivery struct {
	step    task.Type
	x       *index
	lsn     uint64
	put     mapping.Entry // Insert
	gone    mapping.Entry // what it replaces or removes, if hasGone
	hasGone bool
	input   []byte // of an Insert; nil until fetched
	fetched bool   // or being fetched
	build   bool
	refused bool
	waiter  *write // told when it is confirmed
	search  *search

	seq  uint64
	at   time.Time
	size int
	dead bool // the process that it was for is gone
}

// full reports whether so much is queued that nothing should be added.
func (x *index) full() bool { return len(x.queue) > maxBacklog }

func (x *index) ordered() bool { return x.flags&wire.FlagOrdered != 0 }

// input returns what the index is fed of an object; nil: nothing. An input over
// the Task's limit is refused.
func (x *index) input(o Object) (input []byte, refused bool) {
	input = o.Data
	if x.flags&wire.FlagAttribute != 0 {
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
func (x *index) follow(d delivery, body []byte, w *write) {
	if x.instance == 0 || x.state == wire.IndexStarting {
		return
	}
	d.x = x
	if d.hasGone {
		x.leaving[d.gone.ID] = append(x.leaving[d.gone.ID], &d)
	}
	if d.step == task.Insert {
		// The engine made this record.
		o, _ := DecodeObject(body)
		input, refused := x.input(o)
		if refused {
			w.flags |= wire.ReplyNotIndexed
		}
		if input == nil {
			d.step = task.Remove
		} else if len(x.queue) < keepInputs {
			d.input = bytes.Clone(input) // not the record that it is part of
		}
	}
	if d.step == task.Remove && !d.hasGone {
		return
	}
	if w != nil && x.state == wire.IndexServing && x.flags&wire.FlagLazy == 0 {
		d.waiter = w
		w.confirms++
	}
	x.queue = append(x.queue, &d)
}

// pump starts what is to be started, sends what may be sent, reads inputs ahead, and goes on with a build.
func (e *Engine) pump(x *index) {
	if x.instance == 0 && x.state != wire.IndexRefused && !e.Now.Before(x.retryAt) {
		e.startIndex(x)
	}
	if x.instance == 0 || x.state == wire.IndexStarting {
		return
	}
	if x.state == wire.IndexBuilding {
		e.scan(x)
	}
	for n := len(x.sent) + len(x.open); len(x.queue) > 0 && n < windowFrames && len(x.open) < windowOpen && (x.bytes < windowBytes || n == 0); n++ {
		if d := x.queue[0]; d.step == task.Insert && d.input == nil {
			break
		}
		e.send(x, pop(&x.queue))
	}
	for i, size := 0, 0; i < len(x.queue) && i < fetchAhead && x.fetching < fetchAhead && size < windowBytes; i++ {
		d := x.queue[i]
		if size += int(d.put.Loc.Length); d.step == task.Insert && d.input == nil && !d.fetched {
			d.fetched = true
			x.fetching++
			e.out.Fetch = append(e.out.Fetch, Fetch{d.put, d})
		}
	}
	if x.state == wire.IndexBuilding && x.shard == mapping.Shards && x.building == 0 {
		x.state, x.served, x.accepted = wire.IndexServing, e.Now, true
	}
}

// scan queues the next objects of the collection for an index that is being
// built. What is put or deleted meanwhile is queued as it happens: at the time
// a shard is scanned, all changes of it are either in the mapping or behind.
func (e *Engine) scan(x *index) {
	for scanned := 0; x.shard < mapping.Shards && x.building < fetchAhead && scanned < buildScan; x.shard++ {
		for o := range e.objects.Shard(x.shard) {
			scanned++
			if o.Collection == x.c.id {
				x.queue = append(x.queue, &delivery{step: task.Insert, x: x, put: o, build: true})
				x.building++
			}
		}
	}
}

// Fetched brings a record that Fetch asked for, or tells that it can't be
// read. The engine keeps nothing of o. What turns out not to be indexed is
// removed, in case that the Task has something under its value.
func (e *Engine) Fetched(f Fetch, o Object, lsn uint64, err error) {
	d := f.delivery
	if d.dead {
		return
	}
	d.x.fetching--
	var input []byte
	if errors.Is(err, log.ErrMoved) {
		if cur, ok := e.Current(d.put); ok {
			d.put, d.fetched = cur, false
			e.pump(d.x)
			return
		}
		// A change behind this one says what became of it.
	} else if err != nil {
		e.Damaged(d.put)
	} else {
		input, _ = d.x.input(o)
	}
	if input != nil {
		d.lsn, d.input = lsn, append([]byte{}, input...)
	} else if d.step = task.Remove; !d.hasGone {
		d.gone = d.put
	}
	e.pump(d.x)
}

// send makes the frame of a delivery.
func (e *Engine) send(x *index, d *delivery) {
	x.seq++
	d.seq, d.at = x.seq, e.Now
	var f []byte
	switch d.step {
	case task.Configure:
		f = task.AppendConfigure(nil, d.seq, x.dataType, x.ordered(), x.row.MaxResults, x.rest)
	case task.Insert:
		f = task.AppendInsert(make([]byte, 0, task.HeaderSize+40+len(d.input)), d.seq, d.lsn, d.put.ID, d.input)
		d.input = nil
	case task.Remove:
		f = task.AppendRemove(nil, d.seq, d.lsn, d.gone.ID)
	case task.Search:
		f = task.AppendSearch(nil, d.seq, d.search.ask, d.search.req.Query)
	}
	d.size = len(f)
	x.bytes += d.size
	if d.search != nil {
		x.open = append(x.open, d)
	} else {
		x.sent = append(x.sent, d)
	}
	e.out.Frames = append(e.out.Frames, TaskFrame{x.instance, f})
}

// closeQuery ends the oldest open query: the Task has answered it.
func (x *index) closeQuery(now time.Time) {
	x.bytes, x.heard = x.bytes-pop(&x.open).size, now
}

// done ends a change: the Task has confirmed it, or need not.
func (x *index) done(e *Engine, d *delivery) {
	x.bytes, x.heard = x.bytes-d.size, e.Now
	if d.hasGone {
		if x.leaving[d.gone.ID] = x.leaving[d.gone.ID][1:]; len(x.leaving[d.gone.ID]) == 0 {
			delete(x.leaving, d.gone.ID)
		}
	}
	if d.build {
		x.building--
		x.fed++
	}
	if d.waiter != nil {
		d.waiter.confirmed(e, d.refused)
	}
}
