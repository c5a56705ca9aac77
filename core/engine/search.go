package engine

import (
	"slices"

	"motte/core/access"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
)

// search is the flow of a SEARCH, COUNT or DELETE by predicate.
type search struct {
	req   *Request // nil: the query was answered before, since the Task was too slow
	p     *principal
	x     *index
	ask   uint32                      // the most identities that the Task may name
	named uint32                      // identities named so far, with duplicates
	seen  map[identity.Value]struct{} // values of the objects in found
	found sortedBlocks                // each object once, where the Task named it first

	erasures int // erasures that had been applied when the query was queued

	live     uint64 // live objects of the collection when the query was queued
	versions uint64 // versions that had appeared in the collection by then, since the start
	paid     bool   // the leak meter has charged the query
}

// search decides a request by predicate and queues the sub-query for the Task
// (paper, section 5, "GET Operation"; design, section 5).
func (e *Engine) search(q *Request) model.Code {
	p, c := q.by, q.in
	x := c.index(q.Index)
	switch {
	case x == nil:
		return model.NoIndex
	case !compatible(q.Type, x.dataType), e.tasks[x.task] != nil && e.tasks[x.task].Operations>>q.Op&1 == 0:
		return model.InvalidRequest
	}
	if code, wait := e.admit(q, x, p); code != model.OK || wait {
		return code
	}
	s := &search{req: q, p: p, x: x, ask: x.row.MaxResults, seen: make(map[identity.Value]struct{}),
		erasures: len(e.erasures), live: uint64(c.objects.Len()), versions: c.versions}
	// A principal that may not read all objects may need more identities than the limit, to
	// get as many of its own objects.
	if q.Limit > 0 && access.Any(c.grants.Rights(p.id), model.RightRead) {
		s.ask = min(s.ask, q.Limit)
	}
	e.enqueue(x, &delivery{step: taskwire.Search, search: s})
	e.pump(x)
	return model.OK
}

// compatible reports whether two data types match: they are equal, or one of them is
// TypeAny.
func compatible(a, b model.DataType) bool { return a == b || a == model.TypeAny || b == model.TypeAny }

// asked returns the query that a Task may answer now: the oldest open query, if it has this
// number. So each Task gives at most one answer at a time.
func (x *index) asked(seq uint64) *search {
	if x.open == 0 || x.queries[0].seq != seq {
		return nil
	}
	return x.queries[0].search
}

// found checks each identity of an answer: it must be asked for, within the number allowed,
// known, live, and in this collection. A violation breaks the Task's contract. The Task may
// name the old version of an object, if the change was sent to it after the query, or is not
// sent yet.
func (e *Engine) found(x *index, a taskwire.Answer) model.Reason {
	s := x.asked(a.Seq)
	switch {
	case s == nil:
		return model.ReasonUnasked
	case len(a.Found) > int(s.ask-s.named):
		return model.ReasonTooManyResults
	case a.More && len(a.Found) == 0:
		return model.ReasonBadFrame // an endless answer without content
	}
	s.named += uint32(len(a.Found))
	for _, id := range a.Found {
		o, ok := x.c.objects.Get(id.Value())
		if d := x.replacing(id, a.Seq); d != nil {
			o, ok = d.replaced, true
		}
		if !ok || o.ID != id {
			return e.foreign(x.c, id)
		}
		if _, twice := s.seen[id.Value()]; !twice && !e.hides(s, o) && s.req != nil {
			s.seen[id.Value()] = struct{}{}
			s.found.add(o)
		}
	}
	if !a.More {
		e.ackDeliveries(x, func(d *delivery) bool { return d.seq == a.Seq })
		if s.seen = nil; s.req != nil {
			e.finish(s)
		}
	}
	return 0
}

// foreign returns the reason for an alert about an identity that its collection lacks.
func (e *Engine) foreign(its *collection, id identity.ID) model.Reason {
	for _, c := range e.collections {
		if _, ok := c.objects.Get(id.Value()); ok && c != its {
			return model.ReasonOtherCollection
		}
	}
	return model.ReasonInvalidIdentity
}

// replacing returns the first change that replaces or deletes an identity, and that was sent
// to the Task after a frame, or is not sent yet.
func (x *index) replacing(id identity.ID, frame uint64) *delivery {
	// The changes are in the order of their frame numbers; unsent changes follow.
	list := x.superseded[id]
	i, _ := slices.BinarySearchFunc(list, frame, func(d *delivery, frame uint64) int {
		if d.seq == 0 || d.seq > frame {
			return 1
		}
		return -1
	})
	if i == len(list) {
		return nil
	}
	return list[i]
}
