package engine

import (
	"bytes"
	"math/bits"
	"slices"

	"motte/core/access"
	"motte/core/identity"
	"motte/core/log"
	"motte/core/mapping"
	"motte/core/task"
	"motte/core/wire"
)

// search is the flow of a SEARCH, COUNT or DELETE by predicate.
type search struct {
	req   *Request
	p     *principal
	x     *index
	ask   uint32          // the most identities the Task may name
	found []mapping.Entry // those it named so far
}

// search decides a request by predicate and queues the sub-query for the Task
// (paper, section 5, "GET Operation"; design, section 5).
func (e *Engine) search(q *Request, p *principal, c *collection) wire.Code {
	x := c.index(q.Index)
	switch {
	case x == nil:
		return wire.NoIndex
	case x.state != wire.IndexServing:
		return wire.IndexUnavailable
	case !compatible(q.Type, x.dataType), x.row.Operations>>q.Op&1 == 0:
		return wire.InvalidRequest
	case x.full():
		return wire.Overloaded
	}
	s := &search{req: q, p: p, x: x, ask: x.row.MaxResults}
	// Who may not read everything may need more of the Task's answers than
	// the limit to get as many of its own.
	if q.Limit > 0 && access.Any(c.grants.Rights(p.id), wire.RightRead) {
		s.ask = min(s.ask, q.Limit)
	}
	x.queue = append(x.queue, &delivery{step: task.Search, search: s})
	e.pump(x)
	return wire.OK
}

// compatible reports whether two data types may meet: they are the same, or
// one says nothing.
func compatible(a, b wire.DataType) bool { return a == b || a == wire.TypeAny || b == wire.TypeAny }

// asked returns the query that a Task may answer now: the oldest that is open,
// if it has this number. So at most one answer is in the making for each Task.
func (x *index) asked(seq uint64) *search {
	i := slices.IndexFunc(x.sent, func(d *delivery) bool { return d.search != nil })
	if i < 0 || x.sent[i].seq != seq {
		return nil
	}
	return x.sent[i].search
}

// found checks every identity of an answer: asked for? not too many? known,
// live, of this collection? Whoever fails here breaks the Task's contract. It may
// name an object as it stood, if a change is taking that away that it was sent after
// the query, or not yet.
func (e *Engine) found(x *index, a task.Answer) wire.Reason {
	s := x.asked(a.Seq)
	switch {
	case s == nil:
		return wire.ReasonUnasked
	case uint64(len(s.found)+len(a.Found)) > uint64(s.ask):
		return wire.ReasonTooManyResults
	case a.More && len(a.Found) == 0:
		return wire.ReasonBadFrame // an endless answer without content
	}
	for _, id := range a.Found {
		o, ok := e.objects.Get(id.Value())
		if i := slices.IndexFunc(x.leaving[id], func(d *delivery) bool { return d.seq == 0 || d.seq > a.Seq }); i >= 0 {
			o, ok = x.leaving[id][i].gone, true
		}
		switch {
		case ok && o.Collection != x.c.id:
			return wire.ReasonOtherCollection
		case !ok || o.ID != id:
			return wire.ReasonInvalidIdentity
		}
		s.found = append(s.found, o)
	}
	if !a.More {
		e.done(x, func(d *delivery) bool { return d.seq == a.Seq })
		e.finish(s)
	}
	return 0
}

// finish leaves out what the principal may not see, puts the rest in order, drops
// duplicates, keeps to the limit, meters what the answer can leak, and answers.
func (e *Engine) finish(s *search) {
	x, rights, allowed := s.x, s.x.c.grants.Rights(s.p.id), access.Read
	if s.req.Op == wire.OpDeleteWhere {
		if allowed = access.Delete; e.changing {
			e.held = append(e.held, func() { e.finish(s) })
			return
		}
	}
	var r Reply
	if uint64(len(s.found)) == uint64(s.ask) {
		r.Flags = wire.ReplyTruncated
	}
	// What the principal may not see, or delete, when the answer is complete goes
	// silently: the Task can't know rights.
	known := e.principals[s.p.id] == s.p
	keep := slices.DeleteFunc(s.found, func(o mapping.Entry) bool { return !known || !allowed(rights, o.Owner == s.p.owner) })
	if x.ordered() { // by the Task: an object stays where it came first
		seen := make(map[identity.Value]bool, len(keep))
		keep = slices.DeleteFunc(keep, func(o mapping.Entry) bool {
			twice := seen[o.ID.Value()]
			seen[o.ID.Value()] = true
			return twice
		})
	} else {
		slices.SortFunc(keep, func(a, b mapping.Entry) int { return bytes.Compare(a.ID[:], b.ID[:]) })
		keep = slices.CompactFunc(keep, func(a, b mapping.Entry) bool { return a.ID.Value() == b.ID.Value() })
	}
	if limit := uint64(s.req.Limit); limit > 0 && uint64(len(keep)) > limit {
		keep, r.Flags = keep[:limit], wire.ReplyTruncated
	}
	r.Count = uint32(len(keep))
	switch {
	case !e.meter(s, uint64(len(keep))):
		e.end(s.req, wire.LeakBudgetExhausted)
	case s.req.Op == wire.OpCount:
		e.reply(s.req, r)
	case s.req.Op == wire.OpSearch:
		if code := e.show(s.req, slices.Clone(keep), r); code != wire.OK {
			e.end(s.req, code)
		}
	default:
		e.deleteFound(s, keep, r)
	}
}

// meter counts the bits that an answer of k objects can carry: how many they
// are, and, unless it is a COUNT, which. It reports whether the principal's
// budget covers them; one that is overdrawn stays so.
func (e *Engine) meter(s *search, k uint64) bool {
	n := s.x.c.objects
	drawn := uint64(bits.Len64(n)) // k is one of n+1 numbers
	if s.req.Op != wire.OpCount {
		drawn += task.LeakBits(n, k, s.x.ordered())
	}
	s.x.leaked[s.p.id] += drawn
	return s.x.row.LeakBudget == 0 || s.x.leaked[s.p.id] <= s.x.row.LeakBudget
}

// deleteFound appends a deletion for each object that a DELETE of its identity would
// delete now. More than MaxBatch become several groups: a crash in between leaves
// some of them deleted, and the client without an answer.
func (e *Engine) deleteFound(s *search, list []mapping.Entry, r Reply) {
	var all log.Group
	for _, o := range list {
		if rec, code := e.decide(&Write{Request: wire.Request{Op: wire.OpDelete, Identity: o.ID}}, s.p, s.x.c, nil); code == wire.OK {
			all = append(all, rec)
		}
	}
	r.Count = uint32(len(all))
	w := &write{req: s.req, answer: r}
	for g := range slices.Chunk(all, wire.MaxBatch) {
		e.append(w, g...)
	}
	w.wait(e) // also if there is nothing to delete
}
