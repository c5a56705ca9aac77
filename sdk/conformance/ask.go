package conformance

import (
	"slices"

	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
)

// owners are as many principals as there are in a check.
const owners = 3

// alias returns the alias of a principal.
func alias(principal int) taskwire.Owner {
	const first = 0x9e37_79b9_7f4a_7c15 // aliases are large numbers
	return taskwire.Owner(first * uint64(principal+1))
}

// put queues an Insert of a sample, as a new content of an object of the principal number%owners.
func (c *core) put(number int, s *sample) { c.putOf(alias(number%owners), number, s) }

func (c *core) putOf(owner taskwire.Owner, number int, s *sample) {
	o := c.object(number)
	c.insert(&entry{id: c.identify(o), object: o, sample: s.name, owner: owner}, s.input, mustAccept)
}

// putInput queues an Insert of an input that is no sample.
func (c *core) putInput(number int, input []byte, x expectation) {
	o := c.object(number)
	c.insert(&entry{id: c.identify(o), object: o, owner: alias(number % owners)}, input, x)
}

// fill queues Inserts of the objects 0 to n-1, with all samples in turn.
func (c *core) fill(n int) {
	for i := range n {
		c.put(i, c.sample(i))
	}
}

// sample returns a sample; all come in turn.
func (c *core) sample(i int) *sample { return &c.Case.samples[i%len(c.Case.samples)] }

// remove queues a Remove of an object that lives.
func (c *core) remove(number int) {
	if e := c.object(number).current; e != nil {
		c.removeID(e.id)
	}
}

// ask queues a Search. If it has a question, the answer must be the answer to that.
func (c *core) ask(s *search) *search {
	c.seq++
	s.seq, s.named = c.seq, make(map[identity.ID]bool)
	if s.query.Limit == 0 {
		s.query.Limit = uint32(c.MaxResults)
	}
	if s.question != nil {
		s.query.Predicate = s.question.predicate
		if s.judge == nil && s.expect == 0 {
			s.judge = c.judgeMatch
		}
	}
	if s.rule == (rule{}) {
		s.rule = ruleMatch
	}
	c.add(frame{bytes: taskwire.AppendSearch(nil, c.seq, &s.query), text: c.queryText(c.seq, &s.query),
		inquiry: &inquiry{kind: taskwire.Search, seq: c.seq, search: s}})
	return s
}

// askAll queues a Search for each predicate of the case.
func (c *core) askAll() {
	for i := range c.Case.queries {
		c.ask(&search{question: &c.Case.queries[i]})
	}
}

// whole returns the whole answer to a predicate, in the order of the Task.
func (c *core) whole(q *question) []identity.ID {
	s := c.ask(&search{question: q})
	c.settle()
	return s.found
}

// judgeMatch compares an answer that begins at the first object with the samples that the
// predicate finds.
func (c *core) judgeMatch(s *search) {
	last := 0 // rank
	for _, id := range s.found {
		e := c.at(s.seq, id)
		if e.sample == "" {
			continue // an input of which the case does not know the answers
		}
		rank, matches := s.question.ranks[e.sample]
		switch {
		case !matches:
			c.fail(s.rule, "Search %d: %s does not match, but is named", s.seq, c.name(id))
		case rank < last:
			c.fail(ruleRank, "Search %d: %s comes behind an object of a later rank", s.seq, c.name(id))
		}
		last = rank
	}
	unnamed := 0
	for _, e := range c.find(s.seq, s.question) {
		if s.named[e.id] || s.query.Owner != taskwire.AllOwners && s.query.Owner != e.owner {
			continue
		}
		unnamed++
		switch {
		case !s.more:
			c.fail(s.rule, "Search %d: %s matches, but is not named", s.seq, c.name(e.id))
		case s.question.ranks[e.sample] < last:
			c.fail(ruleRank, "Search %d: %s is not named, but objects of a later rank are", s.seq, c.name(e.id))
		}
	}
	if s.more && unnamed == 0 && s.query.Owner == taskwire.AllOwners && !c.hasUnknown() {
		c.fail(ruleRest, "Search %d: state 2 (more), but all objects that match are named", s.seq)
	}
}

// hasUnknown reports whether objects live of which the case does not know the answers.
func (c *core) hasUnknown() bool {
	return slices.ContainsFunc(c.entries, func(e *entry) bool { return e.sample == "" && e.to == 0 })
}

// exactly returns a judge of an answer that must be the first identities of a list, up to the
// limit.
func (c *core) exactly(list []identity.ID, r rule) func(*search) {
	return func(s *search) {
		want := list[:min(len(list), int(s.query.Limit))]
		if !slices.Equal(s.found, want) {
			c.fail(r, "Search %d: the answer is not: %s", s.seq, listed(c, want))
		}
		if more := len(list) > len(want); s.more != more {
			c.fail(ruleRest, "Search %d: %s match, and the limit is %d, so the state must be %s", s.seq,
				counted(len(list), "object", "objects"), s.query.Limit, stateText(endState(more)))
		}
	}
}

func listed(c *core, ids []identity.ID) string {
	if len(ids) == 0 {
		return "no identity"
	}
	return c.namedIn(ids)
}

// endState is the state that ends an answer.
func endState(more bool) taskwire.State {
	if more {
		return taskwire.StateMore
	}
	return taskwire.StateLast
}

// before returns the identities for a page that begins after the first n of a list.
func before(list []identity.ID, n int) []identity.ID {
	after := slices.Clone(list[max(0, n-model.MaxAfter):n])
	slices.Reverse(after)
	return after
}
