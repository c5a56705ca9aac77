package main

import (
	"math"
	"slices"
)

// slot is the number of a vector. A vector keeps its slot. The slot of a removed vector is used again.
type slot uint32

// point is a vector, prepared for distances. It has floats, or bytes.
type point struct {
	metric metric // of distances from it
	floats []float32
	bytes  []uint8 // int8 plus int8Offset: the library has distances of uint8
	sum    int64   // of bytes
	norm   float32 // of the int8 numbers
}

// int8Offset is added to a number of int8, to make it a uint8. It also is the bit by which the two
// differ.
const int8Offset = 128

// describe sets sum and norm.
func (p *point) describe() {
	squares := int64(0)
	p.sum = 0
	for _, b := range p.bytes {
		n := int64(b) - int8Offset
		squares += n * n
		p.sum += int64(b)
	}
	p.norm = float32(math.Sqrt(float64(squares)))
}

// equal reports whether two vectors have the same numbers.
func (p *point) equal(q *point) bool {
	return slices.Equal(p.floats, q.floats) && slices.Equal(p.bytes, q.bytes)
}

// arena holds arrays of the same length. It grows by chunks, so no array ever moves.
type arena[T any] struct {
	length int
	bits   int // a chunk has 1<<bits arrays
	chunks [][]T
}

// chunkSize is about the number of elements of a chunk.
const chunkSize = 1 << 18

func newArena[T any](length int) arena[T] {
	a := arena[T]{length: length}
	for length<<(a.bits+1) <= chunkSize {
		a.bits++
	}
	return a
}

// at returns an array.
func (a *arena[T]) at(n slot) []T {
	from := int(n&(1<<a.bits-1)) * a.length
	return a.chunks[n>>a.bits][from : from+a.length : from+a.length]
}

// cover grows the arena until it has the array.
func (a *arena[T]) cover(n slot) {
	for int(n>>a.bits) >= len(a.chunks) {
		a.chunks = append(a.chunks, make([]T, a.length<<a.bits))
	}
}

// vectors holds all vectors, and measures distances.
type vectors struct {
	links   metric // of the distances between two vectors
	element element
	floats  arena[float32]
	bytes   arena[uint8]
	sums    []int64   // of the bytes
	norms   []float32 // of the int8 numbers
	work    int       // numbers that were compared so far
}

// newVectors prepares for the vectors of a configuration. With the metric dot, the links between vectors
// are by l2. A vector with the largest product has a border with others there, so a walk comes to it. By
// dot, all vectors would link to the few longest.
func newVectors(c *configuration) vectors {
	x := vectors{links: c.metric, element: c.element, floats: newArena[float32](c.dimensions), bytes: newArena[uint8](c.dimensions)}
	if c.metric == dot {
		x.links = l2
	}
	return x
}

// set holds a vector in a slot.
func (x *vectors) set(n slot, p *point) {
	if x.element == float32Element {
		x.floats.cover(n)
		copy(x.floats.at(n), p.floats)
		return
	}
	x.bytes.cover(n)
	copy(x.bytes.at(n), p.bytes)
	for int(n) >= len(x.sums) {
		x.sums, x.norms = append(x.sums, 0), append(x.norms, 0)
	}
	x.sums[n], x.norms[n] = p.sum, p.norm
}

// at returns the vector in a slot.
func (x *vectors) at(n slot) point {
	if x.element == float32Element {
		return point{metric: x.links, floats: x.floats.at(n)}
	}
	return point{metric: x.links, bytes: x.bytes.at(n), sum: x.sums[n], norm: x.norms[n]}
}

// wipe overwrites the vector in a slot.
func (x *vectors) wipe(n slot) {
	if x.element == float32Element {
		clear(x.floats.at(n))
	} else {
		clear(x.bytes.at(n))
	}
}

// distance returns the distance between a vector and that in a slot. With the metric l2 it is the square
// of the distance, which has the same order: see shown.
func (x *vectors) distance(p *point, n slot) float32 {
	if x.element == int8Element {
		return x.int8Distance(p, n)
	}
	other := x.floats.at(n)
	x.work += len(other)
	switch p.metric {
	case l2:
		return squaredL2(p.floats, other)
	case dot:
		return -dotProduct(p.floats, other)
	}
	return 1 - dotProduct(p.floats, other)
}

func (x *vectors) int8Distance(p *point, n slot) float32 {
	other := x.bytes.at(n)
	x.work += len(other)
	if p.metric == l2 {
		return float32(squaredL2OfBytes(p.bytes, other))
	}
	// The sum of (a-128)(b-128).
	product := int64(dotProductOfBytes(p.bytes, other)) - int8Offset*(p.sum+x.sums[n]) + int8Offset*int8Offset*int64(len(other))
	if p.metric == dot {
		return -float32(product)
	}
	return 1 - float32(product)/(p.norm*x.norms[n])
}

// between returns the distance between the vectors in two slots.
func (x *vectors) between(a, b slot) float32 {
	p := x.at(a)
	return x.distance(&p, b)
}

// prefetched is the number of vectors that are loaded ahead. Memory takes longer to answer than the
// processor to compare a vector: a walk of wide searches takes two thirds of the time that it takes with
// one vector ahead.
const prefetched = 8

// distances sets the distances between a vector and those in some slots.
func (x *vectors) distances(p *point, list []slot, into []float32) {
	for _, n := range list[:min(prefetched, len(list))] {
		x.prefetch(n)
	}
	for i, n := range list {
		if i+prefetched < len(list) {
			x.prefetch(list[i+prefetched])
		}
		into[i] = x.distance(p, n)
	}
}

// prefetch lets the processor load a vector.
func (x *vectors) prefetch(n slot) {
	if x.element == int8Element {
		prefetch(x.bytes.at(n))
	} else {
		prefetch(x.floats.at(n))
	}
}

// shown returns the distance as a predicate names it.
func (m metric) shown(distance float32) float64 {
	if m == l2 {
		return math.Sqrt(float64(distance))
	}
	return float64(distance)
}
