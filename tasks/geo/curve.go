package main

import "math"

// The curve of Morton: bits of x and y in turn, from the highest. Both have 32 bits, so a step is
// less than a centimetre.
const (
	axisBits = 32
	xUnits   = (1 << axisBits) / 360.0 // steps in a degree of longitude
	yUnits   = (1 << axisBits) / 180.0 // steps in a degree of latitude
)

// margin makes up for rounding between degrees and steps, in degrees.
const margin = 1e-9

// keyOf returns the place of a point on the curve.
func keyOf(p point) uint64 {
	x := min(max((p.X+180)*xUnits, 0), math.MaxUint32)
	y := min(max((p.Y+90)*yUnits, 0), math.MaxUint32)
	return spread(uint32(x)) | spread(uint32(y))<<1
}

// spread puts a zero before each bit.
func spread(n uint32) uint64 {
	v := uint64(n)
	v = (v | v<<16) & 0x0000ffff0000ffff
	v = (v | v<<8) & 0x00ff00ff00ff00ff
	v = (v | v<<4) & 0x0f0f0f0f0f0f0f0f
	v = (v | v<<2) & 0x3333333333333333
	v = (v | v<<1) & 0x5555555555555555
	return v
}

// gather is the inverse of spread. It ignores every second bit.
func gather(v uint64) uint32 {
	v &= 0x5555555555555555
	v = (v | v>>1) & 0x3333333333333333
	v = (v | v>>2) & 0x0f0f0f0f0f0f0f0f
	v = (v | v>>4) & 0x00ff00ff00ff00ff
	v = (v | v>>8) & 0x0000ffff0000ffff
	v = (v | v>>16) & 0x00000000ffffffff
	return uint32(v)
}

// Layer 0 has the points. Layer n has the shapes whose boxes are at most extents[n] degrees high and
// wide, and larger than the layer before allows.
const layerCount = 11

var extents = func() (e [layerCount]float64) {
	for n := 1; n < layerCount; n++ {
		e[n] = 360 / float64(uint(1)<<(2*(layerCount-1-n)))
	}
	return e
}()

// layerOf returns the layer of a box.
func layerOf(b box) int {
	size := max(b.max.X-b.min.X, b.max.Y-b.min.Y)
	n := 0
	for n < layerCount-1 && size > extents[n] {
		n++
	}
	return n
}

// cell is a cell of the quadtree of a layer: the keys that begin with the same 2*level bits.
type cell struct {
	layer int
	low   uint64 // the first key
	level uint
}

// high returns the last key of a cell.
func (c cell) high() uint64 { return c.low | math.MaxUint64>>(2*c.level) }

// children returns the four quarters of a cell, in the order of the curve.
func (c cell) children() (q [4]cell) {
	for i := range q {
		q[i] = cell{c.layer, c.low | uint64(i)<<(2*(axisBits-c.level-1)), c.level + 1}
	}
	return q
}

// isPoint reports whether the cell can't be divided.
func (c cell) isPoint() bool { return c.level == axisBits }

// box returns a box that holds all geometries of a cell.
func (c cell) box() box {
	x, y := float64(gather(c.low)), float64(gather(c.low>>1))
	size := float64(uint64(1) << (axisBits - c.level))
	reach := extents[c.layer] + margin
	return box{
		min: point{X: x/xUnits - 180 - margin, Y: y/yUnits - 90 - margin},
		max: point{X: min((x+size)/xUnits-180+reach, 180), Y: min((y+size)/yUnits-90+reach, 90)},
	}
}
