package main

import (
	"encoding/binary"
	"slices"
)

// slot is the number of an object in the index.
type slot = uint32

// noSlot is behind all slots.
const noSlot = slot(1<<32 - 1)

// list has the objects that have a term, in the order of their slots, and how often each has it.
//
// Most terms are rare: a list of one object needs no memory but its own. Longer lists are blocks.
type list struct {
	count  uint32
	only   posting // the only posting, if blocks is nil
	blocks []block
}

// posting is an object of a list that has one: the term is in one field, times times.
type posting struct {
	slot  slot
	field uint8
	times uint16
}

// block is a part of a list. Its data are, for each object, as varints: the distance of its slot from the
// one before (the first from block.first), times two. It is odd if the object has the term more than
// once, or in another than the last field. Then the fields follow, as a set of bits, and how often the term is in each of
// them.
type block struct {
	first, last slot
	count       uint32
	data        []byte
}

// Sizes of blocks. A change of a block moves half of its bytes; a search for a slot reads them.
const (
	blockFull = 128  // objects
	blockData = 1024 // bytes: an object may take many, if it has many fields
)

// frequencies is how often an object has a term, by field.
type frequencies []uint32

// add adds an object that the list does not have.
func (l *list) add(s slot, f frequencies) {
	l.count++
	if l.count == 1 {
		if p, ok := alone(s, f); ok {
			l.only = p
			return
		}
	} else if l.blocks == nil {
		l.spread(len(f))
	}
	n := l.blockOf(s)
	if n == len(l.blocks) { // behind all others
		if n == 0 || l.blocks[n-1].isFull() {
			l.blocks = append(l.blocks, block{first: s, last: s})
		} else {
			n--
		}
	}
	b := &l.blocks[n]
	if b.count > 0 && s < b.last {
		b.insert(s, f)
	} else {
		b.data = appendPosting(grown(b.data), s-b.lastOr(s), f)
		b.last, b.count = s, b.count+1
	}
	if b.count > blockFull && n < len(l.blocks)-1 || b.count > 2*blockFull || len(b.data) > 2*blockData {
		l.split(n)
	}
}

// alone returns the posting of a list of one object.
func alone(s slot, f frequencies) (p posting, ok bool) {
	p.slot = s
	for field, times := range f {
		switch {
		case times == 0:
		case p.times > 0 || times > 1<<16-1:
			return p, false
		default:
			p.field, p.times = uint8(field), uint16(times)
		}
	}
	return p, p.times > 0
}

// spread moves the only posting into a block.
func (l *list) spread(fields int) {
	p := l.only
	f := make(frequencies, fields)
	f[p.field] = uint32(p.times)
	l.blocks = []block{{first: p.slot, last: p.slot, count: 1, data: appendPosting(nil, 0, f)}}
}

func (b *block) isFull() bool { return b.count >= blockFull || len(b.data) >= blockData }

// lastOr returns the last slot, or the given one if there is none.
func (b *block) lastOr(s slot) slot {
	if b.count == 0 {
		return s
	}
	return b.last
}

// blockOf returns the number of the first block that does not end before a slot.
func (l *list) blockOf(s slot) int {
	if n := len(l.blocks); n > 0 && l.blocks[n-1].last < s {
		return n // the most frequent case
	}
	n, _ := slices.BinarySearchFunc(l.blocks, s, func(b block, s slot) int {
		if b.last < s {
			return -1
		}
		return 1
	})
	return n
}

// grown makes room for a posting. Blocks grow in small steps, since their free bytes add up.
func grown(data []byte) []byte {
	if cap(data)-len(data) >= 3 {
		return data
	}
	return append(make([]byte, 0, len(data)+max(8, len(data)/4)), data...)
}

func appendPosting(p []byte, distance slot, f frequencies) []byte {
	code := uint64(distance) << 1
	last := len(f) - 1
	if f[last] == 1 && (last == 0 || !slices.ContainsFunc(f[:last], isSet)) {
		return binary.AppendUvarint(p, code)
	}
	var set uint64
	for field, times := range f {
		if times > 0 {
			set |= 1 << field
		}
	}
	p = binary.AppendUvarint(binary.AppendUvarint(p, code|1), set)
	for _, times := range f {
		if times > 0 {
			p = binary.AppendUvarint(p, uint64(times))
		}
	}
	return p
}

func isSet(times uint32) bool { return times > 0 }

// insert adds an object before the last one of the block.
func (b *block) insert(s slot, f frequencies) {
	r := reader{data: b.data, slot: b.first}
	before := b.first
	for r.next(); r.slot < s; r.next() {
		before = r.slot
	}
	if before > s {
		before = s
	}
	p := make([]byte, 0, len(b.data)+16)
	p = append(p, b.data[:r.start]...)
	first := r.start == 0
	if first {
		b.first, before = s, s
	}
	p = appendPosting(p, s-before, f)
	b.data = r.replace(p, r.slot-s)
	b.count++
}

// remove removes an object that the list has.
func (l *list) remove(s slot) {
	l.count--
	if l.blocks == nil {
		return
	}
	n := l.blockOf(s)
	b := &l.blocks[n]
	if b.count--; b.count == 0 {
		if l.blocks = slices.Delete(l.blocks, n, n+1); len(l.blocks) == 0 {
			l.blocks = nil
		}
		return
	}
	r := reader{data: b.data, slot: b.first}
	before := b.first
	for r.next(); r.slot < s; r.next() {
		before = r.slot
	}
	removed := r
	p := append(make([]byte, 0, len(b.data)), b.data[:r.start]...)
	if !r.next() {
		b.data, b.last = p, before
		return
	}
	if removed.start == 0 {
		b.first, before = r.slot, r.slot
	}
	b.data = r.replace(p, r.slot-before)
}

// split divides a block into two.
func (l *list) split(n int) {
	b := &l.blocks[n]
	r := reader{data: b.data, slot: b.first}
	for range b.count / 2 {
		r.next()
	}
	end, last := r.at, r.slot
	r.next()
	right := block{first: r.slot, last: b.last, count: b.count - b.count/2, data: r.replace(make([]byte, 0, len(b.data)-r.start), 0)}
	b.last, b.count, b.data = last, b.count/2, slices.Clone(b.data[:end])
	l.blocks = slices.Insert(l.blocks, n+1, right)
}
