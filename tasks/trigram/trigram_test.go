package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/sdktest"
)

func start(t *testing.T, options string) *sdktest.Core {
	t.Helper()
	core := sdktest.Start(t, &index{}, sdk.Config{Type: model.TypeText, MaxResults: 1000, Shelf: 1 << 20, Options: []byte(options)})
	if core == nil {
		t.Fatalf("the configuration %s is refused", options)
	}
	return core
}

// TestPredicates asks for objects by each form of a predicate. The letters name the objects found.
func TestPredicates(t *testing.T) {
	objects := []string{
		`{"title":"The motte holds","steps":["dig","pile up"]}`,
		`{"title":"the bailey may fall","steps":"C:\\x and a/b"}`,
		`{"title":"Straße nach İzmir","steps":["line one\nline two",null]}`,
		`{"title":"","steps":[]}`,
		`{"steps":"motte"}`,
	}
	core := start(t, `{"fields":["/title","/steps"]}`)
	for n, o := range objects {
		if !core.Insert(sdktest.ID(n), o) {
			t.Fatalf("%s is refused", o)
		}
	}
	for predicate, want := range map[string]string{
		``:                               "abcde",
		`all`:                            "abcde",
		`"motte"`:                        "ae",
		`"otte hol"`:                     "a",
		`"MOTTE"`:                        "",
		`"MOTTE"i`:                       "ae",
		`title:"motte"`:                  "a",
		`steps : "motte"`:                "e",
		`^"motte"`:                       "e",
		`"motte"$`:                       "e",
		`^"the"`:                         "b",
		`^"the"i`:                        "ab",
		`"FALL"i$`:                       "b",
		`^""$`:                           "d",
		`""`:                             "abcde",
		`title:""`:                       "abcd",
		`/m[aeiou]t+e/`:                  "ae",
		`/^the .* fall$/`:                "b",
		`/^the/i`:                        "ab",
		`/a\/b/`:                         "b",
		`"a/b" and "C:\\x"`:              "b",
		`"line one\nline"`:               "c",
		`/one.line/`:                     "",
		`/one.line/s`:                    "c",
		`/^line two/`:                    "",
		`/^line two/m`:                   "c",
		`/straße/i`:                      "c",
		`/\pL+ße/ and not /xyz|motte/`:   "c",
		`"motte" or "bailey" and "up"`:   "ae",
		`("motte" or "bailey") and "up"`: "a",
		`not "motte"`:                    "bcd",
		`NOT "motte" AND NOT title:^""$`: "bc",
		`steps:/^dig$/ and /^pile/`:      "a",
		`"ab"`:                           "",
	} {
		found, err := core.Search(predicate, 100)
		got := ""
		for n := range objects {
			if slices.Contains(found, sdktest.ID(n)) {
				got += string(rune('a' + n))
			}
		}
		if err != nil || got != want {
			t.Errorf("%s finds %q (%v), want %q", predicate, got, err, want)
		}
	}
}

func TestPredicatesThatAreRefused(t *testing.T) {
	core := start(t, `{"fields":["/title"]}`)
	long := strings.Repeat("not ", maxNesting)
	for _, predicate := range []string{
		`a`, `"a`, `/a`, `"a" "b"`, `"a" and`, `or`, `not`, `(`, `("a"`, `"a")`, `"a"g`, `"a"ii`, `/a/x`, `/a/U`, `^/a/`, `/a/$`, `^`, `^^"a"`,
		`author:"a"`, `title"a"`, `title:`, `title:all`, `title:("a")`, `"\ud800"`, `"\x"`, `/(/`, `/a{1001}/`, `/(a{100}){100}/`, `/\1/`, `/(?=a)/`,
		"\"a\xff\"", "/\xff/", long + `not "a"`, strings.Repeat("(", maxNesting+1) + `"a"` + strings.Repeat(")", maxNesting+1),
		strings.Repeat(`"a" or `, maxPatterns) + `"a"`, `"` + strings.Repeat("a", maxLength) + `"`, `/(` + strings.Repeat("a", 200) + `){100}/`,
	} {
		if found, err := core.Search(predicate, 10); err != sdktest.ErrQueryRefused {
			t.Errorf("%.60q finds %d (%v), want that it is refused", predicate, len(found), err)
		}
	}
	for _, predicate := range []string{long + `"a"`, strings.Repeat(`"a" or `, maxPatterns-1) + `"a"`, `/a{990}/`, `"` + strings.Repeat("a", maxLength-2) + `"`} {
		if _, err := core.Search(predicate, 10); err != nil {
			t.Errorf("%.60q: %v", predicate, err)
		}
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	var many []string
	for n := range maxFields + 1 {
		many = append(many, fmt.Sprintf(`"/a/f%d"`, n))
	}
	for _, options := range []string{
		`{`, `{"path":"a"}`, `{"path":"/a","fields":["/b"]}`, `{"fields":[]}`, `{"fields":["/a","/b/a"]}`, `{"fields":[""]}`, `{"fields":["/a b"]}`,
		`{"fields":["/not"]}`, `{"path":null}`, `{"paths":"/a"}`, `{"fields":[` + strings.Join(many, ",") + `]}`,
	} {
		if err := new(index).Configure(sdk.Config{Options: []byte(options)}); err == nil {
			t.Errorf("the configuration %.60s is accepted", options)
		}
	}
	if err := new(index).Configure(sdk.Config{Options: []byte(`{"fields":[` + strings.Join(many[1:], ",") + `]}`)}); err != nil {
		t.Errorf("%d fields: %v", maxFields, err)
	}
	if err := new(index).Configure(sdk.Config{Type: model.TypeInt64}); err == nil {
		t.Error("the data type int64 is accepted")
	}
}

// TestInputs: which inputs are refused, and which are not indexed without complaint.
func TestInputs(t *testing.T) {
	list := func(n int) string { return `{"a":[""` + strings.Repeat(`,"x"`, n-1) + `]}` }
	for _, c := range []struct {
		options, input  string
		accepted, found bool
	}{
		{"", "any text", true, true},
		{"", "", true, true},
		{"", "\xff", false, false},
		{`{"path":"/a"}`, `{"a":"x"}`, true, true},
		{`{"path":"/a"}`, `{"a":""}`, true, true},
		{`{"path":"/a"}`, `{"a":null}`, true, false},
		{`{"path":"/a"}`, `{"a":[null]}`, true, false},
		{`{"path":"/a"}`, `{}`, true, false},
		{`{"path":"/a"}`, `text`, true, false},
		{`{"path":"/a"}`, `{"a":7}`, false, false},
		{`{"path":"/a"}`, `{"a":["x",7]}`, false, false},
		{`{"path":"/a"}`, `{"a":[["x"]]}`, false, false},
		{`{"path":"/a"}`, `{"a":"x","a":"y"}`, false, false},
		{`{"path":"/a"}`, `{"a":"\ud800"}`, false, false},
		{`{"path":"/a"}`, list(maxTexts), true, true},
		{`{"path":"/a"}`, list(maxTexts + 1), false, false},
	} {
		core := start(t, c.options)
		core.Insert(sdktest.ID(1), `{"a":"old"}`)
		accepted := core.Insert(sdktest.Version(1, 1), c.input)
		found, err := core.Search("", 10)
		if accepted != c.accepted || err != nil || (len(found) == 1) != c.found {
			t.Errorf("%s: %.40s: accepted %v, %d found (%v); want %v, found %v", c.options, c.input, accepted, len(found), err, c.accepted, c.found)
		}
	}
}

// TestFoldingIsThatOfExpressions: for each character of Unicode, a substring with the flag i finds the
// characters that are equal when case does not count, and no others.
func TestFoldingIsThatOfExpressions(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			if foldRune(other) != foldRune(r) {
				t.Fatalf("%U and %U are equal when case does not count, but fold to different characters", r, other)
			}
		}
		if r < 0x80 && foldRune(r) != rune(foldASCII(byte(r))) {
			t.Fatalf("%U folds to %U, but as ASCII to %U", r, foldRune(r), foldASCII(byte(r)))
		}
	}
	core := start(t, "")
	core.InsertAll(0, []string{"xKelvinx", "xkelvinx", "xKELVINx", "xſs", "xSS", "xß"})
	for predicate, want := range map[string]int{`"kelvin"i`: 3, `"xss"i`: 2, `/ẞ/i`: 1, `"kelvin"`: 1} {
		if found, err := core.Search(predicate, 10); err != nil || len(found) != want {
			t.Errorf("%s finds %d (%v), want %d", predicate, len(found), err, want)
		}
	}
}

// TestTextsSurviveARestart: nothing is fed again.
func TestTextsSurviveARestart(t *testing.T) {
	core := start(t, `{"fields":["/a","/b"]}`)
	for n, input := range []string{`{"a":"first text","b":["x","second text"]}`, `{"b":""}`, `{}`, `not JSON`, `{"a":7}`} {
		core.InsertOf(sdk.Owner(1+n%2), sdktest.ID(n), input)
	}
	core.Save()
	core, fed := core.Restart(&index{})
	if len(fed) > 0 {
		t.Errorf("%d objects are fed, want none", len(fed))
	}
	for predicate, want := range map[string]int{"": 2, `b:"second"`: 1, `a:"second"`: 0, `/^x$/`: 1} {
		if found, err := core.Search(predicate, 10); err != nil || len(found) != want {
			t.Errorf("%s finds %d (%v), want %d", predicate, len(found), err, want)
		}
	}
}

// TestTooExpensive counts steps, not time: a query over the whole index ends when its steps are used up,
// and a query that compares few texts does not.
func TestTooExpensive(t *testing.T) {
	x := newIndex(t, "")
	text := strings.Repeat("ab ", 100_000)
	for n := range 20 {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: sdk.Owner(1 + n%2), Input: fmt.Append(nil, text, " object ", n, ".")}})
	}
	for _, c := range []struct {
		predicate string
		limit     int
		err       error
	}{
		{`/(aaaa){250}|ab /`, 10, sdk.ErrTooExpensive}, // it matches at once, but might take long
		{`/(aaaa){250}|ab /`, 1, nil},
		{`/object 7/`, 10, nil},
		{`not "x"`, 10, nil},
	} {
		if _, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(c.predicate), Limit: c.limit}); err != c.err {
			t.Errorf("%s: %v, want %v", c.predicate, err, c.err)
		}
	}
}

// TestWorkFollowsTheOwner: a scan for one owner compares the texts of this owner's objects alone.
func TestWorkFollowsTheOwner(t *testing.T) {
	x := newIndex(t, "")
	for n := range 1000 {
		owner := sdk.Owner(1)
		if n%100 == 7 {
			owner = 2
		}
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: owner, Input: fmt.Append(nil, "object ", n)}})
	}
	q := sdk.Query{Owner: 2, Limit: 100}
	for _, predicate := range []string{"", `not "x"`, `"object"`, `/o.j|7/`} {
		e, err := parse([]byte(predicate), x.fields)
		if err != nil {
			t.Fatal(err)
		}
		run := evaluation{index: x, work: maxWork}
		need := e.need()
		if found := need.find(&run, x.objects.Scope(&q)); found.GetCardinality() > 10 {
			t.Errorf("%s has %d candidates of an owner with 10 objects", predicate, found.GetCardinality())
		}
	}
}
