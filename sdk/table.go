package sdk

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"

	"motte/core/identity"
)

// tag is the second half of an Identity.
type tag [identity.Size - identity.ValueSize]byte

// table is a set of identities, one for each value, in ascending order of the values. The first
// bits of a value say in which bucket it lies. The Core makes values at random, so all buckets
// have about the same size. An identity takes about 40 bytes, or half of that without its tag.
type table struct {
	untagged bool // the table holds values alone
	bits     int
	buckets  []bucket // 1<<bits of them
	count    int
}

// bucket has its values in ascending order, and the tag of each.
type bucket struct {
	values []Value
	tags   []tag
}

// Sizes of buckets, as numbers of identities.
const (
	bucketMean = 24 // the table doubles its buckets if the mean exceeds this
	bucketStep = 8  // a full bucket grows by this
)

func (t *table) bucketOf(v *Value) int {
	return int(binary.BigEndian.Uint64(v[:8]) >> (64 - t.bits))
}

// compareValues orders values by their bytes.
func compareValues(a, b *Value) int {
	high := cmp.Compare(binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(b[:8]))
	if high != 0 {
		return high
	}
	return cmp.Compare(binary.BigEndian.Uint64(a[8:]), binary.BigEndian.Uint64(b[8:]))
}

func lessValue(a, b *Value) bool { return compareValues(a, b) < 0 }

// find returns the place of a value, or the place where it should be.
func (b *bucket) find(v *Value) (at int, ok bool) {
	n := len(b.values)
	if n == 0 || lessValue(&b.values[n-1], v) {
		return n, false // the most frequent case, if values come in their order
	}
	low := 0
	for low < n {
		mid := int(uint(low+n) / 2)
		if lessValue(&b.values[mid], v) {
			low = mid + 1
		} else {
			n = mid
		}
	}
	return low, b.values[low] == *v
}

// put adds an identity in the place of the one with the same value, if the table has such.
func (t *table) put(id *Identity) (had bool) {
	if t.count >= bucketMean*len(t.buckets) {
		t.double()
	}
	v, g := Value(id[:len(Value{})]), tag(id[len(Value{}):])
	b := &t.buckets[t.bucketOf(&v)]
	at, had := b.find(&v)
	if had {
		if !t.untagged {
			b.tags[at] = g
		}
		return true
	}
	t.count++
	b.values = insert(b.values, at, v)
	if !t.untagged {
		b.tags = insert(b.tags, at, g)
	}
	return false
}

// insert is slices.Insert, except that a full slice grows by little.
func insert[T any](s []T, at int, x T) []T {
	if len(s) == cap(s) {
		s = append(make([]T, 0, len(s)+max(bucketStep, len(s)/4)), s...)
	}
	s = s[:len(s)+1]
	copy(s[at+1:], s[at:])
	s[at] = x
	return s
}

// reserve makes the buckets of an empty table for n identities.
func (t *table) reserve(n int) {
	if t.count == 0 && n > bucketMean {
		t.bits = bits.Len(uint(n/bucketMean)) - 1
		t.buckets = make([]bucket, 1<<t.bits)
	}
}

// double splits each bucket into two.
func (t *table) double() {
	if t.buckets == nil {
		t.buckets = make([]bucket, 1)
		return
	}
	old := t.buckets
	t.bits++
	t.buckets = make([]bucket, 1<<t.bits)
	for i := range old {
		b := &old[i]
		at := 0
		for at < len(b.values) && t.bucketOf(&b.values[at]) == 2*i {
			at++
		}
		t.buckets[2*i] = bucket{values: half(b.values[:at]), tags: half(b.tags[:min(at, len(b.tags))])}
		t.buckets[2*i+1] = bucket{values: half(b.values[at:]), tags: half(b.tags[min(at, len(b.tags)):])}
		*b = bucket{}
	}
}

// half copies a half of a bucket, with room for more.
func half[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return append(make([]T, 0, len(s)+bucketStep), s...)
}

// get returns the tag of the identity with a value.
func (t *table) get(v *Value) (g tag, ok bool) {
	if t.count == 0 {
		return g, false
	}
	b := &t.buckets[t.bucketOf(v)]
	at, ok := b.find(v)
	if ok && !t.untagged {
		g = b.tags[at]
	}
	return g, ok
}

func (t *table) has(v *Value) bool {
	_, ok := t.get(v)
	return ok
}

// drop removes the identity with a value.
func (t *table) drop(v *Value) (had bool) {
	if t.count == 0 {
		return false
	}
	b := &t.buckets[t.bucketOf(v)]
	at, had := b.find(v)
	if !had {
		return false
	}
	t.count--
	b.values = slices.Delete(b.values, at, at+1)
	if !t.untagged {
		b.tags = slices.Delete(b.tags, at, at+1)
	}
	return true
}

// dropThrough removes the identities whose values are not above v.
func (t *table) dropThrough(v *Value) {
	if t.count == 0 {
		return
	}
	last := t.bucketOf(v)
	for i := range t.buckets[:last] {
		t.count -= len(t.buckets[i].values)
		t.buckets[i] = bucket{}
	}
	b := &t.buckets[last]
	at, ok := b.find(v)
	if ok {
		at++
	}
	t.count -= at
	b.values = slices.Delete(b.values, 0, at)
	if !t.untagged {
		b.tags = slices.Delete(b.tags, 0, at)
	}
	if t.count == 0 {
		t.clear()
	}
}

// clear removes all identities, and frees their memory.
func (t *table) clear() { *t = table{untagged: t.untagged} }

// dropTags frees the tags. From then on the table holds values alone.
func (t *table) dropTags() {
	t.untagged = true
	for i := range t.buckets {
		t.buckets[i].tags = nil
	}
}

// ascend visits the identities from a value on, until visit returns false. The tag is nil if the
// table holds values alone. Nothing may change the table meanwhile.
func (t *table) ascend(from *Value, visit func(*Value, *tag) bool) {
	if t.count == 0 {
		return
	}
	first := t.bucketOf(from)
	for i := first; i < len(t.buckets); i++ {
		b, at := &t.buckets[i], 0
		if i == first {
			at, _ = b.find(from)
		}
		for ; at < len(b.values); at++ {
			var g *tag
			if !t.untagged {
				g = &b.tags[at]
			}
			if !visit(&b.values[at], g) {
				return
			}
		}
	}
}

// atLeast returns the first value that is not below v.
func (t *table) atLeast(v *Value) (first Value, ok bool) {
	t.ascend(v, func(found *Value, _ *tag) bool {
		first, ok = *found, true
		return false
	})
	return first, ok
}

// join returns the identity of a value and a tag.
func join(v *Value, g *tag) (id Identity) {
	copy(id[:], v[:])
	copy(id[len(v):], g[:])
	return id
}

// after returns the next value, or false if v is the highest.
func after(v Value) (Value, bool) {
	for i := len(v) - 1; i >= 0; i-- {
		v[i]++
		if v[i] != 0 {
			return v, true
		}
	}
	return v, false
}

// highest is the highest value.
var highest = Value(bytes.Repeat([]byte{0xff}, len(Value{})))
