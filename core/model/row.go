package model

import "motte/core/codec"

// Row is a Task's row in the API format table (paper, section 5): the inputs and answers
// that the Core allows. It is set when the Task is registered.
type Row struct {
	Measurement [32]byte // SHA-256 of the Task's executable
	Operations  uint8    // that the Task answers: bit n stands for Operation n
	Type        DataType // of its inputs; TypeAny: each index has a type of its own
	Ordered     bool     // an index may keep the Task's order
	MaxInput    uint32   // bytes; larger inputs are stored and not indexed; at most MaxObject
	MaxResults  uint32   // identities in one answer; at most MaxResultsLimit
	Deadline    uint32   // milliseconds to acknowledge a write or answer a query; at most MaxDeadline
	Memory      uint64   // bytes of data that the process may allocate
	LeakBudget  uint64   // bits that one principal may draw through one index; 0: not capped
	IndexBudget uint64   // bits that all principals together may draw through one index; 0: not capped
	Shelf       uint64   // bytes that the blobs of one index may take; 0: no blobs; at most MaxShelf
}

// RowSize is the size of an encoded row in bytes.
const RowSize = 80

// DecodeRow reads the fixed layout of a row,
//
//	measurement 32 | operations 1 | data type 1 | ordered 1 | reserved 1
//	max input 4 | max results 4 | deadline 4 | memory 8 | leak budget 8
//	index budget 8 | shelf 8
//
// and refuses a row without an operation, results, a deadline or memory, and values over
// their limits.
func DecodeRow(p []byte) (w Row, err error) {
	r := codec.NewReader(p)
	r.Copy(w.Measurement[:])
	w.Operations, w.Type, w.Ordered = r.U8(), DataType(r.U8()), r.Bool()
	r.Require(r.U8() == 0)
	w.MaxInput, w.MaxResults, w.Deadline = r.U32(), r.U32(), r.U32()
	w.Memory, w.LeakBudget, w.IndexBudget = r.U64(), r.U64(), r.U64()
	w.Shelf = r.U64()
	r.Require(w.Operations != 0 && w.Operations&^(1<<OpSearch|1<<OpCount|1<<OpDeleteWhere) == 0)
	r.Require(w.Type <= LastType)
	r.Require(w.MaxInput > 0 && w.MaxInput <= MaxObject)
	r.Require(w.MaxResults > 0 && w.MaxResults <= MaxResultsLimit)
	r.Require(w.Deadline > 0 && w.Deadline <= MaxDeadline && w.Memory > 0 && w.Shelf <= MaxShelf)
	return w, r.Done()
}

// Quota limits the size of a collection, counted over all principals. A limit of 0 does not
// apply.
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
