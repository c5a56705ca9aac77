package wire

import (
	"time"

	"motte/core/codec"
	"motte/core/identity"
	"motte/core/model"
)

// Kind is the kind of a reply frame.
type Kind uint8

// The kinds of reply frames.
const (
	KindEnd        Kind = 1 // the outcome: code and count; the body depends on the operation
	KindObject     Kind = 2 // identity, name, object
	KindIdentities Kind = 3 // count identities
	KindStatus     Kind = 4 // a status item: see StatusKind
	KindAlert      Kind = 5 // an alert: see model.AppendAlert
	KindMissing    Kind = 6 // an object of the answer that can't be shown: identity, code
	KindExplain    Kind = 7 // how an expression was computed: see AppendExplained
)

// ReplyFlags qualify a reply frame.
type ReplyFlags uint8

// The reply flags.
const (
	ReplyLast       ReplyFlags = 1 << 0 // no further frame answers this request
	ReplyTruncated  ReplyFlags = 1 << 1 // the answer ends at a limit: there may be more results
	ReplyNotIndexed ReplyFlags = 1 << 2 // the object is stored, but at least one Task refused its input
	ReplyReplaced   ReplyFlags = 1 << 3 // the put replaced the object of this name
)

// ReplyHeader is the fixed part of a reply frame.
type ReplyHeader struct {
	Kind    Kind
	Code    model.Code
	Flags   ReplyFlags
	Number  uint64 // of the request; 0: the whole connection is refused
	BodyLen int    // bytes
	Count   uint32
	Head    model.Head // at the time of the reply
}

// AppendReplyHeader appends the header of a reply frame to p.
func AppendReplyHeader(p []byte, h *ReplyHeader) []byte {
	w := codec.Writer(p).Text(ReplyMagic, 4).U8(Version, byte(h.Kind), byte(h.Code), byte(h.Flags))
	w = w.U64(h.Number).U32(uint32(h.BodyLen)).U32(h.Count)
	return model.AppendHead(w, &h.Head)
}

// AppendObject appends a frame of KindObject, and sets the length in its header. The body is
// identity 32 | len(name) 2 | name … | object ….
func AppendObject(p []byte, h ReplyHeader, id identity.ID, name, object []byte) []byte {
	h.BodyLen = identity.Size + 2 + len(name) + len(object)
	w := codec.Writer(AppendReplyHeader(p, &h))
	return w.Bytes(id[:]).U16(uint16(len(name))).Bytes(name).Bytes(object)
}

// AppendMissing appends the body of a KindMissing frame: identity 32 | code 1.
func AppendMissing(p []byte, id identity.ID, code model.Code) []byte {
	return codec.Writer(p).Bytes(id[:]).U8(byte(code))
}

// ExplainFlags tell how a leaf of an expression was computed.
type ExplainFlags uint8

// The flags of a leaf.
const (
	ExplainExhausted ExplainFlags = 1 << 0 // its Task named all objects that it has
	ExplainRanked    ExplainFlags = 1 << 1 // its Task ranked the objects that the other leaves left
)

// AppendExplained appends a leaf to the body of a KindExplain frame: objects 4 | rounds 4 |
// microseconds 8 | flags 1.
func AppendExplained(p []byte, objects, rounds int, took time.Duration, flags ExplainFlags) []byte {
	w := codec.Writer(p).U32(uint32(objects)).U32(uint32(rounds)).U64(uint64(took.Microseconds()))
	return w.U8(byte(flags))
}
