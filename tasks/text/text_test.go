package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/sdktest"
	"motte/tasks/text/grammar"
)

func start(t testing.TB, ordered bool, options string) *sdktest.Core {
	t.Helper()
	return sdktest.Start(t, &index{}, sdk.Config{Type: model.TypeText, Ordered: ordered, MaxResults: 1 << 20, Options: []byte(options)})
}

// ask returns the answer of an index that has no channel.
func ask(x *index, predicate string) ([]sdk.Identity, error) {
	found, err := x.Search(sdk.Query{Predicate: []byte(predicate), Limit: 100})
	if err != nil {
		return nil, err
	}
	return slices.Collect(found), nil
}

func numbers(ids []sdk.Identity, count int) string {
	var list []int
	for _, id := range ids {
		for n := range count {
			if id == sdktest.ID(n) {
				list = append(list, n)
			}
		}
	}
	return strings.Trim(fmt.Sprint(list), "[]")
}

func TestConfigurations(t *testing.T) {
	for options, accepted := range map[string]bool{
		``: true, `{}`: true, `{"path":"/doc"}`: true, `{"path":""}`: true, `{"language":"en"}`: true, `{"language":"fr"}`: true,
		`{"stop_words":"en"}`: true, `{"stop_words":["the"]}`: true, `{"typos":true}`: true, `{"fields":["/a","/b"],"weights":{"a":2.5}}`: true,
		`{"fields":["/title","/a/2024"],"language":"de"}`: true,
		`{"path":"doc"}`:                    false,
		`{"path":"/doc","fields":["/doc"]}`: false,
		`{"fields":[]}`:                     false,
		`{"fields":["/a/x","/b/x"]}`:        false,
		`{"fields":["/a.b"]}`:               false,
		`{"fields":["/_all"]}`:              false,
		`{"fields":[""]}`:                   false,
		`{"language":"xx"}`:                 false,
		`{"languages":"en"}`:                false,
		`{"stop_words":"xx"}`:               false,
		`{"stop_words":5}`:                  false,
		`{"stop_words":null}`:               false,
		`{"weights":{"title":2}}`:           false,
		`{"weights":{"text":-1}}`:           false,
		`{"weights":{"text":1001}}`:         false,
		`{} {}`:                             false,
		`null`:                              false,
		`{"Path":"/doc"}`:                   false,
		`{"path":"/doc","Path":"/x"}`:       false,
		`{"path":"/doc","path":"/x"}`:       false,
		`{"path":null}`:                     false,
		`{"fields":null}`:                   false,
		`{"language":""}`:                   false,
		"{\"path\":\"/\xff\"}":              false,
		"\ufeff{}":                          false,
		`{"fields":["/a` + strings.Repeat(`","/b`, maxFields) + `"]}`: false,
	} {
		if got := start(t, false, options) != nil; got != accepted {
			t.Errorf("%.60s: accepted %v, want %v", options, got, accepted)
		}
	}
	if sdktest.Start(t, &index{}, sdk.Config{Type: model.TypeInt64}) != nil {
		t.Error("a text index of the type int64 was accepted; want it refused")
	}
}

func TestPredicates(t *testing.T) {
	core := start(t, true, "")
	texts := []string{
		0: "The quick brown fox jumps over the lazy dog",
		1: "A brown bear; a very brown bear.",
		2: "Quick wit and a lazy afternoon, with foxes",
		3: "Straße in Łódź, 2024",
		4: "version 1.5 of the protocol",
		5: "",
	}
	core.InsertAll(0, texts)
	for predicate, want := range map[string]string{
		"fox":                  "0",
		"FOX":                  "0",
		"brown":                "1 0", // the text with more occurrences in fewer words first
		"quick lazy":           "2 0", // both texts have both words; the shorter one first
		"+quick +dog":          "0",
		"+brown -fox":          "1",
		"-brown":               "2 3 4 5",
		`"quick brown"`:        "0",
		`"brown quick"`:        "",
		`"lazy dog" afternoon`: "0 2",
		"fox*":                 "2 0",
		"Fox*":                 "2 0",
		"*ox":                  "0",
		"f?x":                  "0",
		"jmups~2":              "0",
		"foz~":                 "0",
		"foz":                  "",
		"2024":                 "3",
		"łódź":                 "3",
		"1.5":                  "4",
		"text:bear":            "1",
		"bear^2 fox":           "1 0",
		"bear^1e3 fox^0.5":     "1 0",
		"nothing":              "",
		"the":                  "0 4",
	} {
		found, err := core.Search(predicate, 100)
		if got := numbers(found, len(texts)); err != nil || got != want {
			t.Errorf("%s: objects %q (%v), want %q", predicate, got, err, want)
		}
	}
	for _, predicate := range []string{"", " * "} {
		if found, err := core.Search(predicate, 100); err != nil || len(found) != len(texts) {
			t.Errorf("%q: %d found (%v), want all", predicate, len(found), err)
		}
	}
	if found, err := core.Search("brown", 1); err != nil || numbers(found, len(texts)) != "1" {
		t.Errorf("limit 1 returns %s (%v); want the best match, 1", numbers(found, len(texts)), err)
	}
}

// TestRefusedPredicates: package grammar tests the grammar. Here, fields and whole predicates.
func TestRefusedPredicates(t *testing.T) {
	core := start(t, true, "")
	core.Insert(sdktest.ID(0), "text")
	for _, predicate := range []string{
		`"open`, "nofield:x", "text:>5", "x~3", "x~-1", "x^NaN", "x^Inf", "x^-1", "x^1001", "\xff", "+", "text:", "&",
		strings.Repeat("a* ", grammar.MaxPatterns+1), strings.Repeat("a ", grammar.MaxTerms+1),
		strings.Repeat("a", grammar.MaxLength+1), strings.Repeat("a", grammar.MaxPattern) + "*",
	} {
		if found, err := core.Search(predicate, 10); err != sdktest.ErrQueryRefused {
			t.Errorf("%.40q: %d found, %v", predicate, len(found), err)
		}
	}
	for _, predicate := range []string{
		strings.Repeat("a* ", grammar.MaxPatterns), strings.Repeat("a ", grammar.MaxTerms), strings.Repeat("a", grammar.MaxPattern-1) + "*",
		strings.Repeat("a", grammar.MaxLength), strings.Repeat("*a", grammar.MaxPattern/2), strings.Repeat("a", grammar.MaxPattern) + "~2",
	} {
		if _, err := core.Search(predicate, 10); err != nil {
			t.Errorf("%.40q: %v", predicate, err)
		}
	}
}

func TestFields(t *testing.T) {
	core := start(t, true, `{"fields":["/title","/meta/body"],"language":"en"}`)
	objects := []string{
		`{"title":"Cats","meta":{"body":"Running dogs"}}`,
		`{"title":["Dogs","and cats"],"meta":null}`,
		`{"title":"Horses"}`,
		`{"other":1}`, `not JSON`, `{"title":null}`, `{"title":[]}`,
	}
	core.InsertAll(0, objects)
	for predicate, want := range map[string]string{
		"title:dog": "1", "body:run": "0", "horse": "2", "body:cat": "", `+title:cat +dog -body:dog`: "1", `"running dog"`: "0",
	} {
		found, err := core.Search(predicate, 100)
		if got := numbers(found, len(objects)); err != nil || got != want {
			t.Errorf("%s: objects %q (%v), want %q", predicate, got, err, want)
		}
	}
	if all, err := core.Search("", 100); err != nil || numbers(all, len(objects)) != "0 1 2" {
		t.Errorf("objects %s are indexed (%v); want 0 1 2, which have a text", numbers(all, len(objects)), err)
	}
}

func TestInputThatIsNotTextIsRefusedAndEndsWhatWasThere(t *testing.T) {
	for options, input := range map[string]string{`{"path":"/a"}`: `{"a":5}`, `{"path":"/b"}`: `{"b":["x",{}]}`, ``: "\xff",
		`{"fields":["/a","/b"]}`: `{"a":5,"b":"x"}`, `{"fields":["/b","/a"]}`: `{"b":"x","c":1,"c":1}`, `{"fields":["/a"]}`: `{"a":"\ud800"}`} {
		core := start(t, false, options)
		core.Insert(sdktest.ID(1), `{"a":"x","b":"x"}`)
		if core.Insert(sdktest.Version(1, 1), input) {
			t.Errorf("the input %q was accepted; want it refused", input)
		}
		if found, err := core.Search("", 10); err != nil || len(found) != 0 {
			t.Errorf("%d found (%v), want none", len(found), err)
		}
	}
}

func TestPrefixOfManyWords(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		core := start(t, ordered, "")
		texts := make([]string, 5000)
		for i := range texts {
			texts[i] = fmt.Sprintf("word%d", i)
		}
		ids := core.InsertAll(0, texts)
		if found, err := core.Search("word*", 1<<20); err != nil || len(found) != len(texts) {
			t.Errorf("ordered %v: %d found (%v), want %d", ordered, len(found), err, len(texts))
		}
		for owner, want := range map[sdk.Owner]int{sdk.AllOwners: len(texts) - 1, 1: len(texts) - 1, 2: 0} {
			found, more, err := core.Ask(sdk.Query{Predicate: []byte("word*"), Limit: 1 << 20, Owner: owner, After: ids[:1]})
			if err != nil || more || len(found) != want {
				t.Errorf("ordered %v, owner %d, behind the first: %d found, more %v (%v), want %d", ordered, owner, len(found), more, err, want)
			}
		}
	}
}

// TestPages asks for pages as the Core does: behind the objects named last, the last first.
func TestPages(t *testing.T) {
	texts := []string{"fox cat", "fox cat cat cat", "dog", "fox cat cat cat cat cat", "fox"} // 4, 0, 1, 3 is the order of their scores
	for _, c := range []struct {
		ordered   bool
		predicate string
		owner     sdk.Owner
		after     []sdk.Identity
		want      string
		more      bool
		err       error
	}{
		{true, "fox", sdk.AllOwners, nil, "4 0", true, nil},
		{true, "fox", sdk.AllOwners, []sdk.Identity{sdktest.ID(0), sdktest.ID(4)}, "1 3", false, nil},
		{true, "fox", 1, nil, "4 0", false, nil},
		{true, "fox", 2, nil, "1 3", false, nil},
		{true, "fox", 2, []sdk.Identity{sdktest.ID(1)}, "3", false, nil},
		{true, "fox", 3, nil, "", false, nil},
		{true, "fox", sdk.AllOwners, []sdk.Identity{sdktest.Version(3, 1), sdktest.ID(2), sdktest.ID(0)}, "1 3", false, nil},
		{true, "fox", sdk.AllOwners, []sdk.Identity{sdktest.Version(3, 1), sdktest.ID(2)}, "", false, sdktest.ErrGone},
		{true, "fox", sdk.AllOwners, []sdk.Identity{sdktest.ID(9)}, "", false, sdktest.ErrGone},
		{false, "fox", sdk.AllOwners, nil, "0 1", true, nil},
		{false, "fox", sdk.AllOwners, []sdk.Identity{sdktest.ID(1), sdktest.ID(0)}, "3 4", false, nil},
		{false, "fox", 1, []sdk.Identity{sdktest.ID(0)}, "4", false, nil},
		{false, "", 2, nil, "1 3", false, nil},
		{false, "fox", sdk.AllOwners, []sdk.Identity{sdktest.ID(9), sdktest.ID(3)}, "4", false, nil},
		{false, "fox", sdk.AllOwners, []sdk.Identity{sdktest.ID(9)}, "", false, sdktest.ErrGone},
	} {
		core := start(t, c.ordered, "")
		for n, text := range texts {
			core.InsertOf(sdk.Owner(1+n%2), sdktest.ID(n), text)
		}
		found, more, err := core.Ask(sdk.Query{Predicate: []byte(c.predicate), Limit: 2, Owner: c.owner, After: c.after})
		if got := numbers(found, len(texts)); got != c.want || more != c.more || err != c.err {
			t.Errorf("ordered %v, %q of owner %d behind %s: objects %q, more %v (%v); want %q, %v (%v)",
				c.ordered, c.predicate, c.owner, numbers(c.after, len(texts)), got, more, err, c.want, c.more, c.err)
		}
	}
}

// TestChangedRanksShowNoObjectAgain: changes of other objects change the ranks of two objects
// that were shown. The first of them is then behind the second.
func TestChangedRanksShowNoObjectAgain(t *testing.T) {
	core := start(t, true, "")
	cats := strings.Repeat(" cat", 40)
	texts := []string{"fox", "dog", "dog" + cats, "dog" + cats + cats}
	shown := core.InsertAll(0, texts)[:2]
	q := sdk.Query{Predicate: []byte("fox dog"), Limit: 2}
	if found, more, err := core.Ask(q); err != nil || !more || numbers(found, 4) != "0 1" {
		t.Fatalf("the first page has %q, more %v (%v), want 0 1", numbers(found, 4), more, err)
	}
	core.InsertAll(10, slices.Repeat([]string{"fox" + cats}, 3))
	if found, _, err := core.Ask(q); err != nil || numbers(found, 4) != "1 0" {
		t.Fatalf("the ranks are %q now (%v), want 1 0, so that the test tests the change", numbers(found, 4), err)
	}
	q.Limit, q.After = 1, []sdk.Identity{shown[1], shown[0]}
	if found, more, err := core.Ask(q); err != nil || !more || numbers(found, 4) != "2" {
		t.Errorf("the next page has %q, more %v (%v), want 2", numbers(found, 4), more, err)
	}
}

// TestSearchBeyondItsWorkIsTooExpensive: the predicate is not refused. The same predicate on the same
// objects gives the same answer at each time.
func TestSearchBeyondItsWorkIsTooExpensive(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		x := &index{}
		if err := x.Configure(sdk.Config{Type: model.TypeText, Ordered: ordered}); err != nil {
			t.Fatal(err)
		}
		for n := range 3 {
			x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: 1, Input: []byte("quick fox")}})
		}
		for _, predicate := range []string{"", "fox", "fo*", "foz~", `"quick fox"`, "+quick -dog", "NOT dog"} {
			for _, owner := range []sdk.Owner{sdk.AllOwners, 1} {
				q := sdk.Query{Predicate: []byte(predicate), Limit: 1, Owner: owner}
				if _, err := x.answer(q, 1); err != sdk.ErrTooExpensive {
					t.Errorf("ordered %v, %q of owner %d: %v, want %v", ordered, predicate, owner, err, sdk.ErrTooExpensive)
				}
				if _, err := x.answer(q, 100); err != nil {
					t.Errorf("ordered %v, %q of owner %d, with more work: %v", ordered, predicate, owner, err)
				}
			}
		}
	}
}

// TestOwnerIsNoText: no predicate finds an object by its owner, also in all fields together.
func TestOwnerIsNoText(t *testing.T) {
	const owner = sdk.Owner(0x6f776e6572736f78) // "ownersox" as bytes
	core := start(t, true, `{"fields":["/a","/b"]}`)
	core.InsertOf(owner, sdktest.ID(1), `{"a":"fox"}`)
	core.InsertOf(1, sdktest.ID(2), `{"b":"fox"}`)
	if found, err := core.Search("ownersox", 10); err != nil || len(found) != 0 {
		t.Errorf("the owner as a word finds %x (%v), want no object", found, err)
	}
	if found, err := core.Search("_owner:ownersox", 10); err != sdktest.ErrQueryRefused {
		t.Errorf("the field of the owner finds %x (%v), want %v", found, err, sdktest.ErrQueryRefused)
	}
	found, more, err := core.Ask(sdk.Query{Predicate: []byte("fox"), Limit: 10, Owner: owner})
	if got := numbers(found, 3); err != nil || more || got != "1" {
		t.Errorf("the owner's objects: %q, more %v (%v); want 1", got, more, err)
	}
}

// FuzzPredicate: no predicate makes the index panic. The objects of an owner are found if they are
// found among all, and so is the second page.
func FuzzPredicate(f *testing.F) {
	for _, s := range []string{"", "+quick -\"lazy dog\"~2 fo* b?r^3", "text:fox~1", "-", "\\", "1.5^2", "text:>=5", "/x/", "a\\ b*", "\"\"", "~", "^"} {
		f.Add(s)
	}
	x := &index{}
	if err := x.Configure(sdk.Config{Type: model.TypeText, Ordered: true}); err != nil {
		f.Fatal(err)
	}
	x.Apply([]sdk.Change{
		{Identity: sdktest.ID(1), Owner: 1, Input: []byte("the quick brown fox 1.5")},
		{Identity: sdktest.ID(2), Owner: 2, Input: []byte("lazy dog ~ ^ \\")},
		{Identity: sdktest.ID(3), Owner: 1, Input: []byte("a fox, quick and lazy")},
	})
	f.Fuzz(func(t *testing.T, s string) {
		all, err := ask(x, s)
		q := question{Query: sdk.Query{Predicate: []byte(s), Limit: 3, Owner: 1}}
		of, more, errOf := sdktest.Page(x, q.Query)
		if (err == nil) != (errOf == nil) || more {
			t.Fatalf("%q: %v for all, and %v for an owner, who has more: %v", s, err, errOf, more)
		}
		want := slices.DeleteFunc(slices.Clone(all), func(id sdk.Identity) bool { return id == sdktest.ID(2) })
		slices.SortFunc(want, compare)
		if got := slices.SortedFunc(slices.Values(of), compare); !slices.Equal(got, want) {
			t.Fatalf("%q finds %s for an owner, and %s for all", s, numbers(of, 4), numbers(all, 4))
		}
		if len(all) == 0 {
			return
		}
		q.Owner, q.After = sdk.AllOwners, all[:1]
		if rest, _, err := sdktest.Page(x, q.Query); err != nil || !slices.Equal(rest, all[1:]) {
			t.Fatalf("%q finds %s behind the first of %s (%v)", s, numbers(rest, 4), numbers(all, 4), err)
		}
	})
}
