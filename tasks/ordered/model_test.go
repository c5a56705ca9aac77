package main

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// entriesOf is a model of the index: the keys of each object.
type entriesOf map[sdk.Identity][]int64

// find returns the answer to a predicate, as the documentation defines it.
func (m entriesOf) find(match func(int64) bool, descending bool) []sdk.Identity {
	type hit struct {
		key int64
		id  sdk.Identity
	}
	var hits []hit
	for id, keys := range m {
		var matching []int64
		for _, k := range keys {
			if match(k) {
				matching = append(matching, k)
			}
		}
		if len(matching) == 0 {
			continue
		}
		k := slices.Min(matching)
		if descending {
			k = slices.Max(matching)
		}
		hits = append(hits, hit{k, id})
	}
	slices.SortFunc(hits, func(a, b hit) int {
		c := cmp.Or(cmp.Compare(a.key, b.key), slices.Compare(a.id[:], b.id[:]))
		if descending {
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

// TestIndexAgreesWithAList applies the same random history to an index and to the model. It asks
// both the same questions.
func TestIndexAgreesWithAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := &index{}
		if err := x.Configure(sdk.Config{Type: model.TypeInt64, Ordered: true, Options: []byte(`{"path":""}`)}); err != nil {
			t.Fatal(err)
		}
		m := make(entriesOf)
		change := func(t *rapid.T) sdk.Change {
			n := rapid.IntRange(0, 20).Draw(t, "object")
			id := sdktest.Version(n, rapid.IntRange(0, 3).Draw(t, "version"))
			for old := range m {
				if old.Value() == id.Value() {
					delete(m, old)
				}
			}
			if rapid.Bool().Draw(t, "remove") {
				return sdk.Change{Identity: id, Remove: true}
			}
			keys := rapid.SliceOfN(rapid.Int64Range(-5, 5), 0, 3).Draw(t, "keys")
			m[id] = keys
			if len(keys) == 1 {
				return sdk.Change{Identity: id, Input: fmt.Append(nil, keys[0])}
			}
			text := "["
			for i, k := range keys {
				if i > 0 {
					text += ","
				}
				text += fmt.Sprint(k)
			}
			return sdk.Change{Identity: id, Input: []byte(text + "]")}
		}
		t.Repeat(map[string]func(*rapid.T){
			"apply": func(t *rapid.T) {
				var batch []sdk.Change
				for range rapid.IntRange(1, 5).Draw(t, "changes") {
					batch = append(batch, change(t))
				}
				x.Apply(batch)
			},
			"search": func(t *rapid.T) {
				text, match := predicate(t, 3)
				descending := rapid.Bool().Draw(t, "descending")
				if descending {
					text += " order desc"
				}
				want := m.find(match, descending)
				got, err := x.Search(sdk.Query{Predicate: []byte(text), Limit: 25})
				if err != nil || !slices.Equal(slices.Collect(got), want) {
					t.Fatalf("%s: %x (%v), want %x", text, slices.Collect(got), err, want)
				}
			},
		})
	})
}

// FuzzPredicate: no predicate makes the parser panic. The intervals of its set must be
// ascending, since the search relies on that.
func FuzzPredicate(f *testing.F) {
	for _, s := range []string{"", ">= 30 and < 40", `prefix "Ly" or in ("a","b") order desc`, "(((= 1", `= "\u0000"`, "between 2024-05-01T10:00:00Z and x", "!=1and!=2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		checkParse(t, &int64Domain, s)
		checkParse(t, &float64Domain, s)
		checkParse(t, &stringDomain, s)
		checkParse(t, &timeDomain, s)
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
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Input: fmt.Appendf(nil, `{"name":"somebody","age":%d}`, n*7919%100_003)}})
	}
}

func BenchmarkRange(b *testing.B) {
	x := &index{}
	if err := x.Configure(sdk.Config{Type: model.TypeInt64}); err != nil {
		b.Fatal(err)
	}
	for n := range 100_000 {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Input: fmt.Append(nil, n)}})
	}
	for b.Loop() {
		found, err := x.Search(sdk.Query{Predicate: []byte(">= 50000 and < 60000"), Limit: 10})
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for range found {
			if n++; n > 10 {
				break
			}
		}
	}
}
