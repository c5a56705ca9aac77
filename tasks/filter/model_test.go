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

// thing is an object of the model: the JSON values of its members, of which nil stands for null.
type thing struct {
	owner   sdk.Owner
	members map[string]any
}

// test is a predicate, and the function that it stands for.
type test struct {
	text  string
	match func(map[string]any) bool
}

// values returns the values of a member, by the documentation: of an array those of its elements.
func values(m map[string]any, field string) (list []any, exists bool) {
	v, ok := m[field]
	if array, isArray := v.([]any); isArray {
		return array, true
	}
	if !ok {
		return nil, false
	}
	return []any{v}, v != nil
}

var (
	modelFields = []string{"a", "b", "c"}
	modelValues = []any{nil, true, false, 0.0, 1.0, -2.5, "", "x", "y", strings.Repeat("long", 50)}
)

func literal(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func drawList(t *rapid.T) (list []any, text string) {
	list = rapid.SliceOfN(rapid.SampledFrom(modelValues), 1, 3).Draw(t, "list")
	var texts []string
	for _, v := range list {
		texts = append(texts, literal(v))
	}
	return list, "(" + strings.Join(texts, ", ") + ")"
}

// drawTest draws a predicate.
func drawTest(t *rapid.T, depth int) test {
	field := rapid.SampledFrom(modelFields).Draw(t, "field")
	has := func(m map[string]any, v any) bool {
		list, _ := values(m, field)
		return slices.Contains(list, v)
	}
	exists := func(m map[string]any) bool {
		_, exists := values(m, field)
		return exists
	}
	v := rapid.SampledFrom(modelValues).Draw(t, "value")
	choices := 9
	if depth > 0 {
		choices = 12
	}
	switch rapid.IntRange(0, choices-1).Draw(t, "operator") {
	case 0:
		return test{field + " = " + literal(v), func(m map[string]any) bool { return has(m, v) }}
	case 1:
		return test{"/" + field + " has " + literal(v), func(m map[string]any) bool { return has(m, v) }}
	case 2:
		return test{`"/` + field + `" != ` + literal(v), func(m map[string]any) bool { return exists(m) && !has(m, v) }}
	case 3:
		return test{"exists " + field, exists}
	case 4:
		return test{"missing " + field, func(m map[string]any) bool { return !exists(m) }}
	case 5:
		list, text := drawList(t)
		return test{field + " in " + text, func(m map[string]any) bool {
			return slices.ContainsFunc(list, func(v any) bool { return has(m, v) })
		}}
	case 6:
		list, text := drawList(t)
		return test{field + " not in " + text, func(m map[string]any) bool {
			return exists(m) && !slices.ContainsFunc(list, func(v any) bool { return has(m, v) })
		}}
	case 7:
		list, text := drawList(t)
		return test{field + " contains all " + text, func(m map[string]any) bool {
			return !slices.ContainsFunc(list, func(v any) bool { return !has(m, v) })
		}}
	case 8:
		return test{"all", func(map[string]any) bool { return true }}
	case 9:
		a := drawTest(t, depth-1)
		return test{"not (" + a.text + ")", func(m map[string]any) bool { return !a.match(m) }}
	case 10:
		a, b := drawTest(t, depth-1), drawTest(t, depth-1)
		return test{"(" + a.text + ") and (" + b.text + ")", func(m map[string]any) bool { return a.match(m) && b.match(m) }}
	default:
		a, b := drawTest(t, depth-1), drawTest(t, depth-1)
		return test{"(" + a.text + ") or (" + b.text + ")", func(m map[string]any) bool { return a.match(m) || b.match(m) }}
	}
}

func drawThing(t *rapid.T) thing {
	x := thing{owner: sdk.Owner(rapid.Uint64Range(1, 3).Draw(t, "owner")), members: make(map[string]any)}
	for _, field := range modelFields {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0: // missing
		case 1:
			x.members[field] = rapid.SliceOfN(rapid.SampledFrom(modelValues), 0, 3).Draw(t, "elements")
		default:
			x.members[field] = rapid.SampledFrom(modelValues).Draw(t, "value")
		}
	}
	return x
}

// held is the model: the objects that an index should hold.
type held map[sdk.Identity]thing

// answer returns the part of the answer behind its anchor, of its owner.
func (m held) answer(q *sdk.Query, match func(map[string]any) bool) (ids []sdk.Identity, err error) {
	matches := func(id sdk.Identity) bool {
		x, held := m[id]
		return held && match(x.members)
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
		if among && q.Wants(x.owner) && match(x.members) && id.Compare(behind) > 0 {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, sdk.Identity.Compare)
	return ids, nil
}

func drawIdentity(t *rapid.T) sdk.Identity {
	return sdktest.Version(rapid.IntRange(0, 40).Draw(t, "object"), rapid.IntRange(0, 1).Draw(t, "version"))
}

// newIndex returns an index of all fields.
func newIndex(t interface{ Fatal(...any) }, options string) *index {
	x := &index{}
	if err := x.Configure(sdk.Config{Options: []byte(options)}); err != nil {
		t.Fatal(err)
	}
	return x
}

// TestIndexAgreesWithAList applies the same random history to indexes and to a model, and asks them the
// same questions.
func TestIndexAgreesWithAList(t *testing.T) {
	for _, options := range []string{"", `{"fields":["/a","/b","/c"]}`} {
		rapid.Check(t, func(t *rapid.T) {
			x := newIndex(t, options)
			m := make(held)
			t.Repeat(map[string]func(*rapid.T){
				"apply": func(t *rapid.T) {
					var batch []sdk.Change
					for range rapid.IntRange(1, 5).Draw(t, "changes") {
						batch = append(batch, drawChange(t, m))
					}
					x.Apply(batch)
				},
				"search": func(t *rapid.T) {
					a := drawTest(t, 3)
					q := sdk.Query{Predicate: []byte(a.text), Limit: rapid.IntRange(1, 8).Draw(t, "limit"),
						Owner: sdk.Owner(rapid.Uint64Range(0, 4).Draw(t, "owner"))}
					for range rapid.IntRange(0, 3).Draw(t, "after") {
						q.After = append(q.After, drawIdentity(t))
					}
					for range rapid.IntRange(0, 9).Draw(t, "within") {
						q.Within = append(q.Within, drawIdentity(t))
					}
					slices.SortFunc(q.Within, sdk.Identity.Compare)
					q.Within = slices.Compact(q.Within)
					want, wantErr := m.answer(&q, a.match)
					ids, more, err := sdktest.Page(x, q)
					if err != wantErr || !slices.Equal(ids, want[:min(q.Limit, len(want))]) || more != (len(want) > q.Limit) {
						t.Fatalf("%s, limit %d, owner %d, after %x: %x, more %v (%v); want %x (%v)",
							a.text, q.Limit, q.Owner, q.After, ids, more, err, want, wantErr)
					}
				},
				"restart": func(t *rapid.T) { x = restarted(t, x, m, options) },
				"":        func(t *rapid.T) { checkTerms(t, x, m) },
			})
		})
	}
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

// restarted returns a new index with the entries of another. It restores some objects twice, and
// removes some in between.
func restarted(t *rapid.T, x *index, m held, options string) *index {
	next := newIndex(t, options)
	for id := range m {
		e, ok := x.Entry(id.Value())
		if !ok || e.Identity != id || e.Owner != m[id].owner {
			t.Fatalf("the entry of %x is %+v, %v; want one of the owner %d", id, e, ok, m[id].owner)
		}
		for range rapid.IntRange(1, 2).Draw(t, "times") {
			if !next.Restore(e) {
				t.Fatalf("the entry %x of %x is not restored", e.Data, id)
			}
		}
		if rapid.IntRange(0, 9).Draw(t, "removed") == 0 {
			next.Apply([]sdk.Change{{Identity: id, Remove: true}})
			delete(m, id)
		}
	}
	next.Restored()
	return next
}

// checkTerms fails if a term has other objects than those that have the term.
func checkTerms(t *rapid.T, x *index, m held) {
	if x.objects.Len() != len(m) || int(x.objects.All().GetCardinality()) != len(m) {
		t.Fatalf("the index holds %d objects, want %d", x.objects.Len(), len(m))
	}
	total := 0
	for id := range m {
		n, ok := x.objects.Find(id.Value())
		if !ok {
			t.Fatalf("the index does not hold %x", id)
		}
		for _, number := range x.objects.At(n).Data {
			if !x.terms.list[number].objects.Contains(n) {
				t.Fatalf("the object %x is not in the set of its term %q", id, x.terms.list[number].name)
			}
			total++
		}
	}
	for name, number := range x.terms.number {
		set := &x.terms.list[number].objects
		if x.terms.list[number].name != name || set.Len() == 0 {
			t.Fatalf("the term %q is called %q and has %d objects", name, x.terms.list[number].name, set.Len())
		}
		total -= set.Len()
	}
	if total != 0 || len(x.terms.number)+len(x.terms.free) != len(x.terms.list) {
		t.Fatalf("the sets differ from the terms of the objects by %d; %d terms and %d free, of %d",
			total, len(x.terms.number), len(x.terms.free), len(x.terms.list))
	}
}

// FuzzPredicate: no predicate makes the index panic, and an answer names each object once.
func FuzzPredicate(f *testing.F) {
	for _, s := range []string{"", `a = 1`, `a in ("x", null) and not /b has true`, `(((missing "/a b"`, `exists a or b contains all (1, "\u0000")`, `a!=1`, `not not all`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		x := newIndex(t, "")
		for n := range 50 {
			x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: 1, Input: fmt.Appendf(nil, `{"a":%d,"b":[true,"x"],"c":null}`, n%3)}})
		}
		seen := make(map[sdk.Identity]bool)
		found, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(s), Limit: 100})
		for _, id := range found {
			if seen[id] || err != nil {
				t.Fatalf("%q finds %x twice, or with an error: %v", s, id, err)
			}
			seen[id] = true
		}
	})
}

// FuzzInput: an input is refused, or its object can be found, and its entry restored and removed.
func FuzzInput(f *testing.F) {
	for _, s := range []string{`{}`, `[1,"a",null,{}]`, `{"a":{"b/c~":[1e5,-0.0,1e99999999999]}}`, `"text"`, `{"a":"\ud83d\ude00","\u0061b":true}`, `[[[[`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		for _, options := range []string{"", `{"fields":["","/a","/a/0","/a/b"]}`} {
			x := newIndex(t, options)
			x.Apply([]sdk.Change{{Identity: sdktest.ID(1), Owner: 1, Input: input}})
			if e, ok := x.Entry(sdktest.ID(1).Value()); ok {
				again := newIndex(t, options)
				if !again.Restore(e) {
					t.Fatalf("the entry %x of %q is not restored", e.Data, input)
				}
				again.Restored()
				if len(again.terms.number) != len(x.terms.number) {
					t.Fatalf("%d terms of %q are restored, want %d", len(again.terms.number), input, len(x.terms.number))
				}
			}
			x.Apply([]sdk.Change{{Identity: sdktest.ID(1), Remove: true}})
			if len(x.terms.number) != 0 || x.objects.Len() != 0 {
				t.Fatalf("%d terms of %q are left", len(x.terms.number), input)
			}
		}
	})
}

// FuzzRestore: any data are refused, or give an entry that Entry returns again.
func FuzzRestore(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x02/a\x02\x01x\x02tt"))
	f.Add([]byte("\x02/a\x01\x01x\x02/a\x01\x01x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		x := newIndex(t, "")
		restored := x.Restore(sdk.Entry{Identity: sdktest.ID(1), Owner: 2, Data: data})
		x.Restored()
		e, ok := x.Entry(sdktest.ID(1).Value())
		if ok != restored || ok && (e.Identity != sdktest.ID(1) || e.Owner != 2) {
			t.Fatalf("restored: %v; then the entry is %+v, %v", restored, e, ok)
		}
		if again := newIndex(t, ""); ok && !again.Restore(e) {
			t.Fatalf("the entry %x is not restored again", e.Data)
		}
	})
}
