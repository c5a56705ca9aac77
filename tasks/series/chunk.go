package main

import (
	"encoding/binary"
	"math"
	"math/bits"

	"motte/sdk"
)

// chunkSize is the most objects of a chunk. An insertion decodes and encodes one chunk.
const chunkSize = 128

// chunk is a part of a series.
type chunk struct {
	series *series
	number uint32 // in chunks
	first  int64  // time of the first object
	ids    []sdk.Identity
	text   []byte // the samples: see encode
}

// encode writes samples. Of a time it writes the difference of differences, as a varint: a byte, if
// times are regular. Of a value it writes the bits that differ from the value before, from the last to
// the first: few bytes, if values are similar, or have few digits.
func encode(samples []sample) []byte {
	var buffer [chunkSize * 2 * binary.MaxVarintLen64]byte
	to := buffer[:0]
	var last, step int64
	var value uint64
	for _, s := range samples {
		to = binary.AppendVarint(to, s.time-last-step)
		step, last = s.time-last, s.time
		v := math.Float64bits(s.value)
		to = binary.AppendUvarint(to, bits.Reverse64(v^value))
		value = v
	}
	return append(make([]byte, 0, len(to)), to...)
}

// samples reads the samples of a chunk into a buffer.
func (c *chunk) samples(buffer []sample) []sample {
	buffer = buffer[:0]
	var last, step int64
	var value uint64
	text := c.text
	for range c.ids {
		d, n := binary.Varint(text)
		v, m := binary.Uvarint(text[n:])
		text = text[n+m:]
		step += d
		last += step
		value ^= bits.Reverse64(v)
		buffer = append(buffer, sample{last, math.Float64frombits(value)})
	}
	return buffer
}

// set gives the chunk its samples.
func (c *chunk) set(samples []sample) {
	c.first, c.text = samples[0].time, encode(samples)
}

// at returns the place of the object with a value.
func (c *chunk) at(v *sdk.Value) (int, bool) {
	for i := range c.ids {
		if sdk.Value(c.ids[i][:len(v)]) == *v {
			return i, true
		}
	}
	return 0, false
}

// chunks numbers all chunks.
type chunks struct {
	list []*chunk
	free []uint32
}

func (s *chunks) add(c *chunk) {
	if last := len(s.free) - 1; last >= 0 {
		c.number = s.free[last]
		s.free = s.free[:last]
		s.list[c.number] = c
		return
	}
	c.number = uint32(len(s.list))
	s.list = append(s.list, c)
}

func (s *chunks) remove(c *chunk) {
	s.list[c.number] = nil
	s.free = append(s.free, c.number)
}
