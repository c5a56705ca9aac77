package conformance

import (
	"math"
	"slices"

	"motte/core/identity"
)

var changeChecks = []Check{
	{"changes/alone", "confirm a lone change at once", (*trial).confirmsAlone},
	{"changes/found", "find each input by the predicates of the case, and by no other", (*trial).findsInputs},
	{"changes/replaced", "forget an input when another comes under the same value", (*trial).replaces},
	{"changes/same", "hold an input once that comes twice under the same identity", (*trial).holdsOnce},
	{"changes/removed", "forget removed objects", (*trial).removes},
	{"changes/unknown", "remove what is not there, and by another identity of the same value", (*trial).removesUnknown},
	{"changes/positions", "ignore the positions in the log", (*trial).ignoresPositions},
	{"changes/many", "handle thousands of changes that arrive together", (*trial).handlesMany},
	{"refusals/input", "refuse each input that the case says, and hold nothing in its place", (*trial).refusesInputs},
	{"refusals/predicate", "refuse each predicate that the case says, and answer the next", (*trial).refusesPredicates},
}

func (t *trial) confirmsAlone() {
	c := t.configured()
	for i := range 5 {
		c.put(i, c.sample(i))
		c.settle()
	}
	c.remove(1)
	c.settle()
	c.askAll()
	c.settle()
}

func (t *trial) findsInputs() {
	c := t.configured()
	for i := range t.Case.samples {
		c.put(i, c.sample(i))
		c.askAll()
		c.settle()
	}
}

// pairs bounds the pairs of samples that replace each other.
const pairs = 100

func (t *trial) replaces() {
	c := t.configured()
	n := len(t.Case.samples)
	tried := 0
	for step := 1; step < n; step++ {
		for i := 0; i < n && tried < pairs; i++ {
			c.put(0, c.sample(i))
			c.put(1, c.sample(i))
			c.put(0, c.sample(i+step))
			c.askAll()
			tried++
		}
	}
	c.settle()
	c.put(2, c.sample(0))
	c.settle() // the entry is confirmed before it is replaced
	c.put(2, c.sample(1))
	c.askAll()
	c.settle()
}

func (t *trial) holdsOnce() {
	c := t.configured()
	for i := range t.Case.samples {
		c.put(i, c.sample(i))
		e := *c.object(i).current
		c.insert(&e, c.sample(i).input, mustAccept)
	}
	c.askAll()
	for i := range t.Case.samples {
		c.remove(i)
	}
	c.askAll()
	c.settle()
}

func (t *trial) removes() {
	c := t.configured()
	n := 3 * len(t.Case.samples)
	c.fill(n)
	c.settle()
	for i := range n {
		c.remove(i)
		c.askAll()
	}
	c.settle()
	c.fill(n) // again, with other identities
	c.askAll()
	c.settle()
}

func (t *trial) removesUnknown() {
	c := t.configured()
	c.fill(10)
	for range 5 {
		c.removeID(identity.ID(slices.Repeat([]byte{byte(t.random.Uint32())}, identity.Size)))
	}
	gone := c.object(3).current.id
	c.remove(3)
	c.removeID(gone)
	for i := range 3 {
		c.removeID(c.identify(c.object(i))) // the object is there, under another identity
	}
	c.askAll()
	c.settle()
}

func (t *trial) ignoresPositions() {
	c := t.configured()
	for _, lsn := range []uint64{math.MaxUint64, 0, 1, 1 << 63} {
		c.lsn = func() uint64 { return lsn }
		for i := range 10 {
			c.put(i, c.sample(i+int(lsn%7)))
		}
		c.remove(3)
		c.askAll()
	}
	c.settle()
}

func (t *trial) handlesMany() {
	c := t.configured()
	for range 3 * windowFrames {
		n := t.random.IntN(200)
		if t.random.IntN(4) > 0 {
			c.put(n, c.sample(t.random.Int()))
		} else {
			c.remove(n)
		}
	}
	c.askAll()
	c.settle()
}

func (t *trial) refusesInputs() {
	list := t.Case.refused.inputs
	if len(list) == 0 {
		t.skip("the case names no input that is refused")
	}
	c := t.configured()
	c.fill(10)
	c.settle()
	for i, input := range list {
		c.putInput(100+i, input, mustRefuse) // a new object
		c.settle()
		c.putInput(i%10, input, mustRefuse) // in place of another input
		c.askAll()
		c.settle()
		c.put(i%10, c.sample(i)) // and back
		c.askAll()
		c.settle()
	}
	for range 4 { // together with inputs that are accepted
		for i, input := range list {
			c.put(i, c.sample(t.random.Int()))
			c.putInput(200+i, input, mustRefuse)
			c.putInput(200+i, input, mustRefuse)
		}
	}
	c.askAll()
	c.settle()
}

func (t *trial) refusesPredicates() {
	list := t.Case.refused.predicates
	if len(list) == 0 {
		t.skip("the case names no predicate that is refused")
	}
	c := t.configured()
	for range 2 { // without and with objects
		for _, predicate := range list {
			s := search{expect: failQuery}
			s.query.Predicate = predicate
			c.ask(&s)
			c.ask(&search{question: &t.Case.queries[0]})
		}
		c.settle()
		c.fill(10)
	}
}
