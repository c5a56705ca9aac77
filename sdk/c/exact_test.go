package c

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/internal/testutil"
	"motte/sdk"
	"motte/sdk/sdktest"
)

const (
	exact   = "motte-task-exact"
	checked = "motte-task-exact-checked" // with the checks of addresses and of undefined behaviour
	quota   = 64 << 20
)

func exactConfig(shelf uint64) taskwire.Configuration {
	return taskwire.Configuration{Type: model.TypeText, MaxResults: 1000, Shelf: shelf}
}

// matching returns the answer that the exact Task must give.
func (c *core) matching(key string, owner sdk.Owner) (ids []identity.ID) {
	for _, v := range c.values() {
		if o := c.objects[v]; !o.void && o.input == key && (owner == 0 || o.owner == owner) {
			ids = append(ids, o.id)
		}
	}
	return ids
}

// agrees compares the answers of the exact Task with the collection: whole, in pages, and for each
// owner.
func (c *core) agrees(keys, owners int) {
	c.t.Helper()
	for k := range keys {
		for owner := range owners + 1 {
			q := taskwire.Query{Limit: 1000, Owner: sdk.Owner(owner), Predicate: key(k)}
			got, more, err := c.ask(q)
			want := c.matching(string(key(k)), sdk.Owner(owner))
			if err != nil || more || !slices.Equal(got, want) {
				c.t.Fatalf("%s of owner %d: %v, more: %v, %d objects, want %d", q.Predicate, owner, err, more, len(got), len(want))
			}
			q.Limit = uint32(1 + k%3)
			if got := c.pages(q); !slices.Equal(got, want) {
				c.t.Fatalf("%s of owner %d: pages of %d have %d objects, want %d", q.Predicate, owner, q.Limit, len(got), len(want))
			}
		}
	}
}

func key(n int) []byte { return fmt.Appendf(nil, "key %d", n) }

// TestRandomChanges compares the exact Task with a plain list under random changes. It is killed and
// started again, and its shelf is lost, cut, or set back. A sanitizer watches.
func TestRandomChanges(t *testing.T) {
	for seed := range uint64(testutil.Repeats(6, 1)) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { randomChanges(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

func randomChanges(t *testing.T, r *rand.Rand) {
	const objects, keys, owners = 300, 8, 3
	shelf := []uint64{0, 4 << 10, 20 << 10, quota}[r.IntN(4)]
	c := startCore(t, checked, exactConfig(shelf))
	for range 60 {
		for range r.IntN(60) {
			id := sdktest.Version(r.IntN(objects), r.IntN(1000))
			switch r.IntN(10) {
			case 0, 1, 2:
				c.remove(id)
			case 3:
				if shelf > 0 {
					c.putVoid(id)
				}
			case 4:
				if c.put(id, 1, strings.Repeat("x", 1025)) {
					t.Fatal("a key of 1025 bytes is accepted")
				}
			default:
				if !c.put(id, sdk.Owner(1+r.IntN(owners)), string(key(r.IntN(keys)))) {
					t.Fatal("a key is refused")
				}
			}
		}
		if shelf > 0 && r.IntN(2) == 0 {
			c.save(100 + r.IntN(8000))
		}
		switch r.IntN(6) {
		case 0:
			c.restart(r)
		case 1:
			c.anew = shelf > 0
		}
		if c.anew { // the Core empties the shelf, and says so with the next Save
			c.empty()
		}
		c.agrees(keys, owners)
	}
	c.end()
}

// empty empties the shelf.
func (c *core) empty() {
	clear(c.shelf)
	c.settled = 0
}

// restart ends the process or kills it, perhaps loses blobs of the shelf, and starts another one.
func (c *core) restart(r *rand.Rand) {
	c.t.Helper()
	if r.IntN(2) == 0 {
		c.end()
	} else {
		c.kill()
	}
	for number, blob := range c.shelf {
		if r.IntN(20) == 0 {
			c.shelf[number] = blob[:1+r.IntN(len(blob))]
		}
	}
	if r.IntN(10) == 0 {
		c.empty()
	}
	c.anew = len(c.shelf) == 0
	c.start()
}

// TestAnIndexSurvivesARestart kills the exact Task after it has saved. The next process needs only
// what changed since.
func TestAnIndexSurvivesARestart(t *testing.T) {
	const objects = 20000
	c := startCore(t, exact, exactConfig(quota))
	ids := make([]identity.ID, objects)
	for i := range ids {
		ids[i] = sdktest.ID(i)
	}
	c.putAll(ids, func(i int) string { return string(key(i % 100)) })
	c.putVoid(sdktest.ID(objects))
	if c.put(sdktest.ID(objects+1), 1, strings.Repeat("x", 2000)) {
		t.Fatal("a long key is accepted")
	}
	c.save(taskwire.MaxBlob)
	c.remove(ids[5])
	c.put(sdktest.Version(6, 1), 1, "key 6")
	c.put(sdktest.ID(objects+2), 1, "key 7")
	c.kill()
	c.start()
	if c.fed != 2 {
		t.Errorf("%d objects are fed after a restart, want the 2 that are new", c.fed)
	}
	c.agrees(20, 1)
	c.save(taskwire.MaxBlob)
	c.end()
	c.start()
	if c.fed != 0 || c.listed != 0 {
		t.Errorf("%d objects are fed and %d runs differ after all was saved", c.fed, c.listed)
	}
	c.agrees(20, 1)
}

// TestASteadyOverwriteWritesLittle overwrites random objects, and saves when one in a hundred has
// changed. The kit must write each changed byte about twice, and keep the shelf small.
func TestASteadyOverwriteWritesLittle(t *testing.T) {
	const objects, rounds, batch = 5000, 400, 50
	c := startCore(t, exact, exactConfig(quota))
	ids := make([]identity.ID, objects)
	for i := range ids {
		ids[i] = sdktest.ID(i)
	}
	input := func(int) string { return strings.Repeat("k", 100) }
	c.putAll(ids, input)
	c.save(taskwire.MaxBlob)
	size := c.shelfSize()
	c.written = 0
	r, most := rand.New(rand.NewPCG(1, 1)), 0
	for round := range rounds {
		for i := range batch {
			ids[i] = sdktest.Version(r.IntN(objects), 1+round)
		}
		some := slices.CompactFunc(slices.SortedFunc(slices.Values(ids[:batch]), identity.ID.Compare),
			func(a, b identity.ID) bool { return a.Value() == b.Value() })
		c.putAll(some, input)
		c.save(taskwire.MaxBlob)
		most = max(most, len(c.shelf))
	}
	changed := rounds * batch * (size / objects)
	t.Logf("%d bytes changed, %d were written; the shelf has %d bytes for %d, and had up to %d blobs",
		changed, c.written, c.shelfSize(), size, most)
	if c.written > 4*changed {
		t.Errorf("%d bytes are written for %d that changed, more than 4 for each", c.written, changed)
	}
	if c.shelfSize() > 3*size || most > 40 {
		t.Errorf("the shelf has %d bytes for %d, and up to %d blobs", c.shelfSize(), size, most)
	}
}

// TestASmallShelfHoldsAPart gives the exact Task a quota for half of its records. It must keep to it,
// and the next process must get back about half.
func TestASmallShelfHoldsAPart(t *testing.T) {
	const objects = 2000
	c := startCore(t, exact, exactConfig(50*objects/2))
	ids := make([]identity.ID, objects)
	for i := range ids {
		ids[i] = sdktest.ID(i)
	}
	for version := range 10 {
		for i := range ids {
			ids[i] = sdktest.Version(i, version)
		}
		c.putAll(ids, func(i int) string { return string(key(i % 10)) })
		for range 3 {
			c.save(8 << 10)
		}
	}
	c.kill()
	c.start()
	if c.fed < objects/2 || c.fed > objects*3/4 {
		t.Errorf("%d objects of %d are fed after a restart, want about half", c.fed, objects)
	}
	c.agrees(10, 1)
}

// TestLargeFrames sends the exact Task the largest input, a predicate of a whole megabyte, and many
// objects of one key.
func TestLargeFrames(t *testing.T) {
	c := startCore(t, checked, taskwire.Configuration{MaxResults: 20000})
	if c.put(sdktest.ID(1), 1, strings.Repeat("x", model.MaxObject)) {
		t.Error("an input of 16 MiB is accepted")
	}
	q := taskwire.Query{Limit: 1, Predicate: bytes.Repeat([]byte("x"), model.MaxSubQuery)}
	if found, more, err := c.ask(q); len(found) > 0 || more || err != nil {
		t.Errorf("a predicate of 1 MiB: %x, %v, %v", found, more, err)
	}
	ids := make([]identity.ID, 10000)
	for i := range ids {
		ids[i] = sdktest.ID(i)
	}
	c.putAll(ids, func(int) string { return "same" })
	for _, limit := range []uint32{1, 4095, 4096, 4097, 9999, 10000, 20000} {
		found, more, err := c.ask(taskwire.Query{Limit: limit, Predicate: []byte("same")})
		if want := min(int(limit), len(ids)); err != nil || len(found) != want || more != (want < len(ids)) {
			t.Errorf("limit %d: %d objects, more: %v, %v", limit, len(found), more, err)
		}
	}
	c.end()
}
