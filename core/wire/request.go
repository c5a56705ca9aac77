package wire

import (
	"strings"

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
	Number     uint64 // chosen by the client, not 0, not in flight on this connection
	Limit      uint32 // most results; 0: as many as the index may return
	Collection string // MaxIdentifier bytes at most
	Index      string // MaxIdentifier bytes at most
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
	h.Number, h.Limit = r.U64(), r.U32()
	r.Require(r.U32() == 0)
	h.Collection, h.Index = r.Text(MaxIdentifier), r.Text(MaxIdentifier)
	r.Copy(h.Identity[:])
	// int is 64 bits wide on every platform that Motte runs on, so the sum of
	// three 32-bit lengths can't wrap.
	h.NameLen, h.QueryLen, h.ObjectLen = int(r.U32()), int(r.U32()), int(r.U32())
	r.Require(r.U32() == 0 && h.Number != 0)
	if r.Done() != nil {
		return Header{}, Malformed
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

// Attribute is an index input given beside an object: the bytes go to the
// index of that name and nowhere else.
type Attribute struct {
	Index string
	Data  []byte
}

// MaxAttributes bounds the attributes of one PUT: one for each index that a
// collection can have.
const MaxAttributes = 16

// DecodeAttributes reads the sub-query of a PUT, for each attribute
// index 32 | len(data) 4 | data …; the result aliases p. Two attributes for
// one index are malformed.
func DecodeAttributes(p []byte) ([]Attribute, error) {
	r := frame.NewReader(p)
	var list []Attribute
	for r.Len() > 0 {
		a := Attribute{Index: r.Text(MaxIdentifier), Data: r.Take(int(r.U32()))}
		r.Require(len(list) < MaxAttributes && ValidIdentifier(a.Index))
		for _, b := range list {
			r.Require(b.Index != a.Index)
		}
		list = append(list, a)
	}
	if err := r.Done(); err != nil {
		return nil, err
	}
	return list, nil
}

// BatchOp is one operation of an atomic batch: OpPut or OpDelete.
type BatchOp struct {
	Op       Operation
	Flags    Flags
	Identity Identity // to delete, or the precondition
	Name     []byte
	Query    []byte // attributes
	Object   []byte
}

// DecodeBatch reads the object part of an OpBatch, for each operation
//
//	operation 1 | flags 1 | len(name) 2 | len(attributes) 4 | len(object) 4
//	identity 32 | name … | attributes … | object …
//
// The result aliases p. It holds at least one operation and at most MaxBatch.
func DecodeBatch(p []byte) ([]BatchOp, error) {
	r := frame.NewReader(p)
	r.Require(len(p) > 0)
	var ops []BatchOp
	for r.Len() > 0 {
		var o BatchOp
		o.Op, o.Flags = Operation(r.U8()), Flags(r.U8())
		name, query, object := int(r.U16()), int(r.U32()), int(r.U32())
		r.Copy(o.Identity[:])
		r.Require(len(ops) < MaxBatch && name <= MaxName && query <= MaxSubQuery)
		r.Require(o.Op == OpPut || o.Op == OpDelete)
		o.Name, o.Query, o.Object = r.Take(name), r.Take(query), r.Take(object)
		ops = append(ops, o)
	}
	if err := r.Done(); err != nil {
		return nil, err
	}
	return ops, nil
}

// Row is a Task's row in the API format table (paper, section 5): what the
// Core lets the Task receive and answer. It is fixed when the Task is
// registered; every Task frame is checked against it before its length is
// believed.
type Row struct {
	Measurement [32]byte // SHA-256 of the Task's executable
	Operations  TaskOps
	Type        DataType // of its inputs; TypeAny: each index says so itself
	Ordered     bool     // an index may keep the Task's order
	MaxInput    uint32   // bytes; larger inputs are stored and not indexed; at most MaxObject
	MaxResults  uint32   // identities in one answer; at most MaxResultsLimit
	Deadline    uint32   // milliseconds to confirm a write or answer a query; at most MaxDeadline
	Memory      uint64   // bytes of address space or data, as the sandbox can limit it
	LeakBudget  uint64   // bits that one principal may draw through one index since the Core started; 0: not capped
}

// TaskOps is the set of operations that a Task may answer, a bit for each.
type TaskOps uint8

// The operations of a Task.
const (
	TaskSearch TaskOps = 1 << OpSearch
	TaskCount  TaskOps = 1 << OpCount
	TaskDelete TaskOps = 1 << OpDeleteWhere
	taskOpsAll         = TaskSearch | TaskCount | TaskDelete
)

// Limits of a row.
const (
	MaxResultsLimit = 1 << 20 // identities: 32 MiB of answer
	MaxDeadline     = 600_000 // milliseconds
	RowSize         = 64      // bytes
)

// AppendRow appends the fixed layout of a row:
//
//	measurement 32 | operations 1 | data type 1 | ordered 1 | reserved 1
//	max input 4 | max results 4 | deadline 4 | memory 8 | leak budget 8
func AppendRow(p []byte, w *Row) []byte {
	b := frame.Writer(p).Bytes(w.Measurement[:]).U8(byte(w.Operations), byte(w.Type)).Bool(w.Ordered).U8(0)
	return b.U32(w.MaxInput).U32(w.MaxResults).U32(w.Deadline).U64(w.Memory).U64(w.LeakBudget)
}

// DecodeRow reads a row and refuses one without sense: no operation, no
// results, no deadline, or a value over its limit.
func DecodeRow(p []byte) (w Row, err error) {
	r := frame.NewReader(p)
	r.Copy(w.Measurement[:])
	w.Operations, w.Type, w.Ordered = TaskOps(r.U8()), DataType(r.U8()), r.Bool()
	r.Require(r.U8() == 0)
	w.MaxInput, w.MaxResults, w.Deadline = r.U32(), r.U32(), r.U32()
	w.Memory, w.LeakBudget = r.U64(), r.U64()
	r.Require(w.Operations != 0 && w.Operations&^taskOpsAll == 0 && w.Type < typeEnd)
	r.Require(w.MaxInput > 0 && w.MaxInput <= MaxObject)
	r.Require(w.MaxResults > 0 && w.MaxResults <= MaxResultsLimit)
	r.Require(w.Deadline > 0 && w.Deadline <= MaxDeadline && w.Memory > 0)
	return w, r.Done()
}
