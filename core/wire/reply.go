package wire

import (
	"motte/core/codec"
	"motte/core/identity"
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

// Head is a position in the sealed log: the sequence number of the last
// durable record, the tag of the segment in which it was written, and the chain
// value that commits to all up to it. A tag is the first half of the MAC of the
// segment's header, which holds a random salt: two branches of a store's history
// have no segment in common behind the place where they part.
type Head struct {
	LSN            uint64
	Segment, Chain [16]byte // of the chain value the first half
}

// DecodeHead reads a head: LSN 8 | segment's tag 16 | chain value 16.
func DecodeHead(p []byte) (h Head, err error) {
	r := codec.NewReader(p)
	h.LSN = r.U64()
	r.Copy(h.Segment[:])
	r.Copy(h.Chain[:])
	return h, r.Done()
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
	w := codec.Writer(p).Text(ReplyMagic, 4).U8(Version, byte(h.Kind), byte(h.Code), byte(h.Flags))
	w = w.U64(h.Number).U32(uint32(h.BodyLen)).U32(h.Count)
	return w.U64(h.Head.LSN).Bytes(h.Head.Segment[:]).Bytes(h.Head.Chain[:])
}

// AppendObject appends a frame of KindObject with this header, whose length it
// fills in, and this body: identity 32 | len(name) 2 | name … | object ….
func AppendObject(p []byte, h ReplyHeader, id identity.ID, name, object []byte) []byte {
	h.BodyLen = identity.Size + 2 + len(name) + len(object)
	w := codec.Writer(AppendReplyHeader(p, &h))
	return w.Bytes(id[:]).U16(uint16(len(name))).Bytes(name).Bytes(object)
}

// AppendMissing appends the body of a KindMissing frame: identity 32 | code 1.
func AppendMissing(p []byte, id identity.ID, code Code) []byte {
	return codec.Writer(p).Bytes(id[:]).U8(byte(code))
}

// IndexState is where an index stands.
type IndexState uint8

// The states of an index. Only a serving index answers predicates.
const (
	IndexNotShown    IndexState = 0 // a status hides the state from others than administrators
	IndexStarting    IndexState = 1 // waiting for its Task's process
	IndexBuilding    IndexState = 2 // being fed from the Core's copy
	IndexServing     IndexState = 3
	IndexQuarantined IndexState = 4 // its Task broke the contract; a fresh one is about to start
	IndexRefused     IndexState = 5 // the Task does not accept the configuration: drop the index
)

// Rights is a set of rights in a collection, or on the server itself.
type Rights uint8

// The rights (design: deny by falling through). Write lets a principal put
// objects; to replace another principal's object it needs Delete and Read
// too. Admin lets it change a collection's indexes and grants or, granted on
// the server, everything.
const (
	RightRead    Rights = 1 << 0 // every object of the collection
	RightReadOwn Rights = 1 << 1 // the objects that the principal put itself
	RightWrite   Rights = 1 << 2
	RightDelete  Rights = 1 << 3 // of what the principal may read
	RightAdmin   Rights = 1 << 4
	RightsAll    Rights = 1<<5 - 1
)

// Reason says why an alert was recorded.
type Reason uint8

// The reasons.
const (
	ReasonInvalidIdentity Reason = 1  // never made, altered, or deleted or replaced as the Task had confirmed
	ReasonOtherCollection Reason = 2  // an identity of another collection
	ReasonBadFrame        Reason = 3  // too long, too short, unknown type, wrong version
	ReasonUnasked         Reason = 4  // an answer to a request never made, or a second answer
	ReasonTooManyResults  Reason = 5  // more identities than the table or the request allows
	ReasonTooSlow         Reason = 6  // the Task let its deadline pass, and did not recover
	ReasonTaskEnded       Reason = 7  // the process ended or closed its channel
	ReasonDamagedRecord   Reason = 8  // a stored record failed its check when it was read
	ReasonStorage         Reason = 9  // the disk refused a write
	ReasonCheckpoint      Reason = 10 // a checkpoint failed its check: another one was used or written
	ReasonLossAccepted    Reason = 11 // the operator accepted a store that lacks what was written to it
	ReasonFileLost        Reason = 12 // a file of the store was removed, cut off or replaced; Segment: or 0
	ReasonKeysOlder       Reason = 13 // older data keys were put back, and so some that had been destroyed
	ReasonAdrift          Reason = 14 // the data directory is not the Core's any more: no records are written
	ReasonReadFailed      Reason = 15 // the disk did not give a stored record back, though it was asked again
	ReasonNewAdmin        Reason = 16 // the operator made a new administrator, the only one of the server

	LastReason = ReasonNewAdmin // no reason has a higher number
)

// Alert is one entry of the record of alerts, which is part of the sealed log.
type Alert struct {
	LSN               uint64 // of its record; 0: it is not in the log
	Time              int64  // Unix seconds by the Core's clock, which the host controls
	Reason            Reason
	Collection, Index string
	Segment, Offset   uint32 // ReasonDamagedRecord, ReasonReadFailed: where the record lies
}

// AppendAlert appends the body of a KindAlert frame, fields in order.
func AppendAlert(p []byte, a *Alert) []byte {
	w := codec.Writer(p).U64(a.LSN).U64(uint64(a.Time)).U8(byte(a.Reason))
	return w.Text(a.Collection, MaxIdentifier).Text(a.Index, MaxIdentifier).U32(a.Segment).U32(a.Offset)
}
