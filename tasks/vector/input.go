package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"strconv"

	"motte/sdk/pointer"
)

// errInput says that a value is not a vector of the index.
var errInput = errors.New("not a vector of this index")

// maxMagnitude bounds a number of a vector. So no sum of products overflows: an infinite distance, or
// one that is no number, would have no place in an order.
const maxMagnitude = 1e15

// read returns the vector of an input, or nil if the input has none.
func (c *configuration) read(input []byte) (*point, error) {
	if c.path == nil {
		if len(input) == 0 {
			return nil, nil
		}
		return c.fromBytes(input)
	}
	value, ok, err := c.path.Find(input)
	if err != nil || !ok || string(value) == "null" {
		return nil, err
	}
	return c.fromJSON(value)
}

// fromJSON returns the vector that a valid JSON value stands for: an array of numbers, or a string
// with base64.
func (c *configuration) fromJSON(value []byte) (*point, error) {
	if value[0] == '"' {
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			return nil, errInput
		}
		return c.fromBase64([]byte(text))
	}
	v, ok := c.empty(), true
	n := 0
	isArray := pointer.Elements(value, func(e []byte) {
		if ok = ok && n < c.dimensions && c.number(v, n, e); ok {
			n++
		}
	})
	if !isArray || !ok || n != c.dimensions {
		return nil, errInput
	}
	return v, c.finish(v)
}

// number sets a number of a vector to a valid JSON value. It returns false if the value is not a
// number of the index.
func (c *configuration) number(v *point, n int, value []byte) bool {
	if value[0] != '-' && (value[0] < '0' || value[0] > '9') {
		return false
	}
	if c.element == int8Element {
		i, err := strconv.ParseInt(string(value), 10, 8)
		v.bytes[n] = uint8(i + int8Offset)
		return err == nil
	}
	f, err := strconv.ParseFloat(string(value), 32)
	v.floats[n] = float32(f)
	return err == nil
}

// fromBase64 returns the vector whose bytes a text encodes, as in RFC 4648, section 4, with padding.
func (c *configuration) fromBase64(text []byte) (*point, error) {
	if len(text) != base64.StdEncoding.EncodedLen(c.size()) {
		return nil, errInput
	}
	p := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(p, text)
	if err != nil {
		return nil, errInput
	}
	return c.fromBytes(p[:n])
}

// size returns the length of a vector in bytes.
func (c *configuration) size() int {
	if c.element == int8Element {
		return c.dimensions
	}
	return 4 * c.dimensions
}

// fromBytes returns the vector that bytes stand for: float32 in little-endian order, or int8.
func (c *configuration) fromBytes(p []byte) (*point, error) {
	if len(p) != c.size() {
		return nil, errInput
	}
	v := c.empty()
	for i := range v.bytes {
		v.bytes[i] = p[i] ^ int8Offset
	}
	for i := range v.floats {
		v.floats[i] = math.Float32frombits(binary.LittleEndian.Uint32(p[4*i:]))
	}
	return v, c.finish(v)
}

// empty returns a vector without values.
func (c *configuration) empty() *point {
	if c.element == int8Element {
		return &point{metric: c.metric, bytes: make([]uint8, c.dimensions)}
	}
	return &point{metric: c.metric, floats: make([]float32, c.dimensions)}
}

// finish checks the numbers of a vector, and prepares it for distances. A vector of float32 gets the
// length 1, if the metric is cosine.
func (c *configuration) finish(v *point) error {
	if c.element == int8Element {
		v.describe()
		if c.metric == cosine && v.norm == 0 {
			return errInput
		}
		return nil
	}
	if !finite(v.floats) {
		return errInput
	}
	if c.metric != cosine {
		return nil
	}
	sum := 0.0
	for _, f := range v.floats {
		sum += float64(f) * float64(f)
	}
	if sum == 0 {
		return errInput
	}
	scale := 1 / math.Sqrt(sum)
	for i, f := range v.floats {
		v.floats[i] = float32(float64(f) * scale)
	}
	return nil
}

// finite reports whether no number is over maxMagnitude.
func finite(floats []float32) bool {
	for _, f := range floats {
		if !(f >= -maxMagnitude && f <= maxMagnitude) {
			return false
		}
	}
	return true
}
