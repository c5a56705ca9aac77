package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"motte/internal/realdata"
	"motte/internal/testutil"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// pkg is a package of the reference. Its size stands for a time, its section for a series.
type pkg struct {
	Section   string
	Size      int64
	Installed *float64 `json:"installed_size"`
}

const sizes = `{"time":"/size","unit":"s","series":"/section","value":"/installed_size"}`

// reference returns the packages, in the order of section, size and identity, and an index of them.
var reference = sync.OnceValue(func() func(testing.TB) (objectsOf, []sdk.Identity, *index) {
	var held objectsOf
	var order []sdk.Identity
	var x *index
	return func(t testing.TB) (objectsOf, []sdk.Identity, *index) {
		t.Helper()
		list := realdata.Packages(t)
		if x != nil {
			return held, order, x
		}
		x, held = configured(t, sizes), make(objectsOf)
		for i, text := range list {
			var p pkg
			testutil.Must(t, json.Unmarshal(text, &p))
			o := object{1, p.Section, p.Size, noValue}
			if p.Installed != nil {
				o.value = *p.Installed
			}
			held[sdktest.ID(i)] = o
			x.Apply([]sdk.Change{{Identity: sdktest.ID(i), Owner: 1, Input: text}})
		}
		order = held.find(&question{match: func(object) bool { return true }})
		return held, order, x
	}
})

// TestPackagesAgreeWithPlainCode: hundreds of random predicates find the packages that plain code finds, in
// that order.
func TestPackagesAgreeWithPlainCode(t *testing.T) {
	held, order, x := reference()(t)
	r := rand.New(rand.NewPCG(3, 4))
	var times []int64
	var objects []object
	for _, id := range order {
		objects = append(objects, held[id])
		times = append(times, held[id].time)
	}
	slices.Sort(times)
	for range testutil.Repeats(200, 30) {
		at := r.IntN(len(times))
		from, to := times[at], times[min(at+r.IntN(5000), len(times)-1)]
		key := objects[r.IntN(len(objects))].key
		conditions := []string{fmt.Sprintf("from %d to %d", from, to)}
		match := func(o object) bool { return o.time >= from && o.time < to }
		add := func(text string, f func(object) bool) {
			before := match
			conditions, match = append(conditions, text), func(o object) bool { return before(o) && f(o) }
		}
		switch r.IntN(4) {
		case 0:
			add("series = "+quote(key), func(o object) bool { return o.key == key })
		case 1:
			prefix := key[:min(2, len(key))]
			add("series prefix "+quote(prefix), func(o object) bool { return strings.HasPrefix(o.key, prefix) })
		case 2:
			value := float64(r.IntN(10_000))
			add(fmt.Sprintf("value >= %v", value), func(o object) bool { return o.value >= value })
		}
		q := question{match: match}
		text := strings.Join(conditions, " and ")
		switch r.IntN(3) {
		case 0:
			q.width = 1 + r.Int64N(1_000_000)
			q.pick = []string{"first", "last", "min", "max"}[r.IntN(4)]
			text += fmt.Sprintf(" every %ds %s", q.width, q.pick)
		case 1:
			q.newest = 1 + r.IntN(maxNewest)
			text += fmt.Sprintf(" last %d", q.newest)
		}
		if q.descending = r.IntN(2) == 0; q.descending {
			text += " order desc"
		}
		// The model is a map of what matches; the whole map would take too long to sort.
		few := make(objectsOf)
		for i, o := range objects {
			if match(o) {
				few[order[i]] = o
			}
		}
		want := few.find(&q)
		q.Predicate, q.Limit = []byte(text), 1+r.IntN(20_000)
		var got []sdk.Identity
		for more := true; more; {
			var ids []sdk.Identity
			var err error
			q.After = sdktest.Next(got)
			ids, more, err = sdktest.Page(x, q.Query)
			testutil.Must(t, err)
			got = append(got, ids...)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%s: %d packages, plain code finds %d", text, len(got), len(want))
		}
	}
}
