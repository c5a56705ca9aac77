// Package frame reads and writes the fixed layouts of which every format of
// the Core is made: client frames, Task frames, control messages, log records.
//
// Guarantees:
//
//  1. A Reader never reads outside its input and never allocates: each method
//     either returns the bytes asked for or notes the failure and returns zero.
//  2. A failure sticks: after the first one every method returns zero, so a
//     decoder reads all its fields in order and asks Done once, at the end.
//  3. All integers are big-endian.
//
// The package knows nothing of what the bytes mean.
package frame

import (
	"encoding/binary"
	"errors"
)

// ErrMalformed is the one error of all decoders built on Reader: the input is
// too short, too long, or holds a value that the format does not allow.
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
func (r *Reader) Take(n int) []byte {
	if r.bad || n < 0 || n > len(r.rest) {
		r.bad = true
		return nil
	}
	p := r.rest[:n:n]
	r.rest = r.rest[n:]
	return p
}

// Copy fills dst with the next len(dst) bytes, or leaves it as it is.
func (r *Reader) Copy(dst []byte) { copy(dst, r.Take(len(dst))) }

// U8 reads one byte.
func (r *Reader) U8() uint8 {
	if p := r.Take(1); p != nil {
		return p[0]
	}
	return 0
}

// U16 reads two bytes.
func (r *Reader) U16() uint16 {
	if p := r.Take(2); p != nil {
		return binary.BigEndian.Uint16(p)
	}
	return 0
}

// U32 reads four bytes.
func (r *Reader) U32() uint32 {
	if p := r.Take(4); p != nil {
		return binary.BigEndian.Uint32(p)
	}
	return 0
}

// U64 reads eight bytes.
func (r *Reader) U64() uint64 {
	if p := r.Take(8); p != nil {
		return binary.BigEndian.Uint64(p)
	}
	return 0
}

// Text reads a field of width bytes that holds a string padded with zero
// bytes. A zero byte inside the string is a failure, so each string has one
// encoding.
func (r *Reader) Text(width int) string {
	p := r.Take(width)
	end := len(p)
	for end > 0 && p[end-1] == 0 {
		end--
	}
	for _, b := range p[:end] {
		r.Require(b != 0)
	}
	if r.bad {
		return ""
	}
	return string(p[:end])
}

// Require notes a failure unless ok holds.
func (r *Reader) Require(ok bool) {
	if !ok {
		r.bad = true
	}
}

// Len returns how many bytes are left.
func (r *Reader) Len() int {
	if r.bad {
		return 0
	}
	return len(r.rest)
}

// Rest takes all that is left.
func (r *Reader) Rest() []byte { return r.Take(r.Len()) }

// Err returns ErrMalformed if anything failed so far.
func (r *Reader) Err() error {
	if r.bad {
		return ErrMalformed
	}
	return nil
}

// Done returns ErrMalformed if anything failed or if bytes are left over.
func (r *Reader) Done() error {
	r.Require(len(r.rest) == 0)
	return r.Err()
}

// AppendText appends s to p, padded with zero bytes to width. A longer s is
// cut: callers bound it first.
func AppendText(p []byte, s string, width int) []byte {
	if len(s) > width {
		s = s[:width]
	}
	p = append(p, s...)
	return append(p, make([]byte, width-len(s))...)
}
