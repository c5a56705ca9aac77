package sdk

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// groupBits is the number of bits of a value that determine its group. The records of a group of ten
// million entries fit the cache of a processor.
const groupBits = 10

// group gathers records whose values begin with the same bits. They are in blocks, so that it grows
// without copying:
//
//	kind and length of the data v | identity 32 | owner 8 | data …
type group struct {
	blocks [][]byte
	count  int
}

// Sizes of blocks in bytes. The first one is the smallest, and the next ones are twice as large, up to
// the largest.
const (
	leastBlock = 512
	mostBlock  = 32 << 10
)

// add adds a record, and returns the bytes that the group has grown by.
func (g *group) add(r *record) (grown int) {
	last := len(g.blocks) - 1
	if most := maxRecordHead + len(r.Data); last < 0 || cap(g.blocks[last])-len(g.blocks[last]) < most {
		grown = max(most, min(leastBlock<<min(len(g.blocks), 10), mostBlock))
		g.blocks = append(g.blocks, make([]byte, 0, grown))
		last++
	}
	p := binary.AppendUvarint(g.blocks[last], r.kind+uint64(len(r.Data)))
	p = append(p, r.Identity[:]...)
	p = binary.BigEndian.AppendUint64(p, uint64(r.Owner))
	g.blocks[last] = append(p, r.Data...)
	g.count++
	return grown
}

// take reads the record at the beginning of p, and returns the bytes behind it. Its data alias p.
func (r *record) take(p []byte) (rest []byte) {
	n, width := binary.Uvarint(p)
	r.kind = min(n, recordEntry)
	p = p[width:]
	p = p[copy(r.Identity[:], p):]
	r.Owner, p = Owner(binary.BigEndian.Uint64(p)), p[8:]
	size := n - r.kind
	r.Data = p[:size:size]
	return p[size:]
}

// inGroup is the place of a record in its group.
type inGroup struct {
	high, low uint64 // the two halves of the value
	block, at uint32
}

// sortedGroup is a group whose records are sorted: of each value it has the last record.
type sortedGroup struct {
	blocks [][]byte
	order  []inGroup
}

// sort sorts the records of a group. First it sorts by the two digits behind the bits that all values
// share. Values are random, so few records are out of order then. It uses the memory of two lists.
func (g *group) sort(list []inGroup, other *[]inGroup) sortedGroup {
	s := sortedGroup{g.blocks, slices.Grow(list[:0], g.count)}
	for i, block := range g.blocks {
		for at := 0; at < len(block); {
			n, width := binary.Uvarint(block[at:])
			value := block[at+width:]
			high, low := binary.BigEndian.Uint64(value), binary.BigEndian.Uint64(value[8:])
			s.order = append(s.order, inGroup{high, low, uint32(i), uint32(at)})
			at += width + len(Identity{}) + 8 + int(n-min(n, recordEntry))
		}
	}
	if len(s.order) >= fewRecords {
		*other = slices.Grow((*other)[:0], len(s.order))[:len(s.order)]
		sortByDigit(*other, s.order, 64-groupBits-2*placeBits)
		sortByDigit(s.order, *other, 64-groupBits-placeBits)
	}
	slices.SortStableFunc(s.order, inGroup.compare)
	s.keepLast()
	return s
}

const (
	placeBits  = 11  // of a digit
	fewRecords = 256 // are sorted without digits
)

// sortByDigit copies the records in the order of a digit, whose lowest bit is given. It keeps the
// order of equal digits.
func sortByDigit(to, from []inGroup, low int) {
	var next [1 << placeBits]uint32
	for i := range from {
		next[from[i].high>>low&(1<<placeBits-1)]++
	}
	sum := uint32(0)
	for d, n := range next {
		next[d] = sum
		sum += n
	}
	for i := range from {
		d := from[i].high >> low & (1<<placeBits - 1)
		to[next[d]] = from[i]
		next[d]++
	}
}

// compare orders records by their values.
func (n inGroup) compare(other inGroup) int {
	if n.high != other.high {
		return cmp.Compare(n.high, other.high)
	}
	return cmp.Compare(n.low, other.low)
}

// keepLast keeps the last of the records with the same value.
func (s *sortedGroup) keepLast() {
	kept := s.order[:0]
	for i, n := range s.order {
		if i+1 == len(s.order) || n.compare(s.order[i+1]) != 0 {
			kept = append(kept, n)
		}
	}
	s.order = kept
}

// each visits the records in the order of the values. Their data are valid until visit returns.
func (s *sortedGroup) each(visit func(*record)) {
	var r record
	for _, n := range s.order {
		r.take(s.blocks[n.block][n.at:])
		visit(&r)
	}
}
