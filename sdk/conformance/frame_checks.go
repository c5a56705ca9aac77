package conformance

import (
	"slices"

	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
)

var frameChecks = []Check{
	{"frames/together", "read many frames that arrive at once", (*trial).readsFramesTogether},
	{"frames/bytewise", "read frames whose bytes arrive one by one", (*trial).readsBytes},
	{"frames/cut", "read frames that are cut at any place", (*trial).readsCutFrames},
	{"frames/long", "read the longest input, the longest predicate and an empty input", (*trial).readsLongFrames},
}

func (t *trial) readsFramesTogether() {
	c := t.start()
	c.configure(t.Case.dataType, t.Case.configuration)
	c.fill(30)
	c.askAll()
	c.settle()
}

// cutBytes bounds the bytes that are sent one by one.
const cutBytes = 4000

func (t *trial) readsBytes() {
	c := t.start()
	left := cutBytes
	c.cut = func(p []byte) (parts [][]byte) {
		n := min(len(p), left)
		left -= n
		for i := range n {
			parts = append(parts, p[i:i+1])
		}
		if n < len(p) {
			parts = append(parts, p[n:])
		}
		return parts
	}
	c.configure(t.Case.dataType, t.Case.configuration)
	c.fill(3)
	c.ask(&search{question: &t.Case.queries[0]})
	c.remove(0)
	c.askAll()
	c.settle()
}

func (t *trial) readsCutFrames() {
	c := t.start()
	c.cut = func(p []byte) (parts [][]byte) {
		for len(p) > 0 && len(parts) < 500 {
			n := min(len(p), 1+t.random.IntN(50))
			parts, p = append(parts, p[:n]), p[n:]
		}
		return append(parts, p)
	}
	c.configure(t.Case.dataType, t.Case.configuration)
	c.fill(60)
	c.askAll()
	c.settle()
}

func (t *trial) readsLongFrames() {
	c := t.configured()
	c.fill(10)
	c.settle()
	for i, fill := range [][]byte{{'a'}, {0}, {0xff}, {'['}, []byte("ab "), c.sample(0).input} {
		if len(fill) > 0 {
			c.putInput(100+i, slices.Repeat(fill, t.MaxInput/len(fill)+1)[:t.MaxInput], mayRefuse)
			c.settle()
			c.remove(100 + i)
		}
	}
	c.putInput(200, nil, mayRefuse)
	c.settle()
	c.remove(200)
	predicate := slices.Repeat([]byte("a"), model.MaxSubQuery)
	copy(predicate, t.Case.queries[0].predicate)
	q := taskwire.Query{Predicate: predicate}
	c.ask(&search{query: q, expect: anyFailure})
	q.After = slices.Repeat([]identity.ID{c.living()[0].id}, model.MaxAfter)
	c.ask(&search{query: q, expect: anyFailure})
	c.askAll()
	c.settle()
}
