package c

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/internal/testutil"
	"motte/sdk"
	"motte/sdk/sdktest"
)

const (
	nearest        = "motte-task-nearest"
	nearestChecked = "motte-task-nearest-checked"
	dimensions     = 16
	candidates     = 100
)

func nearestConfig(shelf uint64, more string) taskwire.Configuration {
	return taskwire.Configuration{Type: model.TypeText, Ordered: true, MaxResults: 1000, Shelf: shelf,
		Config: fmt.Appendf(nil, `{"dimensions": %d, "candidates": %d%s}`, dimensions, candidates, more)}
}

// vector returns a random vector as JSON. Vectors lie in clusters, as those of real texts do.
func vector(r *rand.Rand) string {
	v := make([]float32, dimensions)
	cluster := rand.New(rand.NewPCG(r.Uint64N(20), 2))
	for i := range v {
		v[i] = float32(cluster.NormFloat64() + r.NormFloat64()/4)
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// parsed keeps the vectors that were parsed.
var parsed = make(map[string][]float64)

func parse(t *testing.T, text string) (v []float64) {
	t.Helper()
	if v = parsed[text]; v == nil {
		testutil.Must(t, json.Unmarshal([]byte(text), &v))
		parsed[text] = v
	}
	return v
}

// order returns all objects of an owner, the nearest first, by a plain comparison with each.
func (c *core) order(to []float64, owner sdk.Owner) (ids []identity.ID) {
	c.t.Helper()
	far := make(map[identity.ID]float64)
	for _, o := range c.objects {
		if o.void || owner != 0 && o.owner != owner {
			continue
		}
		sum := 0.0
		for i, x := range parse(c.t, o.input) {
			sum += (x - to[i]) * (x - to[i])
		}
		far[o.id] = sum
		ids = append(ids, o.id)
	}
	slices.SortFunc(ids, func(a, b identity.ID) int {
		if far[a] != far[b] {
			return int(math.Copysign(1, far[a]-far[b]))
		}
		return a.Compare(b)
	})
	return ids
}

// recall asks for the ten nearest objects of random vectors, and returns the share of them that the
// answers have. Each answer must be the same in pages, and begin in the same way with another limit.
func (c *core) recall(r *rand.Rand, owner sdk.Owner) float64 {
	c.t.Helper()
	const asked, n = 20, 10
	hits, possible := 1, 1 // so that a share of nothing is whole
	for range asked {
		text := vector(r)
		q := taskwire.Query{Limit: n, Owner: owner, Predicate: []byte(text)}
		found, more, err := c.ask(q)
		testutil.Must(c.t, err)
		want := c.order(parse(c.t, text), owner)
		if wants := min(len(want), n); len(found) != wants || more != (len(want) > n) {
			c.t.Fatalf("%d objects, more: %v, want %d of %d", len(found), more, wants, len(want))
		}
		want = want[:len(found)]
		for _, id := range found {
			if slices.Contains(want, id) {
				hits++
			}
		}
		possible += len(want)
		q.Limit = 1000
		all, more, err := c.ask(q)
		testutil.Must(c.t, err)
		if more || len(all) < len(found) || len(all) > candidates || !slices.Equal(all[:len(found)], found) {
			c.t.Fatalf("an answer of %d objects does not begin like that of %d", len(all), len(found))
		}
		q.Limit = uint32(1 + r.IntN(30))
		if pages := c.pages(q); !slices.Equal(pages, all) {
			c.t.Fatalf("pages of %d have %d objects, the whole answer %d, or another order", q.Limit, len(pages), len(all))
		}
	}
	return float64(hits) / float64(possible)
}

// TestNearestFindsTheNearest compares the answers with plain comparisons, for few objects, many, and
// those of one owner; after overwrites, removals, and a restart from the shelf.
func TestNearestFindsTheNearest(t *testing.T) {
	const objects = 2500
	r := rand.New(rand.NewPCG(3, 3))
	c := startCore(t, nearest, nearestConfig(quota, ""))
	check := func(when string, least float64) {
		t.Helper()
		whole := c.recall(r, 0)
		own := min(c.recall(r, 1), c.recall(r, 2), c.recall(r, 7))
		t.Logf("%s: %.3f of the nearest are found, %.3f of one owner's", when, whole, own)
		if whole < least || own < least {
			t.Errorf("%s: less than %.2f are found", when, least)
		}
	}
	ids := make([]identity.ID, objects)
	for i := range ids {
		ids[i] = sdktest.ID(i)
	}
	c.putAll(ids[:30], func(int) string { return vector(r) })
	check("30 objects", 1)
	c.putAll(ids[30:], func(int) string { return vector(r) })
	for i := range 50 {
		c.put(ids[i], 7, vector(r)) // few objects of one owner: compared one by one
	}
	check("2500 objects", 0.95)
	for version := 1; version < 4; version++ {
		for i := range ids {
			ids[i] = sdktest.Version(i, version)
		}
		c.putAll(ids[100:], func(int) string { return vector(r) })
		c.save(taskwire.MaxBlob)
	}
	check("each was overwritten three times", 0.95)
	for i := range objects / 2 {
		c.remove(ids[100+i])
	}
	check("half was removed", 0.95)
	c.save(taskwire.MaxBlob)
	c.kill()
	c.start()
	if c.fed != 0 {
		t.Errorf("%d objects are fed after a restart", c.fed)
	}
	check("restored", 0.95)
	more := make([]identity.ID, objects)
	for i := range more {
		more[i] = sdktest.ID(objects + i)
	}
	c.putAll(more, func(int) string { return vector(r) })
	check("filled again", 0.95)
	for _, v := range c.values() {
		c.remove(c.objects[v].id)
	}
	c.putAll(more[:300], func(int) string { return vector(r) })
	check("emptied, and 300 objects", 0.95)
	c.end()
}

// TestNearestRanksCandidates asks for the nearest of a few objects, wherever they are: page by page,
// and after objects that are no candidates.
func TestNearestRanksCandidates(t *testing.T) {
	const objects = 400
	r := rand.New(rand.NewPCG(7, 7))
	c := startCore(t, nearestChecked, nearestConfig(0, ""))
	ids := make([]identity.ID, objects)
	for i := range ids {
		ids[i] = sdktest.ID(i)
	}
	c.putAll(ids, func(int) string { return vector(r) })
	for n := 1; n < objects; n *= 3 {
		text := vector(r)
		order := c.order(parse(t, text), 0)
		within := []identity.ID{sdktest.ID(objects + 1)} // that is not held
		for _, i := range r.Perm(objects)[:n] {
			within = append(within, ids[i])
		}
		slices.SortFunc(within, identity.ID.Compare)
		want := slices.DeleteFunc(slices.Clone(order), func(id identity.ID) bool {
			_, candidate := slices.BinarySearchFunc(within, id, identity.ID.Compare)
			return !candidate
		})
		q := taskwire.Query{Limit: objects, Predicate: []byte(text), Within: within}
		if found, more, err := c.ask(q); err != nil || more || !slices.Equal(found, want) {
			t.Errorf("%d candidates: %d found, more is %v, %v; want all of them", n, len(found), more, err)
		}
		q.Limit = uint32(1 + r.IntN(n))
		if pages := c.pages(q); !slices.Equal(pages, want) {
			t.Errorf("%d candidates: pages of %d have %d objects, want all of them", n, q.Limit, len(pages))
		}
		at := r.IntN(objects)
		rest := slices.DeleteFunc(slices.Clone(order[at+1:]), func(id identity.ID) bool { return !slices.Contains(want, id) })
		q.Limit, q.After = objects, order[at:at+1]
		if found, _, err := c.ask(q); err != nil || !slices.Equal(found, rest) {
			t.Errorf("%d candidates: %d found after another object, %v; want %d", n, len(found), err, len(rest))
		}
	}
	c.end()
}

// TestNearestSurvivesRandomChanges makes random changes, kills the process, and loses parts of the
// shelf. A sanitizer watches.
func TestNearestSurvivesRandomChanges(t *testing.T) {
	for seed := range uint64(testutil.Repeats(2, 1)) {
		r := rand.New(rand.NewPCG(seed, 4))
		c := startCore(t, nearestChecked, nearestConfig(quota, ""))
		for range 25 {
			for range r.IntN(80) {
				id := sdktest.Version(r.IntN(400), r.IntN(1000))
				switch r.IntN(8) {
				case 0, 1:
					c.remove(id)
				case 2:
					c.putVoid(id)
				case 3:
					if c.put(id, 1, "[1, 2]") {
						t.Fatal("a vector of two numbers is accepted")
					}
				default:
					if !c.put(id, sdk.Owner(1+r.IntN(3)), vector(r)) {
						t.Fatal("a vector is refused")
					}
				}
			}
			if r.IntN(2) == 0 {
				c.save(1000 + r.IntN(30000))
			}
			if r.IntN(4) == 0 {
				c.restart(r)
			}
			text := vector(r)
			found, _, err := c.ask(taskwire.Query{Limit: 1, Predicate: []byte(text)})
			testutil.Must(t, err)
			if want := c.order(parse(t, text), 0); len(want) > 0 && (len(found) != 1 || !slices.Contains(want[:min(3, len(want))], found[0])) {
				t.Fatalf("seed %d: %x is not among the three nearest of %d", seed, found, len(want))
			}
		}
		c.end()
	}
}

// TestNearestInputs tries inputs and predicates that are no vectors, and those of other forms.
func TestNearestInputs(t *testing.T) {
	c := startCore(t, nearestChecked, taskwire.Configuration{Type: model.TypeText, Ordered: true, MaxResults: 10,
		Config: []byte(` {"dimensions":2,"field":"at","metric":"cosine"} `)})
	for _, input := range []string{
		"", "{", "[1,2]", "no", `{"at":[1,2]`, `{"at":[1,2]} x`, `{"at":[1,2],}`, `{"at":[1]}`, `{"at":[1,2,3]}`, `{"at":"x"}`,
		`{"at":[0,0]}`, `{"at":[1e39,0]}`, `{"at":[1e999,0]}`, `{"at":[nan,0]}`, `{"at":[inf,0]}`, `{"at":[01,0]}`, `{"at":[+1,0]}`,
		`{"at":[1.,0]}`, `{"at":[.5,0]}`, `{"at":[1,2],"at":[1]}`, `{"a\`, `{"a":"`, `{"a":"\"`, "{\"a\":\"\n\"}",
	} {
		if c.put(sdktest.ID(1), 1, input) {
			t.Errorf("the input %q is accepted", input)
		}
	}
	for i, input := range []string{
		`{"at":[1,0]}`, "{ \"deep\" : [ [ ] , { \"x\" : null } , true, false, -1.5e-3, \"\\\"}\" ] ,\n\"at\" : [ 1 , 1 ] }", `{"at":[-2,0.0]}`, `{"at":[1e0,1E-1]}`,
	} {
		if !c.put(sdktest.ID(10+i), 1, input) {
			t.Errorf("the input %q is refused", input)
		}
	}
	if !c.put(sdktest.ID(20), 1, `{"other":[1,2]}`) { // has nothing to index
		t.Error("an object without the member is refused")
	}
	for predicate, want := range map[string][]int{
		`[1,0]`:                      {10, 13, 11, 12},
		` {"to":[5,0],"within":0.1}`: {10, 13},
		`{"within":1e9,"to":[-1,0]}`: {12, 11, 13, 10},
		`{"to":[5,0],"within":-1}`:   nil,
	} {
		found, _, err := c.ask(taskwire.Query{Limit: 10, Predicate: []byte(predicate)})
		var ids []identity.ID
		for _, n := range want {
			ids = append(ids, sdktest.ID(n))
		}
		if err != nil || !slices.Equal(found, ids) {
			t.Errorf("%s: %v, %x, want %v", predicate, err, found, want)
		}
	}
	for _, predicate := range []string{"", "[", "[1]", "[0,0]", "{}", `{"to":[1,0],"x":1}`, `{"within":1}`, `[1,0]]`} {
		if _, _, err := c.ask(taskwire.Query{Limit: 10, Predicate: []byte(predicate)}); err != sdktest.ErrQueryRefused {
			t.Errorf("the predicate %q: %v, want that it is refused", predicate, err)
		}
	}
	c.end()
	for _, config := range []string{
		"", "{}", `{"dimensions":0}`, `{"dimensions":1.5}`, `{"dimensions":4097}`, `{"dimensions":2,"metric":"x"}`, `{"dimensions":2,"x":"y"}`,
		`{"dimensions":2,"field":""}`, `{"dimensions":2} {}`, `{"dimensions":2,"candidates":10001}`,
	} {
		said := taskwire.AppendConfigure(nil, 1, &taskwire.Configuration{MaxResults: 1, Config: []byte(config)})
		got, stderr, err := converse(t, c.path, said, len(said))
		if answers := read(t, got); err != nil || len(answers) != 1 || answers[0].Failure != taskwire.FailConfiguration {
			t.Errorf("the configuration %q: %v, %+v, want that it is refused\n%s", config, err, answers, stderr)
		}
	}
}

// TestNearestKeepsToItsMemory gives the Task little memory, and more vectors than fit. It must refuse
// some, and go on.
func TestNearestKeepsToItsMemory(t *testing.T) {
	c := newCore(t, nearest, nearestConfig(0, ""))
	c.limit = 14 << 10
	c.start()
	r := rand.New(rand.NewPCG(5, 5))
	held, refused := 0, 0
	for i := range 40000 {
		if c.put(sdktest.ID(i), 1, vector(r)) {
			held++
		} else if refused++; refused == 20 {
			break
		}
	}
	t.Logf("%d vectors fit into 14 MiB", held)
	if held < 4000 || refused < 20 {
		t.Fatalf("%d vectors are accepted, and %d refused", held, refused)
	}
	c.remove(sdktest.ID(5))
	if !c.put(sdktest.ID(5), 1, vector(r)) || c.put(sdktest.ID(held+100), 1, vector(r)) {
		t.Error("a removed object must make room for one")
	}
	if share := c.recall(r, 0); share < 0.95 {
		t.Errorf("%.3f of the nearest are found", share)
	}
	c.end()
}
