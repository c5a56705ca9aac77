package engine

import (
	"math"
	"slices"

	"motte/core/access"
	"motte/core/identity"
	"motte/core/leak"
	"motte/core/model"
	"motte/core/wire"
)

// query is the flow of a SEARCH, COUNT or DELETE by predicate: an expression over one leaf or
// several (paper, section 5, "GET Operation"; design, section 5).
//
// The steps of a query over several leaves:
//
//  1. The predicates of all leaves but the ordering one are queued in one event. So all of them
//     see the same objects.
//  2. When a Task has named all identities of its leaf, they are checked, and sorted.
//  3. When all leaves are done, the expression is computed on their lists: see combine.
//  4. The Task of the ordering leaf ranks the objects that are left: see rank.
//
// Objects, numbers and failures that belong to single leaves stay in the Core: a client sees only
// what the whole query found.
type query struct {
	req     *Request
	p       *principal
	c       *collection
	leaves  []*search // in the order of the expression
	indexes []*index  // of the leaves, each once
	ranks   *search   // the ordering leaf of several; nil: the query has none
	want    uint32    // the most objects that the answer may show
	hinted  bool      // the Tasks were asked for objects of one owner

	// Over several leaves without an order, the answer has only objects after this identity.
	after identity.ID

	rights  model.Rights // the rights by which the objects of all leaves were chosen
	missing int          // leaves that are not done, of several, without the ordering one
	partial bool         // a leaf of several ended before its Task was exhausted
	lacks   bool         // the answer lacks objects that were put while the query ran: see leaveOutLate
	more    bool         // the answer is truncated

	candidates operand                  // what the ordering leaf ranks
	late       map[identity.ID]struct{} // objects that were put after the other leaves were queued
	watchedAt  int                      // see watched

	erasures int    // erasures that had been applied when the query was queued
	live     uint64 // live objects of the collection when the query was queued
	versions uint64 // versions that had appeared in the collection by then, since the start
	charged  bool   // the leak meter has charged the query
	ended    bool   // the query is answered; later answers of its Tasks are checked and dropped
	gathered int    // bytes that are counted for the objects of several leaves: see gather
}

// several reports whether a query has more than one leaf.
func (q *query) several() bool { return len(q.leaves) > 1 }

// ordered reports whether a Task chose the order of the answer.
func (q *query) ordered() bool { return q.ranks != nil || !q.several() && q.indexes[0].ordered() }

// allows reports whether the rights allow the answer to show an object, or to delete it. own
// says that the object belongs to the principal.
func (q *query) allows(rights model.Rights, own bool) bool {
	if q.req.Op == model.OpDeleteWhere {
		return access.Delete(rights, own)
	}
	return access.Read(rights, own)
}

// search decides a request by predicate, and queues its predicates for the Tasks.
func (e *Engine) search(r *Request) model.Code {
	q, code := e.newQuery(r)
	if code != model.OK {
		return code
	}
	for _, x := range q.indexes {
		x.askedAt = e.uptime
		if code, wait := e.sleep(x, r); code != model.OK || wait {
			return code
		}
	}
	after := e.stillShown(r)
	if q.several() && q.ranks == nil && len(r.After) > 0 {
		q.after = r.After[0]
	} else if len(after) == 0 && len(r.After) > 0 {
		return model.Gone
	}
	if code, wait := e.admitAll(q); code != model.OK || wait {
		return code
	}
	for _, s := range q.leaves {
		if e.isKiller(s.x, s.asks) { // the Task brought this outcome about, so it is charged
			e.drawAll(q, leak.Rare)
			return model.TooExpensive
		}
	}
	e.queueLeaves(q, after)
	return model.OK
}

// newQuery makes the leaves of a query. A code other than OK refuses the request. Only an administrator
// may see how single leaves went: their numbers are not charged.
func (e *Engine) newQuery(r *Request) (*query, model.Code) {
	p, c := r.by, r.in
	rights := c.grants.Rights(p.id)
	if r.Flags&wire.FlagExplain != 0 && !access.Any(rights, model.RightAdmin) && !e.isAdmin(p.id) {
		return nil, model.Denied
	}
	q := &query{req: r, p: p, c: c, erasures: len(e.erasures),
		live: uint64(c.objects.Len()), versions: c.versions}
	for i := range r.Expression.Leaves {
		leaf := &r.Expression.Leaves[i]
		x, orders := c.index(leaf.Index), i+1 == r.Expression.Order
		switch {
		case x == nil:
			return nil, model.NoIndex
		case !compatible(leaf.Type, x.dataType), orders && !x.ordered(),
			e.tasks[x.task] != nil && e.tasks[x.task].Operations>>r.Op&1 == 0:
			return nil, model.InvalidRequest
		}
		s := &search{q: q, x: x, predicate: leaf.Predicate, excludes: leaf.Excludes,
			asks: question{p.owner, r.predicates[i]}}
		q.leaves = append(q.leaves, s)
		if !slices.Contains(q.indexes, x) {
			q.indexes = append(q.indexes, x)
		}
		if orders && len(r.Expression.Leaves) > 1 {
			q.ranks = s
		}
	}
	return q, model.OK
}

// compatible reports whether two data types match: they are equal, or one of them is
// TypeAny.
func compatible(a, b model.DataType) bool { return a == b || a == model.TypeAny || b == model.TypeAny }

// queueLeaves queues the predicates of all leaves but the ordering one of several. after is for the
// leaf whose Task gives the order of the pages.
func (e *Engine) queueLeaves(q *query, after []identity.ID) {
	q.want = math.MaxUint32
	for _, x := range q.indexes {
		q.want = min(q.want, x.row.MaxResults)
	}
	if q.req.Limit > 0 {
		q.want = min(q.want, q.req.Limit)
	}
	q.rights = q.c.grants.Rights(q.p.id)
	q.hinted = !q.allows(q.rights, false)
	for _, s := range q.leaves {
		if q.hinted {
			s.owner = e.alias(s.x, q.p.owner)
		}
		s.holds = q.hinted || q.several()
		s.want, s.ask, s.after = q.want, q.want, after
		if q.several() && s != q.ranks { // all objects are needed
			s.want, s.ask, s.after = math.MaxUint32, s.x.row.MaxResults, nil
		} else {
			s.seen = make(map[identity.Value]struct{})
		}
		if s != q.ranks {
			q.missing++
			e.queueSearch(s)
		}
	}
	if q.ranks != nil {
		q.c.watch(q)
	}
	e.pumpAll(q)
}

// stillShown returns the identities of a SEARCH after which it should begin, without those
// of objects that the principal would not be shown now.
func (e *Engine) stillShown(r *Request) (after []identity.ID) {
	for _, id := range r.After {
		o, ok := e.lookup(r.in, id.Value())
		if ok && o.ID == id && e.readable(r.by, r.in, o) {
			after = append(after, id)
		}
	}
	return after
}

// gather counts the memory of objects that a Task has named for a query over several leaves. A query
// that takes more than its principal's share ends.
func (e *Engine) gather(s *search, objects int) {
	n, p := objects*entrySize, s.q.req.Principal
	switch {
	case !s.q.several(), s.q.ended:
	case s.q.gathered+n > shortAnswer && e.unsent[p]+n > maxUnsent-e.allUnsent:
		e.fail(s, model.Overloaded)
	default:
		e.unsent[p] += n
		e.allUnsent += n
		s.q.gathered += n
	}
}

// endQuery frees the memory of a query that is answered. Its leaves may still be in queues.
func (e *Engine) endQuery(q *query) {
	q.ended = true
	q.req.Query, q.req.Object, q.req.Expression = nil, nil, wire.Expression{}
	if q.gathered > 0 {
		e.Sent(q.req.Principal, q.gathered)
		q.gathered = 0
	}
	for _, s := range q.leaves {
		s.predicate, s.within, s.seen, s.found, s.kept = nil, nil, nil, nil, nil
		if s.instance == 0 {
			e.noteEnded(s.x)
			if s.x.successor != nil {
				e.noteEnded(s.x.successor)
			}
		}
	}
	q.candidates, q.late = operand{}, nil
	q.c.unwatch(q)
}

// fail ends a query since a leaf failed. Each query that was queued ends once, here or with pay.
func (e *Engine) fail(s *search, code model.Code) {
	q := s.q
	for _, other := range q.leaves {
		other.releaseChanges()
	}
	if q.ended {
		return
	}
	e.drawAll(q, leak.Rare)
	e.end(q.req, code)
	e.endQuery(q)
	e.work = append(e.work, func() (more bool) { // changes that the other leaves held back go on
		e.pumpAll(q)
		return false
	})
}

// pumpAll pumps the queues of all indexes of a query that have a process. The others may be dropped.
func (e *Engine) pumpAll(q *query) {
	for _, x := range q.indexes {
		if x.instance != 0 {
			e.pump(x)
		}
	}
}

// explanation returns the frame that tells an administrator how a query went: for each leaf
//
//	objects 4 | rounds 4 | microseconds 8 | flags 1
func (q *query) explanation() Frames {
	var body []byte
	for _, s := range q.leaves {
		flags := wire.ExplainFlags(0)
		if !s.more {
			flags |= wire.ExplainExhausted
		}
		if len(s.within) > 0 {
			flags |= wire.ExplainRanked
		}
		body = wire.AppendExplained(body, s.count, s.rounds+1, s.took, flags)
	}
	return Frames{wire.KindExplain, [][]byte{body}}
}
