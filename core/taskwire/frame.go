// Package taskwire is the Core's side of the channel to a Task: the frames, what
// of them is believed, and how much an answer can tell.
//
// A Task is the attacker's (paper, section 4). So:
//
//  1. A frame from a Task is bounded by its type before its length is
//     believed: the longest has MaxAnswerFrame bytes, and fits a buffer that
//     exists before the frame arrives.
//  2. A frame carries numbers from fixed enumerations and identities, nothing
//     else; no byte of it is ever copied into a reply (Only-In-Never-Out).
//  3. Whoever sends a frame that is not allowed is not asked again: every
//     violation ends in quarantine.
//
// A frame is a header of HeaderSize bytes and a payload:
//
//	magic "MT" | version 1 | type 1 | len(payload) 4 | sequence number 8
//
// docs/reference/task-protocol.md is the full text.
package taskwire

import (
	"io"

	"motte/core/codec"
	"motte/core/identity"
	"motte/core/model"
)

// Version is the only version of the Task protocol spoken.
const Version = 1

// Sizes in bytes, and counts.
const (
	HeaderSize     = 16
	MaxChunk       = 4096 // identities in one frame; longer answers take several
	MaxAnswerFrame = HeaderSize + 1 + MaxChunk*identity.Size
	insertHead     = 8 + identity.Size
)

// Type says what a frame is.
type Type uint8

// Frames from the Core to a Task. Each has the next sequence number, counting
// from 1; a Task handles them in that order, as if one after the other.
const (
	Configure Type = 1 // first, once: data type 1 | ordered 1 | max results 4 | configuration …
	Insert    Type = 2 // LSN 8 | identity 32 | input …: replaces what the Task has under the same value
	Remove    Type = 3 // LSN 8 | identity 32: drops what the Task has under the same value, if anything
	Search    Type = 4 // limit 4 | predicate …
)

// Frames from a Task to the Core.
const (
	Applied Type = 64 // no payload: every Configure, Insert and Remove up to this sequence number is done
	Found   Type = 65 // more 1 | identities …: answers the Search of this sequence number
	Failed  Type = 66 // failure 1: the frame of this sequence number was refused
)

// Failure says what a Task refuses.
type Failure uint8

// The failures. A refused configuration ends the index; a refused input is
// not indexed, and Applied must still follow; a refused query is an answer.
const (
	FailConfiguration Failure = 1
	FailInput         Failure = 2
	FailQuery         Failure = 3
)

// Header is the fixed part of a frame.
type Header struct {
	Type Type
	Len  int // bytes of payload
	Seq  uint64
}

// AppendHeader appends a header to p.
func AppendHeader(p []byte, h Header) []byte {
	return codec.Writer(p).U8('M', 'T', Version, byte(h.Type)).U32(uint32(h.Len)).U64(h.Seq)
}

// DecodeHeader reads the header in the first HeaderSize bytes of p. It does
// not bound the length: see ReadAnswer.
func DecodeHeader(p []byte) (Header, error) {
	r := codec.NewReader(p)
	r.Require(string(r.Take(2)) == "MT" && r.U8() == Version)
	h := Header{Type: Type(r.U8()), Len: int(r.U32()), Seq: r.U64()}
	return h, r.Done()
}

// Answer is a frame from a Task, decoded and copied.
type Answer struct {
	Type    Type
	Seq     uint64
	More    bool          // Found: another frame of this answer follows
	Found   []identity.ID // Found: as the Task sent them; nothing is checked yet
	Failure Failure       // Failed
}

// allowed reports whether a Task may send a frame of this type and length.
func (h Header) allowed() bool {
	switch h.Type {
	case Applied:
		return h.Len == 0
	case Failed:
		return h.Len == 1
	case Found:
		return h.Len >= 1 && h.Len <= MaxAnswerFrame-HeaderSize && (h.Len-1)%identity.Size == 0
	}
	return false
}

// ReadAnswer reads a frame from a Task into buf, which has MaxAnswerFrame bytes; the
// result does not alias it. An unknown type, and a length that its type does not allow,
// are refused before the payload is read. io.EOF says that the channel ended between
// two frames.
func ReadAnswer(in io.Reader, buf []byte) (a Answer, err error) {
	if _, err = io.ReadFull(in, buf[:HeaderSize]); err != nil {
		return a, err
	}
	h, err := DecodeHeader(buf[:HeaderSize])
	if err != nil || !h.allowed() {
		return a, codec.ErrMalformed
	}
	if _, err = io.ReadFull(in, buf[:h.Len]); err != nil {
		return a, io.ErrUnexpectedEOF
	}
	r := codec.NewReader(buf[:h.Len])
	a.Type, a.Seq = h.Type, h.Seq
	switch h.Type {
	case Failed:
		a.Failure = Failure(r.U8())
		r.Require(a.Failure >= FailConfiguration && a.Failure <= FailQuery)
	case Found:
		a.More = r.Bool()
		a.Found = make([]identity.ID, r.Len()/identity.Size)
		for i := range a.Found {
			r.Copy(a.Found[i][:])
		}
	}
	return a, r.Done()
}

// AppendConfigure appends a Configure frame to p.
func AppendConfigure(p []byte, seq uint64, t model.DataType, ordered bool,
	maxResults uint32, config []byte) []byte {
	w := codec.Writer(AppendHeader(p, Header{Configure, 6 + len(config), seq}))
	return w.U8(byte(t)).Bool(ordered).U32(maxResults).Bytes(config)
}

// AppendInsertHead appends an Insert frame to p, but for its input of n bytes.
func AppendInsertHead(p []byte, seq, lsn uint64, id identity.ID, n int) []byte {
	w := codec.Writer(AppendHeader(p, Header{Insert, insertHead + n, seq}))
	return w.U64(lsn).Bytes(id[:])
}

// AppendRemove appends a Remove frame to p.
func AppendRemove(p []byte, seq, lsn uint64, id identity.ID) []byte {
	w := codec.Writer(AppendHeader(p, Header{Remove, insertHead, seq}))
	return w.U64(lsn).Bytes(id[:])
}

// AppendSearch appends a Search frame to p.
func AppendSearch(p []byte, seq uint64, limit uint32, predicate []byte) []byte {
	w := codec.Writer(AppendHeader(p, Header{Search, 4 + len(predicate), seq}))
	return w.U32(limit).Bytes(predicate)
}
