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

const people = `{"columns":[{"name":"name","path":"/name","type":"text","index":true},{"name":"age","path":"/age","type":"integer","index":true},
	{"name":"weight","path":"/body/weight","type":"real"},{"name":"ok","path":"/ok","type":"boolean"},{"name":"born","path":"/born","type":"time"}]}`

// start starts an ordered index behind a channel.
func start(t *testing.T, options string) *sdktest.Core {
	t.Helper()
	core := sdktest.Start(t, &index{}, sdk.Config{Ordered: true, MaxResults: 1000, Shelf: 1 << 20, Options: []byte(options)})
	if core == nil {
		t.Fatalf("the configuration %s is refused", options)
	}
	return core
}

func newIndex(t testing.TB, options string) *index {
	x := &index{}
	if err := x.Configure(sdk.Config{Ordered: true, Options: []byte(options)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

// TestPredicates asks for objects by each form of a predicate. The letters name the objects found, in order.
func TestPredicates(t *testing.T) {
	objects := []string{
		`{"name":"Ada","age":36,"body":{"weight":60.5},"ok":true,"born":"1815-12-10T10:00:00Z"}`,
		`{"name":"Bob","age":-7,"body":{"weight":80},"ok":false,"born":"2024-05-01T01:00:00+02:00"}`,
		`{"name":"ada","age":9223372036854775807}`,
		`{"name":"O'Hara 100%","body":{"weight":null}}`,
		`{"name":"\u00c9tienne","age":36}`,
		`{}`,
		`7`,
	}
	core := start(t, people)
	for n, o := range objects {
		if !core.Insert(sdktest.ID(n), o) {
			t.Fatalf("%s is refused", o)
		}
	}
	for predicate, want := range map[string]string{
		"age is not null order by name collate nocase, age desc":    "cabe",
		"name = 'Ada' order by name":                                "a",
		"NAME == 'Ada' Order By age":                                "a",
		"age = 36 order by name":                                    "ae",
		"age = 36 order by name desc":                               "ea",
		"age > 0 and age < 100 order by age, name":                  "ae",
		"age between -10 and 36 order by age, name":                 "bae",
		"age not between -10 and 36 order by age":                   "c",
		"age in (36, -7) and not name = 'Bob' order by name":        "ae",
		"age = 9223372036854775807 order by 1":                      "c",
		"age is null and name is not null order by name nulls last": "d",
		"name is not null and age isnull order by name":             "d",
		"name like 'a%' order by name":                              "ac",
		"name like '%\\%' escape '\\' order by name":                "d",
		"name like '_tienne' order by name":                         "e",
		"name like 'É%' order by name":                              "e",
		"name like 'é%' order by name":                              "",
		"name = 'O''Hara 100%' order by name":                       "d",
		"instr(name, 'tien') = 2 order by name":                     "e",
		"length(name) = 3 order by name":                            "abc",
		"lower(name) = 'ada' order by name":                         "ac",
		"substr(name, 1, 1) in ('A', 'B') order by name":            "ab",
		"weight > 70 order by name":                                 "b",
		"weight * 2 = 121 order by name":                            "a",
		"weight / 0 is null and weight > 0 order by name":           "ab",
		"ok order by name":                                          "a",
		"not ok order by name":                                      "b",
		"ok is true or name = 'ada' order by name":                  "ac",
		"born < instant('tomorrow')":                                "",
		"born < '1900' order by born":                               "a",
		"born >= instant('2024-05-01T01:00:00+02:00')":              "b",
		"born > '2024-04-30T23:00:00' order by born":                "b",
		"case when age > 100 then 'old' when age < 0 then 'none' else 'young' end = 'none' order by age": "b",
		"coalesce(age, 0) % 2 = 1 order by age":                                                          "c",
		"iif(age > 0, name, 'nobody') = 'Ada' order by age":                                              "a",
		"typeof(age) = 'integer' order by age, name desc":                                                "beac",
		"name < 'B' order by - age":                                                                      "a",
	} {
		found, err := core.Search(predicate, 100)
		got := ""
		for _, id := range found {
			for n := range objects {
				if id == sdktest.ID(n) {
					got += string(rune('a' + n))
				}
			}
		}
		if err != nil || got != want {
			t.Errorf("%s finds %q (%v), want %q", predicate, got, err, want)
		}
	}
	if found, err := core.Search("", 100); err != nil || len(found) != len(objects) {
		t.Errorf("the empty predicate finds %d objects (%v), want all", len(found), err)
	}
}

func TestPredicatesThatAreRefused(t *testing.T) {
	core := start(t, people)
	core.Insert(sdktest.ID(1), `{"name":"Ada"}`)
	nested := func(n int) string { return strings.Repeat("(", n) + "age" + strings.Repeat(")", n) }
	for _, predicate := range []string{
		// other statements, tables and rows
		"1; drop table _objects", "1) union select _id from _objects --", "age in (select age from _objects)", "exists (select 1)", "age in _objects", "age in name",
		"(with recursive r as (select 1) select 1)", "(values (1))", "1 limit 1", "1 group by age", "1 order by age limit 1", "1 union all select 1",
		"_owner = 1", "_id is not null", "_objects.age = 1", "rowid = 1", "age = ?1", "age = :a", "age = @a", "age = $a",
		"1) or (1", ") or (", "age = 1 --", "age = 1 /* */", `"age" = 1`, "[age] = 1", "`age` = 1", "x'00' = name",
		// functions and operators that the grammar does not have
		"load_extension('x')", "random() > 0", "randomblob(9) = name", "name match 'a'", "name regexp 'a'", "name glob 'a*'", "date('now') > born", "born > current_timestamp",
		"min(age) = 1", "max(age) = 1", "count(*) > 1", "sum(age) > 1", "order by max(age)", "row_number() over () = 1", "replace(name, '', 'x') = ''", "printf('%d', age) = '1'",
		"zeroblob(1000000000) is null", "name || name = ''", "age -> 'x' = 1", "raise(abort, 'x')", "cast(age as text) = '1'", "age & 1", "not like", "like('a', name)", "age between 1 or 2 and 3", "length", "length (name, name) = 1", "coalesce(age) = 1",
		// faults
		"age =", "= 1", "age = 'x", "age = 1 age = 2", "age between 1", "nobody = 1", "age = 1 \xff", "age = '\x00'", "0x10 = age", "1abc", "1. = age", "age = 1 asc", "order", "order by", "order age", "by age",
		"order by age,", "order by age order by age", "order by age ascending", "age = 1 and", "(age = 1", "age = 1)", "name collate french = 'x'", "case when", "name like 'a' escape 'ab'",
		nested(maxNesting + 1), strings.Repeat(" ", maxPredicate) + "1", "age in (" + strings.Repeat("1,", maxTokens/2) + "1)",
	} {
		if found, err := core.Search(predicate, 10); err != sdktest.ErrQueryRefused {
			t.Errorf("%.60q finds %d (%v), want that it is refused", predicate, len(found), err)
		}
	}
	for _, predicate := range []string{nested(maxNesting), strings.Repeat(" ", maxPredicate-1) + "1", "age in (" + strings.Repeat("1,", maxTokens/2-5) + "1)", strings.Repeat("age = 1 or ", 90) + "true"} {
		if _, err := core.Search(predicate, 10); err != nil {
			t.Errorf("%.60q: %v", predicate, err)
		}
	}
	unordered := &index{}
	if err := unordered.Configure(sdk.Config{Options: []byte(people)}); err != nil {
		t.Fatal(err)
	}
	defer unordered.Close()
	if _, err := unordered.Search(sdk.Query{Predicate: []byte("order by age"), Limit: 1}); err == nil {
		t.Error("an index without an order accepts ORDER BY")
	}
}

// TestDeepPredicates: SQLite has a small stack. No form of expression overflows it, and deeper ones are refused.
func TestDeepPredicates(t *testing.T) {
	x := newIndex(t, people)
	x.Apply([]sdk.Change{{Identity: sdktest.ID(1), Owner: 1, Input: []byte(`{"age":1,"name":"x"}`)}})
	for _, form := range [][3]string{
		{"- ", "age", ""}, {"not ", "age", ""}, {"", "age", " isnull"}, {"", "age", " is not age"}, {"", "name", " collate nocase"}, {"", "age", " in (1, age)"},
		{"case age when name then ", "1", " end"}, {"case when age then name else ", "1", " end"}, {"case when ", "1", " then age end"}, {"case ", "1", " when age then name end"},
		{"age > name and ", "1", ""}, {"age > name or ", "1", ""}, {"age = 1 and name = 'x' or ", "1", ""}, {"age + ", "1", ""}, {"age = ", "1", ""}, {"name like ", "'x'", ""},
		{"age between age and ", "1", ""}, {"age between (", "1", ") and 2"}, {"not name like 'x' and not ", "1", ""}, {"age not between - age and not ", "1", ""},
	} {
		for _, depth := range []int{10, 48, 97, 10 * maxHeight} {
			predicate := strings.Repeat(form[0], depth) + form[1] + strings.Repeat(form[2], depth)
			if len(predicate) > maxPredicate {
				continue
			}
			_, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(predicate), Limit: 5})
			if depth <= 10 && err != nil || depth > maxHeight && err == nil {
				t.Errorf("%d times %q around %s: %v", depth, form[0]+form[2], form[1], err)
			}
		}
	}
	for _, form := range [][2]string{
		{"coalesce(age, case when not ", " then 2 end)"}, {"not iif(case when - - - age in (", ") then 2 end, 1, 2)"}, {"(age = 1 or name = 'x' and not ", ")"}, {"round(- age between 1 and ", ")"},
	} {
		for depth := 0; depth < maxNesting; depth += 7 {
			predicate := strings.Repeat(form[0], depth) + "1" + strings.Repeat(form[1], depth)
			if _, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(predicate), Limit: 5}); depth < 10 && err != nil {
				t.Errorf("%d times %q: %v", depth, form[0]+form[1], err)
			}
		}
	}
	if found, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte("age = 1 order by " + strings.Repeat("age + 1, ", 600) + "name"), Limit: 5}); err == nil && len(found) != 1 {
		t.Errorf("after deep predicates %d objects are found, want 1", len(found))
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	column := func(name, path, kind string) string {
		return fmt.Sprintf(`{"name":%q,"path":%q,"type":%q}`, name, path, kind)
	}
	many := make([]string, maxColumns+1)
	for n := range many {
		many[n] = column(fmt.Sprintf("c%d", n), "/a", "text")
	}
	columns := func(list ...string) string { return `{"columns":[` + strings.Join(list, ",") + `]}` }
	for _, options := range []string{
		``, `{`, `[]`, `{}`, `{"columns":[]}`, `{"columns":null}`, `{"column":[]}`, columns(many...), columns(column("a", "/a", "blob")), columns(column("a", "a", "text")),
		columns(column("a", "/a", "text"), column("a", "/b", "text")), columns(column("_id", "/a", "text")), columns(column("A", "/a", "text")), columns(column("a b", "/a", "text")),
		columns(column("", "/a", "text")), columns(column("order", "/a", "text")), columns(column("length", "/a", "text")), columns(column(strings.Repeat("a", 65), "/a", "text")),
		`{"columns":[{"name":"a","path":"/a","type":"text","unique":true}]}`,
	} {
		x := &index{}
		if err := x.Configure(sdk.Config{Options: []byte(options)}); err == nil {
			t.Errorf("the configuration %.60s is accepted", options)
		}
	}
	if err := new(index).Configure(sdk.Config{Type: model.TypeString, Options: []byte(people)}); err == nil {
		t.Error("the data type string is accepted")
	}
	newIndex(t, columns(many[1:]...))
	newIndex(t, columns(column("select", "/a", "text"), column("from", "", "integer"))) // words of SQL that the grammar does not have
}

// TestInputs: which inputs are refused, and which are not indexed without complaint.
func TestInputs(t *testing.T) {
	for _, c := range []struct {
		input           string
		accepted, found bool
	}{
		{`{"name":"a","age":1,"body":{"weight":1},"ok":true,"born":"2024-05-01T00:00:00Z"}`, true, true},
		{`{}`, true, true},
		{`null`, true, true},
		{`[1]`, true, true},
		{``, true, false},
		{`{"age":1`, true, false},
		{`{"age":1}{"age":2}`, true, false},
		{`{"age":1,"age":2}`, false, false},
		{`{"name":"\udfff"}`, false, false},
		{`{"age":1.5}`, false, false},
		{`{"age":9223372036854775808}`, false, false},
		{`{"age":"1"}`, false, false},
		{`{"age":[1]}`, false, false},
		{`{"age":true}`, false, false},
		{`{"body":{"weight":1e400}}`, false, false},
		{`{"body":{"weight":1e-400}}`, true, true},
		{`{"ok":1}`, false, false},
		{`{"name":1}`, false, false},
		{`{"name":"a\u0000b"}`, false, false},
		{`{"name":"` + strings.Repeat("a", maxText) + `"}`, true, true},
		{`{"name":"` + strings.Repeat("a", maxText+1) + `"}`, false, false},
		{`{"born":"2024-05-01"}`, false, false},
		{`{"born":"2024-05-01T1:00:00Z"}`, false, false},
		{`{"born":"0000-01-01T00:00:00+01:00"}`, false, false},
	} {
		core := start(t, people)
		core.Insert(sdktest.ID(1), `{"age":1}`)
		accepted := core.Insert(sdktest.Version(1, 1), c.input)
		found, err := core.Search("", 10)
		if accepted != c.accepted || err != nil || (len(found) == 1) != c.found {
			t.Errorf("%.60s: accepted %v, %d found (%v); want %v, found %v", c.input, accepted, len(found), err, c.accepted, c.found)
		}
	}
}

// TestObjectsSurviveARestart: no object is fed again, and the indexes serve.
func TestObjectsSurviveARestart(t *testing.T) {
	core := start(t, people)
	for n, input := range []string{`{"name":"Ada","age":36,"body":{"weight":-0.5},"ok":false,"born":"2024-05-01T00:00:00Z"}`, `{"age":36}`, `{}`, `not JSON`, `{"age":1,"age":2}`} {
		core.InsertOf(sdk.Owner(1+n%2), sdktest.ID(n), input)
	}
	core.Save()
	core, fed := core.Restart(&index{})
	if len(fed) > 0 {
		t.Errorf("%d objects are fed, want none", len(fed))
	}
	for predicate, want := range map[string]int{"": 3, "age = 36": 2, "name = 'Ada' and weight < 0 and not ok and born > '2024'": 1} {
		if found, err := core.Search(predicate, 10); err != nil || len(found) != want {
			t.Errorf("%s finds %d (%v), want %d", predicate, len(found), err, want)
		}
	}
	if found, _, err := core.Ask(sdk.Query{Owner: 2, Limit: 10}); err != nil || len(found) != 1 {
		t.Errorf("the second owner has %d objects (%v), want 1", len(found), err)
	}
}

// steps returns the steps that a query takes, in thousands.
func steps(t *testing.T, x *index, q sdk.Query) int {
	t.Helper()
	c, err := parse(x.columns, q.Predicate)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := x.find(&q, c, maxSteps); err != nil {
		t.Fatal(err)
	}
	return (maxSteps - x.work.left) / progressSteps
}

// TestWorkFollowsTheScope counts steps, which do not depend on the machine: a question takes steps for the
// objects of its owner, for its candidates, for those up to its limit, and for those that an index finds.
func TestWorkFollowsTheScope(t *testing.T) {
	const count, few = 6000, 10
	x := newIndex(t, people)
	var batch []sdk.Change
	var candidates []sdk.Identity
	for n := range count {
		owner := sdk.Owner(1)
		if n%(count/few) == 7 {
			owner = 2
			candidates = append(candidates, sdktest.ID(n))
		}
		batch = append(batch, sdk.Change{Identity: sdktest.ID(n), Owner: owner, Input: fmt.Appendf(nil, `{"age":%d,"name":"n%d"}`, n%3, n)})
	}
	x.Apply(batch)
	all := steps(t, x, sdk.Query{Predicate: []byte("age >= 0 and length(name) > 1 order by weight"), Limit: count})
	for _, q := range []sdk.Query{
		{Predicate: []byte("length(name) > 1 order by weight"), Owner: 2, Limit: count},
		{Predicate: []byte("length(name) > 1 order by weight"), Within: candidates, Limit: count},
		{Predicate: []byte("length(name) > 1"), Limit: few},
		{Predicate: []byte("length(name) > 1"), Limit: few, After: candidates[:1]},
		{Predicate: []byte("name = 'n77'"), Limit: count},
		{Predicate: []byte("name > 'n7' and name < 'n71' order by age"), Limit: few},
	} {
		if n := steps(t, x, q); all < 50 || n > all/10 {
			t.Errorf("%s (owner %d, %d candidates, limit %d): %d thousand steps, of all objects %d", q.Predicate, q.Owner, len(q.Within), q.Limit, n, all)
		}
	}
}

// TestTooMuchWork: a query ends when its steps are used up, whether SQLite takes them or LIKE.
func TestTooMuchWork(t *testing.T) {
	x := newIndex(t, people)
	for n := range 2000 {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: 1, Input: fmt.Appendf(nil, `{"age":%d,"name":"%s"}`, n, strings.Repeat("a", 1000))}})
	}
	for predicate, most := range map[string]int{
		"age % 7 = 3": 5000, "name like '" + strings.Repeat("%a", 100) + "b'": 1_000_000, "instr(name, 'b') > 0": 1_000_000, "order by - age": 5000,
	} {
		c, err := parse(x.columns, []byte(predicate))
		if err != nil {
			t.Fatal(err)
		}
		q := sdk.Query{Limit: 5000}
		if _, err := x.find(&q, c, most); !errors.Is(err, sdk.ErrTooExpensive) {
			t.Errorf("%.40s with %d steps: %v, want that it is too expensive", predicate, most, err)
		}
		if strings.Contains(predicate, "%a") {
			continue // takes all steps that there are
		}
		if _, err := x.find(&q, c, maxSteps); err != nil {
			t.Errorf("%.40s: %v", predicate, err)
		}
	}
}

// TestAFullTable: an object for which there is no memory is refused. The others are found, and their room serves again.
func TestAFullTable(t *testing.T) {
	columns, err := readColumns([]byte(people))
	if err != nil {
		t.Fatal(err)
	}
	d, err := openDatabase(columns, 8<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	x := &index{database: d, ordered: true}
	text := strings.Repeat("a", 1000)
	insert := func(n int) bool {
		_, held := x.Entry(sdktest.ID(n).Value())
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: 1, Input: fmt.Appendf(nil, `{"age":%d,"name":"%s"}`, n, text)}})
		_, holds := x.Entry(sdktest.ID(n).Value())
		return !held && holds
	}
	held := 0
	for n := range 3000 {
		if insert(n) {
			held++
		}
	}
	if held < 100 || held == 3000 {
		t.Fatalf("%d objects are held in 8 MiB", held)
	}
	if found, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte("age >= 0"), Limit: 10_000}); err != nil || len(found) != held {
		t.Errorf("%d objects are found (%v), want the %d that are held", len(found), err, held)
	}
	sort := "order by " + strings.Repeat("lower(name), ", 10) + "age"
	if _, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(sort), Limit: 10_000}); !errors.Is(err, sdk.ErrTooExpensive) {
		t.Errorf("a sort that takes more memory: %v, want that it is too expensive", err)
	}
	for n := range 5000 {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Remove: true}})
	}
	if !insert(20_000) {
		t.Error("after most objects were removed, there is no room for one")
	}
}
