package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// start starts an index behind a channel.
func start(t *testing.T, options string) *sdktest.Core {
	t.Helper()
	core := sdktest.Start(t, &index{}, sdk.Config{MaxResults: 1000, Shelf: 1 << 20, Options: []byte(options)})
	if core == nil {
		t.Fatalf("the configuration %s is refused", options)
	}
	return core
}

// TestPredicates asks for objects by each form of a predicate. The letters name the objects found.
func TestPredicates(t *testing.T) {
	objects := []string{
		`{"section":"devel","size":10,"tags":["x","y"],"homepage":"http://a","free":true}`,
		`{"section":"libs","size":1.0e1,"tags":[],"homepage":null}`,
		`{"section":"devel","size":-0,"tags":["x",null,["z"],{"w":1}],"at":{"city":"Lyon","zip":null}}`,
		`{"size":12345678901234567890,"free":false,"a/b":{"c~d":"slash"},"in":"keyword"}`,
		`{}`,
		`"text"`,
		`["text",7]`,
	}
	core := start(t, "")
	for n, o := range objects {
		if !core.Insert(sdktest.ID(n), o) {
			t.Fatalf("%s is refused", o)
		}
	}
	for predicate, want := range map[string]string{
		"":                              "abcdefg",
		"all":                           "abcdefg",
		`section = "devel"`:             "ac",
		`/section="devel"`:              "ac",
		`"/section" = "\u0064evel"`:     "ac",
		`section != "devel"`:            "b",
		`not section = "devel"`:         "bdefg",
		`section = "dev"`:               "",
		`size = 10`:                     "ab",
		`size = 100e-1`:                 "ab",
		`size = 0`:                      "c",
		`size = -0.00`:                  "c",
		`size = 12345678901234567890`:   "d",
		`size = 12345678901234567891`:   "",
		`size = "10"`:                   "",
		`tags has "x"`:                  "ac",
		`tags = "z"`:                    "",
		`tags has null`:                 "c",
		`exists tags`:                   "abc",
		`tags contains all ("x", "y")`:  "a",
		`tags contains any ("y", null)`: "ac",
		`tags not in ("y")`:             "bc",
		`exists homepage`:               "a",
		`missing homepage`:              "bcdefg",
		`homepage = null`:               "b",
		`free = true or free = false`:   "ad",
		`free != true`:                  "d",
		`/at/city = "Lyon"`:             "c",
		`exists at`:                     "c",
		`missing /at/zip`:               "abcdefg",
		`/at/zip = null`:                "c",
		`/a~1b/c~0d = "slash"`:          "d",
		`exists a/b`:                    "d",
		`/in = "keyword"`:               "d",
		`"" = "text"`:                   "fg",
		`"" = 7`:                        "g",
		`section in ("libs","devel") and not (tags has "x" or size=10)`: "",
		`SECTION = "devel"`:                                           "",
		`section = "devel" AND NOT free = true`:                       "c",
		`section = "libs" or section = "devel" and free = true`:       "ab",
		`not (section = "libs" or section = "devel" and free = true)`: "cdefg",
	} {
		found, err := core.Search(predicate, 100)
		got := ""
		for n := range objects {
			for _, id := range found {
				if id == sdktest.ID(n) {
					got += string(rune('a' + n))
				}
			}
		}
		if err != nil || got != want {
			t.Errorf("%s finds %q (%v), want %q", predicate, got, err, want)
		}
	}
}

func TestPredicatesThatAreRefused(t *testing.T) {
	core := start(t, `{"fields":["/a","/b/c",""]}`)
	long := strings.Repeat("not ", maxNesting)
	for _, predicate := range []string{
		"a", "a =", "= 1", "a = x", "a = 'x'", `a = "x`, `a = "\ud800"`, "a = 01", "a = 1e9999999999", "a = {}", "a == 1", "a < 1",
		"b = 1", "/b = 1", "exists c", "exists", "missing", "in = 1", "a in 1", "a in ()", "a in (1", "a in (1,)", "a not 1", "a has (1)",
		"a contains (1)", "a contains all 1", "(a = 1", "a = 1)", "a = 1 a = 2", "a = 1 and", "or", "not", "a = 1 \xff", "a/ = 1", "/a~2 = 1",
		long + "not a = 1", strings.Repeat("(", maxNesting+1) + "a = 1" + strings.Repeat(")", maxNesting+1),
		"a in (" + strings.Repeat("1,", maxConditions) + "1)",
	} {
		if found, err := core.Search(predicate, 10); err != sdktest.ErrQueryRefused {
			t.Errorf("%.60q finds %d (%v), want that it is refused", predicate, len(found), err)
		}
	}
	for _, predicate := range []string{long + "a = 1", "a in (" + strings.Repeat("1,", maxConditions-2) + "1)", `"/b/c" = 1 and "" = 1`} {
		if _, err := core.Search(predicate, 10); err != nil {
			t.Errorf("%.60q: %v", predicate, err)
		}
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	many := make([]string, maxFields+1)
	for n := range many {
		many[n] = fmt.Sprintf(`"/%d"`, n)
	}
	for _, options := range []string{
		`{`, `[]`, `{"fields":[]}`, `{"fields":null}`, `{"fields":"/a"}`, `{"fields":["a"]}`, `{"fields":["/a","/a"]}`, `{"field":["/a"]}`,
		`{"fields":["/` + strings.Repeat("a", maxField) + `"]}`, `{"fields":[` + strings.Join(many, ",") + `]}`,
	} {
		if err := new(index).Configure(sdk.Config{Options: []byte(options)}); err == nil {
			t.Errorf("the configuration %.60s is accepted", options)
		}
	}
	if err := new(index).Configure(sdk.Config{Type: model.TypeString}); err == nil {
		t.Error("the data type string is accepted")
	}
	if err := new(index).Configure(sdk.Config{Options: []byte(`{"fields":[` + strings.Join(many[1:], ",") + `]}`)}); err != nil {
		t.Errorf("%d fields: %v", maxFields, err)
	}
}

// TestInputs: which inputs are refused, and which are not indexed without complaint.
func TestInputs(t *testing.T) {
	deep := func(depth int) string {
		return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
	}
	elements := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprint(i))
		}
		return `{"a":[` + strings.Join(list, ",") + `]}`
	}
	for _, c := range []struct {
		input           string
		accepted, found bool
	}{
		{`{"a":1}`, true, true},
		{`{}`, true, true},
		{`null`, true, true},
		{``, true, false},
		{`{"a":1`, true, false},
		{`{"a":1}{"a":2}`, true, false},
		{`{"a":1,"a":2}`, false, false},
		{`{"b":"\udfff"}`, false, false},
		{"{\"b\":\"\xe9\"}", false, false},
		{`{"a":1e1000000000}`, true, true},
		{`{"a":1e1000000001}`, false, false},
		{deep(maxDepth), true, true},
		{deep(maxDepth + 1), false, false},
		{elements(maxValues - 2), true, true}, // the marks of "" and /a are two more
		{elements(maxValues - 1), false, false},
		{`{"` + strings.Repeat("a", maxField-1) + `":1}`, true, true},
		{`{"` + strings.Repeat("a", maxField) + `":1}`, false, false},
	} {
		core := start(t, "")
		core.Insert(sdktest.ID(1), `{"old":1}`)
		accepted := core.Insert(sdktest.Version(1, 1), c.input)
		found, err := core.Search("", 10)
		if accepted != c.accepted || err != nil || (len(found) == 1) != c.found {
			t.Errorf("%.40s: accepted %v, %d found (%v); want %v, found %v", c.input, accepted, len(found), err, c.accepted, c.found)
		}
	}
}

// TestLongValuesAreFoundByTheirDigest: values that differ only behind the limit differ.
func TestLongValuesAreFoundByTheirDigest(t *testing.T) {
	core := start(t, "")
	for n := range 2 * maxPlain {
		core.Insert(sdktest.ID(n), fmt.Sprintf(`{"a":"%s"}`, strings.Repeat("a", n)))
	}
	for n := range 2 * maxPlain {
		found, err := core.Search(fmt.Sprintf(`a = "%s"`, strings.Repeat("a", n)), 10)
		if err != nil || len(found) != 1 || found[0] != sdktest.ID(n) {
			t.Errorf("the text of %d bytes finds %x (%v), want its object", n, found, err)
		}
	}
}

// TestObjectsSurviveARestart: with values of all types, and those without any field.
func TestObjectsSurviveARestart(t *testing.T) {
	core := start(t, "")
	inputs := []string{`{"a":1,"b":["x","y",null]}`, `{"a":{"b":true},"long":"` + strings.Repeat("x", 100) + `"}`, `{}`, `not JSON`, `{"a":1,"a":2}`}
	for n, input := range inputs {
		core.InsertOf(sdk.Owner(1+n%2), sdktest.ID(n), input)
	}
	core.Save()
	core, fed := core.Restart(&index{})
	if len(fed) > 0 {
		t.Errorf("%d objects are fed, want none", len(fed))
	}
	for predicate, want := range map[string]int{
		"": 3, "a = 1": 1, `b contains all ("x", null)`: 1, "/a/b = true": 1, "missing a": 1, `long = "` + strings.Repeat("x", 100) + `"`: 1,
	} {
		if found, err := core.Search(predicate, 10); err != nil || len(found) != want {
			t.Errorf("%.20s finds %d (%v), want %d", predicate, len(found), err, want)
		}
	}
	if found, _, err := core.Ask(sdk.Query{Owner: 2, Limit: 10}); err != nil || len(found) != 1 {
		t.Errorf("the second owner has %d objects (%v), want 1", len(found), err)
	}
	core.Insert(sdktest.Version(0, 1), `{"a":2}`)
	if found, err := core.Search("a = 1", 10); err != nil || len(found) != 0 {
		t.Errorf("%d objects have a value that was replaced (%v)", len(found), err)
	}
}

// TestWorkFollowsTheOwner counts steps of work, which do not depend on the machine: a question for the
// objects of one owner takes steps for those alone.
func TestWorkFollowsTheOwner(t *testing.T) {
	const count, few = 20_000, 10
	x := newIndex(t, "")
	for n := range count {
		owner := sdk.Owner(1)
		if n%(count/few) == 7 {
			owner = 2
		}
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: owner, Input: fmt.Appendf(nil, `{"a":%d,"b":%d}`, n%3, n)}})
	}
	for _, predicate := range []string{"all", "a = 1", "not a = 1", "a != 1 or missing b", "not (a = 1 or a = 2) and exists b"} {
		e, err := x.parse([]byte(predicate))
		if err != nil {
			t.Fatal(err)
		}
		run := evaluation{all: x.objects.All(), work: maxWork}
		q := sdk.Query{Owner: 2}
		e.find(&run, x.objects.Scope(&q))
		if steps := maxWork - run.work; steps > 20*few {
			t.Errorf("%s takes %d steps, want at most %d for %d objects", predicate, steps, 20*few, few)
		}
	}
}

// TestTooMuchWork: a query ends when its steps are used up.
func TestTooMuchWork(t *testing.T) {
	x := newIndex(t, "")
	for n := range 5000 {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: 1, Input: fmt.Appendf(nil, `{"a":%d,"b":1}`, n%2)}})
	}
	e, err := x.parse([]byte(strings.Repeat("not ", 20) + "(a = 1 or b = 1)"))
	if err != nil {
		t.Fatal(err)
	}
	run := evaluation{all: x.objects.All(), work: 10_000}
	if e.find(&run, nil); !errors.Is(run.err, sdk.ErrTooExpensive) {
		t.Errorf("the error is %v, want that it is too expensive", run.err)
	}
}
