package wire

import "motte/core/frame"

// Kind says what the body of a reply frame holds.
type Kind uint8

// The kinds of reply frames.
const (
	KindEnd        Kind = 1 // the outcome: code, count; for a PUT, DELETE or batch the identities
	KindObject     Kind = 2 // identity, name, object
	KindIdentities Kind = 3 // count identities
	KindStatus     Kind = 4 // one status item
	KindAlert      Kind = 5 // one alert
)

// ReplyFlags qualify a reply frame.
type ReplyFlags uint8

// The reply flags.
const (
	ReplyLast       ReplyFlags = 1 << 0 // no further frame answers this request
	ReplyTruncated  ReplyFlags = 1 << 1 // the limit was reached: there may be more results
	ReplyNotIndexed ReplyFlags = 1 << 2 // stored, but at least one Task refused its input
)

// Head is a position in the sealed log: the sequence number of the last
// durable record, and the chain value that commits to all up to it.
type Head struct {
	LSN   uint64
	Chain [32]byte
}

// ReplyHeader is the fixed part of a reply frame.
type ReplyHeader struct {
	Kind    Kind
	Code    Code
	Flags   ReplyFlags
	Number  uint64 // of the request; 0 when the connection is refused as a whole
	BodyLen int    // bytes
	Count   uint32
	Head    Head // as of the time of the reply
}

// AppendReplyHeader appends the header of a reply frame to p.
func AppendReplyHeader(p []byte, h *ReplyHeader) []byte {
	w := frame.Writer(p).Text(ReplyMagic, 4).U8(Version, byte(h.Kind), byte(h.Code), byte(h.Flags))
	w = w.U64(h.Number).U32(uint32(h.BodyLen)).U32(h.Count)
	return w.U64(h.Head.LSN).Bytes(h.Head.Chain[:])
}

// Object is the body of a KindObject frame.
type Object struct {
	Identity Identity
	Name     []byte // empty if it was put without one
	Data     []byte
}

// ObjectLen is the length of the body that AppendObject makes.
func ObjectLen(name, data int) int { return IdentitySize + 2 + name + data }

// AppendObject appends the body of a KindObject frame:
// identity 32 | len(name) 2 | name … | object ….
func AppendObject(p []byte, o *Object) []byte {
	return frame.Writer(p).Bytes(o.Identity[:]).U16(uint16(len(o.Name))).Bytes(o.Name).Bytes(o.Data)
}
