package engine

import (
	"bytes"
	"math/bits"
	"slices"
	"time"

	"motte/core/access"
	"motte/core/identity"
	"motte/core/log"
	"motte/core/mapping"
	"motte/core/task"
	"motte/core/wire"
)

// DefaultTimeout is how long a client waits for a Task if it does not say.
const DefaultTimeout = 60 * time.Second

// search is the flow of a SEARCH, COUNT or DELETE by predicate.
type search struct {
	req      *Request
	p        *principal
	x        *index
	delivery *delivery
	ask      uint32          // the most identities the Task may name
	received uint32          // those it named so far
	found    []mapping.Entry // those of them that the principal may see
	expires  time.Time
	answered bool // the client's time was up; the Task's answer is still awaited
}

// search decides a request by predicate and queues the sub-query for the Task
// (paper, section 5, "GET Operation"; design, section 5).
func (e *Engine) search(q *Request, p *principal) {
	want, op := wire.RightRead|wire.RightReadOwn, tableOperation(q.Op)
	if q.Op == wire.OpDeleteWhere {
		want = wire.RightDelete
	}
	c, code := e.collectionFor(q, want)
	if code != wire.OK {
		e.end(q, code)
		return
	}
	x := c.index(q.Index)
	switch {
	case x == nil:
		e.end(q, wire.NoIndex)
		return
	case x.state != wire.IndexServing:
		e.end(q, wire.IndexUnavailable)
		return
	case q.Type != wire.TypeAny && x.dataType != wire.TypeAny && q.Type != x.dataType, x.row.Operations&op == 0:
		e.end(q, wire.InvalidRequest)
		return
	case len(x.queue) > maxBacklog:
		e.end(q, wire.Overloaded)
		return
	}
	s := &search{req: q, p: p, x: x, ask: x.row.MaxResults, expires: e.Now.Add(DefaultTimeout)}
	if q.Timeout > 0 {
		s.expires = e.Now.Add(q.Timeout)
	}
	// Who may not read everything may need more of the Task's answers than
	// the limit to get as many of its own.
	if q.Limit > 0 && q.Limit < s.ask && access.Any(c.grants.Rights(p.id), wire.RightRead) {
		s.ask = q.Limit
	}
	s.delivery = &delivery{step: stepSearch, x: x, search: s}
	x.queue = append(x.queue, s.delivery)
	e.pump(x)
}

// tableOperation returns the operation of the API format table that answers o.
func tableOperation(o wire.Operation) wire.TaskOps {
	switch o {
	case wire.OpCount:
		return wire.TaskCount
	case wire.OpDeleteWhere:
		return wire.TaskDelete
	}
	return wire.TaskSearch
}

// take removes and returns the open query with this sequence number, or nil.
func (x *index) take(seq uint64) *search {
	for i, s := range x.open {
		if s.delivery.seq == seq {
			x.open = slices.Delete(x.open, i, i+1)
			return s
		}
	}
	return nil
}

// found checks every identity of an answer: asked for? not too many? known,
// live, of this collection? may this principal see it? What the principal may
// not see is left out silently: the Task can't know rights.
func (e *Engine) found(x *index, a task.Answer) wire.Reason {
	i := slices.IndexFunc(x.open, func(s *search) bool { return s.delivery.seq == a.Seq })
	if i < 0 {
		return wire.ReasonUnasked
	}
	s := x.open[i]
	if uint64(s.received)+uint64(len(a.Found)) > uint64(s.ask) {
		return wire.ReasonTooManyResults
	}
	if a.More && len(a.Found) == 0 {
		return wire.ReasonBadFrame // an endless answer without content
	}
	s.received += uint32(len(a.Found))
	rights := x.c.grants.Rights(s.p.id)
	allowed := access.Read
	if s.req.Op == wire.OpDeleteWhere {
		allowed = access.Delete
	}
	for _, id := range a.Found {
		o, reason := e.known(x, s, id)
		if reason != 0 {
			return reason
		}
		if allowed(rights, o.Owner == s.p.owner) {
			s.found = append(s.found, o)
		}
	}
	if !a.More {
		x.open = slices.Delete(x.open, i, i+1)
		e.finish(s)
	}
	return 0
}

// finish puts the checked identities in order, drops duplicates, keeps to the
// limit, meters what the answer can leak, and answers.
func (e *Engine) finish(s *search) {
	if s.answered {
		return
	}
	keep, truncated := s.canonical()
	if !e.meter(s, uint64(len(keep))) {
		e.answer(s, Reply{Code: wire.LeakBudgetExhausted})
		return
	}
	r := Reply{Count: uint32(len(keep))}
	if truncated {
		r.Flags = wire.ReplyTruncated
	}
	switch s.req.Op {
	case wire.OpSearch:
		r.Objects, r.IDsOnly = keep, s.req.Flags&wire.FlagIDsOnly != 0
	case wire.OpDeleteWhere:
		e.deleteFound(s, keep, truncated)
		return
	}
	e.answer(s, r)
}

// canonical returns the answer's objects in the order in which they leave: by
// value, or as the Task ranked them if the index is ordered. No object twice.
func (s *search) canonical() (keep []mapping.Entry, truncated bool) {
	if s.x.ordered() {
		seen := make(map[identity.Value]bool, len(s.found))
		for _, o := range s.found {
			if v := o.ID.Value(); !seen[v] {
				seen[v] = true
				keep = append(keep, o)
			}
		}
	} else {
		slices.SortFunc(s.found, func(a, b mapping.Entry) int { return bytes.Compare(a.ID[:], b.ID[:]) })
		keep = slices.CompactFunc(s.found, func(a, b mapping.Entry) bool { return a.ID.Value() == b.ID.Value() })
	}
	truncated = s.received == s.ask
	if limit := s.req.Limit; limit > 0 && uint64(len(keep)) > uint64(limit) {
		keep, truncated = keep[:limit], true
	}
	return keep, truncated
}

// meter counts the bits that an answer of k objects can carry beyond what was
// asked, and reports whether the principal's budget still covers them.
func (e *Engine) meter(s *search, k uint64) bool {
	n := s.x.c.objects
	drawn := uint64(bits.Len64(n)) // a count is one of n+1 numbers
	if s.req.Op == wire.OpSearch {
		drawn = task.LeakBits(n, k, s.x.ordered())
	}
	used := s.x.leaked[s.p.id]
	if budget := s.x.row.LeakBudget; budget > 0 && used+drawn > budget {
		return false
	}
	s.x.leaked[s.p.id] = used + drawn
	return true
}

// deleteFound appends a deletion for each object that is still as the Task
// knew it. More than MaxBatch become several groups: a crash in between leaves
// some of them deleted, and the client without an answer.
func (e *Engine) deleteFound(s *search, list []mapping.Entry, truncated bool) {
	s.answered = true
	w := &write{req: s.req, groups: 1}
	var groups []log.Group
	var group log.Group
	for _, o := range list {
		v := o.ID.Value()
		cur, live := e.live(s.x.c, v)
		if _, onItsWay := e.pending[v]; !live || cur.ID != o.ID || onItsWay {
			continue
		}
		group = append(group, deletion(o))
		if len(group) == wire.MaxBatch {
			groups, group = append(groups, group), nil
		}
	}
	if len(group) > 0 {
		groups = append(groups, group)
	}
	w.truncated = truncated
	w.groups += len(groups)
	for _, g := range groups {
		w.count += uint32(len(g))
		e.append(w, g...)
		for _, rec := range g {
			if !e.readOnly {
				e.pending[rec.ID.Value()] = pendingObject{lsn: rec.LSN, gone: true}
			}
		}
	}
	w.settled(e) // the part that stands for the decision itself
}

// answer gives a client its answer, once.
func (e *Engine) answer(s *search, r Reply) {
	if !s.answered {
		s.answered = true
		e.reply(s.req, r)
	}
}

// expire answers the queries whose time is up. The Task still owes its answer,
// within its own deadline.
func (e *Engine) expire(x *index) {
	for _, s := range x.open {
		if e.Now.After(s.expires) {
			e.answer(s, Reply{Code: wire.DeadlineExceeded})
		}
	}
	for _, d := range x.queue {
		if d.search != nil && e.Now.After(d.search.expires) {
			e.answer(d.search, Reply{Code: wire.DeadlineExceeded})
		}
	}
}
