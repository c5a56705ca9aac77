package conformance

import (
	"bytes"
	"fmt"
	"slices"

	"motte/core/identity"
	"motte/core/taskwire"
)

// reconciliation tells a process what the collection has, after it got its blobs.
type reconciliation struct {
	*core
	reached   identity.Value // the last value of the runs so far
	begun     bool           // a Runs was sent
	meanwhile func(covers func(identity.Value) bool)
}

// Sizes of the runs that are tried: small, so that a few objects have many runs.
const (
	mostRunObjects = 7  // of a run
	mostRuns       = 20 // of a frame
)

var lastValue = identity.Value(bytes.Repeat([]byte{0xff}, identity.ValueSize))

// reconcile compares the Task's entries with the collection, and feeds what the Task lacks. Several
// Runs may come before the Lists of the first.
func (c *core) reconcile(meanwhile func(covers func(identity.Value) bool)) {
	r := &reconciliation{core: c, meanwhile: meanwhile}
	for r.reached != lastValue || !r.begun {
		after := r.reached
		r.sendRuns(after, r.next())
		if r.random.IntN(2) == 0 {
			c.settle()
		}
	}
	c.settle()
}

// pause lets changes come. Those of values that no run has reached are not sent: their run
// includes them.
func (r *reconciliation) pause() {
	if r.meanwhile != nil {
		r.meanwhile(r.covers)
	}
}

// covers reports whether the runs so far have reached a value.
func (r *reconciliation) covers(v identity.Value) bool {
	return r.begun && bytes.Compare(v[:], r.reached[:]) <= 0
}

// next returns the runs of the next frame.
func (r *reconciliation) next() (runs []taskwire.Run) {
	objects := r.all()
	rest := objects[r.position(objects):]
	for range 1 + r.random.IntN(mostRuns) {
		n := min(r.random.IntN(mostRunObjects+1), len(rest))
		run := taskwire.Run{Count: uint32(n), Last: r.reached}
		for _, o := range rest[:n] {
			run.Sum.Add(&o.id)
			run.Last = o.id.Value()
		}
		if rest = rest[n:]; len(rest) == 0 {
			run.Last = lastValue
		}
		if n == 0 && len(rest) > 0 {
			continue // a run without objects ends only where all runs end
		}
		runs, r.reached = append(runs, run), run.Last
		if run.Last == lastValue {
			break
		}
	}
	if len(runs) == 0 {
		return r.next()
	}
	return runs
}

// position returns how many of the objects the runs have reached.
func (r *reconciliation) position(objects []*object) int {
	return len(slices.DeleteFunc(slices.Clone(objects), func(o *object) bool { return !r.covers(o.id.Value()) }))
}

// sendRuns queues a Runs, and for each run that differs a List.
func (r *reconciliation) sendRuns(after identity.Value, runs []taskwire.Run) {
	first := !r.begun
	r.begun = true
	r.seq++
	r.inquire(taskwire.Runs, taskwire.AppendRuns(nil, r.seq, runs), fmt.Sprintf("Runs %d: %s", r.seq, counted(len(runs), "run", "runs")),
		func(a taskwire.Answer) {
			if !a.Covers(len(runs)) {
				r.fail(ruleBits, "Runs %d: %d runs are answered with %d bytes, or with further bits", a.Seq, len(runs), len(a.Bits))
			}
			from := after
			for i, run := range runs {
				if a.Bit(i) {
					r.pause()
					r.sendLists(successorOf(from, first && i == 0), run.Last)
				}
				from = run.Last
			}
		})
	r.pause()
}

// successorOf returns the value after v; at the start, v itself.
func successorOf(v identity.Value, start bool) identity.Value {
	for i := len(v) - 1; i >= 0 && !start; i-- {
		if v[i]++; v[i] != 0 {
			break
		}
	}
	return v
}

// sendLists queues a List of a range, or two that divide it.
func (r *reconciliation) sendLists(first, last identity.Value) {
	ids := r.between(first, last)
	if len(ids) > 1 && r.random.IntN(2) == 0 {
		middle := ids[r.random.IntN(len(ids)-1)].Value()
		r.sendList(first, middle)
		first = successorOf(middle, false)
	}
	r.sendList(first, last)
}

// between returns the identities of the objects from one value to another.
func (r *reconciliation) between(first, last identity.Value) (ids []identity.ID) {
	for _, o := range r.all() {
		v := o.id.Value()
		if bytes.Compare(first[:], v[:]) <= 0 && bytes.Compare(v[:], last[:]) <= 0 {
			ids = append(ids, o.id)
		}
	}
	return ids
}

// sendList queues a List of a range. Its answer queues the objects that the Task lacks.
func (r *reconciliation) sendList(first, last identity.Value) {
	ids := r.between(first, last)
	r.seq++
	r.inquire(taskwire.List, taskwire.AppendList(nil, r.seq, first, last, ids),
		fmt.Sprintf("List %d: %x to %x, %s", r.seq, first[:4], last[:4], counted(len(ids), "identity", "identities")),
		func(a taskwire.Answer) {
			if !a.Covers(len(ids)) {
				r.fail(ruleBits, "List %d: %d identities are answered with %d bytes, or with further bits", a.Seq, len(ids), len(a.Bits))
			}
			for i, id := range ids {
				if o := r.objects[id.Value()]; a.Bit(i) && o.there && o.id == id {
					r.core.fed++
					r.feed(o)
				}
			}
			r.pause()
		})
}
