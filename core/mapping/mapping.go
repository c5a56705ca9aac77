// Package mapping maps, in memory, the identity value of each live object of a collection
// to the location of its record (paper, section 5, "Mapping module").
//
// A Map is a sequence of runs. A run holds the entries of a range of values, in their order.
// The number of runs follows the number of entries by linear hashing on the leading bits of
// a value, which keeps the order: each step splits or merges one range.
//
// An entry has 47 bytes in a run, and the same bytes in a checkpoint; numbers are the low
// bytes, big-endian:
//
//	value 16 | tag 16 | LSN 3 | segment 3 | offset/8 3 | length/8 3 | owner 3
//
// Guarantees:
//
//  1. An entry has no pointer, so the cost of a garbage collection does not grow with the
//     number of objects. A run has spare capacity for an eighth of its entries, or up to
//     the allocator's next size. A Map without entries has no runs.
//  2. A run holds 128 entries on average, and between 32 and 256 while the number of
//     entries changes. No operation moves more than two runs. When the number of entries
//     has doubled, Put makes a new table of runs, 24 bytes for each run.
//  3. Get returns the entry that Put stored, without the high bits of the LSN.
//
// Values are random, or a keyed pseudo-random function of a name, so they are spread like
// hashes. Without the key a client can't choose values of one run. A client that puts
// objects until their values fall into one run needs, for each such value, about as many
// objects as there are runs. No object has the value zero.
//
// A Map is not safe for concurrent use.
package mapping

import (
	"encoding/binary"
	"iter"
	"math/bits"
	"slices"

	"motte/core/codec"
	"motte/core/identity"
	"motte/core/seglog"
)

// Entry is a live object and the location of its record.
type Entry struct {
	ID         identity.ID
	LSN        uint64          // of the record, without its high bits: see Wrote
	Loc        seglog.Location // Offset and Length: multiples of 8, below 8*Limit; Length is not 0
	Collection uint32          // that the Map belongs to
	Owner      uint32
}

// Limit is the upper bound of the numbers of segments, collections and owners. Their callers
// check it, since a truncated number could give an owner's object to another owner. Of an
// LSN the Map stores the remainder modulo Limit.
const Limit = 1 << 24

// Wrote reports whether the record at e's location may have this LSN. A false "true" needs
// two records at one location whose LSNs differ by a multiple of Limit.
func (e Entry) Wrote(lsn uint64) bool { return (e.LSN^lsn)%Limit == 0 }

// perRun is the average number of entries of a run above which a run is split. Below half of
// it two runs are merged.
const perRun = 128

// Map is the mapping of one collection.
type Map struct {
	collection uint32
	entries    int
	bytes      int64 // of the capacity of all runs

	// The values of a run begin with the same bits: depth bits in low, depth+1 bits in
	// high. Each of the first split runs of low was split into two runs of high, and is
	// empty. The other runs of high are empty.
	low, high [][]packed
	depth     uint
	split     int
}

// New returns the empty mapping of a collection.
func New(collection uint32) *Map { return &Map{collection: collection} }

// Len returns the number of entries.
func (m *Map) Len() int { return m.entries }

// Bytes returns the bytes of memory that the entries take.
func (m *Map) Bytes() int64 { return m.bytes + int64(len(m.low)+len(m.high))*headerSize }

// headerSize is the size of a run in a table, in bytes, without its entries.
const headerSize = 24

// run returns the run of a value, given by its first eight bytes, and the number of leading
// bits that the values of the run share. The Map has entries.
func (m *Map) run(first uint64) (run *[]packed, depth uint) {
	i := first >> (64 - m.depth)
	if i < uint64(m.split) {
		return &m.high[first>>(63-m.depth)], m.depth + 1
	}
	return &m.low[i], m.depth
}

// find returns the run of a value, and the index at which it is or would be inserted. Values
// are random, so the search begins near the expected index.
func (m *Map) find(v identity.Value) (run *[]packed, i int, ok bool) {
	if len(m.low) == 0 {
		return nil, 0, false
	}
	first, second := halves(v[:])
	run, depth := m.run(first)
	list := *run
	i = int(first << depth >> 32 * uint64(len(list)) >> 32)
	for i > 0 && !list[i-1].before(first, second) {
		i--
	}
	for i < len(list) && list[i].before(first, second) {
		i++
	}
	return run, i, i < len(list) && list[i].value() == v
}

// Get returns the entry of the object with this value.
func (m *Map) Get(v identity.Value) (e Entry, ok bool) {
	run, i, ok := m.find(v)
	if ok {
		e = (*run)[i].entry(m.collection)
	}
	return e, ok
}

// Put sets the entry of the object with e's value, and returns the entry before. It panics if e
// exceeds the limits of an entry, or belongs to another collection.
func (m *Map) Put(e Entry) (before Entry, had bool) {
	p := pack(e)
	if e.Collection != m.collection {
		panic("mapping: an entry of another collection")
	}
	m.prepare()
	run, i, ok := m.find(e.ID.Value())
	if ok {
		before = (*run)[i].entry(m.collection)
		(*run)[i] = p
		return before, true
	}
	m.resize(run, 1)
	*run = slices.Insert(*run, i, p)
	m.entries++
	m.grow()
	return before, false
}

// prepare makes the first run of a Map without entries.
func (m *Map) prepare() {
	if m.entries == 0 {
		m.low, m.high = make([][]packed, 1), make([][]packed, 2)
	}
}

// Delete removes the entry of the object with this value, and returns it.
func (m *Map) Delete(v identity.Value) (e Entry, ok bool) {
	run, i, ok := m.find(v)
	if !ok {
		return e, false
	}
	e = (*run)[i].entry(m.collection)
	*run = slices.Delete(*run, i, i+1)
	m.resize(run, 0)
	m.entries--
	m.shrink()
	return e, true
}

// capacity returns the capacity, at least, of a run with n entries.
func capacity(n int) int { return n + n/8 + 1 }

// resize adjusts the capacity of a run to its entries and more of them.
func (m *Map) resize(run *[]packed, more int) {
	n := len(*run) + more
	if n > cap(*run) || capacity(n)*4 < cap(*run)*3 {
		m.set(run, *run, nil, n)
	}
}

// set replaces a run by the entries of two runs, with capacity for n entries.
func (m *Map) set(run *[]packed, a, b []packed, n int) {
	var made []packed
	if n > 0 {
		made = slices.Grow(made, capacity(n)) // or as much more as the allocator would give anyway
		made = append(append(made, a...), b...)
	}
	m.bytes += int64(cap(made)-cap(*run)) * packedSize
	*run = made
}

// grow splits the next run, if there are too few runs for the entries.
func (m *Map) grow() {
	if m.entries <= perRun*(len(m.low)+m.split) {
		return
	}
	run, pair := &m.low[m.split], m.high[2*m.split:]
	half := (2*uint64(m.split) + 1) << (63 - m.depth) // the first value of the second run
	k, _ := slices.BinarySearchFunc(*run, half, func(p packed, half uint64) int {
		if p.before(half, 0) {
			return -1
		}
		return 1
	})
	m.set(&pair[0], (*run)[:k], nil, k)
	m.set(&pair[1], (*run)[k:], nil, len(*run)-k)
	m.set(run, nil, nil, 0)
	m.split++
	if m.split == len(m.low) {
		m.low, m.high = m.high, make([][]packed, 2*len(m.high))
		m.depth++
		m.split = 0
	}
}

// shrink merges the two runs that were split last, if there are too many runs for the
// entries.
func (m *Map) shrink() {
	if m.entries == 0 {
		*m = Map{collection: m.collection}
	}
	if m.entries >= perRun/2*(len(m.low)+m.split) || m.depth == 0 && m.split == 0 {
		return
	}
	if m.split == 0 {
		m.low, m.high = make([][]packed, len(m.low)/2), m.low
		m.depth--
		m.split = len(m.low)
	}
	m.split--
	pair := m.high[2*m.split:]
	m.set(&m.low[m.split], pair[0], pair[1], len(pair[0])+len(pair[1]))
	m.set(&pair[0], nil, nil, 0)
	m.set(&pair[1], nil, nil, 0)
}

// after yields the entries with values above v, in their order. The Map must not change
// meanwhile.
func (m *Map) after(v identity.Value) iter.Seq[*packed] {
	return func(yield func(*packed) bool) {
		if m.entries == 0 {
			return
		}
		_, i, ok := m.find(v)
		if ok {
			i++ // after v itself
		}
		first, _ := halves(v[:])
		at := int(first >> (64 - m.depth))
		runs := m.low[max(at, m.split):]
		if at < m.split {
			divided := m.high[first>>(63-m.depth) : 2*m.split]
			if !yieldRuns(divided, i, yield) {
				return
			}
			i = 0
		}
		yieldRuns(runs, i, yield)
	}
}

// yieldRuns yields the entries of runs; from is the index of the first entry in the first
// run. It returns false if the caller stopped.
func yieldRuns(runs [][]packed, from int, yield func(*packed) bool) bool {
	for _, run := range runs {
		for i := from; i < len(run); i++ {
			if !yield(&run[i]) {
				return false
			}
		}
		from = 0
	}
	return true
}

// After yields the entries with values above v, in their order. With v zero it yields all
// entries. The Map must not change meanwhile.
func (m *Map) After(v identity.Value) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for p := range m.after(v) {
			if !yield(p.entry(m.collection)) {
				return
			}
		}
	}
}

// Append appends up to most packed entries, the first with values above v, and returns the
// last value.
func (m *Map) Append(b []byte, v identity.Value, most int) ([]byte, identity.Value) {
	n := 0
	for p := range m.after(v) {
		if n == most {
			break
		}
		b = append(b, p[:]...)
		v = p.value()
		n++
	}
	return b, v
}

// sample is the number of entries, at least, whose values show how many entries there are.
const sample = 1024

// mostReserved bounds the entries for which reserve makes runs, whatever the values are.
const mostReserved = 1 << 26

// reserve makes the runs of a Map without entries, before it gets all entries in ascending order.
// The first n of them, up to a value that begins with last, show how many will follow, since
// values are random. It reserves a little less, so that a run does not have too few entries.
func (m *Map) reserve(n int, last uint64) {
	if n < sample {
		return
	}
	entries := min(float64(n)/(float64(last)+1)*(1<<64)/16*15, mostReserved)
	runs := int(entries / perRun)
	m.depth = uint(bits.Len(uint(runs))) - 1
	m.low, m.high = make([][]packed, 1<<m.depth), make([][]packed, 2<<m.depth)
	m.split = runs - len(m.low)
}

// Load adds packed entries, as Append made them, to a Map without values above v, and
// returns the last value. The entries must be complete, have a length, and have values above
// v in ascending order. Otherwise Load returns codec.ErrMalformed, and the Map may have some
// of the entries.
func (m *Map) Load(b []byte, v identity.Value) (identity.Value, error) {
	if len(b)%packedSize > 0 {
		return v, codec.ErrMalformed
	}
	if len(b) > 0 && m.entries == 0 {
		m.prepare()
		last, _ := halves(b[len(b)-packedSize:])
		m.reserve(len(b)/packedSize, last)
	}
	var before packed // the previous entry, or an entry with the value v
	copy(before[:], v[:])
	for at := 0; at < len(b); {
		first, second := halves(b[at:])
		run, _ := m.run(first)
		if n := len(*run); n > 0 && !(*run)[n-1].before(first, second) {
			return v, codec.ErrMalformed
		}
		from := at
		for at < len(b) { // while entries belong to this run
			p := packed(b[at:][:packedSize])
			first, second := halves(p[:])
			if other, _ := m.run(first); other != run {
				break
			}
			if p.free() || !before.before(first, second) {
				return v, codec.ErrMalformed
			}
			before = p
			at += packedSize
		}
		n := (at - from) / packedSize
		m.resize(run, n)
		for p := range slices.Chunk(b[from:at], packedSize) {
			*run = append(*run, packed(p))
		}
		for range n {
			m.entries++
			m.grow()
		}
	}
	return before.value(), nil
}

// packed is an entry in the layout of the package comment. Its length is not 0.
type packed [packedSize]byte

const packedSize = 47

// pack encodes an entry. It panics if e exceeds the limits of an entry.
func pack(e Entry) (p packed) {
	e.LSN %= Limit
	copy(p[:], e.ID[:])
	for i, x := range [...]uint32{uint32(e.LSN), e.Loc.Segment, e.Loc.Offset / 8, e.Loc.Length / 8, e.Owner} {
		p[32+3*i], p[33+3*i], p[34+3*i] = byte(x>>16), byte(x>>8), byte(x)
	}
	if p.free() || p.value() == (identity.Value{}) || p.entry(e.Collection) != e {
		panic("mapping: an entry exceeds its limits")
	}
	return p
}

func (p *packed) entry(collection uint32) (e Entry) {
	copy(e.ID[:], p[:])
	e.LSN, e.Collection, e.Owner = uint64(p.number(0)), collection, p.number(4)
	e.Loc = seglog.Location{Segment: p.number(1), Offset: p.number(2) * 8, Length: p.number(3) * 8}
	return e
}

func (p *packed) number(i int) uint32 {
	return uint32(p[32+3*i])<<16 | uint32(p[33+3*i])<<8 | uint32(p[34+3*i])
}

func (p *packed) value() identity.Value { return identity.Value(p[:identity.ValueSize]) }

func (p *packed) free() bool { return p.number(3) == 0 }

// halves returns the value at the beginning of p as two numbers.
func halves(p []byte) (first, second uint64) {
	return binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:])
}

// before reports whether p's value is below the value of two numbers.
func (p *packed) before(first, second uint64) bool {
	a, b := halves(p[:])
	return a < first || a == first && b < second
}
