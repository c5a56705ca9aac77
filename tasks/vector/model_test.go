package main

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"motte/sdk"
	"motte/sdk/sdktest"
)

// dimensions of the vectors in the model. Their numbers are small integers, so that each sum is exact in
// any order.
const modelDimensions = 3

type modelObject struct {
	owner  sdk.Owner
	vector [modelDimensions]int
}

// collection is a model of the index.
type collection map[sdk.Identity]modelObject

// question is a query, and what it stands for.
type question struct {
	sdk.Query
	metric metric
	to     [modelDimensions]int
	bound  float64
}

// distance returns the distance as the documentation defines it.
func (q *question) distance(v [modelDimensions]int) float64 {
	product, squares, a, b := 0.0, 0.0, 0.0, 0.0
	for i := range v {
		x, y := float64(v[i]), float64(q.to[i])
		product += x * y
		squares += (x - y) * (x - y)
		a += x * x
		b += y * y
	}
	switch q.metric {
	case l2:
		return math.Sqrt(squares)
	case dot:
		return -product
	}
	return 1 - product/math.Sqrt(a*b)
}

// answer returns the part of the whole answer behind the anchor that has the owner and is among the
// candidates.
func (m collection) answer(q *question) (ids []sdk.Identity, err error) {
	var whole []sdk.Identity
	for id, o := range m {
		if q.distance(o.vector) <= q.bound {
			whole = append(whole, id)
		}
	}
	slices.SortFunc(whole, func(a, b sdk.Identity) int {
		return cmp.Or(cmp.Compare(q.distance(m[a].vector), q.distance(m[b].vector)), a.Compare(b))
	})
	if len(q.After) > 0 {
		anchor := slices.IndexFunc(q.After, func(id sdk.Identity) bool { return slices.Contains(whole, id) })
		if anchor < 0 {
			return nil, sdk.ErrGone
		}
		whole = whole[slices.Index(whole, q.After[anchor])+1:]
	}
	for _, id := range whole {
		if q.Wants(m[id].owner) && (len(q.Within) == 0 || slices.Contains(q.Within, id)) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

func drawVector(t *rapid.T) (v [modelDimensions]int) {
	for i := range v {
		v[i] = rapid.IntRange(-3, 3).Draw(t, "number")
	}
	return v
}

func array(v [modelDimensions]int) string { return fmt.Sprintf("[%d,%d,%d]", v[0], v[1], v[2]) }

func drawIdentity(t *rapid.T) sdk.Identity {
	return sdktest.Version(rapid.IntRange(0, 40).Draw(t, "object"), rapid.IntRange(0, 2).Draw(t, "version"))
}

func drawQuestion(t *rapid.T, m metric) question {
	q := question{metric: m, to: drawVector(t), bound: math.Inf(1)}
	text := "near " + array(q.to)
	if rapid.Bool().Draw(t, "bounded") {
		q.bound = float64(rapid.IntRange(-8, 24).Draw(t, "bound")) / 4
		text += fmt.Sprintf(" within %v", q.bound)
	}
	q.Predicate = []byte(text)
	q.Limit = rapid.IntRange(1, 8).Draw(t, "limit")
	q.Owner = sdk.Owner(rapid.Uint64Range(0, 3).Draw(t, "owner"))
	if rapid.IntRange(0, 3).Draw(t, "candidates") == 0 {
		for range rapid.IntRange(1, 20).Draw(t, "count") {
			q.Within = append(q.Within, drawIdentity(t))
		}
		slices.SortFunc(q.Within, sdk.Identity.Compare)
		q.Within = slices.Compact(q.Within)
	}
	return q
}

// history draws changes, and applies them to the model.
type history struct {
	held     collection
	contents collection // of each identity ever held, which determines them
}

func (h *history) draw(t *rapid.T) sdk.Change {
	id := drawIdentity(t)
	for old := range h.held {
		if old.Value() == id.Value() {
			delete(h.held, old)
		}
	}
	if rapid.IntRange(0, 2).Draw(t, "remove") == 0 {
		return sdk.Change{Identity: id, Remove: true}
	}
	o, ok := h.contents[id]
	if !ok {
		o = modelObject{sdk.Owner(rapid.Uint64Range(1, 3).Draw(t, "owner")), drawVector(t)}
		h.contents[id] = o
	}
	h.held[id] = o
	return sdk.Change{Identity: id, Owner: o.owner, Input: []byte(array(o.vector))}
}

// TestIndexAgreesWithAList applies the same random history to an index and to the model, and asks both
// the same questions. The metric is l2 or dot: there each distance is an exact number.
func TestIndexAgreesWithAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		options := fmt.Sprintf(`{"path":"","dimensions":%d,"metric":%q,"element":%q}`, modelDimensions,
			rapid.SampledFrom([]string{"l2", "dot"}).Draw(t, "metric"), rapid.SampledFrom([]string{"float32", "int8"}).Draw(t, "element"))
		x := &index{}
		start := func() *index {
			x := &index{}
			if err := x.Configure(sdk.Config{Ordered: true, Options: []byte(options)}); err != nil {
				t.Fatal(err)
			}
			return x
		}
		x = start()
		h := history{held: make(collection), contents: make(collection)}
		check := func(t *rapid.T, q *question) (ids []sdk.Identity, more bool) {
			want, wantErr := h.held.answer(q)
			ids, more, err := sdktest.Page(x, q.Query)
			if err != wantErr || !slices.Equal(ids, want[:min(q.Limit, len(want))]) || more != (len(want) > q.Limit) {
				t.Fatalf("%s, limit %d, owner %d, after %x, within %x: %x, more %v (%v); want %x (%v)",
					q.Predicate, q.Limit, q.Owner, q.After, q.Within, ids, more, err, want, wantErr)
			}
			return ids, more
		}
		t.Repeat(map[string]func(*rapid.T){
			"apply": func(t *rapid.T) {
				var batch []sdk.Change
				for range rapid.IntRange(1, 5).Draw(t, "changes") {
					batch = append(batch, h.draw(t))
				}
				x.Apply(batch)
			},
			"search behind any identities": func(t *rapid.T) {
				q := drawQuestion(t, x.metric)
				for range rapid.IntRange(0, 3).Draw(t, "after") {
					q.After = append(q.After, drawIdentity(t))
				}
				check(t, &q)
			},
			"search all pages": func(t *rapid.T) {
				q := drawQuestion(t, x.metric)
				want, _ := h.held.answer(&q)
				var all []sdk.Identity
				for more := true; more; {
					var ids []sdk.Identity
					q.After = sdktest.Next(all)
					ids, more = check(t, &q)
					all = append(all, ids...)
				}
				if !slices.Equal(all, want) {
					t.Fatalf("%s: the pages have %x, want %x", q.Predicate, all, want)
				}
			},
			"restart": func(*rapid.T) { x = restarted(x, start()) },
			"":        func(t *rapid.T) { checkIndex(t, x) },
		})
	})
}

// restarted restores the entries of an index in another.
func restarted(x, next *index) *index {
	for v := range x.slots {
		if e, ok := x.Entry(v); !ok || e.Identity.Value() != v || !next.Restore(e) {
			panic("an entry is not restored")
		}
	}
	if len(x.slots) > 0 {
		next.Restored()
	}
	return next
}

// fatal is the part of a test that checkIndex needs.
type fatal interface{ Fatalf(string, ...any) }

// checkIndex fails if the parts of an index do not agree, or if a link is not known at both ends.
func checkIndex(t fatal, x *index) {
	held, waiting := 0, 0
	for n := range x.objects {
		o := &x.objects[n]
		if !o.held {
			continue
		}
		held++
		if x.slots[o.id.Value()] != slot(n) || x.owners[o.owner][o.place] != slot(n) {
			t.Fatalf("the object in slot %d is not in the list of its owner, or under its value", n)
		}
		if x.waits(slot(n)) {
			waiting++
			if !slices.Contains(x.pending, slot(n)) {
				t.Fatalf("the vector in slot %d waits, but is not in the list", n)
			}
		}
	}
	if held != len(x.slots) || waiting != x.waiting || held-waiting != x.graph.count {
		t.Fatalf("%d objects are held, %d of them wait; want %d, %d, and %d linked", held, waiting, len(x.slots), x.waiting, x.graph.count)
	}
	checkGraph(t, &x.graph)
}

func checkGraph(t fatal, g *graph) {
	links := 0
	for n := range g.nodes {
		node := &g.nodes[n]
		if !node.linked {
			if len(node.in) > 0 {
				t.Fatalf("%d links lead to slot %d, which is not linked", len(node.in), n)
			}
			continue
		}
		if int(node.level) > g.top {
			t.Fatalf("the level of slot %d is %d, above the entry's %d", n, node.level, g.top)
		}
		for l := range int(node.level) + 1 {
			out := g.out(slot(n), l)
			for i, to := range out {
				if !slices.Contains(*g.in(to, l), slot(n)) || to == slot(n) || slices.Contains(out[:i], to) {
					t.Fatalf("slot %d has a link to %d in layer %d that is not known there, or twice", n, to, l)
				}
			}
			links += len(out) - len(*g.in(slot(n), l))
		}
	}
	if links != 0 {
		t.Fatalf("there are %d more links than ends of links", links)
	}
}

// randomVectors returns vectors. They lie in clusters, as those of texts or pictures do.
func randomVectors(r *rand.Rand, count, length, clusters int) [][]float32 {
	centres := make([][]float32, clusters)
	for c := range centres {
		centres[c] = make([]float32, length)
		for i := range centres[c] {
			centres[c][i] = float32(r.NormFloat64())
		}
	}
	all := make([][]float32, count)
	for n := range all {
		all[n] = make([]float32, length)
		for i := range all[n] {
			all[n][i] = float32(r.NormFloat64())
			if clusters > 0 {
				all[n][i] = all[n][i]/3 + centres[n%clusters][i]
			}
		}
	}
	return all
}
