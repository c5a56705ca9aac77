package engine

import (
	"slices"
	"time"

	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
)

// search is one leaf of a query: a predicate for one index. It takes one round or several: in each
// round, the Task gets the predicate and names identities.
type search struct {
	q         *query
	x         *index
	predicate []byte
	asks      question
	excludes  bool   // see wire.Leaf
	want      uint32 // the most objects that the query can use

	owner  taskwire.Owner              // the hint for the Task
	within []identity.ID               // the candidates of a search that ranks, if they are few
	after  []identity.ID               // the identities after which this round begins
	ask    uint32                      // the most identities that the Task may name in this round
	named  uint32                      // identities named in this round so far, with duplicates
	last   []identity.ID               // the identities that were named last, the last first
	more   bool                        // the Task has more identities
	seen   map[identity.Value]struct{} // values of the objects in found and kept; nil: see arrange
	found  sortedBlocks                // objects of this round, where the Task named them
	kept   sortedBlocks                // objects of all rounds that the query can use

	// A search holds changes back if its answer may need several rounds. From its first frame
	// to the end of its rounds, later changes of its index wait. So all its rounds see the
	// same objects.
	holds    bool
	instance uint64        // the process that it was sent to; 0: it was not sent
	began    time.Duration // when it was sent first, by the clock of the engine
	rounds   int           // rounds before this one

	queued, took time.Duration // until the end of its rounds: see Engine.At
	count        int           // objects that it found
}

// Limits of the rounds of a search, since changes of its index wait meanwhile.
const (
	maxRounds   = 4
	roundsTime  = 250 * time.Millisecond // then no further round begins
	roundGrowth = 4                      // each round asks for so many times as many identities
)

// alias returns the number that stands for an owner in an index.
func (e *Engine) alias(x *index, owner uint32) taskwire.Owner {
	return taskwire.Owner(e.Maker.Alias(x.number, owner))
}

// queueSearch queues a predicate for its Task: for that of the successor, if it is complete.
func (e *Engine) queueSearch(s *search) {
	to := s.x
	if to.successor != nil && to.successor.complete {
		to = to.successor
	}
	s.queued = e.at
	e.enqueue(to, &delivery{kind: taskwire.Search, search: s})
}

// releaseChanges ends the wait of the changes that a search holds back.
func (s *search) releaseChanges() {
	if s.holds && s.instance != 0 && s.instance == s.x.instance {
		s.x.holding--
	}
	s.holds = false
}

// nextRound asks the Task for more identities, if the query can use more objects and the Task has
// more. It reports whether it did. Only a search that holds changes back has
// further rounds, within the limits above.
func (e *Engine) nextRound(s *search) bool {
	x := s.x
	over := s.rounds == maxRounds-1 || e.uptime-s.began > roundsTime || s.instance != x.instance
	if over || !s.holds || !s.more || s.kept.len() >= int(s.want) {
		return false
	}
	s.rounds++
	s.ask = min(x.row.MaxResults, s.ask*roundGrowth)
	if s == s.q.ranks && s.rounds == maxRounds-1 { // the candidates lie far behind in the order
		s.ask = x.row.MaxResults
	}
	s.after, s.named, s.more = s.last, 0, false
	d := &delivery{kind: taskwire.Search, search: s}
	x.queue = slices.Insert(x.queue, 0, d) // before the changes that it holds back
	x.queries = slices.Insert(x.queries, x.open, d)
	e.backlog++
	e.finished(s)
	return true
}

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
	case !s.allowsState(a):
		return model.ReasonBadFrame
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
		if _, twice := s.seen[id.Value()]; !twice && !e.hides(s.q, o) && !s.q.ended {
			s.found.add(o)
			if s.seen != nil {
				s.seen[id.Value()] = struct{}{}
			}
		}
	}
	e.gather(s, len(a.Found))
	if s.holds {
		s.last = newest(s.last, a.Found)
	}
	if a.State != taskwire.StateContinues {
		s.more = a.State == taskwire.StateMore
		e.answered(x, a.Seq)
	}
	return 0
}

// allowsState reports whether a frame of an answer may have its state. A frame without content
// would make an endless answer. A Task has more only if it named as many as it was asked for.
func (s *search) allowsState(a taskwire.Answer) bool {
	switch a.State {
	case taskwire.StateContinues:
		return len(a.Found) > 0
	case taskwire.StateMore:
		return len(a.Found) == int(s.ask-s.named)
	}
	return true
}

// answered notes that the Task has answered its oldest query, which has this number.
func (e *Engine) answered(x *index, seq uint64) {
	s := x.queries[0].search
	e.ackDeliveries(x, func(d *delivery) bool { return d.seq == seq })
	if !s.q.ended {
		e.finish(s)
	}
}

// newest returns the identities that a Task named last, the last first, at most
// model.MaxAfter of them.
func newest(before, found []identity.ID) (list []identity.ID) {
	for _, id := range slices.Backward(found) {
		if len(list) < model.MaxAfter {
			list = append(list, id)
		}
	}
	return append(list, before[:min(len(before), model.MaxAfter-len(list))]...)
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
