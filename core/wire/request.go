package wire

import (
	"motte/core/codec"
	"motte/core/identity"
	"motte/core/model"
)

// Request is a request: the uni-format header and the three parts of the body. The Core
// reads the header alone before it decides whether to accept the body.
type Request struct {
	Op                model.Operation
	Type              model.DataType
	Flags             Flags
	Number            uint64             // chosen by the client, not 0, not in flight on this connection
	Limit             uint32             // most results; 0: as many as the index may return
	Rights            model.Rights       // of OpGrant and OpRevoke
	Options           model.IndexOptions // of OpCreateIndex
	Collection, Index string             // MaxIdentifier bytes at most
	Identity          identity.ID        // of an object; a principal in operations on principals

	NameLen, QueryLen, ObjectLen int // bytes

	Name, Query, Object []byte // alias the decoded buffer
}

// BodyLen is the number of bytes that follow the header.
func (q *Request) BodyLen() int { return q.NameLen + q.QueryLen + q.ObjectLen }

// DecodeHeader reads a request header from the first RequestHeaderSize bytes of p. A code
// other than OK ends the connection. If this version does not have the operation or the
// data type, the operation is set to 0, which is invalid.
func DecodeHeader(p []byte) (q Request, code model.Code) {
	r := codec.NewReader(p)
	if string(r.Take(4)) != RequestMagic {
		return q, model.Malformed
	}
	if r.U8() != Version {
		return q, model.UnsupportedVersion
	}
	q.Op, q.Type, q.Flags = model.Operation(r.U8()), model.DataType(r.U8()), Flags(r.U8())
	q.Number, q.Limit = r.U64(), r.U32()
	q.Rights, q.Options = model.Rights(r.U8()), model.IndexOptions(r.U8())
	r.Zero(2)
	q.Collection, q.Index = r.Text(model.MaxIdentifier), r.Text(model.MaxIdentifier)
	r.Copy(q.Identity[:])
	// int has 64 bits on every platform of Motte, so the sum of three 32-bit lengths
	// can't overflow.
	q.NameLen, q.QueryLen, q.ObjectLen = int(r.U32()), int(r.U32()), int(r.U32())
	r.Require(r.U32() == 0 && q.Number != 0)
	switch {
	case r.Done() != nil:
		return Request{}, model.Malformed
	case q.NameLen > model.MaxName, q.QueryLen > model.MaxSubQuery, q.ObjectLen > model.MaxObject:
		return q, model.TooLarge
	case q.Op > model.LastOperation, q.Type > model.LastType:
		q.Op = 0
	}
	return q, model.OK
}

// SplitBody returns q with the parts of its body, which has q.BodyLen bytes.
func SplitBody(q Request, body []byte) Request {
	r := codec.NewReader(body)
	q.Name, q.Query, q.Object = r.Take(q.NameLen), r.Take(q.QueryLen), r.Take(q.ObjectLen)
	return q
}

// DecodeAttributes reads the sub-query of a PUT into a map from index to data. For each
// attribute the sub-query has
//
//	index 32 | len(data) 4 | data …
//
// An attribute is an input for the index of this name alone. The attributes are in the order
// of their indexes' names, each index at most once; every other order is malformed. So a set
// of attributes has one encoding, which the identity binds. The data alias p.
func DecodeAttributes(p []byte) (map[string][]byte, error) {
	r := codec.NewReader(p)
	attributes := make(map[string][]byte)
	previous := ""
	for r.Len() > 0 {
		index := r.Text(model.MaxIdentifier)
		data := r.Take(int(r.U32()))
		r.Require(index > previous && len(attributes) < MaxAttributes && model.ValidIdentifier(index))
		attributes[index] = data
		previous = index
	}
	return attributes, r.Done()
}

// DecodeAfter reads the object part of an OpSearch: the identities after which the answer
// begins, the last shown first. They are at most model.MaxAfter.
func DecodeAfter(p []byte) (list []identity.ID, err error) {
	r := codec.NewReader(p)
	r.Require(len(p) <= model.MaxAfter*identity.Size)
	for r.Len() > 0 {
		var id identity.ID
		r.Copy(id[:])
		list = append(list, id)
	}
	return list, r.Done()
}

// Wanted names an object of an OpGetMany: by its name or by its identity.
type Wanted struct {
	Name     []byte // empty: by identity
	Identity identity.ID
}

// DecodeGetMany reads the sub-query of an OpGetMany. For each object it has a name, or, if
// the length is 0, an identity:
//
//	len(name) 2 | name … or identity 32
//
// The result aliases p. It holds at least one object and at most MaxGetMany.
func DecodeGetMany(p []byte) (list []Wanted, err error) {
	r := codec.NewReader(p)
	r.Require(len(p) > 0)
	for r.Len() > 0 {
		var w Wanted
		length := int(r.U16())
		if w.Name = r.Take(length); length == 0 {
			r.Copy(w.Identity[:])
			r.Require(w.Identity != identity.ID{})
		}
		r.Require(len(list) < MaxGetMany && length <= model.MaxName)
		list = append(list, w)
	}
	return list, r.Done()
}

// DecodeBatch reads the object part of an OpBatch. For each operation, OpPut or OpDelete, it
// has the parts of a request:
//
//	operation 1 | flags 1 | len(name) 2 | len(attributes) 4 | len(object) 4
//	identity 32 | name … | attributes … | object …
//
// The result aliases p. It holds at least one operation and at most MaxBatch.
func DecodeBatch(p []byte) (ops []Request, err error) {
	r := codec.NewReader(p)
	r.Require(len(p) > 0)
	for r.Len() > 0 {
		q := Request{Op: model.Operation(r.U8()), Flags: Flags(r.U8())}
		q.NameLen, q.QueryLen, q.ObjectLen = int(r.U16()), int(r.U32()), int(r.U32())
		r.Copy(q.Identity[:])
		r.Require(len(ops) < MaxBatch && q.NameLen <= model.MaxName && q.QueryLen <= model.MaxSubQuery)
		r.Require(q.Op == model.OpPut || q.Op == model.OpDelete)
		ops = append(ops, SplitBody(q, r.Take(q.BodyLen())))
	}
	return ops, r.Done()
}
