package conformance

import (
	"slices"

	"motte/core/identity"
	"motte/core/taskwire"
)

var hostileChecks = []Check{
	{"hostile/inputs", "live through inputs that make no sense", (*trial).livesThroughInputs},
	{"hostile/predicates", "live through predicates that make no sense", (*trial).livesThroughPredicates},
}

// hostileTries is the number of contents that make no sense.
const hostileTries = 400

func (t *trial) livesThroughInputs() {
	c := t.configured()
	c.fill(10)
	var inputs [][]byte
	for i := range t.Case.samples {
		inputs = append(inputs, t.Case.samples[i].input)
	}
	for i := range hostileTries {
		input := t.mutate(inputs)
		if len(input) > t.MaxInput {
			continue
		}
		c.putInput(100+i%20, input, mayRefuse)
		if i%20 == 0 {
			c.askAll()
			c.settle()
		}
	}
	for i := range 20 {
		c.remove(100 + i)
	}
	c.askAll()
	c.settle()
}

func (t *trial) livesThroughPredicates() {
	c := t.configured()
	c.fill(30)
	var predicates [][]byte
	for i := range t.Case.queries {
		predicates = append(predicates, t.Case.queries[i].predicate)
	}
	c.settle()
	for i := range hostileTries {
		q := taskwire.Query{Predicate: t.mutate(predicates), Limit: uint32(1 + t.random.IntN(40))}
		if i%3 == 0 {
			q.After = []identity.ID{c.living()[t.random.IntN(30)].id}
		}
		if i%4 == 0 {
			q.Within = []identity.ID{c.living()[t.random.IntN(30)].id}
		}
		c.ask(&search{query: q, expect: anyFailure})
		if i%50 == 0 {
			c.askAll()
		}
	}
	c.askAll()
	c.settle()
}

// odd are contents that often break a parser.
var odd = [][]byte{nil, {0}, {0xff}, []byte("\xc0\x80"), []byte("\xed\xa0\x80"), []byte("{"), []byte(`"`), []byte("'"), []byte("\\"),
	[]byte("null"), []byte("1e999"), []byte("-0"), []byte("99999999999999999999"), []byte("%s%n"), []byte("(((((((("), []byte("*"),
	[]byte("\u0130\u1e9e"), []byte("\r\n"), slices.Repeat([]byte("["), 10_000), slices.Repeat([]byte("a "), 5000),
	slices.Repeat([]byte("\""), 1001), slices.Repeat([]byte{0}, 4096)}

// mutate returns a content that is close to one of the list, or odd, or random.
func (t *trial) mutate(list [][]byte) []byte {
	p := slices.Clone(list[t.random.IntN(len(list))])
	for range 1 + t.random.IntN(3) {
		at := t.random.IntN(len(p) + 1)
		switch t.random.IntN(7) {
		case 0:
			p = p[:at]
		case 1:
			p = slices.Insert(p, at, odd[t.random.IntN(len(odd))]...)
		case 2:
			p = slices.Insert(p, at, byte(t.random.Uint32()))
		case 3:
			if at < len(p) {
				p[at] ^= 1 << t.random.IntN(8)
			}
		case 4:
			p = slices.Insert(p, at, list[t.random.IntN(len(list))]...)
		case 5:
			p = p[at:]
		case 6:
			p = slices.Clone(odd[t.random.IntN(len(odd))])
		}
	}
	return p
}
