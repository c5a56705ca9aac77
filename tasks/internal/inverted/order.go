package inverted

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"
	"sort"

	"motte/sdk"
)

// order has the objects in the order of their values. It is a table of buckets, whose cells are in
// that order. The first bits of a value say in which bucket it lies. Values are random, so all
// buckets have about the same size. An attacker who chooses values makes the table slow, not wrong.
//
// The values stand in the objects; valueOf returns that of an object.
type order struct {
	buckets [][]cell // 1<<bits of them
	bits    int
	count   int
}

// cell is the first 4 bytes of a value, and the number of its object.
type cell uint64

func newCell(prefix uint32, n Number) cell { return cell(prefix)<<32 | cell(n) }

func (c cell) prefix() uint32 { return uint32(c >> 32) }
func (c cell) number() Number { return Number(c) }

const (
	bucketMean = 24 // the table doubles its buckets if they have more cells, on average
	bucketStep = 8  // a full bucket grows by so many cells
)

func prefixOf(v sdk.Value) uint32 { return binary.BigEndian.Uint32(v[:]) }

// bucket returns the number of the bucket of a prefix.
func (o *order) bucket(prefix uint32) int { return int(uint64(prefix) << o.bits >> 32) }

// place returns the place of a value in its bucket, or the place where it belongs.
func (o *order) place(b []cell, v sdk.Value, valueOf func(Number) sdk.Value) (at int, ok bool) {
	prefix := prefixOf(v)
	at = sort.Search(len(b), func(i int) bool { return b[i].prefix() >= prefix })
	for ; at < len(b) && b[at].prefix() == prefix; at++ {
		other := valueOf(b[at].number())
		if c := compareValues(other, v); c >= 0 {
			return at, c == 0
		}
	}
	return at, false
}

func (o *order) find(v sdk.Value, valueOf func(Number) sdk.Value) (n Number, ok bool) {
	if o.count == 0 {
		return 0, false
	}
	b := o.buckets[o.bucket(prefixOf(v))]
	at, ok := o.place(b, v, valueOf)
	if !ok {
		return 0, false
	}
	return b[at].number(), true
}

func (o *order) add(v sdk.Value, n Number, valueOf func(Number) sdk.Value) {
	if o.count >= bucketMean*len(o.buckets) {
		o.double()
	}
	b := &o.buckets[o.bucket(prefixOf(v))]
	at, _ := o.place(*b, v, valueOf)
	if len(*b) == cap(*b) {
		*b = append(make([]cell, 0, len(*b)+max(bucketStep, len(*b)/4)), *b...)
	}
	*b = slices.Insert(*b, at, newCell(prefixOf(v), n))
	o.count++
}

// double splits each bucket into two.
func (o *order) double() {
	old := o.buckets
	if old == nil {
		o.buckets = make([][]cell, 1)
		return
	}
	o.bits++
	o.buckets = make([][]cell, 1<<o.bits)
	for n, b := range old {
		upper := func(i int) bool { return o.bucket(b[i].prefix()) == 2*n+1 }
		at := sort.Search(len(b), upper)
		o.buckets[2*n], o.buckets[2*n+1] = slices.Clone(b[:at]), slices.Clone(b[at:])
		old[n] = nil
	}
}

func (o *order) remove(v sdk.Value, valueOf func(Number) sdk.Value) {
	b := &o.buckets[o.bucket(prefixOf(v))]
	at, _ := o.place(*b, v, valueOf)
	*b = slices.Delete(*b, at, at+1)
	o.count--
}

// behind yields all numbers in the order of their values: those behind a value, or all if it is nil.
func (o *order) behind(v *sdk.Value, valueOf func(Number) sdk.Value) iter.Seq[Number] {
	return func(yield func(Number) bool) {
		first, skip := 0, 0
		if v != nil && o.count > 0 {
			first = o.bucket(prefixOf(*v))
			at, ok := o.place(o.buckets[first], *v, valueOf)
			if skip = at; ok {
				skip++
			}
		}
		for _, b := range o.buckets[min(first, len(o.buckets)):] {
			for _, c := range b[skip:] {
				if !yield(c.number()) {
					return
				}
			}
			skip = 0
		}
	}
}

func compareValues(a, b sdk.Value) int { return bytes.Compare(a[:], b[:]) }
