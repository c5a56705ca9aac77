// Package frames is the client's half of the protocol of package wire. It encodes requests
// and decodes answers. It is not part of the Core, so it need not be trusted.
package frames

import (
	"motte/core/codec"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/wire"
)

// AppendRequest appends the frame of r to p. It takes the lengths from the parts, not from
// the length fields of r. The caller keeps within the limits.
func AppendRequest(p []byte, r *wire.Request) []byte {
	return codec.Writer(p).Bytes([]byte(wire.RequestMagic)).U8(wire.Version, byte(r.Op), byte(r.Type), byte(r.Flags)).
		U64(r.Number).U32(r.Limit).U8(byte(r.Rights), byte(r.Options)).Zero(2).
		Text(r.Collection, model.MaxIdentifier).Text(r.Index, model.MaxIdentifier).Bytes(r.Identity[:]).
		U32(uint32(len(r.Name))).U32(uint32(len(r.Query))).U32(uint32(len(r.Object))).U32(0).
		Bytes(r.Name).Bytes(r.Query).Bytes(r.Object)
}

// AppendAttribute appends one attribute, the input for the index of that name:
// index 32 | len(data) 4 | data …. A PUT has its attributes in the order of the index names.
func AppendAttribute(p []byte, index string, data []byte) []byte {
	return codec.Writer(p).Text(index, model.MaxIdentifier).U32(uint32(len(data))).Bytes(data)
}

// AppendBatchOp appends one operation, OpPut or OpDelete, to the object part of an OpBatch.
// The operations share all other fields of the batch's request.
//
//	operation 1 | flags 1 | len(name) 2 | len(attributes) 4 | len(object) 4
//	identity 32 | name … | attributes … | object …
func AppendBatchOp(p []byte, o *wire.Request) []byte {
	return codec.Writer(p).U8(byte(o.Op), byte(o.Flags)).U16(uint16(len(o.Name))).
		U32(uint32(len(o.Query))).U32(uint32(len(o.Object))).Bytes(o.Identity[:]).
		Bytes(o.Name).Bytes(o.Query).Bytes(o.Object)
}

// AppendWantedName appends an object that is asked for by name, of 1 byte at least, to the
// sub-query of an OpGetMany: len(name) 2 | name ….
func AppendWantedName(p, name []byte) []byte {
	return codec.Writer(p).U16(uint16(len(name))).Bytes(name)
}

// AppendWantedIdentity appends one that is asked for by identity: zero 2 | identity 32.
func AppendWantedIdentity(p []byte, id identity.ID) []byte {
	return codec.Writer(p).U16(0).Bytes(id[:])
}

// AppendIdentities appends identities, one after the other: the object part of an OpSearch,
// or the body of an Identities frame.
func AppendIdentities(p []byte, list []identity.ID) []byte {
	for _, id := range list {
		p = append(p, id[:]...)
	}
	return p
}

// AppendRow appends the fixed layout of a row: see model.DecodeRow.
func AppendRow(p []byte, w *model.Row) []byte {
	ordered := byte(0)
	if w.Ordered {
		ordered = 1
	}
	return codec.Writer(p).Bytes(w.Measurement[:]).U8(w.Operations, byte(w.Type), ordered, 0).
		U32(w.MaxInput).U32(w.MaxResults).U32(w.Deadline).U64(w.Memory).U64(w.LeakBudget).U64(w.IndexBudget).
		U64(w.Shelf)
}

// The operations in a Task's row, one bit for each.
const (
	TaskSearch = 1 << model.OpSearch
	TaskCount  = 1 << model.OpCount
	TaskDelete = 1 << model.OpDeleteWhere
)

// MaxReplyBody bounds the body of a reply in bytes.
const MaxReplyBody = model.MaxObject + model.MaxName + 64

const headSize = 40 // bytes

// ValidOperation reports whether o is an operation of this version.
func ValidOperation(o model.Operation) bool {
	return o >= model.OpPut && o <= model.OpGetMany || o >= model.OpCreateCollection && o <= model.OpConfiguration ||
		o >= model.OpStatus && o <= model.LastOperation
}

// ValidCode reports whether c is a code of this version.
func ValidCode(c model.Code) bool {
	return c <= model.LastCode
}

// DecodeReplyHeader reads a reply header from p, which has wire.ReplyHeaderSize bytes. The
// code is model.OK, model.Malformed or model.UnsupportedVersion.
func DecodeReplyHeader(p []byte) (h wire.ReplyHeader, code model.Code) {
	r := codec.NewReader(p)
	if magic := r.Take(4); string(magic) != wire.ReplyMagic {
		return h, model.Malformed
	}
	if r.U8() != wire.Version {
		return h, model.UnsupportedVersion
	}
	h.Kind, h.Code, h.Flags = wire.Kind(r.U8()), model.Code(r.U8()), wire.ReplyFlags(r.U8())
	h.Number = r.U64()
	h.BodyLen = int(r.U32())
	h.Count = r.U32()
	h.Head, _ = model.DecodeHead(r.Take(headSize))
	r.Require(h.Kind >= wire.KindEnd && h.Kind <= wire.KindExplain && ValidCode(h.Code) && h.BodyLen <= MaxReplyBody)
	if r.Done() != nil {
		return h, model.Malformed
	}
	return h, model.OK
}

// Object is the body of a KindObject frame.
type Object struct {
	Identity identity.ID
	Name     []byte // empty if it was put without a name
	Data     []byte
}

// DecodeObject reads the body of a KindObject frame; the result aliases p.
func DecodeObject(p []byte) (o Object, err error) {
	r := codec.NewReader(p)
	r.Copy(o.Identity[:])
	o.Name = r.Take(int(r.U16()))
	o.Data = r.Rest()
	r.Require(len(o.Name) <= model.MaxName && len(o.Data) <= model.MaxObject)
	return o, r.Done()
}

// DecodeIdentities reads a body that holds count identities.
func DecodeIdentities(p []byte, count uint32) ([]identity.ID, error) {
	if uint64(len(p)) != uint64(count)*identity.Size {
		return nil, codec.ErrMalformed
	}
	ids := make([]identity.ID, count)
	for i := range ids {
		copy(ids[i][:], p[i*identity.Size:])
	}
	return ids, nil
}

// DecodeNext reads the body of the End frame that answers a SEARCH: the identities after
// which the next page begins, the last named first. An answer that is not truncated has none.
func DecodeNext(body []byte, h *wire.ReplyHeader) ([]identity.ID, error) {
	count := len(body) / identity.Size
	if count > model.MaxAfter || count > 0 && h.Flags&wire.ReplyTruncated == 0 {
		return nil, codec.ErrMalformed
	}
	return DecodeIdentities(body, uint32(count))
}

// Result is the result of a PUT or a DELETE, alone or in a BATCH.
type Result struct {
	Identity identity.ID
	Flags    wire.ReplyFlags // ReplyNotIndexed, ReplyReplaced
}

// resultFlags are the flags of a reply that describe its operations.
const resultFlags = wire.ReplyNotIndexed | wire.ReplyReplaced

// DecodeResults reads the body of the End frame that answers a PUT, a DELETE or, if batch is
// true, a BATCH. The body has h.Count identities. If h has one of resultFlags, the answer to
// a BATCH goes on with one byte of flags for each operation. These bytes together must have
// the flags of h.
func DecodeResults(body []byte, h *wire.ReplyHeader, batch bool) ([]Result, error) {
	flags := h.Flags & resultFlags
	var marks []byte
	if n := int(h.Count); batch && flags != 0 && n <= len(body) {
		body, marks = body[:len(body)-n], body[len(body)-n:]
	}
	ids, err := DecodeIdentities(body, h.Count)
	if err != nil {
		return nil, err
	}
	results := make([]Result, len(ids))
	var all wire.ReplyFlags
	for i, id := range ids {
		results[i] = Result{id, flags}
		if marks != nil {
			results[i].Flags = wire.ReplyFlags(marks[i])
		}
		all |= results[i].Flags
	}
	if all != flags {
		return nil, codec.ErrMalformed
	}
	return results, nil
}

// DecodeMissing reads the body of a KindMissing frame.
func DecodeMissing(p []byte) (id identity.ID, code model.Code, err error) {
	r := codec.NewReader(p)
	r.Copy(id[:])
	code = model.Code(r.U8())
	r.Require(code == model.Damaged || code == model.ReadFailed || code == model.Expired || code == model.NotFound)
	return id, code, r.Done()
}

// DecodeAlert reads the body of a KindAlert frame.
func DecodeAlert(p []byte) (a model.Alert, err error) {
	r := codec.NewReader(p)
	a = model.Alert{LSN: r.U64(), Time: int64(r.U64()), Reason: model.Reason(r.U8()),
		Collection: r.Text(model.MaxIdentifier), Index: r.Text(model.MaxIdentifier), Segment: r.U32(), Offset: r.U32()}
	r.Require(a.Reason > 0 && a.Reason <= model.LastReason)
	return a, r.Done()
}
