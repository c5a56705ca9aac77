package crashfs

import (
	"maps"
	"math"
	"math/rand/v2"
	"slices"
)

const (
	sectorSize = 512  // bytes: a disk writes a whole sector, or no part of it
	pageSize   = 4096 // bytes: systems write whole pages most of the time
	perPage    = pageSize / sectorSize
)

// page is never changed, but replaced, since many contents share it.
type page [pageSize]byte

// zeros is a page of zeros. A missing page reads as zeros.
var zeros page

// contents is the bytes of a file. Pages that were never written are missing.
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

// readAt fills p, and returns the number of bytes before the end of the file.
func (c *contents) readAt(p []byte, offset int64) int {
	p = p[:max(0, min(int64(len(p)), c.size-offset))]
	for done := 0; done < len(p); {
		at := offset + int64(done)
		done += copy(p[done:], c.page(at / pageSize)[at%pageSize:])
	}
	return len(p)
}

// writeAt writes, and returns the new pages.
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

// resize truncates the file, or extends it with zeros. It returns the pages that it removed
// (nil) or made.
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

// file is a file, in the state that processes see and in the durable state.
type file struct {
	now     contents
	durable contents
	changes []change // since the last sync, in order

	allocated int64 // bytes of reserved space without pages
}

// change is a write, or a new length. It has the new version of each page that it replaced; nil
// for a removed page.
type change struct {
	pages    map[int64]*page
	size     int64 // size of the file after the change
	resizes  bool
	truncate bool // the change made the file shorter
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

// sync makes the state that processes see durable.
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

// Loss counts the volatile changes at a power cut, and how many of them were lost.
type Loss struct {
	Sectors, LostSectors int // sectors that were written
	Lengths, LostLengths int // changes of a length
	Names, LostNames     int // changes of a directory
}

// drop replaces the durable state by a state that a power cut may leave. It forgets all volatile
// changes.
//
// A random number of the changes of the length survives, in their order. Each sector has its
// content after a random number of the writes to it. More often, a whole page has the same
// number. A surviving truncation counts as one of these writes, and no earlier content returns.
// Writes after a truncation that is lost are lost, too. If a file became longer and its data is
// lost, the new part has zeros or, in some files, old bytes of the disk.
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
	for _, n := range slices.Sorted(maps.Keys(written)) { // in order, so that the same seed gives the same loss
		f.durable.put(n, d.page(f, n, written[n], n*pageSize >= before, l))
	}
	f.durable.size = math.MaxInt64 // so that resize removes all pages after the end
	f.durable.resize(size)
	f.changes = nil
}

// dropper chooses the state that is left of a file.
type dropper struct {
	rng   *rand.Rand
	last  int  // index of the last surviving change of the length; -1: no change survives
	pages int  // which writes of pages survive: 0 none, 1 all, otherwise some
	old   bool // new parts without data have old bytes of the disk
}

// prefix chooses how many of n changes survive. No change and all changes are the most frequent
// choices.
func (d *dropper) prefix(n int) int {
	switch d.rng.IntN(4) {
	case 0:
		return 0
	case 1:
		return n
	}
	return d.rng.IntN(n + 1)
}

// page chooses what is left of a page that some changes wrote. fresh says that the page lies
// after the durable end.
func (d *dropper) page(f *file, n int64, changes []int, fresh bool, l *Loss) *page {
	// The versions of the page that can be left. versions[0] is the durable version.
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
