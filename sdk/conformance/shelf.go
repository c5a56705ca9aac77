package conformance

import (
	"fmt"
	"maps"
	"slices"

	"motte/core/identity"
	"motte/core/taskwire"
)

// Sizes of the shelf, as the Core counts them: a blob takes a power of two, and its record a little
// more.
const (
	leastClass = 4 << 10
	mostClass  = 128 << 10
	blobFront  = 4   // bytes before a blob
	blobCost   = 256 // bytes of its record beside
)

// shelf is what the Core keeps of a Task's blobs, from one process to the next.
type shelf struct {
	quota   uint64
	most    int               // bytes of a class, above which no room is given
	set     map[uint64][]byte // the blobs of the last Set
	recent  map[uint64][]byte // the blobs since then
	last    uint64            // the highest number
	settled uint64            // the highest number at the last Set
	anew    bool              // the next Save says that the shelf is empty
}

func newShelf(quota uint64) *shelf {
	return &shelf{quota: quota, most: mostClass, set: make(map[uint64][]byte), recent: make(map[uint64][]byte), anew: true}
}

// present returns a copy of the shelf, as the next process gets it: without the blobs since the
// last Set.
func (s *shelf) present() *shelf {
	return &shelf{quota: s.quota, most: mostClass, set: maps.Clone(s.set), recent: make(map[uint64][]byte), last: s.settled, settled: s.settled,
		anew: len(s.set) == 0}
}

// room returns the most bytes that the next blob may have.
func (s *shelf) room() int {
	left := int(s.quota)
	for _, blobs := range []map[uint64][]byte{s.set, s.recent} {
		for _, blob := range blobs {
			left -= class(len(blob)) + blobCost
		}
	}
	size := s.most
	for size+blobCost > left {
		if size /= 2; size < leastClass {
			return 0
		}
	}
	return min(size-blobFront, taskwire.MaxBlob)
}

// class returns the bytes that a blob takes.
func class(blob int) int {
	size := leastClass
	for size < blob+blobFront {
		size *= 2
	}
	return size
}

// save queues a Save. When it is answered, done is called with whether the answer was a Set.
func (c *core) save(done func(set bool)) {
	c.seq++
	s := c.shelf
	anew := s.anew
	if s.anew = false; anew {
		clear(s.set)
		clear(s.recent)
		s.settled = s.last
	}
	room := s.room()
	c.inquire(taskwire.Save, taskwire.AppendSave(nil, c.seq, uint32(room), anew),
		fmt.Sprintf("Save %d: room %d, anew %v", c.seq, room, anew), func(a taskwire.Answer) {
			if a.Type == taskwire.Blob {
				c.takeBlob(a, room)
			} else {
				c.takeSet(a)
			}
			done(a.Type == taskwire.Set)
		})
}

// saveAll queues Saves, one after the other, until the Task ends the saving.
func (c *core) saveAll() {
	saved := false
	for !saved {
		c.save(func(set bool) { saved = set })
		c.settle()
	}
}

func (c *core) takeBlob(a taskwire.Answer, room int) {
	s := c.shelf
	switch {
	case len(a.Blob) > room:
		c.fail(ruleRoom, "Save %d: the blob has %d bytes, and the room is %d", a.Seq, len(a.Blob), room)
	case a.Number <= s.last:
		c.fail(ruleNumbers, "Save %d: the blob has the number %d, and %d was before", a.Seq, a.Number, s.last)
	}
	s.last = a.Number
	s.recent[a.Number] = a.Blob
}

func (c *core) takeSet(a taskwire.Answer) {
	s := c.shelf
	for _, n := range a.Dropped {
		if s.set[n] == nil && s.recent[n] == nil {
			c.fail(ruleSet, "Save %d: the Set drops blob %d, which the shelf does not hold", a.Seq, n)
		}
	}
	if a.Changed {
		maps.Copy(s.set, s.recent)
		s.settled = s.last
	}
	clear(s.recent)
	for _, n := range a.Dropped {
		delete(s.set, n)
	}
}

// restore starts the process as the Core does: it gives the process its configuration and its
// blobs, and then what it lacks. The function meanwhile is called between two steps, and may make
// changes; it may be nil. It is told whether the Task must be sent the change of a value.
func (c *core) restore(meanwhile func(covers func(identity.Value) bool)) {
	c.configure(c.Case.dataType, c.Case.configuration)
	for _, n := range slices.Sorted(maps.Keys(c.shelf.set)) {
		c.seq++
		blob := c.shelf.set[n]
		c.add(frame{bytes: append(taskwire.AppendStoredHead(nil, c.seq, n, len(blob)), blob...),
			change: &change{seq: c.seq, kind: taskwire.Stored}, text: fmt.Sprintf("Stored %d: number %d, %d bytes", c.seq, n, len(blob))})
	}
	c.settle()
	if len(c.shelf.set) == 0 {
		c.feedAll()
		c.settle()
		return
	}
	c.reconcile(meanwhile)
}
