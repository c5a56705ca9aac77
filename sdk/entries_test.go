package sdk

import (
	"bytes"
	"encoding/binary"
	"iter"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// dataSize is the number of bytes of an entry of the tests here.
const dataSize = 20

// numbers is a Keeper whose entries are all of the same size.
type numbers struct {
	held map[Value]Identity
	data [dataSize]byte
}

func (x *numbers) Configure(Config) error                   { return nil }
func (x *numbers) Search(Query) (iter.Seq[Identity], error) { return nil, nil }
func (x *numbers) Restore(e Entry) bool                     { x.held[e.Identity.Value()] = e.Identity; return true }
func (x *numbers) Entry(v Value) (Entry, bool) {
	id, ok := x.held[v]
	return Entry{id, 1, x.data[:]}, ok
}

func (x *numbers) Apply(changes []Change) {
	for _, c := range changes {
		delete(x.held, c.Identity.Value())
		if !c.Remove {
			x.held[c.Identity.Value()] = c.Identity
		}
	}
}

// recordLen is the number of bytes of an entry's record.
const recordLen = 1 + 32 + 1 + dataSize

// identityOf returns an identity with a random value that n determines.
func identityOf(n, version int) (id Identity) {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	for i := 0; i < 16; i += 8 {
		binary.BigEndian.PutUint64(id[i:], r.Uint64())
	}
	binary.BigEndian.PutUint64(id[16:], uint64(version)*0x9e3779b97f4a7c15)
	return id
}

// disk is a shelf, and the index that fills it.
type disk struct {
	t     *testing.T
	k     *keeping
	x     *numbers
	blobs map[uint64][]byte
}

func newDisk(t *testing.T, quota int64) *disk {
	x := &numbers{held: make(map[Value]Identity)}
	return &disk{t: t, k: newKeeping(x, quota), x: x, blobs: make(map[uint64][]byte)}
}

// save makes a saving, and returns the bytes that it writes.
func (d *disk) save() (written int64) {
	d.t.Helper()
	for {
		blob, number, dropped, _ := d.k.save(maxClass, false)
		if blob == nil {
			for _, n := range dropped {
				delete(d.blobs, n)
			}
			return written
		}
		d.blobs[number] = bytes.Clone(blob)
		written += int64(class(len(blob)))
		if d.k.shelf.used > d.k.shelf.quota {
			d.t.Fatalf("the blobs take %d bytes of the quota of %d", d.k.shelf.used, d.k.shelf.quota)
		}
	}
}

// change replaces or removes an entry.
func (d *disk) change(id Identity, remove bool) {
	c := []Change{{Identity: id, Remove: remove}}
	d.x.Apply(c)
	d.k.note(c)
}

// missing returns how many entries the next process lacks, or has beside those of the index.
func (d *disk) missing() (n int) {
	next := newDisk(d.t, d.k.shelf.quota)
	for _, number := range slices.Sorted(maps.Keys(d.blobs)) {
		next.k.stored(number, d.blobs[number])
	}
	next.k.ready()
	for v, id := range d.x.held {
		if next.x.held[v] != id {
			n++
		}
	}
	for v := range next.x.held {
		if _, ok := d.x.held[v]; !ok {
			n++
		}
	}
	return n
}

// TestSavingsWriteFewBytes: in the long run a saving writes at most four bytes for each byte of
// changed entries, and the shelf takes at most twice the bytes of all entries. The next process
// lacks no entry.
func TestSavingsWriteFewBytes(t *testing.T) {
	const count, part, savings = 40_000, 100, 400
	live := int64(count * recordLen)
	for name, choose := range map[string]func(r *rand.Rand, n int) int{
		"any entries":     func(r *rand.Rand, _ int) int { return r.IntN(count) },
		"a few entries":   func(r *rand.Rand, _ int) int { return r.IntN(count / 50) },
		"entries in turn": func(_ *rand.Rand, n int) int { return n % count },
		"some more often": func(r *rand.Rand, _ int) int { return int(count * math.Pow(r.Float64(), 4)) },
	} {
		d := newDisk(t, 1<<24)
		for n := range count {
			d.change(identityOf(n, 0), false)
		}
		if first := d.save(); first > live*11/10 {
			t.Errorf("%s: the first saving writes %d bytes for %d", name, first, live)
		}
		r := rand.New(rand.NewPCG(1, 2))
		var written, changed, most int64
		for saving := range savings {
			distinct := make(map[int]bool)
			for n := range count / part {
				distinct[choose(r, saving*count/part+n)] = true
			}
			for n := range distinct {
				d.change(identityOf(n, saving+1), false)
			}
			changed += int64(len(distinct) * recordLen)
			written += d.save()
			most = max(most, d.k.shelf.used)
		}
		t.Logf("%s: %.2f bytes for each byte of a change; the shelf takes %.2f of the entries at most",
			name, float64(written)/float64(changed), float64(most)/float64(live))
		if written > 4*changed {
			t.Errorf("%s: %d bytes are written for %d bytes of changes; want 4 for each at most", name, written, changed)
		}
		if most > 2*live {
			t.Errorf("%s: the shelf takes %d bytes for %d bytes of entries; want twice as many at most", name, most, live)
		}
		if n := d.missing(); n > 0 {
			t.Errorf("%s: the next process lacks %d entries", name, n)
		}
	}
}

// TestShelfFollowsTheIndex: while an index grows, savings write little more than its new entries.
// After it has shrunk, the shelf shrinks as changes come.
func TestShelfFollowsTheIndex(t *testing.T) {
	const count, step = 40_000, 500
	d := newDisk(t, 1<<24)
	var written int64
	for n := range count {
		d.change(identityOf(n, 0), false)
		if n%step == step-1 {
			written += d.save()
		}
	}
	if new := int64(count * recordLen); written > new*3/2 {
		t.Errorf("%d bytes are written for %d bytes of new entries", written, new)
	}
	for n := range count {
		if n%20 != 0 {
			d.change(identityOf(n, 0), true)
		}
		if n%step == step-1 {
			d.save()
		}
	}
	left := int64(count / 20 * recordLen)
	for n := range count / 20 { // all that is left changes once
		d.change(identityOf(20*n, 1), false)
		if n%10 == 0 {
			d.save()
		}
	}
	d.save()
	if d.k.shelf.used > 3*left {
		t.Errorf("the shelf takes %d bytes for %d bytes of entries", d.k.shelf.used, left)
	}
	if n := d.missing(); n > 0 {
		t.Errorf("the next process lacks %d entries", n)
	}
}

// TestSmallQuotaKeepsAPart: if the quota does not cover the entries, the shelf keeps a part of them,
// and a saving writes no more for that.
func TestSmallQuotaKeepsAPart(t *testing.T) {
	const count = 40_000
	live := int64(count * recordLen)
	for _, share := range []int64{2, 4, 10, 50} {
		d := newDisk(t, live/share)
		for n := range count {
			d.change(identityOf(n, 0), false)
		}
		r := rand.New(rand.NewPCG(1, 2))
		var written, changed int64
		for saving := range 400 {
			for range count / 100 {
				d.change(identityOf(r.IntN(count), saving+1), false)
			}
			if n := d.save(); saving >= 100 {
				written, changed = written+n, changed+count/100*recordLen
			}
		}
		kept := count - d.missing()
		t.Logf("a quota of 1/%d: 1/%.1f are kept, %.2f bytes for each byte of a change", share,
			float64(count)/float64(kept), float64(written)/float64(changed))
		if written > 4*changed {
			t.Errorf("a quota of 1/%d: %d bytes are written for %d bytes of changes", share, written, changed)
		}
		if int64(kept) < count/share/4 {
			t.Errorf("a quota of 1/%d: %d of %d entries are kept", share, kept, count)
		}
	}
}
