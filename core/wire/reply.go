package wire

import (
	"motte/core/codec"
	"motte/core/identity"
	"motte/core/model"
)

// Kind says what the body of a reply frame holds.
type Kind uint8

// The kinds of reply frames.
const (
	KindEnd        Kind = 1 // the outcome: code, count; for a PUT, DELETE or batch the results
	KindObject     Kind = 2 // identity, name, object
	KindIdentities Kind = 3 // count identities
	KindStatus     Kind = 4 // one status item: see engine
	KindAlert      Kind = 5 // one alert
	KindMissing    Kind = 6 // an object of the answer that can't be shown: identity, code that says why
)

// ReplyFlags qualify a reply frame.
type ReplyFlags uint8

// The reply flags.
const (
	ReplyLast       ReplyFlags = 1 << 0 // no further frame answers this request
	ReplyTruncated  ReplyFlags = 1 << 1 // the limit was reached: there may be more results
	ReplyNotIndexed ReplyFlags = 1 << 2 // stored, but at least one Task refused its input
	ReplyReplaced   ReplyFlags = 1 << 3 // a put took the place of the object that had its name
)

// ReplyHeader is the fixed part of a reply frame.
type ReplyHeader struct {
	Kind    Kind
	Code    model.Code
	Flags   ReplyFlags
	Number  uint64 // of the request; 0 when the connection is refused as a whole
	BodyLen int    // bytes
	Count   uint32
	Head    model.Head // as of the time of the reply
}

// AppendReplyHeader appends the header of a reply frame to p.
func AppendReplyHeader(p []byte, h *ReplyHeader) []byte {
	w := codec.Writer(p).Text(ReplyMagic, 4).U8(Version, byte(h.Kind), byte(h.Code), byte(h.Flags))
	w = w.U64(h.Number).U32(uint32(h.BodyLen)).U32(h.Count)
	return model.AppendHead(w, &h.Head)
}

// AppendObject appends a frame of KindObject with this header, whose length it
// fills in, and this body: identity 32 | len(name) 2 | name … | object ….
func AppendObject(p []byte, h ReplyHeader, id identity.ID, name, object []byte) []byte {
	h.BodyLen = identity.Size + 2 + len(name) + len(object)
	w := codec.Writer(AppendReplyHeader(p, &h))
	return w.Bytes(id[:]).U16(uint16(len(name))).Bytes(name).Bytes(object)
}

// AppendMissing appends the body of a KindMissing frame: identity 32 | code 1.
func AppendMissing(p []byte, id identity.ID, code model.Code) []byte {
	return codec.Writer(p).Bytes(id[:]).U8(byte(code))
}
