package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"motte/sdk"
	"motte/sdk/sdktest"
)

// thing is an object of the model: an owner, and JSON members.
type thing struct {
	owner   sdk.Owner
	members map[string]any
}

// verdict is the value of a predicate: it may fail, as in CEL.
type verdict int

const (
	no verdict = iota
	yes
	failed
)

func verdictOf(ok bool) verdict {
	if ok {
		return yes
	}
	return no
}

// test is a predicate, and the function that it stands for.
type test struct {
	text  string
	value func(map[string]any) verdict
}

var (
	modelMembers = []string{"a", "b", "c"}
	modelValues  = []any{nil, true, false, 0.0, 1.0, -2.5, "", "x", "xy"}
)

func literal(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// drawTest draws a predicate.
func drawTest(t *rapid.T, depth int) test {
	name := rapid.SampledFrom(modelMembers).Draw(t, "member")
	want := rapid.SampledFrom(modelValues).Draw(t, "value")
	member := "object." + name
	// of applies a function to the member. Without the member, the predicate fails.
	of := func(f func(any) verdict) func(map[string]any) verdict {
		return func(m map[string]any) verdict {
			v, ok := m[name]
			if !ok {
				return failed
			}
			return f(v)
		}
	}
	choices := 6
	if depth > 0 {
		choices = 9
	}
	switch rapid.IntRange(0, choices-1).Draw(t, "operator") {
	case 0:
		return test{member + " == " + literal(want), of(func(v any) verdict { return verdictOf(equal(v, want)) })}
	case 1:
		return test{member + " != " + literal(want), of(func(v any) verdict { return verdictOf(!equal(v, want)) })}
	case 2:
		return test{"has(" + member + ")", func(m map[string]any) verdict {
			_, ok := m[name]
			return verdictOf(ok)
		}}
	case 3:
		return test{literal(want) + " in " + member, of(func(v any) verdict {
			list, ok := v.([]any)
			if !ok {
				return failed
			}
			return verdictOf(slices.ContainsFunc(list, func(e any) bool { return equal(e, want) }))
		})}
	case 4:
		return test{member + " < 0.5", of(func(v any) verdict {
			n, ok := v.(float64)
			if !ok {
				return failed
			}
			return verdictOf(n < 0.5)
		})}
	case 5:
		return test{member + `.startsWith("x")`, of(func(v any) verdict {
			s, ok := v.(string)
			if !ok {
				return failed
			}
			return verdictOf(strings.HasPrefix(s, "x"))
		})}
	case 6:
		a := drawTest(t, depth-1)
		return test{"!(" + a.text + ")", func(m map[string]any) verdict {
			return map[verdict]verdict{yes: no, no: yes, failed: failed}[a.value(m)]
		}}
	case 7:
		a, b := drawTest(t, depth-1), drawTest(t, depth-1)
		return test{"(" + a.text + ") && (" + b.text + ")", func(m map[string]any) verdict { return both(a.value(m), b.value(m), no) }}
	default:
		a, b := drawTest(t, depth-1), drawTest(t, depth-1)
		return test{"(" + a.text + ") || (" + b.text + ")", func(m map[string]any) verdict { return both(a.value(m), b.value(m), yes) }}
	}
}

// both combines two verdicts: one of them decides if it has the deciding value, even if the other failed.
func both(a, b, decides verdict) verdict {
	switch {
	case a == decides || b == decides:
		return decides
	case a == failed || b == failed:
		return failed
	}
	return a
}

func equal(a, b any) bool { return literal(a) == literal(b) }

func drawThing(t *rapid.T) thing {
	x := thing{owner: sdk.Owner(rapid.Uint64Range(1, 3).Draw(t, "owner")), members: make(map[string]any)}
	for _, name := range modelMembers {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0: // missing
		case 1:
			x.members[name] = rapid.SliceOfN(rapid.SampledFrom(modelValues), 0, 3).Draw(t, "elements")
		default:
			x.members[name] = rapid.SampledFrom(modelValues).Draw(t, "value")
		}
	}
	return x
}

// held is the model: the objects that an index should hold.
type held map[sdk.Identity]thing

// answer returns the part of the answer behind its anchor, of its owner, among its candidates.
func (m held) answer(q *sdk.Query, a test) (ids []sdk.Identity, err error) {
	matches := func(id sdk.Identity) bool {
		x, held := m[id]
		return held && a.value(x.members) == yes
	}
	var behind sdk.Identity
	if len(q.After) > 0 {
		anchor := slices.IndexFunc(q.After, matches)
		if anchor < 0 {
			return nil, sdk.ErrGone
		}
		behind = q.After[anchor]
	}
	for id, x := range m {
		among := len(q.Within) == 0 || slices.Contains(q.Within, id)
		if among && q.Wants(x.owner) && matches(id) && id.Compare(behind) > 0 {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, sdk.Identity.Compare)
	return ids, nil
}

func drawIdentity(t *rapid.T) sdk.Identity {
	return sdktest.Version(rapid.IntRange(0, 40).Draw(t, "object"), rapid.IntRange(0, 1).Draw(t, "version"))
}

// TestIndexAgreesWithAList applies the same random history to an index and to a model, and asks them the
// same questions.
func TestIndexAgreesWithAList(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		x := newIndex(t, "")
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
				a := drawTest(r, 3)
				q := sdk.Query{Predicate: []byte(a.text), Limit: rapid.IntRange(1, 8).Draw(r, "limit"),
					Owner: sdk.Owner(rapid.Uint64Range(0, 4).Draw(r, "owner"))}
				for range rapid.IntRange(0, 3).Draw(r, "after") {
					q.After = append(q.After, drawIdentity(r))
				}
				for range rapid.IntRange(0, 9).Draw(r, "within") {
					q.Within = append(q.Within, drawIdentity(r))
				}
				slices.SortFunc(q.Within, sdk.Identity.Compare)
				q.Within = slices.Compact(q.Within)
				want, wantErr := m.answer(&q, a)
				ids, more, err := sdktest.Page(x, q)
				if err != wantErr || !slices.Equal(ids, want[:min(q.Limit, len(want))]) || more != (len(want) > q.Limit) {
					r.Fatalf("%s, limit %d, owner %d, after %x: %x, more %v (%v); want %x (%v)",
						a.text, q.Limit, q.Owner, q.After, ids, more, err, want, wantErr)
				}
			},
			"restart": func(r *rapid.T) {
				next := newIndex(t, "")
				for id := range m {
					e, ok := x.Entry(id.Value())
					if !ok || e.Identity != id || e.Owner != m[id].owner || !next.Restore(e) {
						r.Fatalf("the entry of %x is %+v, %v; want one of the owner %d that is restored", id, e, ok, m[id].owner)
					}
				}
				x = next
			},
			"": func(r *rapid.T) {
				if x.objects.Len() != len(m) {
					r.Fatalf("the index holds %d objects, want %d", x.objects.Len(), len(m))
				}
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
	return sdk.Change{Identity: id, Owner: m[id].owner, Input: []byte(literal(m[id].members))}
}

// FuzzPredicate: no predicate makes the index panic, and an answer names each object once.
func FuzzPredicate(f *testing.F) {
	for _, s := range []string{"", `object.a == 1`, `object.b.exists(x, x == "x" && !object.a)`, `object.all(k, object[k] != null)`, `[1, 2u, 3.0].map(x, x + x) == object.?b.orValue([])`,
		`timestamp("2024-01-01T00:00:00Z").getHours("Europe/Paris") > object.a`, `object.s.matches("^a|b$") ? true : dyn(b"x") == bytes("x")`} {
		f.Add(s)
	}
	x := newIndex(f, "")
	for n := range 5 {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: 1, Input: fmt.Appendf(nil, `{"a":%d,"b":[true,"x"],"c":null,"s":"abc"}`, n)}})
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
	})
}

// FuzzInput: no input makes the index panic. What it holds survives a restart, and equals itself.
func FuzzInput(f *testing.F) {
	for _, s := range []string{`{"a":{"b":[1,2.5,-0,1e999,"\u00e9"]}}`, `[]`, `"x"`, `{`, `null`, `{"a":1,"a":2}`, " 12345678901234567890123 "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		x := newIndex(t, "")
		id := sdktest.ID(1)
		x.Apply([]sdk.Change{{Identity: id, Owner: 1, Input: []byte(s)}})
		e, ok := x.Entry(id.Value())
		if ok && !newIndex(t, "").Restore(e) {
			t.Fatalf("%q is held, but its entry is refused", s)
		}
		for _, predicate := range []string{"object == object", "object.all(x, true) || true", "type(object) != int || object < 1"} {
			found, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(predicate), Limit: 1})
			if err != nil || predicate == "object == object" && ok != (len(found) == 1) {
				t.Fatalf("%q: %s finds %d (%v)", s, predicate, len(found), err)
			}
		}
	})
}
