package conformance

import (
	"slices"

	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
)

var pageChecks = []Check{
	{"pages/all", "give the whole answer in pages of any size, each object once", (*trial).givesPages},
	{"pages/owner", "give all objects of an owner in pages", (*trial).givesOwnersPages},
	{"pages/removed", "begin a page after the next object, if the first was removed or replaced", (*trial).skipsRemoved},
	{"pages/gone", "say gone, if none of the objects before the page matches", (*trial).saysGone},
}

// page queues a Search for the page that begins after some identities.
func (c *core) page(q *question, limit int, after, rest []identity.ID) {
	c.ask(&search{question: q, query: taskwire.Query{Limit: uint32(limit), After: after}, judge: c.exactly(rest, rulePage)})
}

func (t *trial) givesPages() {
	c := t.configured()
	c.fill(40)
	for i := range t.Case.queries {
		q := &t.Case.queries[i]
		whole := c.whole(q)
		for _, size := range []int{1, 2, 3, 7, 8, 9, 40} {
			for n := min(size, len(whole)); n > 0 && n < len(whole); n = min(n+size, len(whole)) {
				c.page(q, size, before(whole, n), whole[n:])
			}
		}
		if n := len(whole); n > 0 {
			c.page(q, 1, before(whole, n), nil)
			c.page(q, 1, whole[:1], whole[1:])
			c.page(q, 5, whole[n/2:n/2+1], whole[n/2+1:])
		}
		c.settle()
	}
}

func (t *trial) givesOwnersPages() {
	c := t.configured()
	c.fill(40)
	c.settle()
	for i := range t.Case.queries {
		q := &t.Case.queries[i]
		whole := c.whole(q)
		for _, size := range []int{1, 3, 50} {
			c.ownersPages(q, whole, size)
		}
	}
}

// ownersPages asks for all pages of the objects of an owner.
func (c *core) ownersPages(q *question, whole []identity.ID, size int) {
	owner := alias(1)
	var shown []identity.ID
	for more := true; more; {
		s := c.ask(&search{question: q, query: taskwire.Query{Limit: uint32(size), Owner: owner, After: before(shown, len(shown))},
			judge: func(*search) {}})
		c.settle()
		more = s.more
		for _, id := range s.found {
			if slices.Contains(shown, id) {
				c.fail(rulePage, "Search %d: %s is on two pages", s.seq, c.name(id))
			}
		}
		shown = append(shown, s.found...)
	}
	if !isPart(shown, whole) {
		c.fail(ruleOwner, "the pages of owner %d have other objects, or another order, than the whole answer: %s", owner, listed(c, whole))
	}
	for _, id := range whole {
		if c.at(c.seq, id).owner == owner && !slices.Contains(shown, id) {
			c.fail(ruleOwner, "%s is on no page of its owner %d", c.name(id), owner)
		}
	}
}

func (t *trial) skipsRemoved() {
	for i := range t.Case.queries {
		q := &t.Case.queries[i]
		if len(q.ranks) == 0 {
			continue
		}
		c := t.configured()
		c.fill((model.MaxAfter + 4) * len(t.Case.samples)) // of each sample, more than a page can name
		whole := c.whole(q)
		after := before(whole, model.MaxAfter+2)
		for k, id := range after[:len(after)-1] {
			if k%2 == 0 {
				c.removeID(id)
			} else {
				c.putAgain(id)
			}
			now := c.whole(q)
			n := slices.Index(now, after[k+1])
			c.page(q, 3, after, now[n+1:])
			c.page(q, 100, after, now[n+1:])
			c.settle()
		}
	}
}

// putAgain queues an Insert of the same content under another identity of the object.
func (c *core) putAgain(id identity.ID) {
	e := c.known[id][0]
	c.putOf(e.owner, e.object.number, &sample{e.sample, e.object.input})
}

func (t *trial) saysGone() {
	c := t.configured()
	unknown := identity.ID(slices.Repeat([]byte{0x5a}, identity.Size))
	gone := func(after ...identity.ID) {
		for i := range t.Case.queries {
			c.ask(&search{question: &t.Case.queries[i], query: taskwire.Query{Limit: 3, After: after}, expect: taskwire.FailGone})
		}
	}
	gone(unknown) // in an empty index
	c.fill(20)
	gone(unknown)
	first := c.object(0).current.id
	c.remove(0)
	gone(first, unknown)
	second := c.object(1).current.id
	c.put(1, c.sample(1)) // the same content under another identity
	gone(second)
	c.settle()
	for i := range t.Case.queries {
		q := &t.Case.queries[i]
		for _, e := range c.living() {
			if _, matches := q.ranks[e.sample]; !matches {
				c.ask(&search{question: q, query: taskwire.Query{Limit: 3, After: []identity.ID{e.id, first}}, expect: taskwire.FailGone})
			}
		}
		if whole := c.whole(q); len(whole) > 0 { // one that matches is enough
			c.page(q, 3, []identity.ID{first, second, unknown, whole[0]}, whole[1:])
		}
	}
	c.settle()
}
