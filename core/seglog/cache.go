package seglog

import (
	"sync"
	"sync/atomic"
)

// Bounds of the cache, in bytes. The cache takes memory beside the engine's mapping. It is
// made for records that many clients ask for again and again. Its maps take up to a sixth
// more memory, if records are small.
const (
	cacheBytes      = 64 << 20
	cacheShards     = 16 // readers on as many processors seldom need the same lock
	generationBytes = cacheBytes / cacheShards / 2
	maxCachedRecord = 65 << 10 // of one record: a larger record takes less time to read than to send
)

// cache keeps records that were read, in their stored, sealed form. So it holds no bytes
// that the disk does not hold. A change of its memory is detected when the record is opened,
// like damage of the disk. A reader gets a copy, to which no other goroutine writes while it
// is opened.
//
// Entries of removed segments are not asked for any more, since segment numbers are not used
// twice. Newer entries push them out in time. An erasure drops all entries, since a sealed
// entry does not show its owner.
type cache struct {
	epoch  atomic.Uint64 // number of erasures: a record that was read before the last erasure is not kept
	shards [cacheShards]cacheShard
}

// cacheShard keeps records in two generations. Records are added to the young generation.
// When it is full, it becomes the old generation, and the former old generation is dropped.
// A record that is found in the old generation is added to the young one again, so it is
// kept.
type cacheShard struct {
	mu         sync.Mutex
	young, old generation
}

type generation struct {
	offsets map[Location]uint32 // offset in bytes where each record begins
	bytes   []byte
}

// shard returns the shard of a location. Neighbouring locations have different shards.
func (c *cache) shard(at Location) *cacheShard {
	return &c.shards[(at.Offset/alignment*0x9E3779B1^at.Segment*0x85EBCA6B)>>16%cacheShards]
}

// get copies a record into a buffer, which it may grow. It returns false if the cache lacks
// the record.
func (c *cache) get(buf *[]byte, at Location) bool {
	s := c.shard(at)
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.young.find(at); ok {
		*buf = append((*buf)[:0], p...)
		return true
	}
	p, ok := s.old.find(at)
	if !ok {
		return false
	}
	*buf = append((*buf)[:0], p...)
	s.add(at, *buf)
	return true
}

// has reports whether the cache has a record.
func (c *cache) has(at Location) bool {
	s := c.shard(at)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, young := s.young.offsets[at]
	_, old := s.old.offsets[at]
	return young || old
}

// put keeps a copy of a record that was read in an epoch.
func (c *cache) put(at Location, p []byte, epoch uint64) {
	if len(p) > maxCachedRecord {
		return
	}
	s := c.shard(at)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.epoch.Load() == epoch { // otherwise clear may have run since the read
		s.add(at, p)
	}
}

// drop forgets a record.
func (c *cache) drop(at Location) {
	s := c.shard(at)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.young.offsets, at)
	delete(s.old.offsets, at)
}

// clear forgets all records, also those that are being read now.
func (c *cache) clear() {
	c.epoch.Add(1)
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.young, s.old = generation{}, generation{}
		s.mu.Unlock()
	}
}

// add adds a record to the young generation.
func (s *cacheShard) add(at Location, p []byte) {
	if s.young.offsets == nil || len(s.young.bytes)+len(p) > generationBytes {
		s.young, s.old = s.old, s.young
		s.young.reset()
	}
	s.young.add(at, p)
}

// add adds a record, unless the generation has it. The caller has checked that it fits.
func (g *generation) add(at Location, p []byte) {
	if _, ok := g.offsets[at]; ok {
		return
	}
	have := len(g.bytes)
	if need := have + len(p); need > cap(g.bytes) {
		capacity := min(max(need, 2*cap(g.bytes)), generationBytes)
		g.bytes = append(make([]byte, 0, capacity), g.bytes...)
	}
	g.offsets[at] = uint32(have)
	g.bytes = append(g.bytes, p...)
}

// reset forgets all records, and keeps the memory.
func (g *generation) reset() {
	if g.offsets == nil {
		g.offsets = make(map[Location]uint32)
	}
	clear(g.offsets)
	g.bytes = g.bytes[:0]
}

func (g *generation) find(at Location) ([]byte, bool) {
	i, ok := g.offsets[at]
	if !ok {
		return nil, false
	}
	return g.bytes[i:][:at.Length], true
}
