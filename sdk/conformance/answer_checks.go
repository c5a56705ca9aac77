package conformance

import (
	"slices"

	"motte/core/identity"
	"motte/core/taskwire"
)

const failQuery = taskwire.FailQuery

var answerChecks = []Check{
	{"answers/empty", "answer each predicate while the index is empty", (*trial).answersEmpty},
	{"answers/limit", "name as many objects as the limit, and say whether more match", (*trial).keepsLimits},
	{"answers/long", "answer with more than 4096 objects, in several frames", (*trial).answersLong},
	{"order/stable", "name the objects in the same order each time", (*trial).keepsOrder},
	{"order/owner", "name all objects of an owner, in the same order", (*trial).answersOwners},
}

func (t *trial) answersEmpty() {
	c := t.configured()
	c.askAll()
	for i := range t.Case.queries {
		c.ask(&search{question: &t.Case.queries[i], query: taskwire.Query{Owner: alias(1), Limit: 1}})
	}
	c.settle()
}

func (t *trial) keepsLimits() {
	c := t.configured()
	c.fill(30)
	for i := range t.Case.queries {
		q := &t.Case.queries[i]
		whole := c.whole(q)
		for limit := 1; limit <= min(len(whole)+2, t.MaxResults); limit++ {
			c.ask(&search{question: q, query: taskwire.Query{Limit: uint32(limit)}, judge: c.exactly(whole, ruleNoLimit)})
		}
		c.settle()
	}
}

// Sizes of the longest answer that is tried.
const (
	longAnswer = 5000     // identities: more than one frame can have
	longBytes  = 64 << 20 // of all inputs
)

func (t *trial) answersLong() {
	if t.MaxResults <= taskwire.MaxChunk {
		t.skip("the Task's row allows no answer of more than one frame")
	}
	q, s := t.shortest()
	if s == nil || len(s.input)*longAnswer > longBytes {
		t.skip("the inputs that the predicates find are too long for so many of them")
	}
	c := t.configured()
	for i := range longAnswer {
		c.put(i, s)
	}
	c.settle()
	n := min(longAnswer, t.MaxResults)
	whole := c.whole(q)
	for _, limit := range []int{1, taskwire.MaxChunk - 1, taskwire.MaxChunk, taskwire.MaxChunk + 1, n - 1, n, n + 1} {
		if limit <= t.MaxResults && len(whole) == longAnswer {
			c.ask(&search{question: q, query: taskwire.Query{Limit: uint32(limit)}, judge: c.exactly(whole, ruleNoLimit)})
		}
	}
	c.settle()
}

// shortest returns the shortest input that a predicate finds, and the predicate.
func (t *trial) shortest() (q *question, s *sample) {
	for i := range t.Case.queries {
		for j := range t.Case.samples {
			candidate := &t.Case.samples[j]
			if _, found := t.Case.queries[i].ranks[candidate.name]; found && (s == nil || len(candidate.input) < len(s.input)) {
				q, s = &t.Case.queries[i], candidate
			}
		}
	}
	return q, s
}

func (t *trial) keepsOrder() {
	c := t.configured()
	c.fill(50)
	for i := range t.Case.queries {
		q := &t.Case.queries[i]
		whole := c.whole(q)
		for range 3 {
			c.ask(&search{question: q, judge: c.exactly(whole, ruleStable)})
			c.ask(&search{question: &t.Case.queries[t.random.IntN(len(t.Case.queries))]})
		}
		c.settle()
	}
}

func (t *trial) answersOwners() {
	c := t.configured()
	c.fill(60)
	for i := range 20 {
		c.putOf(alias(i%2), 3*i, c.sample(i)) // some objects go to other owners
	}
	for i := range t.Case.queries {
		q := &t.Case.queries[i]
		whole := c.whole(q)
		for principal := range owners + 1 { // the last has no object
			for _, limit := range []int{1, 2, 7, 100} {
				s := &search{question: q, query: taskwire.Query{Owner: alias(principal), Limit: uint32(limit)}, rule: ruleOwner}
				s.judge = c.ofOwner(whole)
				c.ask(s)
			}
		}
		c.settle()
	}
}

// ofOwner returns a judge of an answer with a hint. It must be a part of the whole answer, in the
// same order, and have the first objects of the owner.
func (c *core) ofOwner(whole []identity.ID) func(*search) {
	return func(s *search) {
		c.judgeMatch(s)
		if !isPart(s.found, whole) {
			c.fail(ruleOwner, "Search %d: the objects come in another order than without an owner: %s", s.seq, listed(c, whole))
		}
		own := func(list []identity.ID) []identity.ID {
			return slices.DeleteFunc(slices.Clone(list), func(id identity.ID) bool { return c.at(s.seq, id).owner != s.query.Owner })
		}
		all, found := own(whole), own(s.found)
		if !slices.Equal(found, all[:len(found)]) {
			c.fail(ruleOwner, "Search %d: an object of the owner is left out before others: %s", s.seq, listed(c, all))
		}
	}
}

// isPart reports whether the identities of part are in the whole, in the same order.
func isPart(part, whole []identity.ID) bool {
	for _, id := range part {
		i := slices.Index(whole, id)
		if i < 0 {
			return false
		}
		whole = whole[i+1:]
	}
	return true
}
