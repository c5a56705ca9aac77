package main

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// entriesOf is a model of the index: the keys and the owner of each object.
type entriesOf map[sdk.Identity]modelEntry

type modelEntry struct {
	owner sdk.Owner
	keys  []int64
}

// question is a query, and the function that its predicate stands for.
type question struct {
	sdk.Query
	match      func(int64) bool
	required   []int64 // an object has each of these keys
	descending bool
}

// find returns the whole answer to a question for all owners, as the documentation defines it.
func (m entriesOf) find(q *question) []sdk.Identity {
	type hit struct {
		key int64
		id  sdk.Identity
	}
	var hits []hit
	for id, e := range m {
		var matching []int64
		for _, k := range e.keys {
			if q.match(k) {
				matching = append(matching, k)
			}
		}
		lacks := func(k int64) bool { return !slices.Contains(e.keys, k) }
		if len(matching) == 0 || slices.ContainsFunc(q.required, lacks) {
			continue
		}
		k := slices.Min(matching)
		if q.descending {
			k = slices.Max(matching)
		}
		hits = append(hits, hit{k, id})
	}
	slices.SortFunc(hits, func(a, b hit) int {
		c := cmp.Or(cmp.Compare(a.key, b.key), slices.Compare(a.id[:], b.id[:]))
		if q.descending {
			return -c
		}
		return c
	})
	var ids []sdk.Identity
	for _, h := range hits {
		ids = append(ids, h.id)
	}
	return ids
}

// answer returns the answer to a question: the part of the whole behind its anchor, of its owner and
// among its candidates.
func (m entriesOf) answer(q *question) (ids []sdk.Identity, err error) {
	whole := m.find(q)
	if len(q.After) > 0 {
		anchor := slices.IndexFunc(q.After, func(id sdk.Identity) bool { return slices.Contains(whole, id) })
		if anchor < 0 {
			return nil, sdk.ErrGone
		}
		whole = whole[slices.Index(whole, q.After[anchor])+1:]
	}
	for _, id := range whole {
		candidate := len(q.Within) == 0 || slices.Contains(q.Within, id)
		if candidate && (q.Owner == sdk.AllOwners || q.Owner == m[id].owner) {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// predicate draws a predicate, and the function that it stands for.
func predicate(t *rapid.T, depth int) (string, func(int64) bool) {
	a, b := rapid.Int64Range(-5, 5).Draw(t, "a"), rapid.Int64Range(-5, 5).Draw(t, "b")
	choices := 8
	if depth > 0 {
		choices = 10
	}
	switch rapid.IntRange(0, choices-1).Draw(t, "operator") {
	case 0:
		return fmt.Sprintf("< %d", a), func(k int64) bool { return k < a }
	case 1:
		return fmt.Sprintf("<= %d", a), func(k int64) bool { return k <= a }
	case 2:
		return fmt.Sprintf("> %d", a), func(k int64) bool { return k > a }
	case 3:
		return fmt.Sprintf(">= %d", a), func(k int64) bool { return k >= a }
	case 4:
		return fmt.Sprintf("= %d", a), func(k int64) bool { return k == a }
	case 5:
		return fmt.Sprintf("!= %d", a), func(k int64) bool { return k != a }
	case 6:
		return fmt.Sprintf("between %d and %d", a, b), func(k int64) bool { return a <= k && k <= b }
	case 7:
		return fmt.Sprintf("in (%d, %d)", a, b), func(k int64) bool { return k == a || k == b }
	case 8:
		p, f := predicate(t, depth-1)
		q, g := predicate(t, depth-1)
		return fmt.Sprintf("(%s) and (%s)", p, q), func(k int64) bool { return f(k) && g(k) }
	default:
		p, f := predicate(t, depth-1)
		q, g := predicate(t, depth-1)
		return fmt.Sprintf("(%s) or (%s)", p, q), func(k int64) bool { return f(k) || g(k) }
	}
}

// drawQuestion draws a predicate, a limit, an owner, candidates and a direction.
func drawQuestion(t *rapid.T) (q question) {
	text, match := predicate(t, 3)
	q.match, q.descending = match, rapid.Bool().Draw(t, "descending")
	switch rapid.IntRange(0, 5).Draw(t, "containment") {
	case 0:
		q.required = drawRequired(t)
		text = "contains all " + keyList(q.required)
		q.match = func(k int64) bool { return slices.Contains(q.required, k) }
	case 1:
		q.required = drawRequired(t)
		text = "contains all " + keyList(q.required) + " and (" + text + ")"
	}
	if q.descending {
		text += " order desc"
	}
	q.Predicate = []byte(text)
	q.Limit = rapid.IntRange(1, 8).Draw(t, "limit")
	q.Owner = sdk.Owner(rapid.Uint64Range(0, 4).Draw(t, "owner"))
	if rapid.Bool().Draw(t, "has candidates") {
		for range rapid.IntRange(1, 12).Draw(t, "candidates") {
			q.Within = append(q.Within, drawIdentity(t))
		}
		slices.SortFunc(q.Within, sdk.Identity.Compare)
		q.Within = slices.Compact(q.Within)
	}
	return q
}

func drawRequired(t *rapid.T) []int64 {
	return rapid.SliceOfN(rapid.Int64Range(-5, 5), 1, 3).Draw(t, "required")
}

func keyList(keys []int64) string {
	return "(" + strings.ReplaceAll(strings.Trim(fmt.Sprint(keys), "[]"), " ", ",") + ")"
}

func drawIdentity(t *rapid.T) sdk.Identity {
	return sdktest.Version(rapid.IntRange(0, 20).Draw(t, "object"), rapid.IntRange(0, 3).Draw(t, "version"))
}

// history draws changes, and applies them to the model.
type history struct {
	held     entriesOf
	contents entriesOf // of each identity ever held, which determines them
}

func (h *history) draw(t *rapid.T) sdk.Change {
	id := drawIdentity(t)
	for old := range h.held {
		if old.Value() == id.Value() {
			delete(h.held, old)
		}
	}
	if rapid.Bool().Draw(t, "remove") {
		return sdk.Change{Identity: id, Remove: true}
	}
	e, ok := h.contents[id]
	if !ok {
		e.owner = sdk.Owner(rapid.Uint64Range(1, 3).Draw(t, "owner"))
		e.keys = rapid.SliceOfN(rapid.Int64Range(-5, 5), 0, 3).Draw(t, "keys")
		h.contents[id] = e
	}
	h.held[id] = e
	if len(e.keys) == 1 {
		return sdk.Change{Identity: id, Owner: e.owner, Input: fmt.Append(nil, e.keys[0])}
	}
	text := "["
	for i, k := range e.keys {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprint(k)
	}
	return sdk.Change{Identity: id, Owner: e.owner, Input: []byte(text + "]")}
}

// TestIndexAgreesWithAList applies the same random history to an index and to the model. It asks
// both the same questions.
func TestIndexAgreesWithAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := &index{}
		if err := x.Configure(sdk.Config{Type: model.TypeInt64, Ordered: true, Options: []byte(`{"path":""}`)}); err != nil {
			t.Fatal(err)
		}
		h := history{held: make(entriesOf), contents: make(entriesOf)}
		m := h.held
		check := func(t *rapid.T, q *question) (ids []sdk.Identity, more bool) {
			want, wantErr := m.answer(q)
			ids, more, err := sdktest.Page(x, q.Query)
			if err != wantErr || !slices.Equal(ids, want[:min(q.Limit, len(want))]) || more != (len(want) > q.Limit) {
				t.Fatalf("%s, limit %d, owner %d, after %x: %x, more %v (%v); want %x (%v)",
					q.Predicate, q.Limit, q.Owner, q.After, ids, more, err, want, wantErr)
			}
			return ids, more
		}
		// A question whose pages are asked with changes in between.
		var open question
		var shown []sdk.Identity
		unchanged := make(map[sdk.Value]bool) // objects that have not changed since they were shown
		t.Repeat(map[string]func(*rapid.T){
			"apply": func(t *rapid.T) {
				var batch []sdk.Change
				for range rapid.IntRange(1, 5).Draw(t, "changes") {
					c := h.draw(t)
					delete(unchanged, c.Identity.Value())
					batch = append(batch, c)
				}
				x.Apply(batch)
			},
			"search behind any identities": func(t *rapid.T) {
				q := drawQuestion(t)
				for range rapid.IntRange(0, 3).Draw(t, "after") {
					q.After = append(q.After, drawIdentity(t))
				}
				check(t, &q)
			},
			"search all pages": func(t *rapid.T) {
				q := drawQuestion(t)
				want, _ := m.answer(&q)
				var all []sdk.Identity
				for more := true; more; {
					var ids []sdk.Identity
					q.After = sdktest.Next(all)
					ids, more = check(t, &q)
					all = append(all, ids...)
				}
				if !slices.Equal(all, want) {
					t.Fatalf("%s, limit %d, owner %d: the pages have %x, want %x", q.Predicate, q.Limit, q.Owner, all, want)
				}
			},
			"restart": func(t *rapid.T) { x = restarted(t, x) },
			"begin pages": func(t *rapid.T) {
				open, shown = drawQuestion(t), nil
				clear(unchanged)
			},
			"next page": func(t *rapid.T) {
				if open.match == nil {
					t.Skip("no pages have begun")
				}
				open.After = sdktest.Next(shown)
				ids, _ := check(t, &open)
				for _, id := range ids {
					if unchanged[id.Value()] {
						t.Fatalf("%s: %x, which has not changed, is shown twice", open.Predicate, id)
					}
					unchanged[id.Value()] = true
				}
				shown = append(shown, ids...)
			},
			"": func(t *rapid.T) { checkOwners(t, x.keys.(*tree[int64])) },
		})
	})
}

// restarted returns a new index with the entries of another.
func restarted(t *rapid.T, x *index) *index {
	next := &index{}
	if err := next.Configure(sdk.Config{Type: model.TypeInt64, Ordered: true, Options: []byte(`{"path":""}`)}); err != nil {
		t.Fatal(err)
	}
	objects := &x.keys.(*tree[int64]).objects
	for _, c := range slices.Concat(objects.buckets...) {
		v := objects.at(c.slot()).id.Value()
		if e, ok := x.Entry(v); !ok || e.Identity.Value() != v || !next.Restore(e) {
			t.Fatalf("the entry of %x is %+v, %v; want that it is restored", v, e, ok)
		}
	}
	next.Restored()
	return next
}

// checkOwners fails if an object is not in its place in the list of its owner, or if a list has
// other objects.
func checkOwners(t *rapid.T, tree *tree[int64]) {
	held, count := tree.objects.count, 0
	for owner, n := range tree.owners.number {
		l := tree.owners.lists[n]
		if l.owner != owner || len(l.objects) == 0 {
			t.Fatalf("the owner %d has %d objects in the list of %d; want its own list, with objects", owner, len(l.objects), l.owner)
		}
		for place, n := range l.objects {
			if o := tree.objects.at(n); tree.owners.lists[o.owner].owner != owner || int(o.place) != place {
				t.Fatalf("the object %x is in place %d of the owner %d; want place %d of another", o.id, place, owner, o.place)
			}
		}
		count += len(l.objects)
	}
	if unused := len(tree.owners.lists) - len(tree.owners.number); count != held || unused != len(tree.owners.free) {
		t.Fatalf("%d objects in the lists of owners and %d lists unused; want %d and %d", count, unused, held, len(tree.owners.free))
	}
}

// FuzzPredicate: no predicate makes the parser panic. The intervals of its set must be
// ascending, since the search relies on that.
func FuzzPredicate(f *testing.F) {
	for _, s := range []string{"", ">= 30 and < 40", `prefix "Ly" or in ("a","b") order desc`, "(((= 1", `= "\u0000"`, "between 2024-05-01T10:00:00Z and x", "!=1and!=2", `contains all ("a", "b") and prefix ("a", 1)`, "missing or = (1, missing)", "= true"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		checkParse(t, &int64Domain, s)
		checkParse(t, &float64Domain, s)
		checkParse(t, &stringDomain, s)
		checkParse(t, &timeDomain, s)
		checkParse(t, &boolDomain, s)
		checkParse(t, &foldedDomain, s)
		x := &index{}
		if err := x.Configure(sdk.Config{Options: []byte(`{"keys":[{"path":"/a","type":"string"},{"path":"/b","type":"int64","descending":true}]}`)}); err != nil {
			t.Fatal(err)
		}
		checkParse(t, &x.keys.(*tree[string]).domain, s)
	})
}

func checkParse[K any](t *testing.T, d *domain[K], s string) {
	q, err := parse(d, []byte(s), true)
	if err != nil {
		return
	}
	last := cut[K]{side: bottom}
	for i, in := range q.keys {
		if c := d.compareCuts(last, in.from); c > 0 || c == 0 && i > 0 {
			t.Fatalf("%q: interval %d begins before the end of the one before; want ascending intervals", s, i)
		}
		if d.compareCuts(in.from, in.to) >= 0 {
			t.Fatalf("%q: interval %d is empty; a set must not have empty intervals", s, i)
		}
		last = in.to
	}
}

// BenchmarkInsert and BenchmarkRange measure the cost of an entry.
func BenchmarkInsert(b *testing.B) {
	x := &index{}
	if err := x.Configure(sdk.Config{Type: model.TypeInt64, Options: []byte(`{"path":"/age"}`)}); err != nil {
		b.Fatal(err)
	}
	for n := 0; b.Loop(); n++ {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: 1, Input: fmt.Appendf(nil, `{"name":"somebody","age":%d}`, n*7919%100_003)}})
	}
}

func BenchmarkRange(b *testing.B) {
	const count = 100_000
	x := &index{}
	if err := x.Configure(sdk.Config{Type: model.TypeInt64}); err != nil {
		b.Fatal(err)
	}
	for n := range count {
		owner := sdk.Owner(1)
		switch {
		case n%1000 == 7:
			owner = 2 // 100 objects in all
		case n%10 == 7:
			owner = 3 // a tenth
		}
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: owner, Input: fmt.Append(nil, n)}})
	}
	for _, c := range []struct {
		name  string
		owner sdk.Owner
		after []sdk.Identity
		among []sdk.Identity
	}{
		{"first page", sdk.AllOwners, nil, nil},
		{"later page", sdk.AllOwners, []sdk.Identity{sdktest.ID(58_007)}, nil},
		{"owner of 100", 2, nil, nil},
		{"owner of 10000", 3, nil, nil},
		{"100 candidates", sdk.AllOwners, nil, among(59_000, 100)},
		{"10000 candidates", sdk.AllOwners, nil, among(59_000, 10_000)},
		{"65536 candidates", sdk.AllOwners, nil, among(0, 65_536)},
	} {
		b.Run(c.name, func(b *testing.B) {
			q := question{Query: sdk.Query{Predicate: []byte(">= 50000 and < 60000"), Limit: 10, Owner: c.owner, After: c.after, Within: c.among}}
			for b.Loop() {
				if found, _, err := sdktest.Page(x, q.Query); err != nil || len(found) != 10 {
					b.Fatal(len(found), err)
				}
			}
		})
	}
}

// BenchmarkMemory measures the memory of an object with one key.
func BenchmarkMemory(b *testing.B) {
	const count = 1_000_000
	for _, owners := range []int{1, 1000, count / 10} {
		b.Run(fmt.Sprintf("owners=%d", owners), func(b *testing.B) {
			for b.Loop() {
				before := heapSize()
				x := &index{}
				if err := x.Configure(sdk.Config{Type: model.TypeInt64}); err != nil {
					b.Fatal(err)
				}
				for n := range count {
					x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: sdk.Owner(1 + n%owners), Input: fmt.Append(nil, n*7919%count)}})
				}
				b.ReportMetric(float64(heapSize()-before)/count, "bytes/object")
				runtime.KeepAlive(x)
			}
		})
	}
}

func heapSize() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
