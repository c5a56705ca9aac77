package e2e

import (
	"bytes"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"motte/client"
	"motte/core/model"
	"motte/internal/testutil"
)

// thing is an object of the collection, as plain code sees it.
type thing struct {
	id    client.Identity
	own   bool // of the principal that may read only its own objects
	n, m  int
	words []string
}

var vocabulary = []string{"amber", "basalt", "copper", "diorite", "ebony", "flint"}

// things puts objects, half of them by each client.
func things(t *testing.T, admin, own *client.Client) (list []thing) {
	const objects = 800
	for _, c := range []*client.Client{admin, own} {
		var b client.Batch
		var half []thing
		for i := range objects / 2 {
			o := thing{own: c == own, n: 2*i + len(list)%2, m: rand.IntN(10)}
			for _, w := range vocabulary {
				if rand.IntN(4) == 0 {
					o.words = append(o.words, w)
				}
			}
			half = append(half, o)
			b.Put(fmt.Appendf(nil, `{"n":%d,"m":%d,"words":"%s"}`, o.n, o.m, strings.Join(o.words, " ")))
		}
		results, err := c.PutBatch(t.Context(), "c", &b)
		testutil.Must(t, err)
		for i, r := range results {
			half[i].id = r.Identity
		}
		if list = append(list, half...); c == admin {
			list = append(list, thing{n: -1}) // so that the numbers of the others are odd
		}
	}
	return slices.DeleteFunc(list, func(o thing) bool { return o.n < 0 })
}

// question is an expression about objects of type T, with the answer of plain code.
type question[T any] struct {
	client.Expression
	finds func(*T) bool
}

// aboutThings draws a leaf.
func aboutThings(t *rapid.T) question[thing] {
	switch rapid.SampledFrom([]string{"by_n", "by_m", "words"}).Draw(t, "index") {
	case "by_n":
		a := rapid.IntRange(-10, 800).Draw(t, "from")
		b := a + rapid.IntRange(0, 800).Draw(t, "range")
		return question[thing]{client.Leaf("by_n", fmt.Sprintf(">= %d and < %d", a, b)), func(o *thing) bool { return o.n >= a && o.n < b }}
	case "by_m":
		m := rapid.IntRange(0, 10).Draw(t, "m")
		if rapid.Bool().Draw(t, "not") {
			return question[thing]{client.Leaf("by_m", fmt.Sprintf("!= %d", m)), func(o *thing) bool { return o.m != m }}
		}
		return question[thing]{client.Leaf("by_m", fmt.Sprintf("= %d", m)), func(o *thing) bool { return o.m == m }}
	}
	one, two := rapid.SampledFrom(vocabulary).Draw(t, "word"), rapid.SampledFrom(vocabulary).Draw(t, "word")
	if rapid.Bool().Draw(t, "without") {
		return question[thing]{client.Leaf("words", "+"+one+" -"+two), func(o *thing) bool {
			return slices.Contains(o.words, one) && !slices.Contains(o.words, two)
		}}
	}
	return question[thing]{client.Leaf("words", one+" "+two), func(o *thing) bool {
		return slices.Contains(o.words, one) || slices.Contains(o.words, two)
	}}
}

// draw draws an expression of at most 8 leaves.
func draw[T any](t *rapid.T, depth int, leaf func(*rapid.T) question[T]) question[T] {
	kinds := []string{"leaf", "and", "or", "and not"}
	kind := rapid.SampledFrom(kinds[:1+3*min(depth, 1)]).Draw(t, "kind")
	if kind == "leaf" {
		return leaf(t)
	}
	a, b := draw(t, depth-1, leaf), draw(t, depth-1, leaf)
	switch kind {
	case "and":
		return question[T]{client.And(a.Expression, b.Expression), func(o *T) bool { return a.finds(o) && b.finds(o) }}
	case "or":
		return question[T]{client.Or(a.Expression, b.Expression), func(o *T) bool { return a.finds(o) || b.finds(o) }}
	}
	return question[T]{client.And(a.Expression, client.Not(b.Expression)), func(o *T) bool { return a.finds(o) && !b.finds(o) }}
}

// collected returns the identities of an answer.
func collected(t *rapid.T, q client.Query, list iter.Seq2[client.Identity, error]) (ids []client.Identity) {
	for id, err := range list {
		if err != nil {
			t.Fatalf("%v: %v", q.Where, err)
		}
		ids = append(ids, id)
	}
	return ids
}

func byIdentity(a, b client.Identity) int { return bytes.Compare(a[:], b[:]) }

// TestExpressionsAgreeWithPlainCode: random expressions over three indexes find what plain code
// finds, in the right order, on one page or on several, for a principal that may read everything and
// for another that may read only its own objects.
func TestExpressionsAgreeWithPlainCode(t *testing.T) {
	s := serve(t, t.TempDir())
	admin, ctx := s.admin(), t.Context()
	testutil.Must(t, admin.CreateCollection(ctx, "c"))
	for name, x := range map[string]client.Index{
		"by_n":  {Task: "ordered", Ordered: true, Config: []byte(`{"path":"/n","type":"int64"}`)},
		"by_m":  {Task: "ordered", Config: []byte(`{"path":"/m","type":"int64"}`)},
		"words": {Task: "text", Ordered: true, Config: []byte(`{"path":"/words"}`)},
	} {
		testutil.Must(t, admin.CreateIndex(ctx, "c", name, x))
		testutil.Eventually(t, name, serving(admin, "c", name))
	}
	own := s.person(admin, "own", "c", model.RightReadOwn|model.RightWrite|model.RightDelete)
	all := things(t, admin, own)
	rapid.Check(t, func(t *rapid.T) {
		x := draw(t, 3, aboutThings)
		q := client.Query{Collection: "c", Where: x.Expression}
		q.OrderBy = rapid.SampledFrom([]string{"", "by_n", "words"}).Draw(t, "order")
		descending := rapid.Bool().Draw(t, "descending")
		switch {
		case q.OrderBy == "by_n" && descending:
			q.Where = client.And(client.Leaf("by_n", "all order desc"), q.Where)
		case q.OrderBy == "by_n":
			q.Where = client.And(client.Leaf("by_n", "all"), q.Where)
		case q.OrderBy == "words":
			q.Where = client.And(client.Leaf("words", strings.Join(vocabulary, " ")), q.Where)
		}
		c, reader := admin, "admin"
		if rapid.Bool().Draw(t, "own") {
			c, reader = own, "own"
		}
		var want []client.Identity
		for i := range all {
			o := &all[i]
			named := q.OrderBy != "words" || len(o.words) > 0
			if x.finds(o) && named && (reader == "admin" || o.own) {
				want = append(want, o.id)
			}
		}
		number := make(map[client.Identity]int)
		for _, o := range all {
			number[o.id] = o.n
		}
		slices.SortFunc(want, byIdentity)
		got := collected(t, q, c.SearchIdentities(ctx, q))
		sorted := slices.SortedFunc(slices.Values(got), byIdentity)
		if !slices.Equal(sorted, want) {
			t.Fatalf("%s asks %v, in the order of %q: %d objects, want %d", reader, q.Where, q.OrderBy, len(got), len(want))
		}
		up := func(a, b client.Identity) int { return number[a] - number[b] }
		down := func(a, b client.Identity) int { return number[b] - number[a] }
		several := strings.Contains(q.Where.String(), `" `)
		if q.OrderBy == "" && several && !slices.Equal(got, want) ||
			q.OrderBy == "by_n" && !descending && !slices.IsSortedFunc(got, up) || q.OrderBy == "by_n" && descending && !slices.IsSortedFunc(got, down) {
			t.Fatalf("%s asks %v, in the order of %q: the objects are not in this order", reader, q.Where, q.OrderBy)
		}
		pages := q
		pages.Limit = uint32(max(1, len(want)/rapid.IntRange(1, 5).Draw(t, "pages")))
		again := collected(t, pages, c.SearchAllIdentities(ctx, pages))
		if q.OrderBy == "" && !several { // the Core sorts each page of a single index that is not ordered
			slices.SortFunc(again, byIdentity)
			slices.SortFunc(got, byIdentity)
		}
		if !slices.Equal(again, got) {
			t.Fatalf("%s asks %v, in the order of %q, for pages of %d: %d objects, or in another order; want %d",
				reader, q.Where, q.OrderBy, pages.Limit, len(again), len(got))
		}
		q.OrderBy = ""
		if found, err := c.Count(ctx, q); err != nil || int(found.Count) != len(want) || found.Truncated {
			t.Fatalf("%s counts %v: %+v, %v; want %d", reader, q.Where, found, err, len(want))
		}
	})
	deleteByExpressions(t, admin, own, all)
}

// deleteByExpressions deletes by random expressions, until few objects are left.
func deleteByExpressions(t *testing.T, admin, own *client.Client, all []thing) {
	for round := 0; len(all) > 50 && round < 200; round++ {
		x := rapid.Custom(func(t *rapid.T) question[thing] { return draw(t, 2, aboutThings) }).Example(round)
		c, mine := admin, round%2 == 1
		if mine {
			c = own
		}
		before := len(all)
		all = slices.DeleteFunc(all, func(o thing) bool { return x.finds(&o) && (!mine || o.own) })
		found, err := c.DeleteWhere(t.Context(), client.Query{Collection: "c", Where: x.Expression})
		if err != nil || int(found.Count) != before-len(all) || found.Truncated {
			t.Fatalf("deletion %d by %v: %+v, %v; want %d objects", round, x.Expression, found, err, before-len(all))
		}
	}
	found, err := admin.Count(t.Context(), client.Query{Collection: "c", Index: "by_n", Predicate: "all"})
	if err != nil || int(found.Count) != len(all) {
		t.Errorf("at the end %+v, %v; want %d objects", found, err, len(all))
	}
}
