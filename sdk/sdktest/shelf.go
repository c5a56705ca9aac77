package sdktest

import (
	"maps"
	"math/bits"
	"slices"

	"motte/core/identity"
	"motte/core/taskwire"
	"motte/sdk"
)

// object is an object of the collection, as the index was told of it.
type object struct {
	id    identity.ID
	owner sdk.Owner
	input []byte
	void  bool // it has no input for the index
	out   bool // void, or refused by the index: no answer may name it
}

// shelf is what the stand-in keeps for the next process.
type shelf struct {
	quota int64
	blobs map[uint64][]byte // those that count
	fresh map[uint64][]byte // those since the last Set
	last  uint64            // the highest number
	anew  bool              // the next Save says so
}

// class returns the bytes of the quota that a blob takes: a power of two.
func class(blob []byte) int64 {
	const overhead, least = 16, 4 << 10
	return max(least, int64(1)<<bits.Len(uint(len(blob)+overhead-1)))
}

func (s *shelf) used() (n int64) {
	for _, m := range []map[uint64][]byte{s.blobs, s.fresh} {
		for _, blob := range m {
			n += class(blob)
		}
	}
	return n
}

// Blobs returns the blobs on the shelf of the index. A test may change them before [Core.Restart]:
// it may leave some out, cut them, or use those of an earlier time.
func (c *Core) Blobs() map[uint64][]byte { return c.shelf.blobs }

// Forget empties the shelf, as the Core does after an erasure. The next saving tells the index.
func (c *Core) Forget() {
	c.shelf.blobs, c.shelf.fresh, c.shelf.anew = make(map[uint64][]byte), make(map[uint64][]byte), true
}

// Save lets the index save all that it wants to. It returns the bytes that this takes on the disk:
// the Core pads each blob to a power of two, of 4 KiB at least.
func (c *Core) Save() (written int64) {
	c.tb.Helper()
	for {
		n, ended := c.SaveStep(taskwire.MaxBlob)
		if written += n; ended {
			return written
		}
	}
}

// SaveStep grants the index one more blob of at most room bytes. It returns the bytes that the blob
// takes, and reports whether the index has ended the saving. With no room the index must end it.
func (c *Core) SaveStep(room int) (written int64, ended bool) {
	c.tb.Helper()
	c.seq++
	c.send(taskwire.AppendSave(nil, c.seq, uint32(room), c.shelf.anew))
	c.shelf.anew = false
	a := c.answer()
	switch a.Type {
	case taskwire.Blob:
		if len(a.Blob) > room || a.Number <= c.shelf.last {
			c.tb.Fatalf("blob %d of %d bytes, after number %d, room %d", a.Number, len(a.Blob), c.shelf.last, room)
		}
		c.shelf.last, c.shelf.fresh[a.Number] = a.Number, a.Blob
		if used := c.shelf.used(); used > c.shelf.quota {
			c.tb.Fatalf("the blobs take %d bytes, the quota is %d", used, c.shelf.quota)
		}
		return class(a.Blob), false
	case taskwire.Set:
		c.set(a)
		return 0, true
	}
	c.tb.Fatalf("a frame of type %d answers a Save", a.Type)
	return 0, false
}

// set ends a saving.
func (c *Core) set(a taskwire.Answer) {
	c.tb.Helper()
	if a.Changed {
		maps.Copy(c.shelf.blobs, c.shelf.fresh)
	}
	clear(c.shelf.fresh)
	for _, n := range a.Dropped {
		if _, ok := c.shelf.blobs[n]; !ok {
			c.tb.Fatalf("blob %d is dropped, but is not on the shelf", n)
		}
		delete(c.shelf.blobs, n)
	}
}

// answer reads the answer to the last frame, which is a question.
func (c *Core) answer() taskwire.Answer {
	c.tb.Helper()
	for {
		a := c.read()
		if a.Type == taskwire.Applied || a.Type == taskwire.Failed && a.Failure == taskwire.FailInput {
			continue
		}
		if a.Seq != c.seq {
			c.tb.Fatalf("an answer to %d while %d was asked", a.Seq, c.seq)
		}
		return a
	}
}

// Restart ends the index, and starts another one, of the same code, with the blobs of the shelf. It
// compares what the index holds with the objects of the test, and inserts those that the index
// lacks. It returns the stand-in of the new index, and the identities of these objects.
func (c *Core) Restart(x sdk.Index) (next *Core, fed []identity.ID) {
	c.tb.Helper()
	c.conn.Close()
	if err := <-c.done; err != nil {
		c.tb.Fatalf("the index ended with: %v", err)
	}
	c.done <- nil // for the end of the test
	clear(c.shelf.fresh)
	next = launch(c.tb, x, c.config)
	if next == nil {
		c.tb.Fatal("the index refuses a configuration that it has accepted before")
	}
	next.objects, next.shelf = c.objects, c.shelf
	for v, o := range c.objects {
		if !o.out {
			next.live[v] = o.id
		}
	}
	next.shelf.last = 0
	for _, n := range slices.Sorted(maps.Keys(c.shelf.blobs)) {
		next.seq++
		next.send(append(taskwire.AppendStoredHead(nil, next.seq, n, len(c.shelf.blobs[n])), c.shelf.blobs[n]...))
		next.confirmed()
		next.shelf.last = n
	}
	return next, next.reconcile()
}

// Sizes of the frames of a comparison. They are small, so that a test has many frames.
const (
	runObjects = 50
	frameRuns  = 20
)

// reconcile makes the index hold the objects of the test.
func (c *Core) reconcile() (fed []identity.ID) {
	c.tb.Helper()
	var ids []identity.ID
	for _, o := range c.objects {
		ids = append(ids, o.id)
	}
	slices.SortFunc(ids, identity.ID.Compare)
	chunks := slices.Collect(slices.Chunk(ids, runObjects))
	if len(chunks) == 0 {
		chunks = [][]identity.ID{nil}
	}
	var first identity.Value
	for start := 0; start < len(chunks); start += frameRuns {
		some := chunks[start:min(start+frameRuns, len(chunks))]
		runs := make([]taskwire.Run, len(some))
		for i, chunk := range some {
			runs[i] = run(chunk)
		}
		if start+len(some) == len(chunks) {
			runs[len(runs)-1].Last = highest
		}
		c.seq++
		c.send(taskwire.AppendRuns(nil, c.seq, runs))
		differ := c.bits(taskwire.Differ, len(runs))
		for i, chunk := range some {
			if differ.Bit(i) {
				fed = append(fed, c.list(first, runs[i].Last, chunk)...)
			}
			first = after(runs[i].Last)
		}
	}
	return fed
}

var highest = identity.Value(slices.Repeat([]byte{0xff}, identity.ValueSize))

// after returns the next value.
func after(v identity.Value) identity.Value {
	for i := len(v) - 1; i >= 0; i-- {
		if v[i]++; v[i] != 0 {
			break
		}
	}
	return v
}

// run describes the run that ends with the last of these objects.
func run(ids []identity.ID) (r taskwire.Run) {
	for i := range ids {
		r.Sum.Add(&ids[i])
		r.Last = ids[i].Value()
	}
	r.Count = uint32(len(ids))
	return r
}

// bits reads the answer to a Runs or a List of n items.
func (c *Core) bits(t taskwire.Type, n int) taskwire.Answer {
	c.tb.Helper()
	a := c.answer()
	if a.Type != t || !a.Covers(n) {
		c.tb.Fatalf("a frame of type %d with %d bytes answers %d items; want one of type %d", a.Type, len(a.Bits), n, t)
	}
	return a
}

// list lists the objects of a range, and inserts those that the index lacks.
func (c *Core) list(first, last identity.Value, ids []identity.ID) (fed []identity.ID) {
	c.tb.Helper()
	c.seq++
	c.send(taskwire.AppendList(nil, c.seq, first, last, ids))
	lacks := c.bits(taskwire.Lacks, len(ids))
	for i, id := range ids {
		o := c.objects[id.Value()]
		switch {
		case !lacks.Bit(i):
			continue
		case o.void:
			c.Void(id)
		default:
			c.InsertOf(o.owner, id, string(o.input))
		}
		fed = append(fed, id)
	}
	return fed
}
