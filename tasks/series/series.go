package main

import (
	"bytes"
	"cmp"
	"slices"
	"sort"

	"motte/sdk"
)

// series has the objects of one owner with one key.
type series struct {
	key    string
	owner  sdk.Owner
	chunks []*chunk
}

// place is the place of an object in its series.
type place struct {
	time int64
	id   sdk.Identity
}

func (p *place) compare(time int64, id *sdk.Identity) int {
	if c := cmp.Compare(p.time, time); c != 0 {
		return c
	}
	const size = len(sdk.Value{})
	return bytes.Compare(p.id[:size], id[:size])
}

// chunkOf returns the number of the last chunk that begins at or before a place, or 0.
func (s *series) chunkOf(p *place) int {
	n := sort.Search(len(s.chunks), func(i int) bool { return p.compare(s.chunks[i].first, &s.chunks[i].ids[0]) < 0 })
	return max(n-1, 0)
}

// find returns the chunk of a value and the place in it, or nil.
func (x *index) find(v sdk.Value) (c *chunk, at int) {
	x.directory.find(&v, func(number uint32) bool {
		var ok bool
		if at, ok = x.chunks.list[number].at(&v); ok {
			c = x.chunks.list[number]
		}
		return ok
	})
	return c, at
}

// insert inserts an object into a series. The value is not held.
func (x *index) insert(s *series, id sdk.Identity, new sample) {
	p := place{new.time, id}
	n := 0
	if len(s.chunks) == 0 {
		x.addChunk(s, 0)
	} else {
		n = s.chunkOf(&p)
	}
	c := s.chunks[n]
	var buffer [chunkSize + 1]sample
	samples := c.samples(buffer[:0])
	at := sort.Search(len(samples), func(i int) bool { return p.compare(samples[i].time, &c.ids[i]) < 0 })
	if len(samples) == chunkSize {
		// Times mostly ascend. So a chunk that is full at the end of its series stays full.
		keep := chunkSize / 2
		if n == len(s.chunks)-1 && at == chunkSize {
			keep = chunkSize
		}
		next := x.addChunk(s, n+1)
		x.move(c, next, keep)
		if keep < chunkSize {
			next.set(samples[keep:])
			c.set(samples[:keep])
		}
		if at >= keep {
			c, at, samples = next, at-keep, slices.Clone(samples[keep:])
		} else {
			samples = samples[:keep]
		}
	}
	samples = slices.Insert(samples, at, new)
	c.ids = insertID(c.ids, at, id)
	c.set(samples)
	v := id.Value()
	x.directory.add(&v, c.number)
}

// insertID is slices.Insert, except that a full slice grows by little.
func insertID(ids []sdk.Identity, at int, id sdk.Identity) []sdk.Identity {
	if len(ids) == cap(ids) {
		ids = append(make([]sdk.Identity, 0, len(ids)+max(1, len(ids)/4)), ids...)
	}
	return slices.Insert(ids, at, id)
}

// addChunk adds an empty chunk to a series, as number n.
func (x *index) addChunk(s *series, n int) *chunk {
	c := &chunk{series: s}
	x.chunks.add(c)
	s.chunks = slices.Insert(s.chunks, n, c)
	return c
}

// move moves the identities of a chunk from a place on to another chunk.
func (x *index) move(c, to *chunk, from int) {
	to.ids = slices.Clone(c.ids[from:])
	c.ids = slices.Clone(c.ids[:from])
	for i := range to.ids {
		v := to.ids[i].Value()
		at := x.directory.find(&v, func(number uint32) bool { return number == c.number })
		x.directory.cells[at] = newCell(&v, to.number)
	}
}

// remove removes an object.
func (x *index) remove(c *chunk, at int) {
	v := c.ids[at].Value()
	x.directory.remove(x.directory.find(&v, func(number uint32) bool { return number == c.number }))
	var buffer [chunkSize]sample
	samples := c.samples(buffer[:0])
	if len(samples) > 1 {
		c.ids = slices.Delete(c.ids, at, at+1)
		c.set(slices.Delete(samples, at, at+1))
		return
	}
	s := c.series
	n := s.chunkOf(&place{c.first, c.ids[0]})
	s.chunks = slices.Delete(s.chunks, n, n+1)
	x.chunks.remove(c)
	if len(s.chunks) == 0 {
		x.dropSeries(s)
	}
}
