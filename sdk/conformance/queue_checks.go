package conformance

import (
	"slices"

	"motte/core/taskwire"
)

var queueChecks = []Check{
	{"queue/searches", "answer Searches in their order, many at once", (*trial).answersInOrder},
	{"queue/between", "let each Search see exactly the changes before it", (*trial).seesEarlierChanges},
	{"history/random", "give the answers of a model through a random history", (*trial).followsHistory},
}

func (t *trial) answersInOrder() {
	c := t.configured()
	c.fill(30)
	for range 10 {
		c.askAll()
	}
	c.settle()
}

func (t *trial) seesEarlierChanges() {
	c := t.configured()
	q := &t.Case.queries[slices.IndexFunc(t.Case.queries, func(q question) bool {
		return len(q.ranks) > 0 && len(q.ranks) < len(t.Case.samples)
	})]
	in := slices.IndexFunc(t.Case.samples, func(s sample) bool { _, ok := q.ranks[s.name]; return ok })
	out := slices.IndexFunc(t.Case.samples, func(s sample) bool { _, ok := q.ranks[s.name]; return !ok })
	look := func() { c.ask(&search{question: q, rule: ruleMoment}) }
	for i := range 50 {
		look()
		c.put(i, c.sample(in))
		look()
		c.put(i, c.sample(out))
		look()
		c.put(i, c.sample(in))
		look()
		if i%2 == 0 {
			c.remove(i)
		}
		look()
	}
	c.settle()
}

// Sizes of the random history.
const (
	historySteps   = 2000
	historyObjects = 40
)

func (t *trial) followsHistory() {
	c := t.configured()
	for range historySteps {
		q := &t.Case.queries[t.random.IntN(len(t.Case.queries))]
		n := t.random.IntN(historyObjects)
		switch dice := t.random.IntN(100); {
		case dice < 40:
			c.putOf(alias(t.random.IntN(owners)), n, c.sample(t.random.Int()))
		case dice < 55:
			c.remove(n)
		case dice < 60 && len(t.Case.refused.inputs) > 0:
			c.putInput(n, t.Case.refused.inputs[t.random.IntN(len(t.Case.refused.inputs))], mustRefuse)
		case dice < 75:
			c.ask(&search{question: q, query: taskwire.Query{Limit: uint32(1 + t.random.IntN(10))}})
		case dice < 80:
			s := &search{question: q, query: taskwire.Query{Limit: 5, Owner: alias(t.random.IntN(owners))}, rule: ruleOwner}
			c.ask(s)
		case dice < 90:
			c.randomPage(q)
		case dice < 95:
			c.send()
		default:
			c.settle()
		}
	}
	c.settle()
}

// randomPage asks for the whole answer, and then for a page of it and a page of some candidates,
// together with the changes that follow.
func (c *core) randomPage(q *question) {
	whole := c.whole(q)
	if len(whole) == 0 {
		return
	}
	n := 1 + c.random.IntN(len(whole))
	c.page(q, 1+c.random.IntN(6), before(whole, n), whole[n:])
	query := taskwire.Query{Limit: uint32(1 + c.random.IntN(6)), After: before(whole, n)}
	c.within(q, query, append(c.someLiving(4), c.absent(1)...), whole[n:])
}
