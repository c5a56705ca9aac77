package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"motte/sdk"
	"motte/sdk/sdktest"
)

// thing is an object of the model: its texts, by field.
type thing struct {
	owner sdk.Owner
	texts map[string][]string
}

// test is a predicate, and the function that it stands for.
type test struct {
	text  string
	match func(thing) bool
}

// A few characters, so that patterns match: also some that fold to another number of bytes.
var letters = []rune("aaaaaaabbbbbAéſsKk\n/")

func drawText(t *rapid.T, most int) string {
	return string(rapid.SliceOfN(rapid.SampledFrom(letters), 0, most).Draw(t, "text"))
}

// drawExpression draws a regular expression.
func drawExpression(t *rapid.T, depth int) string {
	choices := 8
	if depth > 0 {
		choices = 14
	}
	sub := func() string { return drawExpression(t, depth-1) }
	switch rapid.IntRange(0, choices-1).Draw(t, "expression") {
	case 0, 1, 2, 3:
		return strings.ReplaceAll(regexp.QuoteMeta(drawText(t, 4)), "/", `\/`)
	case 4:
		return rapid.SampledFrom([]string{".", `[a-b]`, `[^a]`, `\w`, `[[:upper:]]`, `\pL`, `[aéſ]`}).Draw(t, "class")
	case 5:
		return rapid.SampledFrom([]string{"^", "$", `\b`, `\A`, `\z`}).Draw(t, "anchor")
	case 6:
		return ".*"
	case 7:
		return "(?i:" + strings.ReplaceAll(regexp.QuoteMeta(drawText(t, 4)), "/", `\/`) + ")"
	case 8:
		return "(?:" + sub() + "|" + sub() + ")"
	case 9:
		return "(?:" + sub() + ")" + rapid.SampledFrom([]string{"*", "+", "?", "{2}", "{1,3}", "*?", "{0}", "{2,}"}).Draw(t, "repeat")
	case 10:
		return "(" + sub() + "|)"
	default:
		return sub() + sub()
	}
}

// drawPattern draws a substring or a regular expression, and the function that it stands for.
func drawPattern(t *rapid.T) (string, func(string) bool) {
	flags := rapid.SampledFrom([]string{"", "", "i", "s", "m", "ims"}).Draw(t, "flags")
	if rapid.Bool().Draw(t, "regular") {
		text := drawExpression(t, 3)
		re := regexp.MustCompile(text)
		if flags != "" {
			re = regexp.MustCompile("(?" + flags + ")" + text)
		}
		return "/" + text + "/" + flags, re.MatchString
	}
	text := drawText(t, 5)
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	predicate, fits := string(quoted), strings.Contains
	if flags == "i" {
		predicate += "i"
	}
	prefix, suffix := rapid.Bool().Draw(t, "prefix"), rapid.Bool().Draw(t, "suffix")
	switch {
	case prefix && suffix:
		predicate, fits = "^"+predicate+"$", func(s, t string) bool { return s == t }
	case prefix:
		predicate, fits = "^"+predicate, strings.HasPrefix
	case suffix:
		predicate, fits = predicate+"$", strings.HasSuffix
	}
	if flags != "i" {
		return predicate, func(s string) bool { return fits(s, text) }
	}
	return predicate, func(s string) bool { return fits(foldText(s), foldText(text)) }
}

// foldText maps each character to the least that is equal when case does not count. strings.ToUpper
// does not: it maps some characters that are equal to different ones.
func foldText(s string) string {
	return strings.Map(func(r rune) rune {
		for _, other := range letters {
			if strings.EqualFold(string(r), string(other)) {
				r = min(r, other)
			}
		}
		return r
	}, s)
}

func drawTest(t *rapid.T, depth int) test {
	choices := 6
	if depth > 0 {
		choices = 9
	}
	switch rapid.IntRange(0, choices-1).Draw(t, "operator") {
	case 0, 1, 2:
		text, match := drawPattern(t)
		return test{text, func(x thing) bool {
			return slices.ContainsFunc(slices.Concat(x.texts["a"], x.texts["b"]), match)
		}}
	case 3, 4:
		text, match := drawPattern(t)
		return test{"b: " + text, func(x thing) bool { return slices.ContainsFunc(x.texts["b"], match) }}
	case 5:
		return test{"all", func(thing) bool { return true }}
	case 6:
		a := drawTest(t, depth-1)
		return test{"not (" + a.text + ")", func(x thing) bool { return !a.match(x) }}
	case 7:
		a, b := drawTest(t, depth-1), drawTest(t, depth-1)
		return test{"(" + a.text + ") and (" + b.text + ")", func(x thing) bool { return a.match(x) && b.match(x) }}
	default:
		a, b := drawTest(t, depth-1), drawTest(t, depth-1)
		return test{"(" + a.text + ") or (" + b.text + ")", func(x thing) bool { return a.match(x) || b.match(x) }}
	}
}

func drawThing(t *rapid.T) thing {
	x := thing{owner: sdk.Owner(rapid.Uint64Range(1, 3).Draw(t, "owner")), texts: make(map[string][]string)}
	for _, field := range []string{"a", "b"} {
		for range rapid.IntRange(0, 2).Draw(t, "texts") {
			x.texts[field] = append(x.texts[field], drawText(t, 12))
		}
	}
	return x
}

func (x thing) input() []byte {
	text, err := json.Marshal(x.texts)
	if err != nil {
		panic(err)
	}
	return text
}

// held is the model: the objects that an index should hold.
type held map[sdk.Identity]thing

// answer returns the part of the answer behind its anchor, of its owner and candidates.
func (m held) answer(q *sdk.Query, match func(thing) bool) (ids []sdk.Identity, err error) {
	var behind sdk.Identity
	if len(q.After) > 0 {
		anchor := slices.IndexFunc(q.After, func(id sdk.Identity) bool {
			x, held := m[id]
			return held && match(x)
		})
		if anchor < 0 {
			return nil, sdk.ErrGone
		}
		behind = q.After[anchor]
	}
	for id, x := range m {
		among := len(q.Within) == 0 || slices.Contains(q.Within, id)
		if among && q.Wants(x.owner) && match(x) && id.Compare(behind) > 0 {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, sdk.Identity.Compare)
	return ids, nil
}

func drawIdentity(t *rapid.T) sdk.Identity {
	return sdktest.Version(rapid.IntRange(0, 40).Draw(t, "object"), rapid.IntRange(0, 1).Draw(t, "version"))
}

const modelOptions = `{"fields":["/a","/b"]}`

func newIndex(t interface{ Fatal(...any) }, options string) *index {
	x := &index{}
	if err := x.Configure(sdk.Config{Options: []byte(options)}); err != nil {
		t.Fatal(err)
	}
	return x
}

// TestIndexAgreesWithAList applies the same random history to an index and to a model, and asks both the
// same questions.
func TestIndexAgreesWithAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newIndex(t, modelOptions)
		m := make(held)
		t.Repeat(map[string]func(*rapid.T){
			"apply": func(t *rapid.T) {
				var batch []sdk.Change
				for range rapid.IntRange(1, 9).Draw(t, "changes") {
					batch = append(batch, drawChange(t, m))
				}
				x.Apply(batch)
			},
			"search": func(t *rapid.T) {
				a := drawTest(t, 2)
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
			"restart": func(t *rapid.T) { x = restarted(t, x, m) },
			"":        func(t *rapid.T) { checkPostings(t, x, m) },
		})
	})
}

// TestCandidatesAreAllThatMatch: a text that matches an expression has the trigrams that it needs.
func TestCandidatesAreAllThatMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := newIndex(t, "")
		predicate, match := drawPattern(t)
		e, err := parse([]byte(predicate), x.fields)
		if err != nil {
			t.Fatalf("%s: %v", predicate, err)
		}
		matching := 0
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		for n := range 300 {
			var runes []rune
			for range r.IntN(12) {
				runes = append(runes, letters[r.IntN(len(letters))])
			}
			text := string(runes)
			x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: 1, Input: []byte(text)}})
			if match(text) {
				matching++
			}
		}
		found, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(predicate), Limit: 300})
		if err != nil || len(found) != matching {
			t.Fatalf("%s finds %d (%v), want %d; it needs %+v", predicate, len(found), err, matching, e.need())
		}
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
	if rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
		return sdk.Change{Identity: id, Remove: true}
	}
	x := drawThing(t)
	if len(x.texts) > 0 {
		m[id] = x
	}
	return sdk.Change{Identity: id, Owner: x.owner, Input: x.input()}
}

// restarted returns a new index with the entries of another.
func restarted(t *rapid.T, x *index, m held) *index {
	next := newIndex(t, modelOptions)
	for id := range m {
		e, ok := x.Entry(id.Value())
		if !ok || e.Identity != id || e.Owner != m[id].owner || !next.Restore(e) {
			t.Fatalf("the entry of %x is %+v, %v; want one of the owner %d that is restored", id, e, ok, m[id].owner)
		}
		if rapid.IntRange(0, 9).Draw(t, "removed") == 0 {
			next.Apply([]sdk.Change{{Identity: id, Remove: true}})
			delete(m, id)
		}
	}
	next.Restored()
	return next
}

// checkPostings fails if the sets of trigrams have other objects than those with the trigrams.
func checkPostings(t *rapid.T, x *index, m held) {
	if x.objects.Len() != len(m) {
		t.Fatalf("the index holds %d objects, want %d", x.objects.Len(), len(m))
	}
	total := 0
	for id := range m {
		n, _ := x.objects.Find(id.Value())
		for _, tri := range x.scan.trigrams(x.objects.At(n).Data) {
			if set := x.postings[tri]; set == nil || !set.Contains(n) {
				t.Fatalf("the object %x is not in the set of its trigram %06x", id, tri)
			}
			total++
		}
	}
	for tri, set := range x.postings {
		if set.Len() == 0 {
			t.Fatalf("the set of the trigram %06x is empty", tri)
		}
		total -= set.Len()
	}
	if total != 0 {
		t.Fatalf("the sets differ from the trigrams of the texts by %d", total)
	}
}

// FuzzPredicate: no predicate makes the index panic, and an expression finds what it matches.
func FuzzPredicate(f *testing.F) {
	for _, s := range []string{"", `"a b"`, `^"x"i$ or not /a+b{2,3}[^c]/ims`, `text:/(a|b)*?c$/`, `(((not "\u0000"`, `/\//`, `/(?i)[k-z]ſ\x{212a}/`} {
		f.Add(s)
	}
	var samples []string
	for n := range 30 {
		samples = append(samples, fmt.Sprintf("text %d: aabbb Kelvin\nC:\\x/ſs%c", n, 'a'+rune(n)))
	}
	f.Fuzz(func(t *testing.T, s string) {
		x := newIndex(t, "")
		for n, text := range samples {
			x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: 1, Input: []byte(text)}})
		}
		found, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(s), Limit: 100})
		if err != nil {
			return
		}
		e, err := parse([]byte(s), x.fields)
		if err != nil {
			t.Fatalf("%q is accepted and then refused: %v", s, err)
		}
		matching := 0
		for _, text := range samples {
			if e.matches(&evaluation{work: maxWork}, texts{}.add(0, []byte(text))) {
				matching++
			}
		}
		if len(found) != matching {
			t.Fatalf("%q finds %d, want %d", s, len(found), matching)
		}
	})
}

// FuzzInput: an input is refused, or its object can be found, its entry restored, and removed.
func FuzzInput(f *testing.F) {
	for _, s := range []string{`{"a":"text","b":["x",null,"yz"]}`, `{"a":7}`, `{"a":"\ud83d\ude00ǅŉß"}`, `[`, `{"b":""}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		for _, options := range []string{"", modelOptions, `{"path":""}`} {
			x := newIndex(t, options)
			x.Apply([]sdk.Change{{Identity: sdktest.ID(1), Owner: 1, Input: input}})
			if e, ok := x.Entry(sdktest.ID(1).Value()); ok {
				again := newIndex(t, options)
				restored := again.Restore(e)
				again.Restored()
				if !restored || len(again.postings) != len(x.postings) {
					t.Fatalf("the entry %x of %q has %d trigrams when it is restored, want %d", e.Data, input, len(again.postings), len(x.postings))
				}
			}
			x.Apply([]sdk.Change{{Identity: sdktest.ID(1), Remove: true}})
			if len(x.postings) != 0 || x.objects.Len() != 0 {
				t.Fatalf("%d trigrams of %q are left", len(x.postings), input)
			}
		}
	})
}

// FuzzRestore: any data are refused, or give an entry that Entry returns again.
func FuzzRestore(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x03abc\x01\x00"))
	f.Add([]byte("\x02\x01a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		x := newIndex(t, modelOptions)
		restored := x.Restore(sdk.Entry{Identity: sdktest.ID(1), Owner: 2, Data: data})
		x.Restored()
		e, ok := x.Entry(sdktest.ID(1).Value())
		if ok != restored || ok && (e.Identity != sdktest.ID(1) || e.Owner != 2 || string(e.Data) != string(data)) {
			t.Fatalf("restored: %v; then the entry is %+v, %v", restored, e, ok)
		}
		if _, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(`b:"a" or /x/i`), Limit: 2}); err != nil {
			t.Fatal(err)
		}
	})
}
