package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"motte/sdk"
	"motte/sdk/sdktest"
)

const modelColumns = `{"columns":[{"name":"a","path":"/a","type":"integer","index":true},{"name":"b","path":"/b","type":"text","index":true},{"name":"c","path":"/c","type":"real"}]}`

// thing is an object of the model. A member may be missing.
type thing struct {
	owner sdk.Owner
	A     *int64   `json:"a,omitempty"`
	B     *string  `json:"b,omitempty"`
	C     *float64 `json:"c,omitempty"`
}

// verdict is the value of a condition in SQL, which has three.
type verdict int

const (
	no verdict = iota
	unknown
	yes
)

func verdictOf(known, ok bool) verdict {
	switch {
	case !known:
		return unknown
	case ok:
		return yes
	}
	return no
}

// test is a condition, and the function that it stands for.
type test struct {
	text  string
	value func(*thing) verdict
}

// drawTest draws a condition.
func drawTest(t *rapid.T, depth int) test {
	n := rapid.Int64Range(-1, 3).Draw(t, "n")
	s := rapid.SampledFrom([]string{"", "x", "xy", "Y", "it's"}).Draw(t, "s")
	f := rapid.SampledFrom([]float64{-0.5, 0, 2.5}).Draw(t, "f")
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	choices := 7
	if depth > 0 {
		choices = 10
	}
	switch rapid.IntRange(0, choices-1).Draw(t, "operator") {
	case 0:
		return test{fmt.Sprintf("a = %d", n), func(o *thing) verdict { return verdictOf(o.A != nil, o.A != nil && *o.A == n) }}
	case 1:
		return test{fmt.Sprintf("a <> %d", n), func(o *thing) verdict { return verdictOf(o.A != nil, o.A != nil && *o.A != n) }}
	case 2:
		return test{"b >= " + quoted, func(o *thing) verdict { return verdictOf(o.B != nil, o.B != nil && *o.B >= s) }}
	case 3:
		return test{"b like 'x%'", func(o *thing) verdict {
			return verdictOf(o.B != nil, o.B != nil && strings.HasPrefix(strings.ToLower(*o.B), "x"))
		}}
	case 4:
		return test{fmt.Sprintf("c < %v", f), func(o *thing) verdict { return verdictOf(o.C != nil, o.C != nil && *o.C < f) }}
	case 5:
		return test{"b in ('x', " + quoted + ")", func(o *thing) verdict { return verdictOf(o.B != nil, o.B != nil && (*o.B == "x" || *o.B == s)) }}
	case 6:
		return test{"a is null", func(o *thing) verdict { return verdictOf(true, o.A == nil) }}
	case 7:
		a := drawTest(t, depth-1)
		return test{"not (" + a.text + ")", func(o *thing) verdict { return yes - a.value(o) }}
	case 8:
		a, b := drawTest(t, depth-1), drawTest(t, depth-1)
		return test{"(" + a.text + ") and (" + b.text + ")", func(o *thing) verdict { return min(a.value(o), b.value(o)) }}
	default:
		a, b := drawTest(t, depth-1), drawTest(t, depth-1)
		return test{"(" + a.text + ") or (" + b.text + ")", func(o *thing) verdict { return max(a.value(o), b.value(o)) }}
	}
}

// order is an ORDER BY clause, and the comparison that it stands for.
type order struct {
	text    string
	compare func(a, b *thing) int
}

// compareNull compares two values, of which the one that is missing comes first.
func compareNull[T cmp.Ordered](a, b *T) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return cmp.Compare(*a, *b)
}

var orders = []order{
	{"", func(a, b *thing) int { return 0 }},
	{" order by a", func(a, b *thing) int { return compareNull(a.A, b.A) }},
	{" order by a desc, b", func(a, b *thing) int { return cmp.Or(-compareNull(a.A, b.A), compareNull(a.B, b.B)) }},
	{" order by c desc nulls first", func(a, b *thing) int {
		if a.C == nil || b.C == nil {
			return compareNull(a.C, b.C)
		}
		return -compareNull(a.C, b.C)
	}},
	{" order by coalesce(a, 0) + coalesce(c, 0), b desc", func(a, b *thing) int {
		return cmp.Or(cmp.Compare(sum(a), sum(b)), -compareNull(a.B, b.B))
	}},
}

func sum(o *thing) (f float64) {
	if o.A != nil {
		f += float64(*o.A)
	}
	if o.C != nil {
		f += *o.C
	}
	return f
}

// held is the model: the objects that an index should hold.
type held map[sdk.Identity]*thing

// answer returns the part of the answer behind its anchor, of its owner, among its candidates.
func (m held) answer(q *sdk.Query, a test, o order) (ids []sdk.Identity, err error) {
	compare := func(a, b sdk.Identity) int { return cmp.Or(o.compare(m[a], m[b]), a.Compare(b)) }
	matches := func(id sdk.Identity) bool { return m[id] != nil && a.value(m[id]) == yes }
	anchor := -1
	if len(q.After) > 0 {
		if anchor = slices.IndexFunc(q.After, matches); anchor < 0 {
			return nil, sdk.ErrGone
		}
	}
	for id, x := range m {
		among := len(q.Within) == 0 || slices.Contains(q.Within, id)
		if among && q.Wants(x.owner) && matches(id) && (anchor < 0 || compare(id, q.After[anchor]) > 0) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, compare)
	return ids, nil
}

const objects = 40 // of the model

func drawIdentity(t *rapid.T) sdk.Identity {
	return sdktest.Version(rapid.IntRange(0, objects-1).Draw(t, "object"), rapid.IntRange(0, 1).Draw(t, "version"))
}

func drawThing(t *rapid.T) *thing {
	x := &thing{owner: sdk.Owner(rapid.Uint64Range(1, 3).Draw(t, "owner"))}
	if rapid.Bool().Draw(t, "has a") {
		x.A = new(rapid.Int64Range(-1, 3).Draw(t, "a"))
	}
	if rapid.Bool().Draw(t, "has b") {
		x.B = new(rapid.SampledFrom([]string{"", "x", "xy", "XZ", "Y", "it's"}).Draw(t, "b"))
	}
	if rapid.Bool().Draw(t, "has c") {
		x.C = new(rapid.SampledFrom([]float64{-0.5, 0, 1, 2.5}).Draw(t, "c"))
	}
	return x
}

// TestIndexAgreesWithAList applies the same random history to an index and to a model, and asks them the
// same questions.
func TestIndexAgreesWithAList(t *testing.T) {
	x := newIndex(t, modelColumns)
	rapid.Check(t, func(r *rapid.T) {
		for n := range objects { // of the check before, since a new database takes long
			x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Remove: true}})
		}
		m := make(held)
		r.Repeat(map[string]func(*rapid.T){
			"apply": func(r *rapid.T) {
				var batch []sdk.Change
				for range rapid.IntRange(1, 5).Draw(r, "changes") {
					batch = append(batch, drawChange(r, m))
				}
				x.Apply(batch)
			},
			"search": func(r *rapid.T) {
				a, o := drawTest(r, 3), rapid.SampledFrom(orders).Draw(r, "order")
				q := sdk.Query{Predicate: []byte(a.text + o.text), Limit: rapid.IntRange(1, 8).Draw(r, "limit"),
					Owner: sdk.Owner(rapid.Uint64Range(0, 4).Draw(r, "owner"))}
				for range rapid.IntRange(0, 3).Draw(r, "after") {
					q.After = append(q.After, drawIdentity(r))
				}
				for range rapid.IntRange(0, 9).Draw(r, "within") {
					q.Within = append(q.Within, drawIdentity(r))
				}
				slices.SortFunc(q.Within, sdk.Identity.Compare)
				q.Within = slices.Compact(q.Within)
				want, wantErr := m.answer(&q, a, o)
				ids, more, err := sdktest.Page(x, q)
				if err != wantErr || !slices.Equal(ids, want[:min(q.Limit, len(want))]) || more != (len(want) > q.Limit) {
					r.Fatalf("%s, limit %d, owner %d, after %x: %x, more %v (%v); want %x (%v)",
						q.Predicate, q.Limit, q.Owner, q.After, ids, more, err, want, wantErr)
				}
			},
			"restart": func(r *rapid.T) {
				if rapid.IntRange(0, 9).Draw(r, "restarts") != 0 {
					return
				}
				next := newIndex(t, modelColumns)
				for id := range m {
					e, ok := x.Entry(id.Value())
					if !ok || e.Identity != id || e.Owner != m[id].owner || !next.Restore(e) {
						r.Fatalf("the entry of %x is %+v, %v; want one of the owner %d that is restored", id, e, ok, m[id].owner)
					}
					if rapid.IntRange(0, 9).Draw(r, "removed") == 0 {
						next.Apply([]sdk.Change{{Identity: id, Remove: true}})
						delete(m, id)
					}
				}
				if next.restores {
					next.Restored()
				}
				x = next
			},
		})
	})
}

// drawChange draws a change, and applies it to the model.
func drawChange(t *rapid.T, m held) sdk.Change {
	id := drawIdentity(t)
	for old := range m {
		if old.Value() == id.Value() {
			delete(m, old)
		}
	}
	if rapid.Bool().Draw(t, "remove") {
		return sdk.Change{Identity: id, Remove: true}
	}
	m[id] = drawThing(t)
	input, err := json.Marshal(m[id])
	if err != nil {
		t.Fatal(err)
	}
	return sdk.Change{Identity: id, Owner: m[id].owner, Input: input}
}

// TestLikeIsThatOfSQLite compares LIKE with an implementation that tries everything.
func TestLikeIsThatOfSQLite(t *testing.T) {
	var like func(p, s []rune) bool
	like = func(p, s []rune) bool {
		switch {
		case len(p) == 0:
			return len(s) == 0
		case p[0] == '%':
			return like(p[1:], s) || len(s) > 0 && like(p, s[1:])
		case len(s) == 0:
			return false
		case p[0] == '!':
			return len(p) > 1 && p[1] == s[0] && like(p[2:], s[1:])
		}
		return (p[0] == '_' || p[0] == s[0]) && like(p[1:], s[1:])
	}
	rapid.Check(t, func(r *rapid.T) {
		pattern := rapid.StringOfN(rapid.SampledFrom([]rune("abé%%_!")), 0, 12, -1).Draw(r, "pattern")
		text := rapid.StringOfN(rapid.SampledFrom([]rune("abé%_!")), 0, 12, -1).Draw(r, "text")
		m := matcher{escape: '!'}
		if got, want := m.match(pattern, text, 1000), like([]rune(pattern), []rune(text)); got != want {
			r.Fatalf("%q like %q: %v, want %v", text, pattern, got, want)
		}
	})
}

// FuzzPredicate: no predicate makes the index panic, changes the table, or names an object twice.
func FuzzPredicate(f *testing.F) {
	for _, s := range []string{"", "a = 1", "b like '%x' or not (c between 1 and 2)", "a in (1, 2) order by b desc nulls last, c", "case a when 1 then b else 'x' end = 'y'",
		"coalesce(a, length(b)) + 1 > - round(c, 1)", "b collate nocase = 'X' and a is not null", "1; drop table _objects", "a in (select a from _objects)"} {
		f.Add(s)
	}
	x := newIndex(f, modelColumns)
	for n := range 5 {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: 1, Input: fmt.Appendf(nil, `{"a":%d,"b":"x%d","c":%d.5}`, n, n, n)}})
	}
	f.Fuzz(func(t *testing.T, s string) {
		found, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(s), Limit: 100})
		seen := make(map[sdk.Identity]bool)
		for _, id := range found {
			if seen[id] || err != nil {
				t.Fatalf("%q finds %x twice, or with an error: %v", s, id, err)
			}
			seen[id] = true
		}
		if all, _, err := sdktest.Page(x, sdk.Query{Limit: 100}); err != nil || len(all) != 5 {
			t.Fatalf("after %q the table has %d objects (%v)", s, len(all), err)
		}
	})
}

// FuzzEntry: no entry of a shelf makes the index panic, and an entry that it holds is the same afterwards.
func FuzzEntry(f *testing.F) {
	for _, input := range []string{`{"a":1,"b":"x","c":2.5}`, `{}`} {
		x := newIndex(f, modelColumns)
		x.Apply([]sdk.Change{{Identity: sdktest.ID(1), Owner: 1, Input: []byte(input)}})
		e, _ := x.Entry(sdktest.ID(1).Value())
		f.Add(e.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		x := newIndex(t, modelColumns)
		held := x.Restore(sdk.Entry{Identity: sdktest.ID(1), Owner: 1, Data: data})
		x.Restored()
		e, ok := x.Entry(sdktest.ID(1).Value())
		if ok != held || held && !newIndex(t, modelColumns).Restore(e) {
			t.Fatalf("%x is held: %v, and found: %v", data, held, ok)
		}
	})
}
