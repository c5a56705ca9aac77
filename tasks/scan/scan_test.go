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

func newIndex(t testing.TB, options string) *index {
	x := &index{}
	if err := x.Configure(sdk.Config{Options: []byte(options)}); err != nil {
		t.Fatal(err)
	}
	return x
}

// TestPredicates asks for objects by each form of a predicate. The letters name the objects found.
func TestPredicates(t *testing.T) {
	objects := []string{
		`{"section":"devel","size":10,"tags":["x","y"],"at":"2024-02-29T12:00:00Z","free":true}`,
		`{"section":"libs","size":1.0e1,"tags":[],"parts":[{"n":1},{"n":5}]}`,
		`{"section":"\u00c9t\u00e9","size":-0.5,"tags":["x",null,["z"],{"w":1}],"home":{"city":"Lyon","zip":null}}`,
		`{"size":12345678901234567890,"free":false,"a/b":{"c d":"slash"},"in":"keyword"}`,
		`{"size":1e400, "big":9007199254740993}`,
		`"text"`,
		` [ "text" , 7 ] `,
	}
	core := start(t, "")
	for n, o := range objects {
		if !core.Insert(sdktest.ID(n), o) {
			t.Fatalf("%s is refused", o)
		}
	}
	for predicate, want := range map[string]string{
		"":                                                              "abcdefg",
		"true":                                                          "abcdefg",
		`object.section == "devel"`:                                     "a",
		`object["section"] == 'devel'`:                                  "a",
		`object.section != "devel"`:                                     "bc",
		`!(object.section == "devel")`:                                  "bc",
		`!has(object.section)`:                                          "def",
		`object.size == 10`:                                             "ab",
		`object.size == 10.0`:                                           "ab",
		`object.size < 0`:                                               "c",
		`object.size > 1e300`:                                           "e",
		`object.size == 12345678901234567890u`:                          "d",
		`object.size == 12345678901234567891u`:                          "",
		`object.big == 9007199254740993`:                                "e",
		`object.big == 9007199254740992`:                                "",
		`object.size == "10"`:                                           "",
		`object.size + 1 == 11`:                                         "a",
		`double(object.size) + 1.0 == 11.0`:                             "ab",
		`"x" in object.tags`:                                            "ac",
		`null in object.tags`:                                           "c",
		`["z"] in object.tags`:                                          "c",
		`{"w": 1} in object.tags`:                                       "c",
		`object.tags.size() == 0`:                                       "b",
		`object.tags.exists(t, t == "y")`:                               "a",
		`object.tags.all(t, t in ["x", "y"])`:                           "ab",
		`object.parts.exists(p, p.n > 4 && p.n < 9)`:                    "b",
		`object.parts.map(p, p.n * 2) == [2, 10]`:                       "b",
		`object.parts[0].n == 1`:                                        "b",
		`object.home.city.startsWith("L")`:                              "c",
		`object.home.zip == null`:                                       "c",
		`has(object.home) && object.home.size() == 2`:                   "c",
		`object.?home.?city.orValue("none") == "none"`:                  "abdef",
		`object.home == {"zip": null, "city": "Lyon"}`:                  "c",
		`object["a/b"]["c d"] == "slash"`:                               "d",
		`object.all(name, name.size() > 2)`:                             "bce",
		`object.free`:                                                   "a",
		`!object.free`:                                                  "d",
		`object.section.matches("^(?i)É.É$")`:                           "c",
		`object.section.size() == 3`:                                    "c",
		`object == "text"`:                                              "f",
		`type(object) == list && 7 in object`:                           "g",
		`object.size == 10 || object.nothing`:                           "ab",
		`object.nothing || object.size == 10`:                           "ab",
		`timestamp(object.at).getDate() == 29`:                          "a",
		`timestamp(object.at).getHours("Europe/Paris") == 13`:           "a",
		`timestamp(object.at) < timestamp("2024-03-01T00:00:00+02:00")`: "a",
		`object.section`:                                                "",
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
	core := start(t, "")
	nested := func(n int) string { return strings.Repeat("!(", n) + "object.a" + strings.Repeat(")", n) }
	for _, predicate := range []string{
		"object.a =", "a == 1", "1", `"text"`, "object.a == 1 \xff", "object.a.b(", `object.a.matches("(")`, `object.a.matches(object.b)`,
		`"a".matches(object.b)`, `matches("a", object.b)`, `object.a.matches("((a{100}){100}){100}")`, `timestamp("tomorrow") < timestamp(object.a)`,
		"unknown(object)", "[object]", nested(maxNesting + 1), strings.Repeat(" ", maxPredicate) + "true",
		"object.a in [" + strings.Repeat("1,", maxNodes) + "1]", strings.Repeat("object.a.exists(a,", 20) + "a" + strings.Repeat(")", 20) + "+",
	} {
		if found, err := core.Search(predicate, 10); err != sdktest.ErrQueryRefused {
			t.Errorf("%.60q finds %d (%v), want that it is refused", predicate, len(found), err)
		}
	}
	for _, predicate := range []string{nested(30), strings.Repeat(" ", maxPredicate-4) + "true", "object.a in [" + strings.Repeat("1,", maxNodes/2) + "1]"} {
		if _, err := core.Search(predicate, 10); err != nil {
			t.Errorf("%.60q: %v", predicate, err)
		}
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	for _, options := range []string{`{`, `[]`, `{"path":"a"}`, `{"path":null}`, `{"paths":"/a"}`, `{"path":"/a","path":"/a"}`} {
		if err := new(index).Configure(sdk.Config{Options: []byte(options)}); err == nil {
			t.Errorf("the configuration %s is accepted", options)
		}
	}
	if err := new(index).Configure(sdk.Config{Type: model.TypeString}); err == nil {
		t.Error("the data type string is accepted")
	}
}

// TestInputs: which inputs are refused, and which are not indexed without complaint.
func TestInputs(t *testing.T) {
	for _, c := range []struct {
		input           string
		accepted, found bool
	}{
		{`{"a":{"b":1}}`, true, true},
		{`{"a":{}}`, true, true},
		{`{"a":[null]}`, true, true},
		{`{"a":null}`, true, false},
		{`{"b":1}`, true, false},
		{`{}`, true, false},
		{`7`, true, false},
		{``, true, false},
		{`{"a":1`, true, false},
		{`{"a":1}{"a":2}`, true, false},
		{`{"a":1,"a":2}`, false, false},
		{`{"a":1,"b":"\udfff"}`, false, false},
		{"{\"a\":\"\xe9\"}", false, false},
	} {
		core := start(t, `{"path":"/a"}`)
		core.Insert(sdktest.ID(1), `{"a":1}`)
		accepted := core.Insert(sdktest.Version(1, 1), c.input)
		found, err := core.Search("", 10)
		if accepted != c.accepted || err != nil || (len(found) == 1) != c.found {
			t.Errorf("%.40s: accepted %v, %d found (%v); want %v, found %v", c.input, accepted, len(found), err, c.accepted, c.found)
		}
	}
}

// TestObjectsSurviveARestart: no object is fed again.
func TestObjectsSurviveARestart(t *testing.T) {
	core := start(t, "")
	for n, input := range []string{` { "a" : [ 1 , 2 ] } `, `{"a":"x"}`, `7`, `not JSON`, `{"a":1,"a":2}`} {
		core.InsertOf(sdk.Owner(1+n%2), sdktest.ID(n), input)
	}
	core.Save()
	core, fed := core.Restart(&index{})
	if len(fed) > 0 {
		t.Errorf("%d objects are fed, want none", len(fed))
	}
	for predicate, want := range map[string]int{"": 3, "object.a == [1, 2]": 1, "object == 7": 1} {
		if found, err := core.Search(predicate, 10); err != nil || len(found) != want {
			t.Errorf("%s finds %d (%v), want %d", predicate, len(found), err, want)
		}
	}
	if found, _, err := core.Ask(sdk.Query{Owner: 2, Limit: 10}); err != nil || len(found) != 1 {
		t.Errorf("the second owner has %d objects (%v), want 1", len(found), err)
	}
}

// TestWorkFollowsTheScope counts steps, which do not depend on the machine: a question takes steps for the
// objects of its owner, for its candidates, and for those up to its limit.
func TestWorkFollowsTheScope(t *testing.T) {
	const count, few = 5000, 10
	x := newIndex(t, "")
	var candidates []sdk.Identity
	for n := range count {
		owner := sdk.Owner(1)
		if n%(count/few) == 7 {
			owner = 2
			candidates = append(candidates, sdktest.ID(n))
		}
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: owner, Input: fmt.Appendf(nil, `{"a":%d,"b":%d}`, n%3, n)}})
	}
	for _, q := range []sdk.Query{{Owner: 2, Limit: count}, {Within: candidates, Limit: count}, {Limit: few}} {
		program, err := x.language.compile([]byte("object.b >= 0"))
		if err != nil {
			t.Fatal(err)
		}
		run := evaluation{program: program, steps: maxSteps}
		found, err := x.find(&q, &run)
		if err != nil || min(len(found), q.Limit) != few {
			t.Fatalf("%d objects are found (%v), want %d", len(found), err, few)
		}
		if steps := maxSteps - run.steps; steps > 100*few {
			t.Errorf("owner %d, %d candidates, limit %d: %d steps, want at most 100 for each of %d objects", q.Owner, len(q.Within), q.Limit, steps, few)
		}
	}
}

// TestTooMuchWork: a query ends when the steps of one object, or of all, are used up. Each predicate would
// otherwise take for ever, or all memory.
func TestTooMuchWork(t *testing.T) {
	x := newIndex(t, "")
	long := fmt.Sprintf(`{"s":"%s","n":[%s1]}`, strings.Repeat("a", 1<<16), strings.Repeat("1,", 2000))
	for n := range 20 {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: 1, Input: []byte(long)}})
	}
	double := func(list string, times int) string { return list + strings.Repeat(".map(x, x + x)", times) }
	for _, predicate := range []string{
		double("[object.s]", 30) + ".size() == 1",
		double("[object.n]", 40) + "[0] == object.n",
		double("[b'a']", 60) + ".size() == 1",
		`object.n.all(a, object.n.all(b, object.n.all(c, a == b || b == c)))`,
		`object.n.all(a, object.n.all(b, object.s.size() > 0))`,
		`object.n.map(a, object.n).map(b, b.map(c, object.n)).size() == 0 || true`,
		`object.n.all(a, object.n == object.n)`,
		`object.s.matches("` + strings.Repeat("(a|b)*", 500) + `c")`,
	} {
		program, err := x.language.compile([]byte(predicate))
		if err != nil {
			t.Fatal(err)
		}
		run := evaluation{program: program, steps: maxSteps / 16} // so that the test is short
		if _, err := x.find(&sdk.Query{Limit: 10}, &run); !errors.Is(err, sdk.ErrTooExpensive) {
			t.Errorf("%.80s: %v, want that it is too expensive", predicate, err)
		}
	}
	program, err := x.language.compile([]byte(`object.n.size() > 10 || object.s == "a"`))
	if err != nil {
		t.Fatal(err)
	}
	run := evaluation{program: program, steps: 10_000}
	if _, err := x.find(&sdk.Query{Limit: 100}, &run); !errors.Is(err, sdk.ErrTooExpensive) {
		t.Errorf("the error with few steps is %v, want that it is too expensive", err)
	}
}
