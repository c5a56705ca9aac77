package engine

import (
	"crypto/sha256"
	"maps"
	"slices"
	"time"

	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
)

// A Task may end over an input: a parser crashes, or a loop does not end. Every later process
// would get the same input, and the index would never serve. So the engine finds such an input
// and sets it aside: the object stays stored, and the index does not hold it.
//
// When a process ends, the inputs that it had not acknowledged become suspects. A later process
// gets each suspect alone: after all earlier frames are done, and before any later frame. If the
// process ends then, the suspect is set aside. If it acknowledges the input, the input is no
// longer a suspect.
//
// A predicate over which a Task ends twice is refused for a while, for the principal that asked.
//
// This state belongs to one executable. Another executable or a REBUILD begins with an empty state.
// The log remembers the inputs that are set aside, and nothing else of it.

// Limits of the poison of one index.
const (
	maxSuspects = windowFrames
	// maxSetAside is the most inputs that are set aside. A Task that ends over more of them is
	// wrong itself, or has too little memory. Then no more inputs are set aside.
	maxSetAside = 64
	maxKillers  = 64
	killerTime  = 10 * time.Minute // time for which a predicate is refused
	killerEnds  = 2                // ends of processes over a predicate, after which it is refused
)

// poison has the inputs and the predicates over which the Task of an index ended.
type poison struct {
	measurement [32]byte // of the executable
	suspects    map[identity.ID]struct{}
	setAside    map[identity.ID]struct{}
	killers     map[question]*killer
}

// question is a predicate of a principal.
type question struct {
	owner     uint32
	predicate [sha256.Size]byte
}

// killer is a question over which a Task ended.
type killer struct {
	ends int           // number of processes that ended
	last time.Duration // when the last of them ended, by the clock of the engine
}

// forExecutable empties the state, unless it belongs to the executable with this measurement. It
// reports whether it did.
func (p *poison) forExecutable(measurement [32]byte) (emptied bool) {
	emptied = p.suspects == nil || p.measurement != measurement
	if emptied {
		*p = poison{measurement: measurement, suspects: make(map[identity.ID]struct{}),
			setAside: make(map[identity.ID]struct{}), killers: make(map[question]*killer)}
	}
	return emptied
}

// isSuspect reports whether a delivery must be sent alone.
func (x *index) isSuspect(d *delivery) bool {
	if d.kind != taskwire.Insert || len(x.suspects) == 0 {
		return false
	}
	_, ok := x.suspects[d.put.ID]
	return ok
}

// mustWait reports whether a delivery must not be sent yet: it is a suspect and other deliveries
// are sent, or a suspect is sent. The window then holds no delivery but the suspect.
func (x *index) mustWait(d *delivery) bool {
	return len(x.sent) > 0 && (x.isSuspect(d) || x.isSuspect(x.sent[0]))
}

// isSetAside reports whether the input of an object is set aside.
func (x *index) isSetAside(id identity.ID) bool {
	_, ok := x.setAside[id]
	return ok
}

// findPoison looks for the reason why a process ended among the frames that it had not finished.
// A Task handles its frames in order: so if the first one is a query, the query is blamed. But the
// Task may have kept its answer back and ended over a later frame. So the inputs after the query
// are suspects all the same, and a single end does not refuse a predicate.
func (e *Engine) findPoison(x *index, r model.Reason) {
	died := r == model.ReasonTaskEnded || r == model.ReasonTooSlow || r == model.ReasonBadFrame
	if !died || len(x.sent) == 0 {
		return
	}
	first := x.sent[0]
	if x.isSuspect(first) && len(x.setAside) < maxSetAside {
		delete(x.suspects, first.put.ID)
		x.setAside[first.put.ID] = struct{}{}
		x.failures = 0 // the next process has a better chance
		e.alert(model.Alert{Reason: model.ReasonSetAside, Collection: x.c.name, Index: x.name,
			Segment: first.put.Loc.Segment, Offset: first.put.Loc.Offset})
		e.logSetAside(x)
		return
	}
	if first.search != nil {
		e.blame(x, first.search)
	}
	for _, d := range x.sent {
		o, _ := x.c.objects.Get(d.put.ID.Value())
		if d.kind == taskwire.Insert && o.ID == d.put.ID && len(x.suspects) < maxSuspects {
			x.suspects[d.put.ID] = struct{}{}
		}
	}
}

// blame notes that a Task ended over a query. If too many questions are known, it first forgets
// all of them.
func (e *Engine) blame(x *index, s *search) {
	if len(x.killers) >= maxKillers {
		clear(x.killers)
	}
	k := x.killers[s.asks]
	if k == nil {
		k = new(killer)
		x.killers[s.asks] = k
	}
	k.ends++
	k.last = e.uptime
}

// isKiller reports whether a question is refused.
func (e *Engine) isKiller(x *index, q question) bool {
	k := x.killers[q]
	if k != nil && e.uptime-k.last > killerTime {
		delete(x.killers, q)
		return false
	}
	return k != nil && k.ends >= killerEnds
}

// retry answers an INDEX RETRY. It feeds the index the objects that were set aside, as suspects:
// so each of them is sent alone, and is set aside again if the Task ends over it. It forgets
// which predicates are refused.
func (e *Engine) retry(q *Request) model.Code {
	x := q.in.index(q.Index)
	if x == nil {
		return model.NoIndex
	}
	n := len(x.setAside)
	for _, id := range slices.SortedFunc(maps.Keys(x.setAside), identity.ID.Compare) {
		delete(x.setAside, id)
		x.suspects[id] = struct{}{}
		if o, ok := e.lookup(x.c, id.Value()); ok && x.superseded != nil { // otherwise the build has it
			e.enqueue(x, &delivery{kind: taskwire.Insert, put: o})
		}
	}
	clear(x.killers)
	if n > 0 {
		e.logSetAside(x)
	}
	e.pump(x)
	return e.answer(q, Reply{End: End{Count: uint32(n)}})
}
