package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/sdktest"
)

const weather = `{"time":"/at","series":["/site","/sensor"],"value":"/v"}`

func start(t *testing.T, options string) *sdktest.Core {
	t.Helper()
	return sdktest.Start(t, &index{}, sdk.Config{Ordered: true, MaxResults: 10_000, Shelf: 1 << 20, Options: []byte(options)})
}

// numberOf returns the number of which sdktest.ID made an identity.
func numberOf(id sdk.Identity) int { return int(id[0]) | int(id[1])<<8 | int(id[2])<<16 }

// finds fails unless a predicate finds the objects ID(n) of these numbers, in this order.
func finds(t *testing.T, core *sdktest.Core, predicate string, want ...int) {
	t.Helper()
	found, err := core.Search(predicate, 1000)
	var got []int
	for _, id := range found {
		got = append(got, numberOf(id))
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s finds %v (%v), want %v", predicate, got, err, want)
	}
}

func TestInputs(t *testing.T) {
	core := start(t, weather)
	for _, c := range []struct {
		input    string
		accepted bool
		found    bool
	}{
		{`{"at":"2024-05-01T12:00:00Z","site":"zurich","sensor":7,"v":1.5}`, true, true},
		{`{"at":"2024-05-01T12:00:00.123456789+02:00","site":"","sensor":"\u0000"}`, true, true},
		{`{"at":"2024-05-01t12:00:00z","site":"a","sensor":"b","v":null}`, true, true},
		{`{"at":"2016-12-31T23:59:60Z","site":"a","sensor":"b"}`, true, true},
		{`{"at":null,"site":"a","sensor":"b"}`, true, false},
		{`{"site":"a","sensor":"b"}`, true, false},
		{`{"at":"2024-05-01T12:00:00Z","site":"a"}`, true, false},
		{`not JSON`, true, false},
		{`{"at":"2024-05-01","site":"a","sensor":"b"}`, false, false},
		{`{"at":"2024-05-01T12:00:60Z","site":"a","sensor":"b"}`, false, false},
		{`{"at":"2024-05-01T12:00:00","site":"a","sensor":"b"}`, false, false},
		{`{"at":"2024-05-01T12:00:00+24:00","site":"a","sensor":"b"}`, false, false},
		{`{"at":"2024-05-01T12:00:00+01:60","site":"a","sensor":"b"}`, false, false},
		{`{"at":"2024-05-01T2:00:00Z","site":"a","sensor":"b"}`, false, false},
		{`{"at":"2024-05-01T12:00:00,5Z","site":"a","sensor":"b"}`, false, false},
		{`{"at":"2024-02-30T12:00:00Z","site":"a","sensor":"b"}`, false, false},
		{`{"at":"1677-01-01T00:00:00Z","site":"a","sensor":"b"}`, false, false},
		{`{"at":"2262-01-01T00:00:00Z","site":"a","sensor":"b"}`, false, false},
		{`{"at":1714564800,"site":"a","sensor":"b"}`, false, false},
		{`{"at":"2024-05-01T12:00:00Z","site":["a"],"sensor":"b"}`, false, false},
		{`{"at":"2024-05-01T12:00:00Z","site":"a","sensor":1.5}`, false, false},
		{`{"at":"2024-05-01T12:00:00Z","site":"a","sensor":true}`, false, false},
		{`{"at":"2024-05-01T12:00:00Z","site":"a","sensor":"` + strings.Repeat("s", maxPart+1) + `"}`, false, false},
		{`{"at":"2024-05-01T12:00:00Z","site":"a","sensor":"` + strings.Repeat("s", maxPart) + `"}`, true, true},
		{`{"at":"2024-05-01T12:00:00Z","site":"a","sensor":"b","v":"1"}`, false, false},
		{`{"at":"2024-05-01T12:00:00Z","site":"a","sensor":"b","v":1e400}`, false, false},
		{`{"at":"2024-05-01T12:00:00Z","site":"a","sensor":"b","v":1e-400}`, true, true},
		{`{"at":"2024-05-01T12:00:00Z","site":"a","sensor":"b","x":1,"x":2}`, false, false},
	} {
		if got := core.Insert(sdktest.ID(1), c.input); got != c.accepted {
			t.Errorf("%.100s is accepted: %v, want %v", c.input, got, c.accepted)
		}
		found, err := core.Search("all", 10)
		if err != nil || (len(found) == 1) != c.found {
			t.Errorf("%.100s is found: %v (%v), want %v", c.input, found, err, c.found)
		}
	}
}

func TestTimesAsNumbers(t *testing.T) {
	for _, c := range []struct {
		unit, text string
		want       int64
		ok         bool
	}{
		{"s", "1714564800", 1714564800e9, true},
		{"s", "1714564800.123456789", 1714564800_123456789, true},
		{"s", "-0.5", -5e8, true},
		{"s", "-1.25", -1.25e9, true},
		{"s", "1.1234567890", 1_123456789, true},
		{"s", "1.1234567891", 0, false},
		{"ms", "1714564800123", 1714564800_123e6, true},
		{"ms", "0.5", 5e5, true},
		{"us", "7", 7000, true},
		{"ns", "7", 7, true},
		{"ns", "7.5", 0, false},
		{"s", "1e9", 0, false},
		{"s", "9223372037", 0, false},
		{"ns", "9223372036854775807", 0, false},
		{"ns", "9223372036854775806", 9223372036854775806, true},
		{"s", "", 0, false}, {"s", "-", 0, false}, {"s", ".5", 0, false}, {"s", "+5", 0, false}, {"s", "\"5\"", 0, false},
	} {
		got, err := parseUnix(c.text, units[c.unit])
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%s %s: %d (%v), want %d, accepted %v", c.text, c.unit, got, err, c.want, c.ok)
		}
	}
}

func TestConfigurations(t *testing.T) {
	for _, c := range []struct {
		options string
		ok      bool
	}{
		{`{"time":"/t"}`, true}, {`{"time":"/t","unit":"ms","series":"/s","value":"/v"}`, true}, {`{"time":"","series":["/a","/b"]}`, true},
		{``, false}, {`{}`, false}, {`{"time":"t"}`, false}, {`{"time":"/t","unit":"h"}`, false}, {`{"time":"/t","series":[]}`, false},
		{`{"time":"/t","series":[1]}`, false}, {`{"time":"/t","series":{}}`, false}, {`{"time":"/t","series":"s"}`, false}, {`{"time":"/t","value":""}`, true},
		{`{"time":"/t","series":["/1","/2","/3","/4","/5","/6","/7","/8","/9"]}`, false}, {`{"time":"/t","tiem":"/t"}`, false},
	} {
		x := &index{}
		if err := x.Configure(sdk.Config{Options: []byte(c.options)}); (err == nil) != c.ok {
			t.Errorf("%s: %v; want accepted %v", c.options, err, c.ok)
		}
	}
	if err := new(index).Configure(sdk.Config{Type: model.TypeInt64, Options: []byte(`{"time":"/t"}`)}); err == nil {
		t.Error("an index of int64 is accepted; its inputs have no series")
	}
}

func TestPredicatesThatAreRefused(t *testing.T) {
	core := start(t, weather)
	for _, predicate := range []string{
		"every", "all all", "all and all", "series", `series "a"`, "series = a", "series = 7", `series = ()`, `series = ("a","b","c")`, `series = ("a"`,
		`series in "a"`, `series in ()`, `series in ("a",)`, `series prefix`, `series < "a"`, `series = "` + strings.Repeat("s", maxPart+1) + `"`,
		"from", "from yesterday", "from 5", "from 2024-05-01", "to", "from 2024-05-01T00:00:00Z 2024-06-01T00:00:00Z", "from 2024-05-01T00:00:00Z to",
		"value", "value > ", `value > "1"`, "value > x", "value > 1e400", "value => 1", "value > 1 value < 2", "value > 1 or value < 2", "value between 1 and 2",
		"every 1h", "every 1h median", "every h first", "every 0s first", "every -1s first", "every +1s first", "every 1.5h first", "every 1w first", "every 36526d last", "every 9999999999999999999s last",
		"last", "last 0", "last 1001", "last -1", "last 1.5", "last x", "last 5 every 1h first", "every 1h first every 1d last", "first 5",
		"order", "order up", "order desc asc", "last 5 and all", "every 1h last and value > 1", strings.Repeat("value > 1 and ", maxLimits) + "value > 1",
		"\xff", `series = "\ud800"`, `series = "a`, "all\x00",
	} {
		if _, err := core.Search(predicate, 1); err != sdktest.ErrQueryRefused {
			t.Errorf("%.100q: %v; want that it is refused", predicate, err)
		}
	}
	for _, predicate := range []string{
		"", " ALL ", "order desc", "last 1000", "EVERY 15M Last ORDER asc", `series="a"and value>1`, `series = ("a", "b") and series prefix ("a","")`,
		`series in ("a", ("b","c"))`, "from 2024-05-01T00:00:00Z to 2024-06-01T00:00:00+02:00", `from "2024-05-01t00:00:00z"`, "to 2024-05-01T00:00:00Z and value != -1.5e3",
		"every 36525d max", "every 1ms min",
	} {
		if _, err := core.Search(predicate, 1); err != nil {
			t.Errorf("%q: %v; want that it is accepted", predicate, err)
		}
	}
	unordered := sdktest.Start(t, &index{}, sdk.Config{MaxResults: 10, Options: []byte(`{"time":"/t"}`)})
	for _, predicate := range []string{"order desc", "value > 1", `series = "a"`, "every 1h min"} {
		if _, err := unordered.Search(predicate, 1); err != sdktest.ErrQueryRefused {
			t.Errorf("%q: %v; want that an index without order, value and series refuses it", predicate, err)
		}
	}
}

// TestKeysOfSeveralParts: a key is found by its first parts, and is not confused with another.
func TestKeysOfSeveralParts(t *testing.T) {
	core := start(t, weather)
	for i, key := range []string{`"site":"a","sensor":"b"`, `"site":"ab","sensor":""`, `"site":"a","sensor":7`, `"site":"a\u0000","sensor":"b"`, `"site":"b","sensor":"a"`} {
		if !core.Insert(sdktest.ID(i), `{"at":"2024-05-01T12:00:00Z",`+key+`}`) {
			t.Fatal(key)
		}
	}
	finds(t, core, `series = "a"`, 2, 0)
	finds(t, core, `series = ("a", "7")`, 2)
	finds(t, core, `series prefix "a"`, 2, 0, 3, 1)
	finds(t, core, `series prefix ("a", "b")`, 0)
	finds(t, core, `series = ("a", "")`)
	finds(t, core, `series in ("b", ("a", "b"), "b")`, 0, 4)
	finds(t, core, `series = ("ab", "")`, 1)
	finds(t, core, "order desc", 4, 1, 3, 0, 2)
}

// TestBuckets: a bucket begins at its first instant, before 1970 too, and has one object of each series
// and owner.
func TestBuckets(t *testing.T) {
	core := start(t, `{"time":"/t","unit":"s","series":"/s","value":"/v"}`)
	for i, input := range []string{
		`{"t":-1,"s":"a","v":5}`, `{"t":0,"s":"a","v":3}`, `{"t":59.999999999,"s":"a","v":9}`, `{"t":30,"s":"a","v":3}`,
		`{"t":60,"s":"a"}`, `{"t":61,"s":"a","v":1}`, `{"t":62,"s":"b","v":2}`,
	} {
		core.Insert(sdktest.ID(i), input)
	}
	core.InsertOf(2, sdktest.ID(7), `{"t":61,"s":"a","v":8}`)
	finds(t, core, "every 1m first", 0, 1, 4, 7, 6)
	finds(t, core, "every 1m last", 0, 2, 5, 7, 6)
	finds(t, core, "every 1m min", 0, 1, 5, 7, 6)
	finds(t, core, "every 1m max", 0, 2, 5, 7, 6)
	finds(t, core, "every 1m max order desc", 6, 7, 5, 2, 0)
	finds(t, core, "from 1970-01-01T00:00:10Z to 1970-01-01T00:00:59Z every 1m first", 3)
	finds(t, core, "value < 5 every 1m last", 3, 5, 6)
	finds(t, core, "every 100d last", 0, 5, 7, 6)
	finds(t, core, "last 2", 4, 5, 7, 6)
	finds(t, core, "value > 2 last 1 order desc", 7, 2)
}

// TestBucketsAtTheEnds of all times do not overflow.
func TestBucketsAtTheEnds(t *testing.T) {
	for _, at := range []int64{minTime, minTime + 1, -1, 0, 1, maxTime - 1, maxTime} {
		for _, width := range []int64{1, 1e6, 3600e9, maxDuration} {
			from, to := bucket(at, width)
			if from > at || to <= at || from != math.MinInt64 && to != math.MaxInt64 && to-from != width {
				t.Errorf("the bucket of %d, %d wide, is from %d to %d", at, width, from, to)
			}
		}
	}
	x := configured(t, `{"time":"/t","unit":"ns"}`)
	for i, at := range []int64{minTime, minTime + 1, 0, maxTime - 1, maxTime} {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(i), Owner: 1, Input: fmt.Appendf(nil, `{"t":%d}`, at)}})
	}
	for predicate, want := range map[string]int{"all": 5, "every 1ms first": 3, "every 36525d last order desc": 3, "every 36525d first": 3, "every 1s last": 3} {
		ids, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(predicate), Limit: 10})
		if err != nil || len(ids) != want {
			t.Errorf("%s finds %d objects (%v), want %d", predicate, len(ids), err, want)
		}
	}
}

// TestManyChunks: objects that come in any order, many with equal times, and go again.
func TestManyChunks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	x := configured(t, sensors)
	held := make(objectsOf)
	for round := range 12 {
		for range 2000 {
			id := sdktest.ID(r.IntN(6000))
			o := object{1, "a", int64(r.IntN(900)), float64(r.IntN(10))}
			if round%3 == 2 {
				delete(held, id)
				x.Apply([]sdk.Change{{Identity: id, Remove: true}})
				continue
			}
			held[id] = o
			x.Apply([]sdk.Change{{Identity: id, Owner: 1, Input: fmt.Appendf(nil, `{"t":%d,"s":"a","v":%v}`, o.time, o.value)}})
		}
		checkIndex(t, x, held)
		for _, order := range []bool{false, true} {
			q := question{match: func(o object) bool { return o.time >= 100 && o.time < 800 }, descending: order}
			q.Predicate = []byte("from 100 to 800 order " + map[bool]string{false: "asc", true: "desc"}[order])
			q.Limit = 333
			var got []sdk.Identity
			for more := true; more; {
				var ids []sdk.Identity
				var err error
				q.After = sdktest.Next(got)
				if ids, more, err = sdktest.Page(x, q.Query); err != nil {
					t.Fatal(err)
				}
				got = append(got, ids...)
			}
			if want := held.find(&q); !slices.Equal(got, want) {
				t.Fatalf("round %d: %d objects, want %d, in order", round, len(got), len(want))
			}
		}
	}
}

// TestRestart: the next process has the objects of the shelf, and is fed only what has changed.
func TestRestart(t *testing.T) {
	core := start(t, weather)
	begin := time.Date(2024, 5, 1, 0, 0, 0, 0, time.UTC)
	for i := range 500 {
		core.Insert(sdktest.ID(i), fmt.Sprintf(`{"at":%q,"site":"a","sensor":%d,"v":%d}`, begin.Add(time.Duration(i)*time.Minute).Format(time.RFC3339), i%2, i))
	}
	core.Insert(sdktest.ID(500), `{}`)
	core.Insert(sdktest.ID(501), `{"at":5}`)
	core.Save()
	core.Insert(sdktest.Version(7, 1), `{"at":"2030-05-01T00:00:00Z","site":"a","sensor":1}`)
	core.Remove(sdktest.ID(9))
	core, fed := core.Restart(&index{})
	if len(fed) != 1 || fed[0] != sdktest.Version(7, 1) {
		t.Errorf("%d objects are inserted again, want one", len(fed))
	}
	finds(t, core, `series = ("a", "1") and to 2024-05-01T00:12:00Z`, 1, 3, 5, 11)
	finds(t, core, `last 1`, 498, 7)
	finds(t, core, `value >= 497`, 498, 497, 499)
}

// TestHostileEntries: data that an attacker wrote on the shelf are refused.
func TestHostileEntries(t *testing.T) {
	x := configured(t, weather)
	x.Apply([]sdk.Change{{Identity: sdktest.ID(1), Owner: 1, Input: []byte(`{"at":"2024-05-01T12:00:00Z","site":"a","sensor":"b","v":1}`)}})
	e, _ := x.Entry(sdktest.ID(1).Value())
	next := configured(t, weather)
	for n := range e.Data {
		if next.Restore(sdk.Entry{Identity: sdktest.ID(1), Data: e.Data[:n]}) {
			t.Errorf("the first %d of %d bytes are accepted", n, len(e.Data))
		}
	}
	if next.Restore(sdk.Entry{Identity: sdktest.ID(1), Data: append(e.Data, 0)}) || !next.Restore(e) {
		t.Error("a byte too many is accepted, or the whole entry is refused")
	}
}
