package main

import (
	"encoding/binary"

	"motte/sdk"
)

// directory is a hash table that finds the chunk of a value. A cell has the first 4 bytes of the value,
// which are random, and the number of the chunk. A value takes about 16 bytes.
type directory struct {
	cells []cell // 1<<bits of them
	bits  int
	count int
}

// cell is a cell of the table. An empty cell is 0.
type cell uint64

func newCell(v *sdk.Value, chunk uint32) cell {
	return cell(binary.BigEndian.Uint32(v[:]))<<32 | cell(chunk) + 1
}

func (c cell) chunk() uint32 { return uint32(c) - 1 }

// home returns the place where a cell belongs, if it is free.
func (d *directory) home(c cell) int { return int(uint64(c) >> (64 - d.bits)) }

func (d *directory) next(i int) int { return (i + 1) & (len(d.cells) - 1) }

// find returns the place of the first cell of a value for which is returns true, or -1.
func (d *directory) find(v *sdk.Value, is func(chunk uint32) bool) int {
	if d.count == 0 {
		return -1
	}
	want := newCell(v, 0)
	for i := d.home(want); d.cells[i] != 0; i = d.next(i) {
		if c := d.cells[i]; c>>32 == want>>32 && is(c.chunk()) {
			return i
		}
	}
	return -1
}

// add adds a value.
func (d *directory) add(v *sdk.Value, chunk uint32) {
	if d.count*4 >= len(d.cells)*3 {
		d.grow()
	}
	d.put(newCell(v, chunk))
	d.count++
}

func (d *directory) put(c cell) {
	i := d.home(c)
	for d.cells[i] != 0 {
		i = d.next(i)
	}
	d.cells[i] = c
}

// minBits is the logarithm of the fewest cells.
const minBits = 6

func (d *directory) grow() {
	old := d.cells
	d.bits = max(d.bits+1, minBits)
	d.cells = make([]cell, 1<<d.bits)
	for _, c := range old {
		if c != 0 {
			d.put(c)
		}
	}
}

// remove empties a cell. It moves later cells back, so that each can still be reached from its home.
func (d *directory) remove(free int) {
	d.count--
	for i := d.next(free); d.cells[i] != 0; i = d.next(i) {
		if home := d.home(d.cells[i]); between(free, home, i) {
			continue
		}
		d.cells[free] = d.cells[i]
		free = i
	}
	d.cells[free] = 0
}

// between reports whether home lies behind free, up to i, where the table is a ring.
func between(free, home, i int) bool {
	if free < i {
		return free < home && home <= i
	}
	return free < home || home <= i
}
