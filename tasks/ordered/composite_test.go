package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"motte/core/model"
	"motte/internal/realdata"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// pair is a composite key of the model, of a string and a number. nil stands for a missing component.
type pair struct {
	text   *string
	number *int64
}

// comparePairs orders pairs by the text, and then from the largest number to the smallest. Missing ones
// come behind all others, and before them if the order is descending. A pair is compared by as many
// components as count.
func comparePairs(a, b pair, count int) int {
	c := compareMissing(a.text, b.text)
	if c == 0 && count > 1 {
		c = -compareMissing(a.number, b.number)
	}
	return c
}

func compareMissing[K cmp.Ordered](a, b *K) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return cmp.Compare(*a, *b)
}

var (
	pairTexts   = []string{"", "a", "a\x00", "a\x00b", "ab", "b", "\x01", "é"}
	pairNumbers = []int64{-1 << 63, -1, 0, 1, 255, 256}
)

func drawPair(t *rapid.T) (p pair) {
	if rapid.IntRange(0, 5).Draw(t, "missing text") > 0 {
		p.text = new(rapid.SampledFrom(pairTexts).Draw(t, "text"))
	}
	if rapid.IntRange(0, 5).Draw(t, "missing number") > 0 {
		p.number = new(rapid.SampledFrom(pairNumbers).Draw(t, "number"))
	}
	return p
}

// write returns a pair as a value of a predicate.
func (p pair) write(count int) string {
	literal := func(v any, missing bool) string {
		if missing {
			return "missing"
		}
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return string(text)
	}
	if count == 1 {
		return "(" + literal(p.text, p.text == nil) + ")"
	}
	return "(" + literal(p.text, p.text == nil) + ", " + literal(p.number, p.number == nil) + ")"
}

func drawPairs(t *rapid.T) (string, func(pair) bool) {
	a, b := drawPair(t), drawPair(t)
	n := rapid.IntRange(1, 2).Draw(t, "components")
	ordered := func(fits func(c int) bool) func(pair) bool {
		return func(p pair) bool { return p.text != nil && fits(comparePairs(p, a, n)) }
	}
	switch rapid.IntRange(0, 9).Draw(t, "operator") {
	case 0:
		return "< " + a.write(n), ordered(func(c int) bool { return c < 0 })
	case 1:
		return "<= " + a.write(n), ordered(func(c int) bool { return c <= 0 })
	case 2:
		return "> " + a.write(n), ordered(func(c int) bool { return c > 0 })
	case 3:
		return ">= " + a.write(n), ordered(func(c int) bool { return c >= 0 })
	case 4:
		return "!= " + a.write(n), ordered(func(c int) bool { return c != 0 })
	case 5:
		return "= " + a.write(n), func(p pair) bool { return comparePairs(p, a, n) == 0 }
	case 6:
		return "in (" + a.write(n) + "," + b.write(n) + ")", func(p pair) bool { return comparePairs(p, a, n) == 0 || comparePairs(p, b, n) == 0 }
	case 7:
		return "between " + a.write(n) + " and " + b.write(n), func(p pair) bool { return comparePairs(p, a, n) >= 0 && comparePairs(p, b, n) <= 0 }
	case 8:
		return "missing", func(p pair) bool { return p.text == nil }
	}
	start := rapid.SampledFrom(pairTexts).Draw(t, "start")
	quoted, err := json.Marshal(start)
	if err != nil {
		t.Fatal(err)
	}
	return "prefix " + string(quoted), func(p pair) bool { return p.text != nil && strings.HasPrefix(*p.text, start) }
}

const pairOptions = `{"missing":true,"keys":[{"path":"/t","type":"string"},{"path":"/n","type":"int64","descending":true}]}`

// TestCompositeKeysAgreeWithAList compares an index of composite keys with a sorted list.
func TestCompositeKeysAgreeWithAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := &index{}
		if err := x.Configure(sdk.Config{Ordered: true, Options: []byte(pairOptions)}); err != nil {
			t.Fatal(err)
		}
		held := make(map[sdk.Identity]pair)
		for n := range rapid.IntRange(0, 40).Draw(t, "objects") {
			p := drawPair(t)
			input, err := json.Marshal(map[string]any{"t": p.text, "n": p.number})
			if err != nil {
				t.Fatal(err)
			}
			x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: 1, Input: input}})
			held[sdktest.ID(n)] = p
		}
		if rapid.Bool().Draw(t, "restart") {
			next := &index{}
			if err := next.Configure(sdk.Config{Ordered: true, Options: []byte(pairOptions)}); err != nil {
				t.Fatal(err)
			}
			for id := range held {
				if e, ok := x.Entry(id.Value()); !ok || !next.Restore(e) {
					t.Fatalf("the entry of %x is not restored", id)
				}
			}
			next.Restored()
			x = next
		}
		for range 10 {
			text, match := drawPairs(t)
			var want []sdk.Identity
			for id, p := range held {
				if match(p) {
					want = append(want, id)
				}
			}
			slices.SortFunc(want, func(a, b sdk.Identity) int {
				return cmp.Or(comparePairs(held[a], held[b], 2), a.Compare(b))
			})
			if rapid.Bool().Draw(t, "descending") {
				text += " order desc"
				slices.Reverse(want)
			}
			found, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(text), Limit: 100})
			if err != nil || !slices.Equal(found, want) {
				t.Fatalf("%s: %x (%v), want %x", text, found, err, want)
			}
		}
	})
}

// TestNewOptions asks indexes with each option for objects after a restart. They are named in the order of
// the answer.
func TestNewOptions(t *testing.T) {
	for _, c := range []struct {
		options string
		inputs  []string
		answers map[string]string
	}{
		{`{"path":"/a","type":"bool"}`, []string{`{"a":true}`, `{"a":false}`, `{"a":[true,false]}`, `{}`}, map[string]string{
			"": "1 2 0", "= true": "0 2", "!= true": "1 2", "< true": "1 2", "contains all (true, false)": "2", "order desc": "2 0 1"}},
		{`{"path":"/a","type":"string","fold":true}`, []string{`{"a":"Straße"}`, `{"a":"STRASSE"}`, `{"a":"strasbourg"}`, `{"a":"Ｓtrand"}`, `{"a":"e\u0301"}`}, map[string]string{
			`= "strasse"`: "0 1", `= "STRAẞE"`: "0 1", `prefix "STRA"`: "3 2 0 1", `= "É"`: "4", `> "STRASB" and < "strb"`: "2 0 1"}},
		{`{"path":"/a","type":"int64","missing":true}`, []string{`{"a":1}`, `{}`, `{"a":null}`, `{"a":[]}`, `{"a":[2,3]}`, `no JSON`}, map[string]string{
			"": "0 4 1 2 3", "missing": "1 2 3", "!= 1": "4", "> 0": "0 4", "< 3": "0 4", "missing or = 2": "4 1 2 3", "contains all (2,3)": "4", "order desc": "3 2 1 4 0"}},
		{`{"keys":[{"path":"/c","type":"string","fold":true},{"path":"/t","type":"time","descending":true},{"path":"/n","type":"float64"}]}`,
			[]string{`{"c":"FR","t":"2024-05-01T00:00:00Z","n":1}`, `{"c":"fr","t":"2024-06-01T00:00:00Z","n":[1,0.5]}`, `{"c":["de","fr"]}`, `{"n":2}`, `{"x":1}`}, map[string]string{
				"": "2 1 0 3", `= "FR"`: "2 1 0", `= ("fr", 2024-05-01T00:00:00Z)`: "0", `= ("fr", "2024-06-01T00:00:00Z", 0.5)`: "1", `= ("fr", missing)`: "2",
				`prefix ("f")`: "2 1 0", `prefix "F" order desc`: "0 1 2", "missing": "3", `> "de"`: "2 1 0", `contains all ("de","fr")`: "2",
				`contains all ("de") and = "fr"`: "2", `in ("de", ("fr", 2024-05-01T00:00:00Z, 1))`: "2 0"}},
	} {
		core := sdktest.Start(t, &index{}, sdk.Config{Ordered: true, MaxResults: 1000, Shelf: 1 << 20, Options: []byte(c.options)})
		for n, input := range c.inputs {
			if !core.Insert(sdktest.ID(n), input) {
				t.Fatalf("%s: %s is refused", c.options, input)
			}
		}
		core.Save()
		core, fed := core.Restart(&index{})
		if len(fed) > 0 {
			t.Errorf("%s: %d objects are fed after a restart, want none", c.options, len(fed))
		}
		for predicate, want := range c.answers {
			found, err := core.Search(predicate, 100)
			if got := strings.Trim(fmt.Sprint(numbers(found, len(c.inputs))), "[]"); err != nil || got != want {
				t.Errorf("%s: %s: objects %s (%v), want %s", c.options, predicate, got, err, want)
			}
		}
	}
}

// TestNewRefusals: configurations, inputs and predicates that the new options do not allow.
func TestNewRefusals(t *testing.T) {
	for _, options := range []string{
		`{"path":"/a","type":"bool","fold":true}`, `{"type":"int64","missing":true}`, `{"keys":[]}`, `{"keys":[{"path":"/a"}]}`, `{"keys":[{"type":"int64"}]}`,
		`{"keys":[{"path":"/a","type":"int64","fold":true}]}`, `{"keys":[{"path":"/a","type":"int"}]}`, `{"keys":[{"path":"a","type":"int64"}]}`,
		`{"path":"/a","keys":[{"path":"/a","type":"int64"}]}`, `{"type":"int64","keys":[{"path":"/a","type":"int64"}]}`, `{"fold":true,"keys":[{"path":"/a","type":"string"}]}`,
		`{"keys":[{"path":"/a","type":"int64","missing":true}]}`, `{"keys":[` + strings.Repeat(`{"path":"/a","type":"int64"},`, maxComponents) + `{"path":"/a","type":"int64"}]}`,
	} {
		if start(t, model.TypeAny, false, options) != nil {
			t.Errorf("the configuration %s is accepted", options)
		}
	}
	core := start(t, model.TypeAny, false, `{"keys":[{"path":"/a","type":"string"},{"path":"/b","type":"int64"}]}`)
	long := strings.Repeat("x", maxString)
	for _, input := range []string{`{"a":1}`, `{"a":"x","b":"1"}`, `{"a":"x","a":"y"}`, `{"a":"` + long + `"}`, `{"a":[` + strings.Repeat(`"x",`, 8) + `"y"],"b":[1,2,3,4,5,6,7,8]}`} {
		if core.Insert(sdktest.ID(1), input) {
			t.Errorf("the input %.40s is accepted", input)
		}
	}
	for _, predicate := range []string{`= ("a", 1, 2)`, `= ("a", "b")`, `= (1)`, `= ()`, `= ("a"`, `= ("a",)`, `prefix ("a", 1)`, `prefix (1)`, `= "a", 1`, `missing "a"`,
		`contains ("a")`, `contains all "a"`, `contains all ()`, `= "a" and contains all ("a")`, `contains all ("a") or = "b"`, `contains all (` + strings.Repeat(`"a",`, maxKeys) + `"b")`} {
		if _, err := core.Search(predicate, 10); err != sdktest.ErrQueryRefused {
			t.Errorf("%.60s: %v, want that it is refused", predicate, err)
		}
	}
	plain := start(t, model.TypeFloat64, false, "")
	for _, input := range []string{"1e400", "-1e400", "1e-400", "-0.00001e-400"} {
		if plain.Insert(sdktest.ID(1), input) {
			t.Errorf("the number %s, which no float64 is near, is accepted", input)
		}
	}
	for _, input := range []string{"0", "-0.0e-999", "0e999", "4.9e-324"} {
		if !plain.Insert(sdktest.ID(1), input) {
			t.Errorf("the number %s is refused", input)
		}
	}
	if _, err := plain.Search("missing", 10); err != sdktest.ErrQueryRefused {
		t.Errorf("an index without missing: %v, want that the predicate is refused", err)
	}
}

// TestCitiesAgreeWithPlainCode asks an index of the cities by country and latitude for ranges.
func TestCitiesAgreeWithPlainCode(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	inputs := realdata.Cities(t)
	inputs = inputs[:len(inputs)/3] // enough, in a third of the time
	x := &index{}
	options := `{"keys":[{"path":"/country","type":"string"},{"path":"/lat","type":"float64","descending":true},{"path":"/name","type":"string","fold":true}]}`
	if err := x.Configure(sdk.Config{Ordered: true, Options: []byte(options)}); err != nil {
		t.Fatal(err)
	}
	type city struct {
		realdata.City
		lat float64
	}
	all := make([]city, len(inputs))
	numbers := make(map[sdk.Identity]int)
	for n, input := range inputs {
		if err := json.Unmarshal(input, &all[n].City); err != nil {
			t.Fatal(err)
		}
		var err error
		if all[n].lat, err = all[n].Lat.Float64(); err != nil {
			t.Fatal(err)
		}
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: 1, Input: input}})
		numbers[sdktest.ID(n)] = n
	}
	for n := range 200 {
		a, b := &all[n*7919%len(all)], &all[n*104_729%len(all)]
		if a.lat < b.lat {
			a, b = b, a
		}
		predicate := fmt.Sprintf("between (%q, %s) and (%q, %s)", a.Country, a.Lat, a.Country, b.Lat)
		want := 0
		for i := range all {
			if c := &all[i]; c.Country == a.Country && c.lat <= a.lat && c.lat >= b.lat {
				want++
			}
		}
		found, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(predicate), Limit: len(all)})
		if err != nil || len(found) != want {
			t.Fatalf("%s: %d cities (%v), want %d", predicate, len(found), err, want)
		}
		for i := 1; i < len(found); i++ {
			if all[numbers[found[i-1]]].lat < all[numbers[found[i]]].lat {
				t.Fatalf("%s: the city %d is north of the one before", predicate, i)
			}
		}
	}
}
