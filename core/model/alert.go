package model

import "motte/core/codec"

// Reason is the reason of an alert.
type Reason uint8

// The reasons.
const (
	ReasonInvalidIdentity Reason = 1  // the Task named a forged or a removed identity
	ReasonOtherCollection Reason = 2  // the Task named an identity of another collection
	ReasonBadFrame        Reason = 3  // a Task's frame has a wrong length, type or version
	ReasonUnasked         Reason = 4  // the Task answered without a request, or twice
	ReasonTooManyResults  Reason = 5  // the answer has more identities than the row or the request allows
	ReasonTooSlow         Reason = 6  // the Task missed its deadline and did not recover
	ReasonTaskEnded       Reason = 7  // the Task's process ended or closed its channel
	ReasonDamagedRecord   Reason = 8  // a stored record failed its check
	ReasonStorage         Reason = 9  // the disk refused a write, or takes writes again
	ReasonCheckpoint      Reason = 10 // a checkpoint failed its check; the Core used or wrote another
	ReasonLossAccepted    Reason = 11 // the operator accepted a store that lacks durable records
	ReasonFileLost        Reason = 12 // a file of the store was removed, cut off or replaced
	ReasonKeysOlder       Reason = 13 // an older file of data keys was put back; it may hold destroyed keys
	ReasonAdrift          Reason = 14 // the data directory was moved or replaced; no records are written
	ReasonReadFailed      Reason = 15 // repeated reads of a stored record failed
	ReasonNewAdmin        Reason = 16 // the operator made a new and only server administrator
	ReasonSetAside        Reason = 17 // an input over which a Task ended is not indexed any more

	ReasonUpgradeRefused Reason = 18 // a new executable does not accept the configuration of an index

	LastReason = ReasonUpgradeRefused // no reason has a higher number
)

// Alert is an alert. The sealed log holds all alerts.
type Alert struct {
	LSN               uint64 // of its record; 0: the log does not hold it
	Time              int64  // Unix seconds by the Core's clock, which the host controls
	Reason            Reason
	Collection, Index string
	Segment, Offset   uint32 // of the record or file that the alert is about, or 0
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
