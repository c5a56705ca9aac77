package wire

import (
	"strings"
	"time"

	"motte/core/frame"
	"motte/core/identity"
)

// Identity names one object with one content: value 16 bytes, tag 16 bytes.
// In operations on principals the same field holds a principal.
type Identity = identity.ID

// IdentitySize is the length of an Identity in bytes.
const IdentitySize = identity.Size

// Header is the uni-format request header: all that the Core reads of a
// request before it decides what to do with it.
type Header struct {
	Op         Operation
	Type       DataType
	Flags      Flags
	Number     uint64        // chosen by the client, not 0, not in flight on this connection
	Limit      uint32        // most results; 0: as many as the index may return
	Timeout    time.Duration // whole milliseconds; 0: the server's default
	Collection string        // MaxIdentifier bytes at most
	Index      string        // MaxIdentifier bytes at most
	Identity   Identity
	NameLen    int // bytes
	QueryLen   int // bytes
	ObjectLen  int // bytes
}

// BodyLen is the number of bytes that follow the header.
func (h *Header) BodyLen() int { return h.NameLen + h.QueryLen + h.ObjectLen }

// Request is a header and the three parts of its body. The parts of a decoded
// request alias the buffer that was decoded.
type Request struct {
	Header
	Name   []byte
	Query  []byte // sub-query: opaque to the Core
	Object []byte
}

// DecodeHeader reads a request header from the first RequestHeaderSize bytes
// of p. A code other than OK ends the connection, except TooLarge and
// InvalidRequest: then h is whole and h.BodyLen bytes can be skipped.
func DecodeHeader(p []byte) (h Header, code Code) {
	r := frame.NewReader(p)
	if string(r.Take(4)) != RequestMagic {
		return h, Malformed
	}
	if r.U8() != Version {
		return h, UnsupportedVersion
	}
	h.Op, h.Type, h.Flags = Operation(r.U8()), DataType(r.U8()), Flags(r.U8())
	h.Number, h.Limit, h.Timeout = r.U64(), r.U32(), time.Duration(r.U32())*time.Millisecond
	h.Collection, h.Index = r.Text(MaxIdentifier), r.Text(MaxIdentifier)
	r.Copy(h.Identity[:])
	// int is 64 bits wide on every platform that Motte runs on, so the sum of
	// three 32-bit lengths can't wrap.
	h.NameLen, h.QueryLen, h.ObjectLen = int(r.U32()), int(r.U32()), int(r.U32())
	r.Require(r.U32() == 0 && h.Number != 0)
	if r.Done() != nil {
		return h, Malformed
	}
	if h.NameLen > MaxName || h.QueryLen > MaxSubQuery || h.ObjectLen > MaxObject {
		return h, TooLarge
	}
	if !h.Op.Valid() || h.Type >= typeEnd {
		return h, InvalidRequest
	}
	return h, OK
}

// SplitBody returns the request whose header is h and whose body is body,
// which has h.BodyLen bytes.
func SplitBody(h Header, body []byte) Request {
	r := frame.NewReader(body)
	return Request{Header: h, Name: r.Take(h.NameLen), Query: r.Take(h.QueryLen), Object: r.Take(h.ObjectLen)}
}

// ValidIdentifier reports whether s may name a collection, an index or a
// Task: 1 to MaxIdentifier of a–z, 0–9, '_' and '-', the first a letter.
func ValidIdentifier(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	return s != "" && len(s) <= MaxIdentifier && strings.Contains(letters, s[:1]) &&
		strings.Trim(s, letters+"0123456789_-") == ""
}

// ValidLabel reports whether s may label a principal: 1 to MaxLabel printable
// ASCII characters without space.
func ValidLabel(s string) bool {
	unprintable := func(c rune) bool { return c <= ' ' || c > '~' }
	return s != "" && len(s) <= MaxLabel && !strings.ContainsFunc(s, unprintable)
}
