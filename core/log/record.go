package log

import (
	"motte/core/identity"
)

// Kind says what a record does when it is applied. Log only keeps it; the
// engine gives it its meaning.
type Kind uint8

// The kinds of records.
const (
	KindPut              Kind = 1
	KindDelete           Kind = 2
	KindCreateCollection Kind = 3
	KindDropCollection   Kind = 4
	KindCreateIndex      Kind = 5
	KindDropIndex        Kind = 6
	KindRegisterTask     Kind = 7
	KindAddPrincipal     Kind = 8
	KindRemovePrincipal  Kind = 9
	KindGrant            Kind = 10
	KindRevoke           Kind = 11
	KindAlert            Kind = 12
	kindEnd              Kind = 13
)

// Record is one entry of the log.
type Record struct {
	LSN        uint64 // log sequence number: one more than that of the record before
	Kind       Kind
	Collection uint32      // 0: none
	Owner      uint32      // whose data key seals the body; CoreOwner: the Core's own
	ID         identity.ID // of the object, or zero
	Body       []byte
}

// CoreOwner is the owner of all records that are not objects.
const CoreOwner = 0

// Location is where a record lies.
type Location struct {
	Segment uint32
	Offset  uint32 // bytes from the start of the segment
	Length  uint32 // bytes, head and seals included
}

// Group is a list of records that become durable together or not at all.
type Group []Record
