package wire

import (
	"motte/core/codec"
	"motte/core/model"
)

// StatusKind is the kind of a status item, its first byte.
type StatusKind uint8

// The kinds of status items. The function that appends an item gives its layout.
const (
	StatusServer     StatusKind = 1 // for a server administrator
	StatusTask       StatusKind = 2
	StatusPrincipal  StatusKind = 3 // other principals than itself only for a server administrator
	StatusCollection StatusKind = 4
	StatusGrant      StatusKind = 5
	StatusIndex      StatusKind = 6

	StatusConfiguration StatusKind = 7 // the only item of a CONFIGURATION; a STATUS has none
)

// PrincipalStatus describes a principal.
type PrincipalStatus struct {
	Principal [32]byte
	Label     string
}

// CollectionStatus describes a collection. Objects, Bytes and Quota are 0 for a principal
// that may not read all objects.
type CollectionStatus struct {
	Collection string
	Rights     model.Rights // of the asking principal
	Objects    uint64
	Bytes      uint64 // of the objects' records as they are stored
	Quota      model.Quota
}

// GrantStatus describes the rights of a principal in a collection.
type GrantStatus struct {
	Collection string // empty: the server itself
	Principal  [32]byte
	Rights     model.Rights
}

// IndexStatus describes an index. LeakedBits and LeftBits belong to the asking principal.
// The later fields are 0 unless that principal is an administrator, and all but
// Restarts and Number also unless it may read all objects.
type IndexStatus struct {
	Collection, Index, Task string

	Type          model.DataType
	Options       model.IndexOptions
	State         model.IndexState
	Upgrade       model.Upgrade
	LeakedBits    uint64 // that the principal drew; 0 for a principal that may not read all objects
	LeftBits      uint64 // of its budget, in sixteenths for such a principal; math.MaxUint64: no budget
	Fed           uint64 // objects that the index or its successor holds, while that is built
	ToFeed        uint64 // objects that it will hold, while it is built
	IndexBits     uint64 // that all principals drew
	IndexLeftBits uint64 // of the index's budget; math.MaxUint64: no budget
	Restarts      uint64 // since the Core started
	Refused       uint64 // inputs that the present process refused
	SetAside      uint64 // inputs over which the Task ended, and which it does not get any more
	Number        uint32 // of the index in the store; no other index ever has it
	Queued        uint64 // changes and questions that the Task has not confirmed or answered
	Shelf         uint64 // bytes of the shelf's records as they are stored
	Refed         uint64 // objects that its Tasks lacked at their starts, since the Core started
	Shelved       uint64 // bytes of blobs, as padded, that its Tasks have saved since the Core started

	// Of confirmed changes and answered questions, since the Core started. A duration begins when
	// the frame is queued for the Task. Those of a build are not counted.
	Changes, Questions model.Latencies
}

// AppendConfiguration appends a status item to p: kind 1 | configuration.
func AppendConfiguration(p, configuration []byte) []byte {
	return append(append(p, byte(StatusConfiguration)), configuration...)
}

// AppendServerStatus appends a status item to p: kind 1 | model.ServerStatus.
func AppendServerStatus(p []byte, s *model.ServerStatus) []byte {
	return model.AppendServerStatus(append(p, byte(StatusServer)), s)
}

// AppendTaskStatus appends a status item to p: kind 1 | Task 32 | row | the row before. The row before
// is that of the executable before the present one; it is empty if there was none.
func AppendTaskStatus(p []byte, task string, row, before []byte) []byte {
	return codec.Writer(p).U8(byte(StatusTask)).Text(task, model.MaxIdentifier).Bytes(row).Bytes(before)
}

// AppendPrincipalStatus appends a status item to p: kind 1 | principal 32 | label 64.
func AppendPrincipalStatus(p []byte, s *PrincipalStatus) []byte {
	return codec.Writer(p).U8(byte(StatusPrincipal)).Bytes(s.Principal[:]).Text(s.Label, model.MaxLabel)
}

// AppendCollectionStatus appends a status item to p: kind 1 | collection 32 | rights 1 |
// objects 8 | bytes 8 | quota 16.
func AppendCollectionStatus(p []byte, s *CollectionStatus) []byte {
	w := codec.Writer(p).U8(byte(StatusCollection)).Text(s.Collection, model.MaxIdentifier)
	return model.AppendQuota(w.U8(byte(s.Rights)).U64(s.Objects).U64(s.Bytes), s.Quota)
}

// AppendGrantStatus appends a status item to p: kind 1 | collection 32 | principal 32 |
// rights 1.
func AppendGrantStatus(p []byte, s *GrantStatus) []byte {
	w := codec.Writer(p).U8(byte(StatusGrant)).Text(s.Collection, model.MaxIdentifier)
	return w.Bytes(s.Principal[:]).U8(byte(s.Rights))
}

// AppendIndexStatus appends a status item to p: kind 1 | collection 32 | index 32 | Task 32 |
// data type 1 | options 1 | state 1 | upgrade 1 | nine numbers, 8 bytes each, from LeakedBits to
// SetAside | number 4 | queued 8 | shelf 8 | refed 8 | shelved 8 | changes 64 | questions 64. The
// last two are the counts of the buckets, 8 bytes each.
func AppendIndexStatus(p []byte, s *IndexStatus) []byte {
	w := codec.Writer(p).U8(byte(StatusIndex)).Text(s.Collection, model.MaxIdentifier)
	w = w.Text(s.Index, model.MaxIdentifier).Text(s.Task, model.MaxIdentifier)
	w = w.U8(byte(s.Type), byte(s.Options), byte(s.State), byte(s.Upgrade))
	w = w.U64(s.LeakedBits).U64(s.LeftBits).U64(s.Fed).U64(s.ToFeed)
	w = w.U64(s.IndexBits).U64(s.IndexLeftBits).U64(s.Restarts).U64(s.Refused)
	w = w.U64(s.SetAside)
	w = w.U32(s.Number).U64(s.Queued).U64(s.Shelf).U64(s.Refed).U64(s.Shelved)
	for _, n := range s.Changes {
		w = w.U64(n)
	}
	for _, n := range s.Questions {
		w = w.U64(n)
	}
	return w
}
