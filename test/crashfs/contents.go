package crashfs

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
)

const (
	sectorSize = 512  // bytes: a disk writes a sector whole, or not at all
	pageSize   = 4096 // bytes: what a system mostly writes whole
	perPage    = pageSize / sectorSize
)

// page is never changed, but replaced: many contents share it.
type page [pageSize]byte

// zeros is what every page of zeros is, and reads as what there is no page for.
var zeros page

// contents is the bytes of a file. A page that was never written is not there.
type contents struct {
	pages map[int64]*page
	size  int64
}

func newContents() contents { return contents{pages: make(map[int64]*page)} }

func (c *contents) clone() contents { return contents{maps.Clone(c.pages), c.size} }

func (c *contents) page(n int64) *page {
	if p := c.pages[n]; p != nil {
		return p
	}
	return &zeros
}

// readAt fills p and returns how much of it lies before the end.
func (c *contents) readAt(p []byte, offset int64) int {
	p = p[:max(0, min(int64(len(p)), c.size-offset))]
	for done := 0; done < len(p); {
		at := offset + int64(done)
		done += copy(p[done:], c.page(at / pageSize)[at%pageSize:])
	}
	return len(p)
}

// writeAt returns the pages that it made.
func (c *contents) writeAt(p []byte, offset int64) map[int64]*page {
	made := make(map[int64]*page)
	for len(p) > 0 {
		n, at := offset/pageSize, offset%pageSize
		written := *c.page(n)
		k := copy(written[at:], p)
		made[n] = &written
		if written == zeros {
			made[n] = &zeros
		}
		p, offset = p[k:], offset+int64(k)
	}
	maps.Copy(c.pages, made)
	c.size = max(c.size, offset)
	return made
}

// resize cuts off, or adds zeros. It returns the pages that it took away or
// made.
func (c *contents) resize(size int64) map[int64]*page {
	made := make(map[int64]*page)
	for n, old := range c.pages {
		switch begin := n * pageSize; {
		case begin >= size:
			delete(c.pages, n)
			made[n] = nil
		case begin+pageSize > size && size < c.size:
			rest := *old
			clear(rest[size-begin:])
			c.pages[n], made[n] = &rest, &rest
		}
	}
	c.size = size
	return made
}

// file is a file as processes see it, and as the disk has it.
type file struct {
	now     contents
	durable contents
	changes []change // since the last sync, in order

	allocated int64 // bytes of space that it holds without pages
}

// change is a write, or a new length. It holds the pages that it replaced, as
// they were afterwards; nil: taken away.
type change struct {
	pages    map[int64]*page
	size     int64 // of the file afterwards
	resizes  bool
	truncate bool // it made the file shorter
}

func newFile() *file { return &file{now: newContents(), durable: newContents()} }

func (f *file) write(p []byte, offset int64) {
	old := f.now.size
	pages := f.now.writeAt(p, offset)
	f.changes = append(f.changes, change{pages: pages, size: f.now.size, resizes: f.now.size != old})
}

func (f *file) truncate(size int64) {
	if old := f.now.size; size != old {
		f.changes = append(f.changes, change{pages: f.now.resize(size), size: size, resizes: true, truncate: size < old})
	}
}

// sync makes durable what changed since the last sync, as processes see it.
func (f *file) sync() {
	for _, c := range f.changes {
		f.durable.size = c.size
		for n, p := range c.pages {
			f.durable.put(n, p)
		}
	}
	f.changes = nil
}

func (c *contents) put(n int64, p *page) {
	if p == nil {
		delete(c.pages, n)
	} else {
		c.pages[n] = p
	}
}

// Loss counts what was volatile when the power was cut, and what of it was lost.
type Loss struct {
	Sectors, LostSectors int // written
	Lengths, LostLengths int // changes of them
	Names, LostNames     int // changes of directories
}

// drop replaces what is durable by what a power cut may leave, and forgets the
// rest.
//
// Lengths change in the order in which they were changed: a random number of
// these changes survives. Each sector is as it was after a random number of the
// writes to it, whole pages more often than sectors alone; a truncation that
// survived is one of these writes, and nothing from before it comes back; what
// was written after one that did not survive has no place to be. Where a file
// is longer now and none of the data survived there are zeros or, in some files,
// whatever the disk had there before.
func (f *file) drop(rng *rand.Rand, l *Loss) {
	d := dropper{rng: rng, last: -1, pages: rng.IntN(4)}
	var resizes, written = []int(nil), make(map[int64][]int)
	for i, c := range f.changes {
		if c.resizes {
			resizes = append(resizes, i)
		}
		for n := range c.pages {
			written[n] = append(written[n], i)
		}
	}
	kept := d.prefix(len(resizes))
	l.Lengths += len(resizes)
	l.LostLengths += len(resizes) - kept
	before, size := f.durable.size, f.durable.size
	if kept > 0 {
		d.last = resizes[kept-1]
		size = f.changes[d.last].size
	}
	d.old = d.rng.IntN(4) == 0
	for _, n := range slices.Sorted(maps.Keys(written)) { // the same seed, the same loss
		f.durable.put(n, d.page(f, n, written[n], n*pageSize >= before, l))
	}
	f.durable.size = math.MaxInt64 // nothing is left behind the end
	f.durable.resize(size)
	f.changes = nil
}

// dropper chooses what is left of a file.
type dropper struct {
	rng   *rand.Rand
	last  int  // the last change of the length that survives; -1: none
	pages int  // what is left of pages: 0 nothing, 1 everything, otherwise some
	old   bool // the disk's old bytes show where nothing was written
}

// prefix chooses how many of n things survive, none and all most often.
func (d *dropper) prefix(n int) int {
	switch d.rng.IntN(4) {
	case 0:
		return 0
	case 1:
		return n
	}
	return d.rng.IntN(n + 1)
}

// page chooses what is left of a page that some changes wrote. fresh: all of
// it lies behind the durable end.
func (d *dropper) page(f *file, n int64, changes []int, fresh bool, l *Loss) *page {
	// The versions of the page that can be left: versions[0] is the durable one.
	versions, least := []*page{f.durable.page(n)}, 0
	for _, i := range changes {
		c := f.changes[i]
		if c.truncate && i > d.last {
			break
		}
		if c.truncate {
			least = len(versions)
		}
		versions = append(versions, &zeros)
		if p := c.pages[n]; p != nil {
			versions[len(versions)-1] = p
		}
	}
	choose := func() int {
		switch d.pages {
		case 0:
			return least
		case 1:
			return len(versions) - 1
		}
		return least + d.rng.IntN(len(versions)-least)
	}
	whole, torn := choose(), d.rng.IntN(3) == 0
	left := new(page)
	for s := 0; s < pageSize; s += sectorSize {
		v := whole
		if torn {
			v = choose()
		}
		copy(left[s:s+sectorSize], versions[v][s:])
		if v == 0 && fresh && d.old {
			for i := range sectorSize {
				left[s+i] = byte(d.rng.Uint32())
			}
		}
		l.Sectors++
		if v < len(changes) {
			l.LostSectors++
		}
	}
	return left
}
