// Package codec reads and writes fixed layouts. All formats of the Core consist of them:
// client frames, Task frames, host messages, log records.
//
// Guarantees:
//
//  1. A Reader never reads outside its input. It allocates only the string of Text.
//     A method that fails returns zero, and the Reader remembers the failure.
//  2. After a failure every method returns zero. So a decoder reads all its fields in
//     order, and calls Done once, at the end.
//  3. All integers are big-endian. A Writer writes what a Reader reads.
//
// The package does not know the meaning of the fields.
package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// ErrMalformed is the only error of decoders that use a Reader: the input is too short,
// too long, or has a value that the format does not allow.
var ErrMalformed = errors.New("malformed")

// Reader takes fields off the front of a byte slice. The zero value reads an
// empty input.
type Reader struct {
	rest []byte
	bad  bool
}

// NewReader returns a Reader over p, which it does not copy.
func NewReader(p []byte) *Reader { return &Reader{rest: p} }

// Take returns the next n bytes, aliasing the input, or nil if fewer are left.
func (r *Reader) Take(n int) (p []byte) {
	if r.Require(n >= 0 && n <= len(r.rest)); !r.bad {
		p, r.rest = r.rest[:n:n], r.rest[n:]
	}
	return p
}

// Copy fills dst with the next len(dst) bytes, or leaves it as it is.
func (r *Reader) Copy(dst []byte) { copy(dst, r.Take(len(dst))) }

// U8 reads one byte.
func (r *Reader) U8() uint8 { return uint8(r.number(1)) }

// U16 reads two bytes.
func (r *Reader) U16() uint16 { return uint16(r.number(2)) }

// U32 reads four bytes.
func (r *Reader) U32() uint32 { return uint32(r.number(4)) }

// U64 reads eight bytes.
func (r *Reader) U64() uint64 { return r.number(8) }

func (r *Reader) number(width int) (n uint64) {
	for _, b := range r.Take(width) {
		n = n<<8 | uint64(b)
	}
	return n
}

// Bool reads one byte, 0 or 1.
func (r *Reader) Bool() bool {
	b := r.U8()
	r.Require(b <= 1)
	return b == 1
}

// Text reads a field of width bytes: a string, padded with zero bytes. A zero byte
// inside the string is a failure, so each string has exactly one encoding.
func (r *Reader) Text(width int) string {
	p := bytes.TrimRight(r.Take(width), "\x00")
	if r.Require(bytes.IndexByte(p, 0) < 0); r.bad {
		return ""
	}
	return string(p)
}

// Zero reads n bytes, each of which must be zero.
func (r *Reader) Zero(n int) {
	r.Require(len(bytes.Trim(r.Take(n), "\x00")) == 0)
}

// Require notes a failure unless ok holds.
func (r *Reader) Require(ok bool) {
	if !ok {
		*r = Reader{bad: true}
	}
}

// Len returns the number of remaining bytes.
func (r *Reader) Len() int { return len(r.rest) }

// Rest returns all remaining bytes, aliasing the input.
func (r *Reader) Rest() []byte { return r.Take(r.Len()) }

// Done returns ErrMalformed if a method failed or bytes remain.
func (r *Reader) Done() error {
	if r.bad || len(r.rest) > 0 {
		return ErrMalformed
	}
	return nil
}

// Writer is a frame under construction. Each method returns it with one more field at the
// end.
type Writer []byte

// U8 appends single bytes.
func (w Writer) U8(b ...uint8) Writer { return append(w, b...) }

// Bool appends one byte, 0 or 1.
func (w Writer) Bool(b bool) Writer {
	if b {
		return append(w, 1)
	}
	return append(w, 0)
}

// U16 appends two bytes.
func (w Writer) U16(n uint16) Writer { return binary.BigEndian.AppendUint16(w, n) }

// U32 appends four bytes.
func (w Writer) U32(n uint32) Writer { return binary.BigEndian.AppendUint32(w, n) }

// U64 appends eight bytes.
func (w Writer) U64(n uint64) Writer { return binary.BigEndian.AppendUint64(w, n) }

// Bytes appends p as it is.
func (w Writer) Bytes(p []byte) Writer { return append(w, p...) }

// Zero appends n zero bytes.
func (w Writer) Zero(n int) Writer { return append(w, make([]byte, n)...) }

// Text appends s, padded with zero bytes to width. A longer s is cut, so callers check
// its length first.
func (w Writer) Text(s string, width int) Writer {
	s = s[:min(len(s), width)]
	return append(append(w, s...), make([]byte, width-len(s))...)
}
