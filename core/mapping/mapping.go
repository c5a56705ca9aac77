// Package mapping keeps, in memory, where each live object of a collection lies
// (paper, section 5, "Mapping module"): identity value → entry.
//
// A Map is a sequence of runs, each of which holds the entries of one range of values
// in their order. The ranges are equal, save that some are divided in two already:
// the number of runs follows the number of entries, one run at a time (linear hashing,
// by the leading bits of a value, which keep the order).
//
// Guarantees:
//
//  1. An entry takes 47 bytes, in a run that has room for an eighth more, or for the
//     allocator's next size, and no pointer: the garbage collector has next to nothing
//     to follow, however many objects there are. A Map without entries has no runs.
//  2. A run holds 128 entries on average, between 32 and 256 as the number of entries
//     changes. No operation moves more than two runs; but about each time that the
//     number of entries doubles, Put makes a new table of runs, of 24 bytes for each.
//  3. What Put took is what Get returns, but for the high bits of the LSN.
//
// Values are random, or a keyed pseudo-random function of a name, so the bytes of a
// value are a hash already. Without the key no client can choose values of one run. A
// client that puts and deletes objects until their values fall into one run needs, for
// each such value, about as many objects as there are runs. No object has the value
// zero.
//
// A Map has one owner; it is not safe for concurrent use.
package mapping

import (
	"encoding/binary"
	"iter"
	"slices"

	"motte/core/codec"
	"motte/core/identity"
	"motte/core/seglog"
)

// Entry says what a live object is and where its record lies.
type Entry struct {
	ID         identity.ID
	LSN        uint64          // of the record, but for its high bits: see Wrote
	Loc        seglog.Location // Offset and Length: multiples of 8, below 8*Limit; Length is not 0
	Collection uint32          // the Map's
	Owner      uint32
}

// Limit is what segment, collection and owner are below. Whoever numbers them keeps
// to it; here a number that is cut off would give one owner's object to
// another. An LSN is cut off: what it is modulo Limit is kept.
const Limit = 1 << 24

// Wrote reports whether the record with this LSN may be the one at e's place:
// another record that lay there has the same low bits once in Limit LSNs.
func (e Entry) Wrote(lsn uint64) bool { return (e.LSN^lsn)%Limit == 0 }

// perRun is the number of entries for each run beyond which there is one run more.
// There is one less when only half as many are left.
const perRun = 128

// Map is the mapping of one collection.
type Map struct {
	collection uint32
	entries    int
	bytes      int64 // that all runs take

	// A run holds the values that begin with the same bits: depth of them, in low, or
	// one more, in high. The first runs of low, as many as split says, are empty,
	// since each was divided into two of high; the others of high are empty.
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

// headerSize is the bytes that a run takes in a table, beside its entries.
const headerSize = 24

// run returns the run that a value belongs to, by its first eight bytes, and how many
// bits all values in it begin with. There are runs.
func (m *Map) run(first uint64) (run *[]packed, depth uint) {
	i := first >> (64 - m.depth)
	if i < uint64(m.split) {
		return &m.high[first>>(63-m.depth)], m.depth + 1
	}
	return &m.low[i], m.depth
}

// find returns the run of a value, and the place where it is, or where it would go:
// near its share of the run, as values are random.
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

// Put sets the entry of the object with e's value. It panics if e is over the limits
// of an entry, or of another collection.
func (m *Map) Put(e Entry) {
	p := pack(e)
	if e.Collection != m.collection {
		panic("mapping: an entry of another collection")
	}
	m.prepare()
	run, i, ok := m.find(e.ID.Value())
	if ok {
		(*run)[i] = p
		return
	}
	m.resize(run, 1)
	*run = slices.Insert(*run, i, p)
	m.entries++
	m.grow()
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

// room returns the capacity in entries, at least, of a run that has n.
func room(n int) int { return n + n/8 + 1 }

// resize gives a run room for so many more entries, and takes back room that is too much.
func (m *Map) resize(run *[]packed, more int) {
	n := len(*run) + more
	if n > cap(*run) || room(n)*4 < cap(*run)*3 {
		m.set(run, *run, nil, n)
	}
}

// set makes a run of the entries of two, with room for n.
func (m *Map) set(run *[]packed, a, b []packed, n int) {
	var made []packed
	if n > 0 {
		made = slices.Grow(made, room(n)) // or as much more as the allocator would give anyway
		made = append(append(made, a...), b...)
	}
	m.bytes += int64(cap(made)-cap(*run)) * packedSize
	*run = made
}

// grow divides the next run, if there are too few for the entries.
func (m *Map) grow() {
	if m.entries <= perRun*(len(m.low)+m.split) {
		return
	}
	run, pair := &m.low[m.split], m.high[2*m.split:]
	half := (2*uint64(m.split) + 1) << (63 - m.depth) // begins the values of the second
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

// shrink makes one run of the two that were divided last, if there are too many for
// the entries.
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

// after yields the entries with values behind v, in their order. The Map must not
// change meanwhile.
func (m *Map) after(v identity.Value) iter.Seq[*packed] {
	return func(yield func(*packed) bool) {
		if m.entries == 0 {
			return
		}
		_, i, ok := m.find(v)
		if ok {
			i++ // behind v itself
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

// yieldRuns yields the entries of runs, from the one with this number on; false: the
// caller wants no more.
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

// After yields the entries of the objects with values behind v, in their order: all,
// if v is zero. The Map must not change meanwhile.
func (m *Map) After(v identity.Value) iter.Seq[Entry] {
	return func(yield func(Entry) bool) {
		for p := range m.after(v) {
			if !yield(p.entry(m.collection)) {
				return
			}
		}
	}
}

// Append appends the packed entries of the first objects with values behind v, most of
// them at most, and returns the last value.
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

// Load adds packed entries, as Append made them, to a Map that holds no values behind
// v, and returns the last value. They are in the order of their values, all behind v;
// otherwise, or if b is something else (a part of an entry, an entry without a length),
// Load returns frame.ErrMalformed, and the Map may have some of them.
func (m *Map) Load(b []byte, v identity.Value) (identity.Value, error) {
	if len(b)%packedSize > 0 {
		return v, codec.ErrMalformed
	}
	if len(b) > 0 {
		m.prepare()
	}
	var before packed // the entry before, or one of v
	copy(before[:], v[:])
	for at := 0; at < len(b); {
		first, second := halves(b[at:])
		run, _ := m.run(first)
		if n := len(*run); n > 0 && !(*run)[n-1].before(first, second) {
			return v, codec.ErrMalformed
		}
		from := at
		for at < len(b) { // as far as entries belong to this run
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

// packed is an entry, in a run and in a checkpoint:
//
//	value 16 | tag 16 | LSN 3 | segment 3 | offset/8 3 | length/8 3 | owner 3
//
// with the low bytes of numbers, big-endian. The length is not 0.
type packed [packedSize]byte

const packedSize = 47

// pack panics if e is over its limits.
func pack(e Entry) (p packed) {
	e.LSN %= Limit
	copy(p[:], e.ID[:])
	for i, x := range [...]uint32{uint32(e.LSN), e.Loc.Segment, e.Loc.Offset / 8, e.Loc.Length / 8, e.Owner} {
		p[32+3*i], p[33+3*i], p[34+3*i] = byte(x>>16), byte(x>>8), byte(x)
	}
	if p.free() || p.value() == (identity.Value{}) || p.entry(e.Collection) != e {
		panic("mapping: an entry over its limits")
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

// halves returns a value, at the beginning of p, as two numbers.
func halves(p []byte) (first, second uint64) {
	return binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:])
}

// before reports whether p's value is before that of two numbers.
func (p *packed) before(first, second uint64) bool {
	a, b := halves(p[:])
	return a < first || a == first && b < second
}
