package model

import "motte/core/codec"

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

// AppendAlert appends the encoding of an alert to p:
//
//	LSN 8 | time 8 | reason 1 | collection 32 | index 32 | segment 4 | offset 4
//
// It is the body of a reply frame and the body of an alert record.
func AppendAlert(p []byte, a *Alert) []byte {
	w := codec.Writer(p).U64(a.LSN).U64(uint64(a.Time)).U8(byte(a.Reason))
	return w.Text(a.Collection, MaxIdentifier).Text(a.Index, MaxIdentifier).U32(a.Segment).U32(a.Offset)
}
