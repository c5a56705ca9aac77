// Package taskwire is the Core's half of the protocol between the Core and a Task: it
// encodes the Core's frames and decodes those of a Task.
//
// The attacker controls every Task (paper, section 4). Invariants:
//
//  1. The type of a Task's frame bounds its length. The longest frame has MaxAnswerFrame
//     bytes, and fits a buffer that exists before the frame arrives.
//  2. A Task's frame holds identities and numbers from fixed enumerations. Only a Blob holds
//     other data. No byte of a frame is ever copied into a reply (Only-In-Never-Out): the Core
//     seals a Blob, and gives it to this Task alone.
//  3. Every frame that this package refuses ends in quarantine of the Task.
//
// A frame is a header of HeaderSize bytes and a payload. The number after a field is its size
// in bytes; … is the rest:
//
//	magic "MT" | version 1 | type 1 | len(payload) 4 | sequence number 8
//
// docs/reference/task-protocol.md describes the protocol in full.
package taskwire

import (
	"bytes"
	"io"

	"motte/core/codec"
	"motte/core/identity"
	"motte/core/model"
)

// Version is the only version of the Task protocol spoken.
const Version = 2

// Sizes in bytes, and counts.
const (
	HeaderSize     = 16
	MaxChunk       = 4096 // identities in one frame; longer answers take several
	MaxAnswerFrame = HeaderSize + 1 + MaxChunk*identity.Size
	MaxWithin      = 65536        // candidates in one Search: 2 MiB of the 4 MiB that may be on their way
	MaxBlob        = 128<<10 - 16 // bytes of a Blob
	MaxDropped     = 4096         // numbers in one Set
	MaxRuns        = 4096         // runs in one Runs frame
	MaxListed      = 4096         // identities in one List frame
	maxBitmap      = 4096 / 8
	configureHead  = 1 + 1 + 4 + 8
	removeHead     = 8 + identity.Size
	insertHead     = removeHead + 8
	searchHead     = 4 + 8 + 1 + 4
	runSize        = identity.ValueSize + 4 + tagSize
	tagSize        = identity.Size - identity.ValueSize
)

// Type is the type of a frame.
type Type uint8

// Frames from the Core to a Task. Their sequence numbers count from 1. A Task handles the
// frames as if one after the other, in the order of these numbers.
const (
	Configure Type = 1 // the first frame: data type 1 | ordered 1 | max results 4 | shelf 8 | configuration …
	Insert    Type = 2 // LSN 8 | identity 32 | owner 8 | input …: replaces the Task's entry of the same value
	Remove    Type = 3 // LSN 8 | identity 32: removes the Task's entry of the same value, if it has one
	Search    Type = 4 // limit 4 | owner 8 | n 1 | n identities | m 4 | m candidates | predicate …

	// The frames of the shelf. A Task without a shelf gets none of them.
	Stored Type = 5 // number 8 | blob …: a blob of the shelf. These frames follow the Configure
	Save   Type = 6 // room 4 | anew 1: asks for a Blob of room bytes at most, or for a Set
	Runs   Type = 7 // of each run: last value 16 | count 4 | sum 16: asks for a Differ
	List   Type = 8 // first value 16 | last value 16 | identities of 32 …: asks for a Lacks
	Void   Type = 9 // LSN 8 | identity 32: a Remove; the Task holds the identity without an entry
)

// Owner is the alias of an object's owner: a number that means nothing outside one index. A
// Search with an alias asks for the objects of this owner alone. It is a hint: the Core checks
// each object of the answer, so an answer with objects of other owners only costs time.
type Owner uint64

// AllOwners is the alias in a Search that asks for the objects of all owners.
const AllOwners Owner = 0

// Frames from a Task to the Core.
const (
	Applied Type = 64 // no payload: acknowledges each frame up to this sequence number that asks no question
	Found   Type = 65 // state 1 | identities …: answers the Search of this sequence number
	Failed  Type = 66 // failure 1: the frame of this sequence number was refused
	Blob    Type = 67 // number 8 | blob …: answers a Save
	Set     Type = 68 // state 1 | numbers of 8 …: answers a Save, and ends the saving
	Differ  Type = 69 // a bit for each run: answers a Runs
	Lacks   Type = 70 // a bit for each identity: answers a List
)

// State says whether a Found frame ends its answer, and whether more identities match.
type State uint8

// The states. An answer to a Search is any number of frames with StateContinues, then a frame
// with another state.
const (
	StateLast      State = 0 // the answer ends, and no more identities match
	StateContinues State = 1 // another frame of this answer follows
	StateMore      State = 2 // the answer ends at the limit of the Search, and more identities match
)

// Failure names the part that a Task refuses, or the reason.
type Failure uint8

// The failures. After a refused configuration the index is not built. A refused input is
// not indexed, and Applied must still acknowledge its frame. The others answer a Search.
const (
	FailConfiguration Failure = 1
	FailInput         Failure = 2
	FailQuery         Failure = 3 // the predicate is not understood
	FailExpensive     Failure = 4 // the query takes too much work now: see model.TooExpensive
	FailGone          Failure = 5 // the Task holds none of the identities after which it should continue
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

// DecodeHeader reads a header from the first HeaderSize bytes of p. It does not check the
// length: ReadAnswer does.
func DecodeHeader(p []byte) (Header, error) {
	r := codec.NewReader(p)
	r.Require(string(r.Take(2)) == "MT" && r.U8() == Version)
	h := Header{Type: Type(r.U8()), Len: int(r.U32()), Seq: r.U64()}
	return h, r.Done()
}

// Answer is a decoded frame from a Task.
type Answer struct {
	Type    Type
	Seq     uint64
	State   State         // Found
	Found   []identity.ID // Found: unchecked, as the Task sent them
	Failure Failure       // Failed
	Number  uint64        // Blob
	Blob    []byte        // Blob
	Changed bool          // Set: its state
	Dropped []uint64      // Set: in ascending order
	Bits    []byte        // Differ and Lacks: the first bit is the highest of the first byte
}

// allowed reports whether a Task may send a frame with this header.
func (h Header) allowed() bool {
	switch h.Type {
	case Applied:
		return h.Len == 0
	case Failed:
		return h.Len == 1
	case Found:
		return h.Len >= 1 && h.Len <= 1+MaxChunk*identity.Size && (h.Len-1)%identity.Size == 0
	case Blob:
		return h.Len > 8 && h.Len <= 8+MaxBlob
	case Set:
		return h.Len >= 1 && h.Len <= 1+MaxDropped*8 && (h.Len-1)%8 == 0
	case Differ, Lacks:
		return h.Len <= maxBitmap
	}
	return false
}

// ReadAnswer reads a frame from a Task into buf, which has MaxAnswerFrame bytes. The result
// does not alias buf. It refuses an unknown type or a wrong length before it reads the
// payload. io.EOF means that the channel ended between two frames.
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
	a.Type, a.Seq = h.Type, h.Seq
	r := codec.NewReader(buf[:h.Len])
	a.decode(r)
	return a, r.Done()
}

// decode reads the payload of a frame, whose length is allowed.
func (a *Answer) decode(r *codec.Reader) {
	switch a.Type {
	case Failed:
		a.Failure = Failure(r.U8())
		r.Require(a.Failure >= FailConfiguration && a.Failure <= FailGone)
	case Found:
		a.State = State(r.U8())
		r.Require(a.State <= StateMore)
		a.Found = make([]identity.ID, r.Len()/identity.Size)
		for i := range a.Found {
			r.Copy(a.Found[i][:])
		}
	case Blob:
		a.Number = r.U64()
		a.Blob = bytes.Clone(r.Rest())
	case Set:
		a.Changed = r.Bool()
		a.Dropped = make([]uint64, r.Len()/8)
		for i := range a.Dropped {
			a.Dropped[i] = r.U64()
			r.Require(a.Changed && (i == 0 || a.Dropped[i] > a.Dropped[i-1]))
		}
	case Differ, Lacks:
		a.Bits = bytes.Clone(r.Rest())
	}
}

// Configuration is the content of a Configure.
type Configuration struct {
	Type       model.DataType
	Ordered    bool
	MaxResults uint32
	Shelf      uint64 // bytes that the Task's blobs may take; 0: it has no shelf
	Config     []byte // by the maker of the index
}

// AppendConfigure appends a Configure frame to p.
func AppendConfigure(p []byte, seq uint64, c *Configuration) []byte {
	w := codec.Writer(AppendHeader(p, Header{Configure, configureHead + len(c.Config), seq}))
	return w.U8(byte(c.Type)).Bool(c.Ordered).U32(c.MaxResults).U64(c.Shelf).Bytes(c.Config)
}

// AppendInsertHead appends an Insert frame without its input, which has n bytes.
func AppendInsertHead(p []byte, seq, lsn uint64, id identity.ID, owner Owner, n int) []byte {
	w := codec.Writer(AppendHeader(p, Header{Insert, insertHead + n, seq}))
	return w.U64(lsn).Bytes(id[:]).U64(uint64(owner))
}

// AppendRemove appends a Remove frame to p.
func AppendRemove(p []byte, seq, lsn uint64, id identity.ID) []byte {
	return appendChange(p, Remove, seq, lsn, id)
}

func appendChange(p []byte, t Type, seq, lsn uint64, id identity.ID) []byte {
	w := codec.Writer(AppendHeader(p, Header{t, removeHead, seq}))
	return w.U64(lsn).Bytes(id[:])
}

// Query is the content of a Search. It has at most model.MaxAfter identities in After, and at most
// MaxWithin in Within.
type Query struct {
	Limit     uint32        // identities in the answer, at most
	Owner     Owner         // AllOwners: no hint
	After     []identity.ID // the answer begins after the first of these that the Task holds
	Within    []identity.ID // the answer needs only these, in ascending order; none: all. A hint, like Owner
	Predicate []byte
}

// AppendSearch appends a Search frame to p.
func AppendSearch(p []byte, seq uint64, q *Query) []byte {
	n := searchHead + (len(q.After)+len(q.Within))*identity.Size + len(q.Predicate)
	w := codec.Writer(AppendHeader(p, Header{Search, n, seq}))
	w = w.U32(q.Limit).U64(uint64(q.Owner)).U8(byte(len(q.After)))
	w = appendIDs(w, q.After).U32(uint32(len(q.Within)))
	return appendIDs(w, q.Within).Bytes(q.Predicate)
}

func appendIDs(w codec.Writer, ids []identity.ID) codec.Writer {
	for i := range ids {
		w = w.Bytes(ids[i][:])
	}
	return w
}
