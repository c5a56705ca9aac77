package conformance

import (
	"slices"

	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
)

var candidateChecks = []Check{
	{"candidates/some", "name the candidates that match, of an owner or of all, in the same order", (*trial).namesCandidates},
	{"candidates/all", "give the same answer if all objects are candidates", (*trial).namesAllCandidates},
	{"candidates/unknown", "name no candidate that it does not hold", (*trial).namesNoUnknown},
	{"candidates/pages", "give pages of candidates, after an object that is a candidate or not", (*trial).givesCandidatesPages},
	{"candidates/many", "read as many candidates as there may be", (*trial).readsManyCandidates},
}

// within queues a Search with candidates. rest is the answer without candidates: the whole one, or
// the page that begins after the identities of the query.
func (c *core) within(q *question, query taskwire.Query, candidates, rest []identity.ID) {
	query.Within = slices.Clone(candidates)
	slices.SortFunc(query.Within, identity.ID.Compare)
	query.Within = slices.Compact(query.Within)
	c.ask(&search{question: q, query: query, judge: c.among(rest)})
}

// among returns a judge of an answer to a Search with candidates. They are a hint: the answer may
// name other objects of rest. But it has the candidates in the order of rest, and all of them,
// unless it ends at the limit.
func (c *core) among(rest []identity.ID) func(*search) {
	return func(s *search) {
		wanted := func(ids []identity.ID) []identity.ID {
			return slices.DeleteFunc(slices.Clone(ids), func(id identity.ID) bool {
				owner := s.query.Owner
				_, candidate := slices.BinarySearchFunc(s.query.Within, id, identity.ID.Compare)
				return !candidate || owner != taskwire.AllOwners && owner != c.at(s.seq, id).owner
			})
		}
		all, found := wanted(rest), wanted(s.found)
		switch {
		case !isPart(s.found, rest):
			c.fail(ruleWithin, "Search %d: the objects come in another order than without candidates, or are others: %s", s.seq, listed(c, rest))
		case !slices.Equal(found, all[:len(found)]):
			c.fail(ruleWithin, "Search %d: a candidate is left out before others: %s", s.seq, listed(c, all))
		case !s.more && len(found) < len(all):
			c.fail(ruleWithin, "Search %d: %s matches, and is not named", s.seq, c.name(all[len(found)]))
		case s.more && len(s.found) == len(rest):
			c.fail(ruleRest, "Search %d: state 2 (more), but all objects that match are named", s.seq)
		}
	}
}

// someLiving returns a random part of the living objects: about every nth.
func (c *core) someLiving(nth int) (ids []identity.ID) {
	for _, e := range c.living() {
		if c.random.IntN(nth) == 0 {
			ids = append(ids, e.id)
		}
	}
	return ids
}

// absent returns n random identities, of objects that there are not.
func (c *core) absent(n int) (ids []identity.ID) {
	for range n {
		var id identity.ID
		for i := range id {
			id[i] = byte(c.random.Uint32())
		}
		ids = append(ids, id)
	}
	return ids
}

func (t *trial) namesCandidates() {
	c := t.configured()
	c.fill(60)
	c.settle()
	for i := range t.Case.queries {
		q := &t.Case.queries[i]
		whole := c.whole(q)
		for _, nth := range []int{1, 2, 5, 20} {
			candidates := append(c.someLiving(nth), c.living()[i%60].id) // one at least
			for _, limit := range []int{1, 2, 7, 100} {
				query := taskwire.Query{Limit: uint32(min(limit, t.MaxResults))}
				c.within(q, query, candidates, whole)
				query.Owner = alias(limit % owners)
				c.within(q, query, candidates, whole)
			}
		}
		for k := range whole { // a single candidate, wherever it is
			c.within(q, taskwire.Query{Limit: 1}, whole[k:k+1], whole)
		}
		c.settle()
	}
}

func (t *trial) namesAllCandidates() {
	c := t.configured()
	c.fill(40)
	c.settle()
	for i := range t.Case.queries {
		q := &t.Case.queries[i]
		whole := c.whole(q)
		for _, limit := range []int{1, 3, 40, 41} {
			c.within(q, taskwire.Query{Limit: uint32(min(limit, t.MaxResults))}, c.someLiving(1), whole)
		}
		c.settle()
	}
}

func (t *trial) namesNoUnknown() {
	c := t.configured()
	gone := c.absent(3)
	for i := range t.Case.queries { // in an empty index
		c.within(&t.Case.queries[i], taskwire.Query{}, gone, nil)
	}
	c.fill(30)
	for i := range 10 {
		gone = append(gone, c.object(i).current.id)
		if i%2 == 0 {
			c.remove(i)
		} else {
			c.put(i, c.sample(i)) // the same content under another identity
		}
	}
	if list := t.Case.refused.inputs; len(list) > 0 {
		c.putInput(10, list[0], mustRefuse)
		gone = append(gone, c.object(10).id)
	}
	c.settle()
	for i := range t.Case.queries {
		q := &t.Case.queries[i]
		whole := c.whole(q)
		c.within(q, taskwire.Query{}, gone, whole)
		c.within(q, taskwire.Query{}, append(c.someLiving(3), gone...), whole)
		c.settle()
	}
}

func (t *trial) givesCandidatesPages() {
	c := t.configured()
	c.fill(40)
	c.settle()
	for i := range t.Case.queries {
		q := &t.Case.queries[i]
		whole := c.whole(q)
		for n := range whole {
			others := slices.Concat(whole[:n], whole[n+1:]) // the page begins after no candidate
			for _, size := range []int{1, 3, 40} {
				query := taskwire.Query{Limit: uint32(min(size, t.MaxResults)), After: before(whole, n+1)}
				c.within(q, query, append(c.someLiving(3), whole[n:n+1]...), whole[n+1:])
				if query.After = whole[n : n+1]; len(others) > 0 {
					c.within(q, query, others, whole[n+1:])
				}
			}
			c.settle()
		}
	}
}

func (t *trial) readsManyCandidates() {
	c := t.configured()
	c.fill(30)
	c.settle()
	candidates := c.someLiving(2)
	candidates = append(candidates, c.absent(taskwire.MaxWithin-len(candidates))...)
	for i := range t.Case.queries {
		q := &t.Case.queries[i]
		c.within(q, taskwire.Query{}, candidates, c.whole(q))
	}
	longest := taskwire.Query{Predicate: slices.Repeat([]byte("a"), model.MaxSubQuery), Within: candidates,
		After: slices.Repeat([]identity.ID{c.living()[0].id}, model.MaxAfter)}
	slices.SortFunc(longest.Within, identity.ID.Compare)
	c.ask(&search{query: longest, expect: anyFailure})
	c.askAll()
	c.settle()
}
