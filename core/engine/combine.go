package engine

import (
	"bytes"
	"slices"

	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/core/wire"
)

// The Core computes an expression on lists of objects that it has checked. It uses their identities and
// nothing else.

// arrange sorts the objects of a leaf by identity, and removes duplicates. After the last leaf, it
// computes the expression.
func (e *Engine) arrange(s *search) {
	m := new(merger)
	e.later(func() (more bool) {
		if !s.q.ended {
			if !s.sortStep(m, e.stride) {
				return true
			}
			s.q.missing--
		}
		e.finished(s)
		if s.q.missing == 0 && !s.q.ended {
			e.combine(s.q)
		}
		return false
	})
}

// sortStep sorts a block of objects, or merges about n objects. It reports done when kept is one sorted
// list.
func (s *search) sortStep(m *merger, n int) (done bool) {
	if len(s.kept) > 0 {
		block := pop(&s.kept)
		slices.SortFunc(block, compare)
		block = slices.CompactFunc(block, sameObject)
		m.lists = append(m.lists, sortedBlocks{block})
		return false
	}
	if _, done = m.step(n); done && len(m.lists) > 0 {
		s.kept = m.lists[0]
	}
	return done
}

// sameObject reports whether two entries are versions of one object.
func sameObject(a, b mapping.Entry) bool { return a.ID.Value() == b.ID.Value() }

// operand is a set of objects of a query: those of a list, sorted by identity, or all others. The
// ordering leaf has not been asked yet, so it stands for all objects: those that no list has.
type operand struct {
	list   sortedBlocks
	others bool
}

// find returns the object of the list that has this value.
func (s *operand) find(v identity.Value) (o mapping.Entry, ok bool) {
	i, _ := slices.BinarySearchFunc(s.list, v, func(block []mapping.Entry, v identity.Value) int {
		return compareValue(block[len(block)-1], v)
	})
	if i == len(s.list) {
		return o, false
	}
	at, ok := slices.BinarySearchFunc(s.list[i], v, compareValue)
	if ok {
		o = s.list[i][at]
	}
	return o, ok
}

func compareValue(o mapping.Entry, v identity.Value) int { return bytes.Compare(o.ID[:len(v)], v[:]) }

// combination is an expression that is being computed.
type combination struct {
	steps  []wire.StepKind // those that are left
	leaves []operand       // those that are left
	stack  []operand       // results that are not used yet
	merged sortedBlocks    // objects of the result of the present step so far
}

// combine computes the expression of a query, when all leaves but the ordering one are done. Then
// that leaf ranks the objects, or the query is answered.
func (e *Engine) combine(q *query) {
	c := &combination{steps: slices.Clone(q.req.Expression.Program)}
	for _, s := range q.leaves {
		c.leaves = append(c.leaves, operand{s.kept, s == q.ranks})
		s.kept = nil
	}
	e.later(func() (more bool) {
		switch {
		case q.ended:
		case !c.run(e.stride):
			return true
		case q.ranks != nil:
			e.rank(q, c.stack[0])
		default:
			e.answerWith(q, nil, c.stack[0].list)
		}
		return false
	})
}

// run looks at about n objects, and reports whether no step is left.
func (c *combination) run(n int) (done bool) {
	for n > 0 && len(c.steps) > 0 {
		if c.steps[0] == wire.StepLeaf {
			c.stack = append(c.stack, pop(&c.leaves))
			pop(&c.steps)
			continue
		}
		looked, done := c.operate(n)
		if n -= looked; done {
			pop(&c.steps)
		}
	}
	return len(c.steps) == 0
}

// truth returns what an operation makes of two statements: an object is in the first set, and in the
// second.
func truth(kind wire.StepKind, first, second bool) bool {
	switch kind {
	case wire.StepAnd:
		return first && second
	case wire.StepOr:
		return first || second
	}
	return first && !second
}

// operate runs a part of the present operation, for at most n objects of the lists of its operands. An
// object is in the list of the result if the operation gives another answer for it than for an object
// that is in neither list. It returns how many objects it looked at.
func (c *combination) operate(n int) (looked int, done bool) {
	kind := c.steps[0]
	top := len(c.stack) - 1
	a, b := &c.stack[top-1], &c.stack[top]
	others := truth(kind, a.others, b.others)
	keeps := map[int]bool{
		-1: truth(kind, !a.others, b.others) != others,  // an object of the first list alone
		0:  truth(kind, !a.others, !b.others) != others, // an object of both lists
		+1: truth(kind, a.others, !b.others) != others,  // an object of the second list alone
	}
	for ; looked < n; looked++ {
		if len(a.list)+len(b.list) == 0 {
			c.stack = append(c.stack[:top-1], operand{c.merged, others})
			c.merged = nil
			return looked, true
		}
		var o mapping.Entry
		in := foremost(a.list, b.list)
		if in >= 0 {
			o = b.list.take()
		}
		if in <= 0 {
			o = a.list.take()
		}
		if keeps[in] {
			c.merged.add(o)
		}
	}
	return looked, false
}

// foremost tells which list has the first object: -1 the first list, +1 the second, 0 both. At least
// one list is not empty.
func foremost(a, b sortedBlocks) int {
	switch {
	case len(b) == 0:
		return -1
	case len(a) == 0:
		return +1
	}
	return compareValue(a[0][0], b[0][0].ID.Value())
}

// rank queues the ordering leaf. If there are few candidates, its Task gets them: it names only them,
// the best first. Otherwise it names objects until enough of them are candidates. The Core lets no
// other object through.
func (e *Engine) rank(q *query, candidates operand) {
	s, n := q.ranks, candidates.list.len()
	q.candidates = candidates
	e.leaveOutLate(q)
	switch {
	case q.ended:
		return
	case q.c.index(s.x.name) != s.x, s.x.state != model.IndexServing:
		e.fail(s, model.IndexUnavailable)
		return
	case n == 0 && !candidates.others:
		e.answerWith(q, nil, nil)
		return
	case candidates.others:
		s.ask = q.want + uint32(n) // enough, if the Task names all objects of the list first
	case n <= taskwire.MaxWithin:
		s.within = identitiesOf(candidates.list, n)
	default:
		// As many as contain enough candidates on average, and half of them more.
		s.ask = uint32(min(uint64(q.want)*q.live/uint64(n)*3/2, model.MaxResultsLimit))
	}
	s.ask = min(max(s.ask, q.want), s.x.row.MaxResults)
	e.queueSearch(s)
	e.pumpAll(q)
}

// leaveOutLate leaves out the objects that were put since the other leaves were queued: their Tasks may
// not know them. If one of them was a candidate in its earlier version, the answer lacks it.
func (e *Engine) leaveOutLate(q *query) {
	put := q.c.unwatch(q)
	if q.candidates.others {
		if e.gather(q.ranks, len(put)); q.ended {
			return
		}
		q.c.watch(q) // the Task may name an object that is put while it ranks
	}
	for _, id := range put {
		if q.late == nil {
			q.late = make(map[identity.ID]struct{})
		}
		if q.candidates.others {
			q.late[id] = struct{}{}
		} else if _, candidate := q.candidates.find(id.Value()); candidate {
			q.lacks = true
		}
	}
}

// ranksOver reports whether the ordering leaf may show an object.
func (q *query) ranksOver(o mapping.Entry) bool {
	candidate, listed := q.candidates.find(o.ID.Value())
	if !q.candidates.others {
		return listed && candidate.ID == o.ID
	}
	_, late := q.late[o.ID]
	q.lacks = q.lacks || late
	return !listed && !late
}

func identitiesOf(list sortedBlocks, n int) []identity.ID {
	ids := make([]identity.ID, 0, n)
	for _, block := range list {
		for i := range block {
			ids = append(ids, block[i].ID)
		}
	}
	return ids
}

// maxWatched is the most identities that a collection keeps for queries with an ordering leaf.
const maxWatched = 1 << 16

// watched has the identities of the objects of a collection that were put while some query waits for its
// ordering leaf.
type watched struct {
	watchers []*query // the oldest first
	put      []identity.ID
	forgot   int // identities that were forgotten before the first of put
}

// watch begins to note the objects that are put, for a query.
func (c *watched) watch(q *query) {
	q.watchedAt = c.forgot + len(c.put)
	c.watchers = append(c.watchers, q)
}

// unwatch returns the identities of the objects that were put since the query began to watch. It forgets
// those that no other query needs.
func (c *watched) unwatch(q *query) (put []identity.ID) {
	i := slices.Index(c.watchers, q)
	if i < 0 {
		return nil
	}
	put = c.put[q.watchedAt-c.forgot:]
	if c.watchers = slices.Delete(c.watchers, i, i+1); len(c.watchers) == 0 {
		*c = watched{}
		return put
	}
	unused := c.watchers[0].watchedAt - c.forgot
	c.put = c.put[unused:]
	c.forgot += unused
	return put
}

// notePut notes that an object was put. The queries that watch end if too many are.
func (e *Engine) notePut(c *collection, id identity.ID) {
	if len(c.watchers) == 0 {
		return
	}
	c.put = append(c.put, id)
	for len(c.put) > maxWatched {
		e.fail(c.watchers[0].ranks, model.Overloaded)
	}
}
