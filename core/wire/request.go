package wire

import (
	"strings"

	"motte/core/codec"
	"motte/core/identity"
)

// Request is the uni-format request header, which is all that the Core reads of a request
// before it decides what to do with it, and the three parts of its body.
type Request struct {
	Op                Operation
	Type              DataType
	Flags             Flags
	Number            uint64      // chosen by the client, not 0, not in flight on this connection
	Limit             uint32      // most results; 0: as many as the index may return
	Collection, Index string      // MaxIdentifier bytes at most
	Identity          identity.ID // in operations on principals: a principal

	NameLen, QueryLen, ObjectLen int // bytes

	Name, Query, Object []byte // alias the buffer that was decoded; the Query of a Task is opaque to the Core
}

// BodyLen is the number of bytes that follow the header.
func (q *Request) BodyLen() int { return q.NameLen + q.QueryLen + q.ObjectLen }

// DecodeHeader reads a request header from the first RequestHeaderSize bytes
// of p. A code other than OK ends the connection. If the operation is higher than all of
// this version, or the data type, then the operation is 0, which there is not.
func DecodeHeader(p []byte) (q Request, code Code) {
	r := codec.NewReader(p)
	if string(r.Take(4)) != RequestMagic {
		return q, Malformed
	}
	if r.U8() != Version {
		return q, UnsupportedVersion
	}
	q.Op, q.Type, q.Flags = Operation(r.U8()), DataType(r.U8()), Flags(r.U8())
	q.Number, q.Limit = r.U64(), r.U32()
	r.Require(r.U32() == 0)
	q.Collection, q.Index = r.Text(MaxIdentifier), r.Text(MaxIdentifier)
	r.Copy(q.Identity[:])
	// int is 64 bits wide on every platform that Motte runs on, so the sum of
	// three 32-bit lengths can't wrap.
	q.NameLen, q.QueryLen, q.ObjectLen = int(r.U32()), int(r.U32()), int(r.U32())
	r.Require(r.U32() == 0 && q.Number != 0)
	switch {
	case r.Done() != nil:
		return Request{}, Malformed
	case q.NameLen > MaxName, q.QueryLen > MaxSubQuery, q.ObjectLen > MaxObject:
		return q, TooLarge
	case q.Op > LastOperation, q.Type >= typeEnd:
		q.Op = 0
	}
	return q, OK
}

// SplitBody returns q with the parts of its body, which has q.BodyLen bytes.
func SplitBody(q Request, body []byte) Request {
	r := codec.NewReader(body)
	q.Name, q.Query, q.Object = r.Take(q.NameLen), r.Take(q.QueryLen), r.Take(q.ObjectLen)
	return q
}

// ValidIdentifier reports whether s may name a collection, an index or a
// Task: 1 to MaxIdentifier of a–z, 0–9, '_' and '-', the first a letter.
func ValidIdentifier(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	begins := strings.TrimLeft(s, letters) != s
	return len(s) <= MaxIdentifier && begins && strings.Trim(s, letters+"0123456789_-") == ""
}

// ValidLabel reports whether s may label a principal: 1 to MaxLabel printable
// ASCII characters without space.
func ValidLabel(s string) bool {
	unprintable := func(c rune) bool { return c <= ' ' || c > '~' }
	return s != "" && len(s) <= MaxLabel && !strings.ContainsFunc(s, unprintable)
}

// DecodeAttributes reads the sub-query of a PUT, for each attribute
// index 32 | len(data) 4 | data …, into a map from index to data. An attribute is
// an input given beside the object: it goes to the index of that name and nowhere
// else. The attributes stand in the order of their indexes' names, each once, so that
// a set of attributes has one encoding, which the identity binds. Another order is
// malformed. The data alias p.
func DecodeAttributes(p []byte) (map[string][]byte, error) {
	r := codec.NewReader(p)
	attributes := make(map[string][]byte)
	previous := ""
	for r.Len() > 0 {
		index := r.Text(MaxIdentifier)
		data := r.Take(int(r.U32()))
		r.Require(index > previous && len(attributes) < MaxAttributes && ValidIdentifier(index))
		attributes[index] = data
		previous = index
	}
	return attributes, r.Done()
}

// DecodeBatch reads the object part of an OpBatch: for each operation, which is
// OpPut or OpDelete, what a request for it alone would hold,
//
//	operation 1 | flags 1 | len(name) 2 | len(attributes) 4 | len(object) 4
//	identity 32 | name … | attributes … | object …
//
// The result aliases p. It holds at least one operation and at most MaxBatch.
func DecodeBatch(p []byte) (ops []Request, err error) {
	r := codec.NewReader(p)
	r.Require(len(p) > 0)
	for r.Len() > 0 {
		q := Request{Op: Operation(r.U8()), Flags: Flags(r.U8())}
		q.NameLen, q.QueryLen, q.ObjectLen = int(r.U16()), int(r.U32()), int(r.U32())
		r.Copy(q.Identity[:])
		r.Require(len(ops) < MaxBatch && q.NameLen <= MaxName && q.QueryLen <= MaxSubQuery)
		r.Require(q.Op == OpPut || q.Op == OpDelete)
		ops = append(ops, SplitBody(q, r.Take(q.BodyLen())))
	}
	return ops, r.Done()
}

// Quota is the most that a collection may hold, counted over all principals; 0 is no
// limit.
type Quota struct {
	Bytes   uint64 // of the objects' records as they are stored
	Objects uint64
}

// AppendQuota appends the encoding of a quota: bytes 8 | objects 8.
func AppendQuota(p []byte, q Quota) []byte { return codec.Writer(p).U64(q.Bytes).U64(q.Objects) }

// DecodeQuota reads a quota.
func DecodeQuota(p []byte) (q Quota, err error) {
	r := codec.NewReader(p)
	q.Bytes, q.Objects = r.U64(), r.U64()
	return q, r.Done()
}

// Row is a Task's row in the API format table (paper, section 5): what the
// Core lets the Task receive and answer. It is fixed when the Task is
// registered; every Task frame is checked against it before its length is
// believed.
type Row struct {
	Measurement [32]byte // SHA-256 of the Task's executable
	Operations  uint8    // that the Task answers: bit o stands for Operation o
	Type        DataType // of its inputs; TypeAny: each index says so itself
	Ordered     bool     // an index may keep the Task's order
	MaxInput    uint32   // bytes; larger inputs are stored and not indexed; at most MaxObject
	MaxResults  uint32   // identities in one answer; at most MaxResultsLimit
	Deadline    uint32   // milliseconds to confirm a write or answer a query; at most MaxDeadline
	Memory      uint64   // bytes of address space or data, as the sandbox can limit it
	LeakBudget  uint64   // bits that one principal may draw through one index; 0: not capped
	IndexBudget uint64   // bits that all principals together may draw through one index; 0: not capped
}

// DecodeRow reads the fixed layout of a row,
//
//	measurement 32 | operations 1 | data type 1 | ordered 1 | reserved 1
//	max input 4 | max results 4 | deadline 4 | memory 8 | leak budget 8
//	index budget 8
//
// and refuses one without sense: no operation, no results, no deadline, or a value over
// its limit.
func DecodeRow(p []byte) (w Row, err error) {
	r := codec.NewReader(p)
	r.Copy(w.Measurement[:])
	w.Operations, w.Type, w.Ordered = r.U8(), DataType(r.U8()), r.Bool()
	r.Require(r.U8() == 0)
	w.MaxInput, w.MaxResults, w.Deadline = r.U32(), r.U32(), r.U32()
	w.Memory, w.LeakBudget, w.IndexBudget = r.U64(), r.U64(), r.U64()
	r.Require(w.Operations != 0 && w.Operations&^(1<<OpSearch|1<<OpCount|1<<OpDeleteWhere) == 0)
	r.Require(w.Type < typeEnd)
	r.Require(w.MaxInput > 0 && w.MaxInput <= MaxObject)
	r.Require(w.MaxResults > 0 && w.MaxResults <= MaxResultsLimit)
	r.Require(w.Deadline > 0 && w.Deadline <= MaxDeadline && w.Memory > 0)
	return w, r.Done()
}
