package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"motte/sdk"
	"motte/sdk/sdktest"
)

// object is an object of the model.
type object struct {
	owner sdk.Owner
	key   string // with one part
	time  int64  // in seconds
	value float64
}

// objectsOf is the model: a list.
type objectsOf map[sdk.Identity]object

// question is a query, and the meaning of its predicate.
type question struct {
	sdk.Query
	match      func(object) bool
	width      int64 // in seconds
	pick       string
	newest     int
	descending bool
}

// find returns the whole answer for all owners, as the documentation defines it.
func (m objectsOf) find(q *question) (ids []sdk.Identity) {
	for id, o := range m {
		if q.match(o) {
			ids = append(ids, id)
		}
	}
	compare := func(a, b sdk.Identity) int {
		o, p := m[a], m[b]
		return cmp.Or(cmp.Compare(o.key, p.key), cmp.Compare(o.owner, p.owner), cmp.Compare(o.time, p.time), a.Compare(b))
	}
	slices.SortFunc(ids, compare)
	type group struct {
		key    string
		owner  sdk.Owner
		bucket float64
	}
	groups := make(map[group][]sdk.Identity) // in order
	for _, id := range ids {
		o := m[id]
		g := group{key: o.key, owner: o.owner}
		if q.width > 0 {
			g.bucket = math.Floor(float64(o.time) / float64(q.width))
		}
		if (q.pick == "min" || q.pick == "max") && math.IsNaN(o.value) {
			continue
		}
		groups[g] = append(groups[g], id)
	}
	switch {
	case q.width > 0:
		ids = nil
		for _, g := range groups {
			ids = append(ids, m.pick(q.pick, g))
		}
	case q.newest > 0:
		ids = nil
		for _, g := range groups {
			ids = append(ids, g[max(0, len(g)-q.newest):]...)
		}
	}
	slices.SortFunc(ids, compare)
	if q.descending {
		slices.Reverse(ids)
	}
	return ids
}

// pick returns the object of a bucket that the answer has.
func (m objectsOf) pick(which string, group []sdk.Identity) sdk.Identity {
	best := group[0]
	for _, id := range group {
		v := m[id].value
		if which == "last" || which == "min" && v < m[best].value || which == "max" && v > m[best].value {
			best = id
		}
	}
	return best
}

// drawQuestion draws a predicate, a limit, an owner and a direction.
func drawQuestion(t *rapid.T) (q question) {
	var conditions []string
	var matches []func(object) bool
	add := func(text string, f func(object) bool) {
		conditions, matches = append(conditions, text), append(matches, f)
	}
	for range rapid.IntRange(0, 3).Draw(t, "conditions") {
		a, b := rapid.Int64Range(-20, 400).Draw(t, "a"), rapid.Int64Range(-20, 400).Draw(t, "b")
		key, other := drawKey(t), drawKey(t)
		switch rapid.IntRange(0, 6).Draw(t, "condition") {
		case 0:
			add(fmt.Sprintf("from %d", a), func(o object) bool { return o.time >= a })
		case 1:
			add(fmt.Sprintf("from %d to %d", a, b), func(o object) bool { return o.time >= a && o.time < b })
		case 2:
			add(fmt.Sprintf("to 1970-01-01T00:%02d:%02dZ", (b+20)/60, (b+20)%60), func(o object) bool { return o.time < b+20 })
		case 3:
			add("series = "+quote(key), func(o object) bool { return o.key == key })
		case 4:
			add("series prefix "+quote(key), func(o object) bool { return strings.HasPrefix(o.key, key) })
		case 5:
			add("series in ("+quote(key)+", ("+quote(other)+"))", func(o object) bool { return o.key == key || o.key == other })
		case 6:
			v := float64(rapid.IntRange(-2, 4).Draw(t, "value"))
			op := rapid.SampledFrom([]string{"<", "<=", ">", ">=", "=", "!="}).Draw(t, "operator")
			add(fmt.Sprintf("value %s %v", op, v), func(o object) bool {
				return !math.IsNaN(o.value) && map[string]bool{"<": o.value < v, "<=": o.value <= v, ">": o.value > v, ">=": o.value >= v, "=": o.value == v, "!=": o.value != v}[op]
			})
		}
	}
	text := strings.Join(conditions, " and ")
	q.match = func(o object) bool {
		return !slices.ContainsFunc(matches, func(f func(object) bool) bool { return !f(o) })
	}
	switch rapid.IntRange(0, 3).Draw(t, "sampling") {
	case 0, 1:
		q.width = rapid.Int64Range(1, 100).Draw(t, "width")
		q.pick = rapid.SampledFrom([]string{"first", "last", "min", "max"}).Draw(t, "pick")
		text += fmt.Sprintf(" every %ds %s", q.width, q.pick)
	case 2:
		q.newest = rapid.IntRange(1, 5).Draw(t, "newest")
		text += fmt.Sprintf(" last %d", q.newest)
	}
	if q.descending = rapid.Bool().Draw(t, "descending"); q.descending {
		text += " order desc"
	}
	q.Predicate = []byte(text)
	q.Limit = rapid.IntRange(1, 8).Draw(t, "limit")
	q.Owner = sdk.Owner(rapid.Uint64Range(0, 3).Draw(t, "owner"))
	return q
}

func drawKey(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "a", "ab", "a\x00", "a\x00b", "b", "é", "\U0010ffff"}).Draw(t, "key")
}

const sensors = `{"time":"/t","unit":"s","series":"/s","value":"/v"}`

func configured(t rapid.TB, options string) *index {
	t.Helper()
	x := &index{}
	if err := x.Configure(sdk.Config{Ordered: true, Options: []byte(options)}); err != nil {
		t.Fatal(err)
	}
	return x
}

// history draws changes, and applies them to the model.
type history struct{ held, contents objectsOf }

func (h *history) draw(t *rapid.T) sdk.Change {
	id := drawIdentity(t)
	for old := range h.held {
		if old.Value() == id.Value() {
			delete(h.held, old)
		}
	}
	if rapid.IntRange(0, 4).Draw(t, "remove") == 0 {
		return sdk.Change{Identity: id, Remove: true}
	}
	o, ok := h.contents[id]
	if !ok {
		o = object{sdk.Owner(rapid.Uint64Range(1, 2).Draw(t, "owner")), drawKey(t), rapid.Int64Range(-50, 500).Draw(t, "time"), noValue}
		if rapid.Bool().Draw(t, "has a value") {
			o.value = float64(rapid.IntRange(-3, 5).Draw(t, "value")) / 2
		}
		h.contents[id] = o
	}
	h.held[id] = o
	value := "null"
	if !math.IsNaN(o.value) {
		value = fmt.Sprint(o.value)
	}
	return sdk.Change{Identity: id, Owner: o.owner, Input: fmt.Appendf(nil, `{"t":%d,"s":%s,"v":%s}`, o.time, quote(o.key), value)}
}

// quote writes a string as JSON.
func quote(s string) string {
	text, _ := json.Marshal(s) // a string has no error
	return string(text)
}

func drawIdentity(t *rapid.T) sdk.Identity {
	return sdktest.Version(rapid.IntRange(0, 300).Draw(t, "object"), rapid.IntRange(0, 1).Draw(t, "version"))
}

// TestIndexAgreesWithAList applies the same random history to an index and to the model. It asks
// both the same questions.
func TestIndexAgreesWithAList(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		x := configured(t, sensors)
		h := history{make(objectsOf), make(objectsOf)}
		// want returns the answer of the model, and check compares it with a page.
		want := func(q *question) (ids []sdk.Identity, err error) {
			whole := h.held.find(q)
			if len(q.After) > 0 {
				n := slices.IndexFunc(q.After, func(id sdk.Identity) bool { return slices.Contains(whole, id) })
				if n < 0 {
					return nil, sdk.ErrGone
				}
				whole = whole[slices.Index(whole, q.After[n])+1:]
			}
			for _, id := range whole {
				if q.Wants(h.held[id].owner) && (len(q.Within) == 0 || slices.Contains(q.Within, id)) {
					ids = append(ids, id)
				}
			}
			return ids, nil
		}
		check := func(t *rapid.T, q *question) (ids []sdk.Identity, more bool) {
			whole, wantErr := want(q)
			whatever := q.Query
			if len(q.Within) > 0 {
				whatever.Limit = 1000 // the sdk leaves out what is no candidate
			}
			ids, more, err := sdktest.Page(x, whatever)
			if len(q.Within) > 0 {
				ids = slices.DeleteFunc(ids, func(id sdk.Identity) bool { return !slices.Contains(q.Within, id) })
				more = len(ids) > q.Limit
				ids = ids[:min(len(ids), q.Limit)]
			}
			if err != wantErr || !slices.Equal(ids, whole[:min(q.Limit, len(whole))]) || more != (len(whole) > q.Limit) {
				t.Fatalf("%s, limit %d, owner %d, after %x: %x, more %v (%v); want %x (%v)",
					q.Predicate, q.Limit, q.Owner, q.After, ids, more, err, whole, wantErr)
			}
			return ids, more
		}
		rt.Repeat(map[string]func(*rapid.T){
			"apply": func(t *rapid.T) {
				var batch []sdk.Change
				for range rapid.IntRange(1, 60).Draw(t, "changes") {
					batch = append(batch, h.draw(t))
				}
				x.Apply(batch)
			},
			"restart": func(t *rapid.T) { x = restarted(t, x, h.held) },
			"search behind any identities": func(t *rapid.T) {
				q := drawQuestion(t)
				for range rapid.IntRange(0, 3).Draw(t, "after") {
					q.After = append(q.After, drawIdentity(t))
				}
				check(t, &q)
			},
			"search among candidates": func(t *rapid.T) {
				q := drawQuestion(t)
				for range rapid.IntRange(1, 50).Draw(t, "candidates") {
					q.Within = append(q.Within, drawIdentity(t))
				}
				slices.SortFunc(q.Within, sdk.Identity.Compare)
				q.Within = slices.Compact(q.Within)
				check(t, &q)
			},
			"search all pages": func(t *rapid.T) {
				q := drawQuestion(t)
				all, _ := want(&q)
				var got []sdk.Identity
				for more := true; more; {
					var ids []sdk.Identity
					q.After = sdktest.Next(got)
					ids, more = check(t, &q)
					got = append(got, ids...)
				}
				if !slices.Equal(got, all) {
					t.Fatalf("%s, owner %d: the pages have %x, want %x", q.Predicate, q.Owner, got, all)
				}
			},
			"": func(t *rapid.T) { checkIndex(t, x, h.held) },
		})
	})
}

// restarted returns a new index with the entries of another.
func restarted(t *rapid.T, x *index, held objectsOf) *index {
	next := configured(t, sensors)
	for id := range held {
		e, ok := x.Entry(id.Value())
		if !ok || e.Identity != id || !next.Restore(e) {
			t.Fatalf("the entry of %x is %+v, %v; want that it is restored", id, e, ok)
		}
	}
	if len(held) > 0 {
		next.Restored()
	}
	return next
}

// checkIndex fails if a chunk, a series, or a cell of the directory breaks an invariant.
func checkIndex(t rapid.TB, x *index, held objectsOf) {
	count, listed := 0, 0
	x.all.Scan(func(s *series) bool {
		var before place
		for n, c := range s.chunks {
			samples := c.samples(nil)
			if len(samples) == 0 || len(samples) > chunkSize || c.series != s || x.chunks.list[c.number] != c || c.first != samples[0].time {
				t.Fatalf("chunk %d of %q: %+v", n, s.key, c)
			}
			for i, sample := range samples {
				if count > 0 && (n > 0 || i > 0) && before.compare(sample.time, &c.ids[i]) >= 0 {
					t.Fatalf("object %d of chunk %d of %q does not ascend", i, n, s.key)
				}
				before = place{sample.time, c.ids[i]}
				v := c.ids[i].Value()
				if found, at := x.find(v); found != c || at != i {
					t.Fatalf("%x is not found in its chunk", v)
				}
				count++
			}
		}
		if own := x.byOwner[s.owner]; own == nil || len(s.chunks) == 0 {
			t.Fatalf("the series %q is empty, or of no owner", s.key)
		}
		return true
	})
	for _, own := range x.byOwner {
		listed += own.Len()
	}
	cells := 0
	for _, c := range x.directory.cells {
		if c != 0 {
			cells++
		}
	}
	if count != len(held) || listed != x.all.Len() || cells != count || x.directory.count != count {
		t.Fatalf("%d objects, %d series of owners, %d cells; want %d, %d", count, listed, cells, len(held), x.all.Len())
	}
}
