package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/sdktest"
)

func start(t *testing.T, dataType model.DataType, ordered bool, options string) *sdktest.Core {
	t.Helper()
	return sdktest.Start(t, &index{}, sdk.Config{Type: dataType, Ordered: ordered, MaxResults: 1000, Options: []byte(options)})
}

// numbers returns the numbers of the objects that an answer names, in its order.
func numbers(ids []sdk.Identity, count int) (list []int) {
	for _, id := range ids {
		for n := range count {
			if id == sdktest.ID(n) {
				list = append(list, n)
			}
		}
	}
	return list
}

func TestConfigurations(t *testing.T) {
	for _, c := range []struct {
		dataType model.DataType
		options  string
		accepted bool
	}{
		{model.TypeInt64, ``, true},
		{model.TypeTime, `{}`, true},
		{model.TypeAny, `{"type":"float64"}`, true},
		{model.TypeString, `{"type":"string","path":"/a~1b/0"}`, true},
		{model.TypeInt64, `{"path":""}`, true},
		{model.TypeAny, ``, false},
		{model.TypeText, ``, false},
		{model.TypeInt64, `{"type":"string"}`, false},
		{model.TypeAny, `{"type":"int"}`, false},
		{model.TypeInt64, `{"pth":"/age"}`, false},
		{model.TypeInt64, `{"path":"age"}`, false},
		{model.TypeInt64, `{} {}`, false},
		{model.TypeInt64, `{`, false},
		{model.TypeInt64, `[]`, false},
		{model.TypeInt64, `null`, false},
		{model.TypeInt64, `{"Path":"/age"}`, false},
		{model.TypeInt64, `{"path":"/age","PATH":"/size"}`, false},
		{model.TypeInt64, `{"path":"/age","path":"/size"}`, false},
		{model.TypeInt64, `{"path":null}`, false},
		{model.TypeInt64, `{"type":""}`, false},
		{model.TypeInt64, "{\"path\":\"/\xff\"}", false},
		{model.TypeInt64, `{"path":"/\ud800"}`, false},
		{model.TypeInt64, "\ufeff{}", false},
	} {
		if got := start(t, c.dataType, false, c.options) != nil; got != c.accepted {
			t.Errorf("type %d, %s: accepted %v, want %v", c.dataType, c.options, got, c.accepted)
		}
	}
}

func TestPredicates(t *testing.T) {
	for _, c := range []struct {
		dataType model.DataType
		inputs   []string
		answers  map[string]string // predicate → objects in ascending order of their keys
	}{
		{model.TypeInt64, []string{"-9223372036854775808", "-1", "0", "30", "35", "40", "9223372036854775807"}, map[string]string{
			"": "0 1 2 3 4 5 6", "all": "0 1 2 3 4 5 6", ">= 30 and < 40": "3 4", "between 30 and 40": "3 4 5",
			"> 9223372036854775807": "", ">=9223372036854775807": "6", "<=-9223372036854775808": "0",
			"= 30": "3", "!= 30": "0 1 2 4 5 6", "in (40, 0, 7)": "2 5", "< 0 or > 35": "0 1 5 6",
			"(< 0 or > 35) and != 40": "0 1 6", "< 0 or > 35 AND != 40": "0 1 6", "> 3 and < 2": "", "between 5 and 1": "",
			"!= -1 and != 0 and <= 35": "0 3 4", "< 35 or >= 35": "0 1 2 3 4 5 6"}},
		{model.TypeFloat64, []string{"-1e308", "-0", "0", "1.5", "15e-1", "2"}, map[string]string{
			"= 0": "1 2", "= -0.0": "1 2", "> 0": "3 4 5", "= 1.5": "3 4", "<= 1.5": "0 1 2 3 4", "< -1e307": "0"}},
		{model.TypeString, []string{"", "Luz", "Ly", "Lyon", "Lyon\xff", "Lz", "\xff\xff"}, map[string]string{
			`prefix "Ly"`: "2 3 4", `prefix ""`: "0 1 2 3 4 5 6", `= "Lyon"`: "3", `> "Lyon" and < "M"`: "4 5", `= ""`: "0",
			`in("Ly","Luz")`: "1 2", `prefix "L" and != "Ly"`: "1 3 4 5", `= "L\u0079"`: "2", `prefix "Lyon" or = "Luz"`: "1 3 4"}},
		{model.TypeTime, []string{"0000-01-01T00:00:00Z", "2024-05-01T12:00:00+02:00", "2024-05-01T10:00:00Z", "2024-05-01T10:00:00.000000001Z", "9999-12-31T23:59:59Z"}, map[string]string{
			"= 2024-05-01T10:00:00Z": "1 2", `> "2024-05-01T11:00:00+01:00"`: "3 4", "< 1970-01-01T00:00:00Z": "0",
			"between 2024-05-01T00:00:00Z and 2024-05-02T00:00:00Z": "1 2 3"}},
	} {
		core := start(t, c.dataType, true, "")
		core.InsertAll(0, c.inputs)
		for predicate, want := range c.answers {
			found, err := core.Search(predicate, 1000)
			if got := strings.Trim(fmt.Sprint(numbers(found, len(c.inputs))), "[]"); err != nil || got != want {
				t.Errorf("%s: objects %s (%v), want %s", predicate, got, err, want)
			}
		}
	}
}

func TestRefusedPredicates(t *testing.T) {
	refused := map[model.DataType][]string{
		model.TypeInt64: {"30", ">", "> 1.5", "> 1e3", "> +1", `> "1"`, "> 9223372036854775808", "= 1 2", "= 1 and", "and = 1", "(= 1", "= 1)",
			"between 1", "between 1 2", "in ()", "in (1,)", "in 1", "prefix 1", "=> 1", "! 1", "order", "order up", "all = 1", "= 1 order desc asc",
			"\xff", `= "`, `= "\`, strings.Repeat("(", 65) + "= 1" + strings.Repeat(")", 65), "in (0" + strings.Repeat(",1", maxTerms) + ")"},
		model.TypeFloat64: {"> NaN", "> Inf", "> 1e999", "> 0x1p2", "> 1_0", "> .5", "> 1."},
		model.TypeString:  {"= Lyon", "= 1", `= "\ud800"`, `= "\x"`, `= "` + strings.Repeat("x", maxString+1) + `"`},
		model.TypeTime:    {"> 2024", "> 2024-05-01", "> 2024-05-01T1:00:00Z", "> 2024-13-01T00:00:00Z", "> 2024-05-01T10:00:00,5Z"},
	}
	for dataType, predicates := range refused {
		core := start(t, dataType, true, "")
		for _, p := range predicates {
			if found, err := core.Search(p, 10); err != sdktest.ErrQueryRefused {
				t.Errorf("%.40q: %d found, %v", p, len(found), err)
			}
		}
	}
}

func TestOrderNeedsAnOrderedIndex(t *testing.T) {
	inputs := []string{"2", "1", "3"}
	plain, ordered := start(t, model.TypeInt64, false, ""), start(t, model.TypeInt64, true, "")
	plain.InsertAll(0, inputs)
	ordered.InsertAll(0, inputs)
	if _, err := plain.Search("order asc", 10); err != sdktest.ErrQueryRefused {
		t.Errorf("an index without order answers a predicate with order: %v; want it refused", err)
	}
	for predicate, want := range map[string]string{
		"order asc": "[1 0]", "all order desc": "[2 0]", "< 3 ORDER DESC": "[0 1]", "!= 2 order desc": "[2 1]", ">= 2 order desc": "[2 0]",
	} {
		found, err := ordered.Search(predicate, 2)
		if got := fmt.Sprint(numbers(found, 3)); err != nil || got != want {
			t.Errorf("%s, limit 2: %s (%v), want %s", predicate, got, err, want)
		}
	}
}

// TestObjectHasFewKeys: all keys must fit into the Task's memory again at each rebuild.
func TestObjectHasFewKeys(t *testing.T) {
	core := start(t, model.TypeInt64, false, `{"path":""}`)
	for n, accepted := range map[int]bool{64: true, 65: false} {
		input := strings.ReplaceAll(strings.Trim(fmt.Sprint(make([]int, n)), "[]"), " ", ",")
		if got := core.Insert(sdktest.ID(n), "["+input+"]"); got != accepted {
			t.Errorf("%d keys: accepted %v, want %v", n, got, accepted)
		}
	}
}

func TestInputsFromObjects(t *testing.T) {
	for _, c := range []struct {
		dataType model.DataType
		input    string
		accepted bool
		keys     string // predicate that finds the object, or "" if no predicate does
	}{
		{model.TypeInt64, `{"age": 30 }`, true, "= 30"},
		{model.TypeInt64, `{"age": 9007199254740993}`, true, "= 9007199254740993"},
		{model.TypeInt64, `{"age":[30,40,30]}`, true, "= 40 and = 40 or = 30"},
		{model.TypeInt64, `{"age":[]}`, true, ""},
		{model.TypeInt64, `{"age":[null]}`, true, ""},
		{model.TypeInt64, `{"age":null}`, true, ""},
		{model.TypeInt64, `{"name":"x"}`, true, ""},
		{model.TypeInt64, `not JSON`, true, ""},
		{model.TypeInt64, `{"age":30`, true, ""},
		{model.TypeInt64, ``, true, ""},
		{model.TypeInt64, `{"age":"30"}`, false, ""},
		{model.TypeInt64, `{"age":30.5}`, false, ""},
		{model.TypeInt64, `{"age":true}`, false, ""},
		{model.TypeInt64, `{"age":{}}`, false, ""},
		{model.TypeInt64, `{"age":[1,"2"]}`, false, ""},
		{model.TypeInt64, `{"age":[[1]]}`, false, ""},
		{model.TypeInt64, `{"age":[0` + strings.Repeat(",1", maxKeys) + `]}`, false, ""},
		{model.TypeFloat64, `{"age":3}`, true, "= 3.0"},
		{model.TypeFloat64, `{"age":1e999}`, false, ""},
		{model.TypeString, `{"age":"L\u0079on"}`, true, `= "Lyon"`},
		{model.TypeString, `{"age":5}`, false, ""},
		{model.TypeTime, `{"age":"2024-05-01T10:00:00Z"}`, true, "= 2024-05-01T10:00:00Z"},
		{model.TypeTime, `{"age":"yesterday"}`, false, ""},
	} {
		core := start(t, c.dataType, false, `{"path":"/age"}`)
		if got := core.Insert(sdktest.ID(1), c.input); got != c.accepted {
			t.Errorf("%.40s: accepted %v, want %v", c.input, got, c.accepted)
		}
		all, err := core.Search("", 10)
		if want := c.keys != ""; err != nil || (len(all) == 1) != want {
			t.Errorf("%.40s: indexed %v, want %v", c.input, len(all) == 1, want)
		}
		if found, err := core.Search(c.keys, 10); c.keys != "" && (err != nil || len(found) != 1) {
			t.Errorf("%.40s: %s finds %d (%v)", c.input, c.keys, len(found), err)
		}
	}
}

func TestRawInputOfAnotherTypeIsRefused(t *testing.T) {
	for dataType, inputs := range map[model.DataType][]string{
		model.TypeInt64:   {"", " 1", "1 ", "1.0", "+1", "x", "9223372036854775808"},
		model.TypeFloat64: {"", "NaN", "-Inf", "1e999", "0x1p2", "1_0", " 1", strings.Repeat("1", 65)},
		model.TypeString:  {strings.Repeat("x", maxString+1)},
		model.TypeTime:    {"", "2024-05-01", "now"},
	} {
		core := start(t, dataType, false, "")
		for _, input := range inputs {
			if core.Insert(sdktest.ID(1), input) {
				t.Errorf("the input %.40q was accepted; want it refused", input)
			}
		}
	}
}

// TestAmbiguousInputIsRefused: in ambiguous JSON, the index could read another value than the
// reader of the object. So the PUT reports that the object is not indexed. This holds for any
// ambiguous member, not only for the member of the path.
func TestAmbiguousInputIsRefused(t *testing.T) {
	for _, input := range []string{
		`{"a":"x","a":"y"}`, `{"a":"x","\u0061":"x"}`, `{"a":"x","b":{"c":1,"c":1}}`, `{"a":"\ud800"}`, "{\"a\":\"\xe9\"}",
		`{"a":"x","b":"\udfff"}`, "{\"a\":\"x\",\"\xff\":1}",
	} {
		core := start(t, model.TypeString, false, `{"path":"/a"}`)
		if core.Insert(sdktest.ID(1), input) {
			t.Errorf("the ambiguous input %q is accepted; want it refused", input)
		}
	}
}

// TestInputThatIsNotJSONHasNoValue: an object without a value is not an error.
func TestInputThatIsNotJSONHasNoValue(t *testing.T) {
	for _, input := range []string{"", "a picture", `{"a":"x"`, `{"a":"x","a":"y"`, "\xff\xd8", "\ufeff{\"a\":\"x\"}"} {
		core := start(t, model.TypeString, false, `{"path":"/a"}`)
		if !core.Insert(sdktest.ID(1), input) {
			t.Errorf("the input %q, which is not JSON, is refused; want it stored without a value", input)
		}
		if found, err := core.Search("all", 10); err != nil || len(found) != 0 {
			t.Errorf("the input %q, which is not JSON: %d found, %v; want no object", input, len(found), err)
		}
	}
}

// TestRefusedInputEndsWhatWasThere: if an input is refused, the index must drop the older
// identity. That identity is no longer valid, and an answer with it would break the contract.
func TestRefusedInputEndsWhatWasThere(t *testing.T) {
	core := start(t, model.TypeInt64, false, "")
	core.Insert(sdktest.ID(1), "1")
	if core.Insert(sdktest.Version(1, 1), "x") {
		t.Fatal("accepted")
	}
	if found, err := core.Search("", 10); err != nil || len(found) != 0 {
		t.Errorf("%d found (%v), want none", len(found), err)
	}
}

// TestPages asks for pages as the Core does: behind the objects named last, the last first.
func TestPages(t *testing.T) {
	core := start(t, model.TypeInt64, true, `{"path":""}`)
	for n, input := range []string{"1", "[2,9]", "3", "4", "[0,5]"} {
		core.InsertOf(sdk.Owner(1+n%2), sdktest.ID(n), input)
	}
	ids := func(list ...int) (ids []sdk.Identity) {
		for _, n := range list {
			ids = append(ids, sdktest.ID(n))
		}
		return ids
	}
	for _, c := range []struct {
		predicate string
		owner     sdk.Owner
		after     []sdk.Identity
		want      string
		more      bool
		err       error
	}{
		{"", sdk.AllOwners, nil, "4 0", true, nil},
		{"", sdk.AllOwners, ids(0, 4), "1 2", true, nil},
		{"", sdk.AllOwners, ids(2, 1, 0), "3", false, nil},
		{"", sdk.AllOwners, ids(3), "", false, nil},
		{">= 1", sdk.AllOwners, ids(3), "4", false, nil}, // 4 counts at its first key that matches: 5
		{">= 1 order desc", sdk.AllOwners, ids(1), "4 3", true, nil},
		{"", 1, nil, "4 0", true, nil},
		{"", 1, ids(0), "2", false, nil},
		{"", 2, ids(0), "1 3", false, nil}, // an object of another owner
		{"", 3, nil, "", false, nil},
		{"", 3, ids(0), "", false, nil},
		{"", sdk.AllOwners, append([]sdk.Identity{sdktest.Version(3, 1), sdktest.ID(9)}, ids(1)...), "2 3", false, nil},
		{"", sdk.AllOwners, []sdk.Identity{sdktest.Version(3, 1), sdktest.ID(9)}, "", false, sdktest.ErrGone},
		{"", 3, ids(9), "", false, sdktest.ErrGone},
		{"< 3", sdk.AllOwners, ids(2), "", false, sdktest.ErrGone}, // it does not match
	} {
		q := sdk.Query{Predicate: []byte(c.predicate), Limit: 2, Owner: c.owner, After: c.after}
		found, more, err := core.Ask(q)
		if got := strings.Trim(fmt.Sprint(numbers(found, 5)), "[]"); got != c.want || more != c.more || err != c.err {
			t.Errorf("%q of owner %d behind %v: objects %q, more %v (%v); want %q, %v (%v)",
				c.predicate, c.owner, numbers(c.after, 5), got, more, err, c.want, c.more, c.err)
		}
	}
}

// TestCostFollowsTheAnswer counts the comparisons of keys, which do not depend on the machine. A
// page costs a seek, wherever it begins. An owner's answer costs the number of this owner's
// objects, wherever they are, and an answer among candidates the number of candidates.
func TestCostFollowsTheAnswer(t *testing.T) {
	const count, few = 100_000, 10
	const most = 60 * few // a seek compares about 17 keys, and each object may take one
	comparisons := 0
	counted := int64Domain
	counted.compare = func(a, b int64) int {
		comparisons++
		return cmp.Compare(a, b)
	}
	tree := newTree(counted, nil, true)
	for n := range count {
		owner := sdk.Owner(1)
		if n >= count-few {
			owner = 2
		}
		tree.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: owner, Input: fmt.Append(nil, n)}})
	}
	for _, q := range []sdk.Query{
		{Limit: few},
		{Limit: few, After: []sdk.Identity{sdktest.ID(count / 2)}},
		{Limit: few, After: []sdk.Identity{sdktest.ID(count / 2)}, Predicate: []byte("order desc")},
		{Limit: few, After: []sdk.Identity{sdktest.ID(count - few - 1)}, Predicate: []byte("!= 50000")},
		{Limit: few, After: []sdk.Identity{sdktest.ID(5)}, Predicate: []byte("< 6 or >= 50000")},
		{Limit: few, Owner: 1, Predicate: []byte(">= 0")},
		{Limit: few, Owner: 2, Predicate: []byte(">= 0")},
		{Limit: few, Owner: 2, Predicate: []byte(">= 0"), After: []sdk.Identity{sdktest.ID(5)}},
		{Limit: few, Owner: 2, Predicate: []byte("order desc")},
		{Limit: few, Within: among(count-few, few)},
		{Limit: few, Within: among(0, few), Predicate: []byte("order desc")},
		{Limit: few, Within: among(count-few, few), Owner: 2, Predicate: []byte(">= 0"), After: []sdk.Identity{sdktest.ID(5)}},
		{Limit: few, Within: among(100, count/2), Predicate: []byte(">= 90")}, // enough of them are near
	} {
		comparisons = 0
		found, _, err := sdktest.Page(&index{tree}, q)
		if err != nil || len(found) != few || comparisons > most {
			t.Errorf("%q of owner %d behind %d objects among %d: %d found with %d comparisons (%v); want %d with at most %d",
				q.Predicate, q.Owner, len(q.After), len(q.Within), len(found), comparisons, err, few, most)
		}
	}
}

// among returns n candidates, from an object on.
func among(from, n int) (ids []sdk.Identity) {
	for i := range n {
		ids = append(ids, sdktest.ID(from+i))
	}
	slices.SortFunc(ids, sdk.Identity.Compare)
	return ids
}
