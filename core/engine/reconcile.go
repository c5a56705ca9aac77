package engine

import (
	"slices"

	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/taskwire"
)

// Reconciliation finds out what a Task lacks that got its blobs back (design, section 5). The
// engine divides the collection into runs, in the order of values, and tells the Task of each run
// how many objects it has and the sum of their tags. For each run that differs, it lists the
// identities; then it feeds those that the Task lacks. A Task that lies here harms its own
// answers only.
//
// Changes of the values that no run has covered yet are not sent: the run that covers them includes
// them. So the Task may compare all runs with what it got from the shelf.

// comparison is the content of a Runs or List that was sent.
type comparison struct {
	after  identity.Value // the first range begins after this value
	runs   []taskwire.Run // of a List, the one run
	listed []identity.ID  // of a List
}

// asks reports whether a frame asks the Task for an answer of its own, other than Applied.
func (d *delivery) asks() bool {
	switch d.kind {
	case taskwire.Search, taskwire.Save, taskwire.Runs, taskwire.List:
		return true
	}
	return false
}

// unreached reports whether a change is left to a later run.
func (x *index) unreached(v identity.Value) bool {
	return x.reconcile && x.state == model.IndexBuilding && slices.Compare(v[:], x.scannedTo[:]) > 0
}

// buildFromShelf queues the next frames for an index whose Task gets its blobs back. The first Runs
// comes when all blobs are loaded.
func (e *Engine) buildFromShelf(x *index) {
	for len(x.stored) > 0 && x.building < fetchAhead {
		number := pop(&x.stored)
		o, there := x.shelf.c.objects.Get(x.shelf.blobValue(number))
		if there {
			e.enqueue(x, &delivery{kind: taskwire.Stored, put: o, lsn: number, build: true})
			x.building++
		}
	}
	if x.building == 0 {
		e.queueRuns(x)
	}
}

func (e *Engine) queueRuns(x *index) {
	x.runsQueued = true
	x.building++
	e.enqueue(x, &delivery{kind: taskwire.Runs, build: true})
}

// runsAhead bounds the deliveries of a build beside which another Runs is queued.
const runsAhead = fetchAhead

// runsLater queues the next Runs in a step of its own. So the Task compares runs while it gets the
// objects that it lacks of earlier ones.
func (e *Engine) runsLater(x *index) {
	instance := x.instance
	e.work = append(e.work, func() (more bool) {
		if x.instance == instance && !x.scanned && !x.runsQueued && x.building < runsAhead {
			e.queueRuns(x)
			e.pump(x)
		}
		return false
	})
}

// sendRuns makes the frame of the next runs. They show the mapping as it is now: no change of
// their values is queued.
func (e *Engine) sendRuns(x *index, d *delivery) []byte {
	d.compared = &comparison{after: x.scannedTo}
	runs := make([]taskwire.Run, 1, e.runsFrame)
	x.scanned, x.runsQueued = true, false
	for o := range x.c.objects.After(x.scannedTo) {
		run := &runs[len(runs)-1]
		if int(run.Count) == e.runObjects {
			if len(runs) == e.runsFrame {
				x.scanned = false
				break
			}
			runs = append(runs, taskwire.Run{})
			run = &runs[len(runs)-1]
		}
		run.Count++
		run.Sum.Add(&o.ID)
		run.Last = o.ID.Value()
	}
	last := &runs[len(runs)-1].Last
	if x.scanned {
		*last = lastValue
	}
	x.scannedTo = *last
	if !x.scanned {
		e.runsLater(x)
	}
	d.compared.runs = runs
	return taskwire.AppendRuns(nil, d.seq, runs)
}

// lastValue is the highest value.
var lastValue = identity.Value(slices.Repeat([]byte{0xff}, identity.ValueSize))

// next returns the value after v; v is not lastValue.
func next(v identity.Value) identity.Value {
	for i := len(v) - 1; i >= 0; i-- {
		if v[i]++; v[i] != 0 {
			break
		}
	}
	return v
}

// sendList makes the frame that lists a run. It shows the mapping as it is now. The changes that are
// still queued follow, and lead to the same end. If the run has grown beyond the frame, another
// List has the rest.
func (e *Engine) sendList(x *index, d *delivery) []byte {
	c := d.compared
	last := c.runs[0].Last
	for o := range x.c.objects.After(c.after) {
		v := o.ID.Value()
		if slices.Compare(v[:], last[:]) > 0 {
			break
		}
		if len(c.listed) == e.listObjects {
			last = c.listed[len(c.listed)-1].Value()
			e.listRun(x, comparison{after: last, runs: c.runs})
			break
		}
		c.listed = append(c.listed, o.ID)
	}
	return taskwire.AppendList(nil, d.seq, next(c.after), last, c.listed)
}

// listRun queues the List of a run.
func (e *Engine) listRun(x *index, run comparison) {
	e.enqueue(x, &delivery{kind: taskwire.List, build: true, compared: &run})
	x.building++
}

// compared takes the answer to a Runs or a List.
func (e *Engine) compared(x *index, a taskwire.Answer) model.Reason {
	asked := taskwire.Runs
	if a.Type == taskwire.Lacks {
		asked = taskwire.List
	}
	i := slices.IndexFunc(x.sent, func(d *delivery) bool { return d.seq == a.Seq && d.kind == asked })
	if i < 0 {
		return model.ReasonUnasked
	}
	c := x.sent[i].compared
	n := len(c.runs)
	if asked == taskwire.List {
		n = len(c.listed)
	}
	if !a.Covers(n) {
		return model.ReasonBadFrame
	}
	if asked == taskwire.Runs {
		e.differ(x, c, &a)
	} else {
		e.lack(x, c, &a)
	}
	e.ackDeliveries(x, func(d *delivery) bool { return d.seq == a.Seq })
	return 0
}

// differ lists the runs that differ.
func (e *Engine) differ(x *index, c *comparison, a *taskwire.Answer) {
	after := c.after
	for i, run := range c.runs {
		if a.Bit(i) {
			e.listRun(x, comparison{after: after, runs: c.runs[i : i+1]})
		} else {
			x.fed += uint64(run.Count)
		}
		after = run.Last
	}
}

// lack feeds the objects that the Task lacks. An object that has changed since is in the queue.
func (e *Engine) lack(x *index, c *comparison, a *taskwire.Answer) {
	for i, id := range c.listed {
		if !a.Bit(i) {
			x.fed++
			continue
		}
		o, there := x.c.objects.Get(id.Value())
		if there && o.ID == id && !x.isSetAside(id) {
			e.feed(x, o)
		}
	}
}

// feed queues an object for an index that is being built.
func (e *Engine) feed(x *index, o mapping.Entry) {
	x.refed++
	e.enqueue(x, &delivery{kind: taskwire.Insert, put: o, build: true})
	x.building++
}
