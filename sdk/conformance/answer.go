package conformance

import (
	"motte/core/identity"
	"motte/core/taskwire"
)

// anyFailure is expected of a Search whose predicate the case does not know: the Task may answer
// or refuse it.
const anyFailure taskwire.Failure = 0xff

// search is a Search, and what came back.
type search struct {
	seq      uint64
	query    taskwire.Query
	question *question        // nil: the case does not know the predicate
	expect   taskwire.Failure // 0: an answer
	judge    func(s *search)  // compares a complete answer; nil: nothing to compare
	named    map[identity.ID]bool

	rule rule // that an answer with other objects breaks

	begun   bool // a Found came
	found   []identity.ID
	more    bool
	failure taskwire.Failure
}

// take handles a frame of the Task.
func (c *core) take(f incoming) {
	if f.err != nil {
		c.broke(f.err)
	}
	a := f.answer
	c.trace.received.add(c.answerText(a))
	switch a.Type {
	case taskwire.Applied:
		c.confirm(a.Seq)
	case taskwire.Failed:
		c.refuse(a)
	case taskwire.Found:
		c.more(a)
	default:
		c.reply(a)
	}
}

// answers are the inquiries that the other frames of a Task answer.
var answers = map[taskwire.Type]taskwire.Type{taskwire.Found: taskwire.Search, taskwire.Blob: taskwire.Save, taskwire.Set: taskwire.Save,
	taskwire.Differ: taskwire.Runs, taskwire.Lacks: taskwire.List}

// oldest returns the oldest inquiry that is not answered, which a frame must be an answer to.
func (c *core) oldest(a taskwire.Answer) *inquiry {
	if len(c.inquiries) == 0 {
		c.fail(ruleUnasked, "a %s for frame %d, while no question is open", kindText(a.Type), a.Seq)
	}
	q := c.inquiries[0]
	if q.seq != a.Seq || q.kind != answers[a.Type] {
		c.fail(ruleUnasked, "a %s for frame %d, while %s %d is the oldest without a complete answer", kindText(a.Type), a.Seq, kindText(q.kind), q.seq)
	}
	return q
}

// reply handles an answer of one frame.
func (c *core) reply(a taskwire.Answer) {
	q := c.oldest(a)
	c.answered()
	q.take(a)
}

// confirm handles an Applied.
func (c *core) confirm(seq uint64) {
	switch {
	case seq > c.sent:
		c.fail(ruleApplied, "Applied %d, but frame %d is the last that was sent", seq, c.sent)
	case seq <= c.applied:
		c.fail(ruleApplied, "Applied %d after Applied %d", seq, c.applied)
	}
	c.applied = seq
	for len(c.changes) > 0 && c.changes[0].seq <= seq {
		ch := c.changes[0]
		c.changes = c.changes[1:]
		c.open -= ch.size
		switch {
		case ch.expect != mustRefuse || ch.refused:
		case ch.kind == taskwire.Configure:
			c.fail(ruleConfigure, "the Task confirms the configuration %s, which the case says it refuses", ch.what)
		default:
			c.fail(ruleRefuseInput, "the Task confirms the input %s without refusing it", ch.what)
		}
	}
}

// refuse handles a Failed.
func (c *core) refuse(a taskwire.Answer) {
	for _, ch := range c.changes {
		if ch.seq == a.Seq {
			c.refuseChange(ch, a.Failure)
			return
		}
	}
	for i, q := range c.inquiries {
		switch {
		case q.seq != a.Seq:
		case q.search == nil:
			c.fail(ruleFailure, "%s %d is refused with %s", kindText(q.kind), q.seq, failureText(a.Failure))
		case i > 0:
			c.fail(ruleUnasked, "Search %d is refused before %s %d is answered", q.seq, kindText(c.inquiries[0].kind), c.inquiries[0].seq)
		default:
			c.refuseSearch(q.search, a.Failure)
			return
		}
	}
	switch {
	case a.Seq > c.sent:
		c.fail(ruleFailure, "frame %d is refused, but %d is the last that was sent", a.Seq, c.sent)
	case a.Failure == taskwire.FailInput && a.Seq <= c.applied:
		c.fail(ruleRefuseOnce, "frame %d is refused after it was confirmed", a.Seq)
	}
	c.fail(ruleUnasked, "frame %d is refused, and is confirmed or answered already", a.Seq)
}

func (c *core) refuseChange(ch *change, f taskwire.Failure) {
	right := map[taskwire.Type]taskwire.Failure{taskwire.Configure: taskwire.FailConfiguration, taskwire.Insert: taskwire.FailInput}
	switch {
	case right[ch.kind] != f:
		c.fail(ruleFailure, "frame %d is refused with %s", ch.seq, failureText(f))
	case ch.refused:
		c.fail(ruleRefuseOnce, "frame %d is refused twice", ch.seq)
	case ch.expect == mustAccept && ch.kind == taskwire.Configure:
		c.fail(ruleConfigure, "the Task refuses the configuration %s", ch.what)
	case ch.expect == mustAccept:
		c.fail(ruleAccept, "the Task refuses the input %s", ch.what)
	}
	ch.refused = true
	if ch.kind == taskwire.Configure { // no frame needs an answer any more
		c.changes, c.inquiries, c.open = nil, nil, 0
	}
}

func (c *core) refuseSearch(s *search, f taskwire.Failure) {
	switch {
	case f < taskwire.FailQuery || f == taskwire.FailGone && len(s.query.After) == 0:
		c.fail(ruleFailure, "Search %d is refused with %s", s.seq, failureText(f))
	case s.begun:
		c.fail(ruleEarly, "Search %d is refused after %s", s.seq, counted(len(s.found), "identity", "identities"))
	case s.expect == anyFailure || s.expect == f:
	case s.expect == taskwire.FailQuery:
		c.fail(ruleRefuseQuery, "Search %d is refused with %s, want failure 3", s.seq, failureText(f))
	case s.expect == taskwire.FailGone:
		c.fail(ruleGone, "Search %d is refused with %s, want failure 5", s.seq, failureText(f))
	case f == taskwire.FailGone:
		c.fail(rulePage, "Search %d is refused with failure 5 (gone), but one of its identities matches", s.seq)
	default:
		c.fail(ruleAccept, "Search %d is refused with %s", s.seq, failureText(f))
	}
	s.failure = f
	c.answered()
}

// more handles a Found.
func (c *core) more(a taskwire.Answer) {
	s := c.oldest(a).search
	s.begun = true
	if a.State == taskwire.StateContinues && len(a.Found) == 0 {
		c.fail(ruleState, "a Found of state 1 (continues) names no identity")
	}
	for _, id := range a.Found {
		c.checkLive(s, id)
		if s.named[id] {
			c.fail(ruleTwice, "Search %d: %s is named twice", s.seq, c.name(id))
		}
		s.named[id] = true
		s.found = append(s.found, id)
	}
	if len(s.found) > int(s.query.Limit) {
		c.fail(ruleLimit, "Search %d: %d identities, limit %d", s.seq, len(s.found), s.query.Limit)
	}
	switch a.State {
	case taskwire.StateContinues:
		return
	case taskwire.StateMore:
		if s.more = true; len(s.found) < int(s.query.Limit) {
			c.fail(ruleState, "Search %d: state 2 (more), but the answer has %d identities, and the limit is %d", s.seq, len(s.found), s.query.Limit)
		}
	}
	c.complete(s)
}

// complete compares a complete answer with what is expected.
func (c *core) complete(s *search) {
	switch s.expect {
	case taskwire.FailQuery:
		c.fail(ruleRefuseQuery, "Search %d is answered, want failure 3 (query)", s.seq)
	case taskwire.FailGone:
		c.fail(ruleGone, "Search %d is answered, but none of its identities matches", s.seq)
	}
	if s.judge != nil {
		s.judge(s)
	}
	c.answered()
}

// answered notes that the oldest inquiry needs no more frame.
func (c *core) answered() {
	c.open -= c.inquiries[0].size
	c.inquiries = c.inquiries[1:]
}

// checkLive fails if a Search may not name an identity.
func (c *core) checkLive(s *search, id identity.ID) {
	entries := c.known[id]
	if len(entries) == 0 {
		c.fail(ruleKnown, "Search %d: the Task names %s", s.seq, c.name(id))
	}
	last := entries[len(entries)-1]
	if e := c.at(s.seq, id); e != nil {
		if e.to != 0 && e.to <= c.applied {
			c.fail(ruleFinal, "Search %d: %s was %s by frame %d, which the Task has confirmed before this answer", s.seq, c.name(id), e.end, e.to)
		}
		return
	}
	switch {
	case last.to == atStart:
		c.fail(ruleStale, "Search %d: %s was %s before the process was started, but is named", s.seq, c.name(id), last.end)
	case last.from > s.seq:
		c.fail(ruleMoment, "Search %d: %s is inserted only by frame %d", s.seq, c.name(id), last.from)
	case last.end == replaced:
		c.fail(ruleReplace, "Search %d: %s was replaced by frame %d, but is named", s.seq, c.name(id), last.to)
	case last.end == emptied:
		c.fail(ruleVoid, "Search %d: %s has no input since frame %d, but is named", s.seq, c.name(id), last.to)
	case last.end == refused:
		c.fail(ruleForget, "Search %d: %s was %s (frame %d), but is named", s.seq, c.name(id), last.end, last.to)
	}
	c.fail(ruleRemove, "Search %d: %s was removed by frame %d, but is named", s.seq, c.name(id), last.to)
}
