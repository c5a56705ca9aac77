// Package frames is the client's half of the protocol of package wire: it
// encodes what the Core decodes and decodes what the Core encodes. It lives
// outside the Core so that nobody has to trust it.
package frames

import (
	"motte/core/frame"
	"motte/core/wire"
)

// AppendRequest appends the frame of r to p. The lengths are those of the
// parts, not those in r.Header; the caller keeps within the limits.
func AppendRequest(p []byte, r *wire.Request) []byte {
	return frame.Writer(p).Bytes([]byte(wire.RequestMagic)).U8(wire.Version, byte(r.Op), byte(r.Type), byte(r.Flags)).
		U64(r.Number).U32(r.Limit).U32(0).
		Text(r.Collection, wire.MaxIdentifier).Text(r.Index, wire.MaxIdentifier).Bytes(r.Identity[:]).
		U32(uint32(len(r.Name))).U32(uint32(len(r.Query))).U32(uint32(len(r.Object))).U32(0).
		Bytes(r.Name).Bytes(r.Query).Bytes(r.Object)
}

// AppendAttribute appends one attribute: index 32 | len(data) 4 | data ….
func AppendAttribute(p []byte, a wire.Attribute) []byte {
	return frame.Writer(p).Text(a.Index, wire.MaxIdentifier).U32(uint32(len(a.Data))).Bytes(a.Data)
}

// AppendBatchOp appends one operation to the object part of an OpBatch:
//
//	operation 1 | flags 1 | len(name) 2 | len(attributes) 4 | len(object) 4
//	identity 32 | name … | attributes … | object …
func AppendBatchOp(p []byte, o *wire.BatchOp) []byte {
	return frame.Writer(p).U8(byte(o.Op), byte(o.Flags)).U16(uint16(len(o.Name))).
		U32(uint32(len(o.Query))).U32(uint32(len(o.Object))).Bytes(o.Identity[:]).
		Bytes(o.Name).Bytes(o.Query).Bytes(o.Object)
}

// DecodeReplyHeader reads a reply header from the first wire.ReplyHeaderSize bytes
// of p: wire.Malformed or wire.UnsupportedVersion otherwise.
func DecodeReplyHeader(p []byte) (h wire.ReplyHeader, code wire.Code) {
	r := frame.NewReader(p)
	if magic := r.Take(4); string(magic) != wire.ReplyMagic {
		return h, wire.Malformed
	}
	if r.U8() != wire.Version {
		return h, wire.UnsupportedVersion
	}
	h.Kind, h.Code, h.Flags = wire.Kind(r.U8()), wire.Code(r.U8()), wire.ReplyFlags(r.U8())
	h.Number = r.U64()
	h.BodyLen = int(r.U32())
	h.Count = r.U32()
	h.Head, _ = wire.DecodeHead(r.Take(wire.HeadSize))
	r.Require(h.Kind >= wire.KindEnd && h.Kind <= wire.KindAlert && h.Code.Valid() && h.BodyLen <= wire.MaxReplyBody)
	if r.Done() != nil {
		return h, wire.Malformed
	}
	return h, wire.OK
}

// DecodeObject reads the body of a KindObject frame; the result aliases p.
func DecodeObject(p []byte) (o wire.Object, err error) {
	r := frame.NewReader(p)
	r.Copy(o.Identity[:])
	o.Name = r.Take(int(r.U16()))
	o.Data = r.Rest()
	r.Require(len(o.Name) <= wire.MaxName && len(o.Data) <= wire.MaxObject)
	return o, r.Done()
}

// DecodeIdentities reads a body that holds count identities.
func DecodeIdentities(p []byte, count uint32) ([]wire.Identity, error) {
	if uint64(len(p)) != uint64(count)*wire.IdentitySize {
		return nil, frame.ErrMalformed
	}
	ids := make([]wire.Identity, count)
	for i := range ids {
		copy(ids[i][:], p[i*wire.IdentitySize:])
	}
	return ids, nil
}

// DecodeStatus reads the body of a KindStatus frame.
func DecodeStatus(p []byte) (s wire.StatusItem, err error) {
	r := frame.NewReader(p)
	s.Kind, s.Type, s.Flags, s.State = wire.StatusKind(r.U8()), wire.DataType(r.U8()), r.U8(), wire.IndexState(r.U8())
	for _, name := range [...]*string{&s.Collection, &s.Index, &s.Task} {
		*name = r.Text(wire.MaxIdentifier)
	}
	r.Copy(s.Principal[:])
	s.Label = r.Text(wire.MaxLabel)
	for i := range s.Numbers {
		s.Numbers[i] = r.U64()
	}
	r.Require(s.Kind >= wire.StatusServer && s.Kind <= wire.StatusStorage)
	if s.Kind == wire.StatusTask {
		row, err := wire.DecodeRow(r.Rest())
		r.Require(err == nil)
		s.Row = &row
	}
	return s, r.Done()
}
