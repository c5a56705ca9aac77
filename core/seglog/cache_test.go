package seglog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"motte/internal/testutil"
)

// bodies reads all objects with a read function, and returns the results by location.
func (w *world) bodies(read func([]byte, Location) (Record, []byte, error)) (map[Location]string, error) {
	found := make(map[Location]string)
	var failed error
	for _, o := range w.objects {
		r, _, err := read(nil, o.at)
		if failed = errors.Join(failed, err); err == nil {
			found[o.at] = fmt.Sprintf("%d %x %x", r.LSN, r.ID, r.Body)
		}
	}
	return found, failed
}

// TestACachedRecordIsReadOnce: the next reads come from memory and return the same, even if the
// disk has changed. Read, which the scrub uses, still reads the disk.
func TestACachedRecordIsReadOnce(t *testing.T) {
	w := mustOpen(t, store(t), 3)
	want, err := w.bodies(w.l.Read)
	testutil.Must(t, err)
	for round := range 3 {
		got, err := w.bodies(w.l.ReadCached)
		testutil.Must(t, err)
		for at, body := range want {
			if got[at] != body {
				t.Errorf("round %d: %v is %q, want %q", round, at, got[at], body)
			}
		}
		for _, p := range w.disk.files {
			clear(p)
		}
	}
	if _, err := w.bodies(w.l.Read); !errors.Is(err, ErrDamaged) {
		t.Errorf("Read returns %v of a damaged disk; want an error, not a cached record", err)
	}
}

// TestEveryByteOfTheCacheIsChecked: if a cached byte changes, the record is not returned from
// the cache, but read from the disk again.
func TestEveryByteOfTheCacheIsChecked(t *testing.T) {
	w := mustOpen(t, store(t), 3)
	want, err := w.bodies(w.l.Read)
	testutil.Must(t, err)
	for at, body := range want {
		_, _, err := w.l.ReadCached(nil, at)
		testutil.Must(t, err)
		for i := range at.Length {
			g := &w.l.cache.shard(at).young
			g.bytes[g.offsets[at]+i] ^= 0x10
			r, _, err := w.l.ReadCached(nil, at)
			if got := fmt.Sprintf("%d %x %x", r.LSN, r.ID, r.Body); err != nil || got != body {
				t.Fatalf("byte %d of %v: %q, %v", i, at, got, err)
			}
		}
	}
}

// TestDamageOfTheDiskIsNotCached: a record that did not open is read from the disk again.
func TestDamageOfTheDiskIsNotCached(t *testing.T) {
	w := mustOpen(t, store(t), 3)
	for _, o := range w.objects {
		p := w.disk.stored(o.at)
		p[len(p)/2] ^= 1
		if _, _, err := w.l.ReadCached(nil, o.at); !errors.Is(err, ErrDamaged) {
			t.Errorf("%v: %v", o.at, err)
		}
		p[len(p)/2] ^= 1
		if _, _, err := w.l.ReadCached(nil, o.at); err != nil {
			t.Errorf("the record at %v, which is undamaged again, returns %v", o.at, err)
		}
	}
}

// TestAnErasureDropsCachedRecords, also those that are being read.
func TestAnErasureDropsCachedRecords(t *testing.T) {
	w := mustOpen(t, store(t), 3)
	_, err := w.bodies(w.l.ReadCached)
	testutil.Must(t, err)
	epoch := w.l.cache.epoch.Load()
	testutil.Must(t, w.l.Erase(alice))
	for _, o := range w.objects {
		if w.l.cache.has(o.at) {
			t.Errorf("after the erasure the record at %v is still cached", o.at)
		}
		w.l.cache.put(o.at, w.disk.stored(o.at), epoch) // a reader that began before the erasure
		if w.l.cache.has(o.at) {
			t.Errorf("the record at %v is cached, though its read began before the erasure", o.at)
		}
		_, _, err := w.l.ReadCached(nil, o.at)
		if gone := record(o.lsn).Owner == alice; gone != errors.Is(err, ErrMoved) || !gone && err != nil {
			t.Errorf("record %d: %v", o.lsn, err)
		}
	}
}

// TestTheCacheHasABound, and does not take a record above its size limit.
func TestTheCacheHasABound(t *testing.T) {
	var c cache
	p := make([]byte, maxCachedRecord)
	for i := range uint32(3 * cacheBytes / maxCachedRecord) {
		c.put(Location{1, i * alignment, maxCachedRecord}, p, 0)
	}
	total := 0
	for i := range c.shards {
		for _, g := range []generation{c.shards[i].young, c.shards[i].old} {
			if len(g.offsets) == 0 {
				t.Errorf("shard %d has an empty generation", i)
			}
			total += cap(g.bytes)
		}
	}
	if total > cacheBytes {
		t.Errorf("the cache has %d bytes; want at most its bound", total)
	}
	large := Location{2, 8, maxCachedRecord + 1}
	if c.put(large, make([]byte, large.Length), 0); c.has(large) {
		t.Error("the cache keeps a record above its size limit")
	}
}

// TestWhatIsAskedForAgainStays in the cache, while other records replace each other.
func TestWhatIsAskedForAgainStays(t *testing.T) {
	var c cache
	at := func(i uint32) Location { return Location{1, i * alignment, 4096} }
	content := func(i uint32) []byte { return bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 2048) }
	const hot = 100
	for i := range uint32(3 * cacheBytes / 4096) {
		c.put(at(i), content(i), 0)
		var buf []byte
		if asked := i % hot; asked < i && !c.get(&buf, at(asked)) || len(buf) > 0 && !bytes.Equal(buf, content(asked)) {
			t.Fatalf("record %d, which is read repeatedly, has left the cache after %d others", asked, i)
		}
	}
	if c.has(at(hot + 1)) {
		t.Error("a record that was read once is still cached; want it replaced")
	}
}

// TestConcurrentReadersOfTheCache read exactly the records that were put.
func TestConcurrentReadersOfTheCache(t *testing.T) {
	w := mustOpen(t, store(t), 3)
	want, err := w.bodies(w.l.Read)
	testutil.Must(t, err)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				if got, err := w.bodies(w.l.ReadCached); err != nil || len(got) != len(want) {
					t.Errorf("%d objects, %v", len(got), err)
				}
				w.l.cache.clear()
			}
		})
	}
	all.Wait()
}

// counting is a storage that counts its reads.
type counting struct {
	Storage
	reads []int // lengths of the reads
}

func (c *counting) ReadAt(name string, p []byte, offset int64) error {
	c.reads = append(c.reads, len(p))
	return c.Storage.ReadAt(name, p, offset)
}

// TestNeighboursAreReadTogether: one read for each segment with several of the records, in
// whatever order they are requested, and even if each is requested twice.
func TestNeighboursAreReadTogether(t *testing.T) {
	w := mustOpen(t, store(t), 3)
	c := &counting{Storage: w.l.storage}
	w.l.storage = c
	var list []Location
	perSegment := make(map[uint32]int)
	for _, o := range w.objects {
		list = append(list, o.at, o.at)
		perSegment[o.at.Segment]++
	}
	w.l.Prefetch(slices.Clone(list))
	if len(c.reads) != len(perSegment) {
		t.Errorf("%d reads for %d segments", len(c.reads), len(perSegment))
	}
	c.reads = nil
	if _, err := w.bodies(w.l.ReadCached); err != nil || len(c.reads) > 0 {
		t.Errorf("then %d reads, %v", len(c.reads), err)
	}
	w.l.Prefetch(list)
	w.l.Prefetch(nil)
	if len(c.reads) > 0 {
		t.Error("a cached record is read from the disk again")
	}
}

// TestReadsTogetherHaveABound of their length, and of the gaps between their records.
func TestReadsTogetherHaveABound(t *testing.T) {
	at := func(offset, length uint32) Location { return Location{1, offset, length} }
	for _, c := range []struct {
		name string
		list []Location
		want int
	}{
		{"one", []Location{at(8, 100)}, 1},
		{"side by side", []Location{at(8, 96), at(104, 96)}, 2},
		{"largest gap", []Location{at(0, 96), at(96+maxGap, 96)}, 2},
		{"gap over it", []Location{at(0, 96), at(96+maxGap+1, 96)}, 1},
		{"another segment", []Location{at(0, 96), {2, 96, 96}}, 1},
		{"longest span", []Location{at(0, maxSpan-96), at(maxSpan-96, 96)}, 2},
		{"span over it", []Location{at(0, maxSpan-96), at(maxSpan-96, 97)}, 1},
		{"the same twice", []Location{at(0, 96), at(0, 96), at(96, 8)}, 3},
	} {
		if got := neighbours(c.list); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// TestPrefetchLeavesErrorsToTheReader: it ignores records that are missing or unreadable.
func TestPrefetchLeavesErrorsToTheReader(t *testing.T) {
	w := mustOpen(t, store(t), 3)
	var list []Location
	for _, o := range w.objects {
		list = append(list, o.at, Location{99, o.at.Offset, o.at.Length}, Location{1, 1 << 30, 1 << 10})
	}
	delete(w.disk.files, "00000001.seg")
	w.l.Prefetch(list)
	for _, o := range w.objects {
		if _, _, err := w.l.ReadCached(nil, o.at); (err != nil) != (o.at.Segment == 1) {
			t.Errorf("%v: %v", o.at, err)
		}
	}
}
