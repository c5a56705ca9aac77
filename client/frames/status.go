package frames

import (
	"motte/core/codec"
	"motte/core/model"
	"motte/core/wire"
)

// StatusKind says what a status item describes. But for the server's, it is the
// number of the log's record that makes such a thing.
type StatusKind uint8

// The kinds of status items, and which fields of the item they use.
const (
	StatusCollection StatusKind = 3  // Collection; Flags: the rights of who asks; Objects, Bytes and Quota, or 0 for who may not read them all
	StatusIndex      StatusKind = 5  // Collection, Index, Task, Type, Flags as in OpCreateIndex, State, and its numbers
	StatusTask       StatusKind = 7  // Task, Row
	StatusPrincipal  StatusKind = 8  // Principal, Label; others than oneself only for a server administrator
	StatusGrant      StatusKind = 10 // Collection, or none for the server; Principal; Flags: rights
	StatusServer     StatusKind = 14 // only for a server administrator: Flags, and its numbers
)

// StatusItem is one line of a status; fields that its kind does not use are
// zero.
type StatusItem struct {
	Kind                    StatusKind
	Collection, Index, Task string
	Type                    model.DataType
	Flags                   wire.Flags // or rights; of the server StatusKeyInStore, StatusReadOnly
	State                   model.IndexState
	Principal               [32]byte
	Label                   string
	Row                     *model.Row

	Objects uint64 // of a collection, or of the server

	// Of a collection.
	Bytes uint64      // of the objects' records as they are stored
	Quota model.Quota // 0: none

	// Of an index. For the principal that asks; math.MaxUint64 is left if no budget
	// caps it.
	LeakedBits uint64 // it drew; 0 for a principal that may not read all objects
	LeftBits   uint64 // of its budget; in sixteenths for such a principal

	// Of an index, for administrators; but for Restarts and Number for those that may read all
	// objects.
	Fed, ToFeed   uint64 // objects, while it is built
	IndexBits     uint64 // drawn in all
	IndexLeftBits uint64 // of the index's budget
	Restarts      uint64 // since the Core started
	Refused       uint64 // inputs, by the present process
	Number        uint64 // of the index in the store: never given to another one

	// Of the server. Times are Unix seconds by the Core's clock: see Age.
	Alerts          uint64 // since the store was made
	Now, Started    uint64
	LiveBytes       uint64 // of records
	LogBytes        uint64
	Segments        uint64
	Connections     uint64
	CheckpointBytes uint64 // of the newest
	CheckpointLSN   uint64 // 0: none was written since the start
	CheckpointTime  uint64 // likewise
	MovedBytes      uint64 // by compaction, since the start
	GivenBackBytes  uint64 // likewise
	Scrubbed        uint64 // live records that the scrub read, since the start
	ScrubbedBytes   uint64 // likewise
	ScrubPasses     uint64 // over the store, since the start
	ScrubTime       uint64 // when the last one ended; 0: none has since the start
	ScrubDamaged    uint64 // records that the scrub found damaged, since the start
	DiskBytes       uint64 // that all files of the data directory take of the disk
}

// numbers are the numbers of an item of s's kind, in their order.
func (s *StatusItem) numbers() []*uint64 {
	switch s.Kind {
	case StatusCollection:
		return []*uint64{&s.Objects, &s.Bytes, &s.Quota.Bytes, &s.Quota.Objects}
	case StatusIndex:
		return []*uint64{&s.Fed, &s.ToFeed, &s.LeakedBits, &s.LeftBits, &s.IndexBits, &s.IndexLeftBits, &s.Restarts, &s.Refused, &s.Number}
	case StatusServer:
		return []*uint64{&s.Objects, &s.Alerts, &s.Now, &s.Started, &s.LiveBytes, &s.LogBytes, &s.Segments, &s.Connections,
			&s.CheckpointBytes, &s.CheckpointLSN, &s.CheckpointTime, &s.MovedBytes, &s.GivenBackBytes,
			&s.Scrubbed, &s.ScrubbedBytes, &s.ScrubPasses, &s.ScrubTime, &s.ScrubDamaged, &s.DiskBytes}
	}
	return nil
}

// Server reads the flags and the numbers of the server, as the Core tells the host.
func Server(values []uint64) (s StatusItem, err error) {
	s.Kind = StatusServer
	numbers := s.numbers()
	if len(values) != 1+len(numbers) {
		return StatusItem{}, codec.ErrMalformed
	}
	s.Flags = wire.Flags(values[0])
	for i, n := range numbers {
		*n = values[1+i]
	}
	return s, nil
}

// Age returns how many seconds ago a time of the server's was: 0 if there is none, or
// if the clock was set back since then.
func (s *StatusItem) Age(time uint64) uint64 {
	if time == 0 || time > s.Now {
		return 0
	}
	return s.Now - time
}

// DecodeStatus reads the body of a KindStatus frame:
//
//	kind 1 | state 1 | number of numbers 1 | numbers 8 each | collection 32
//	name 32 | Task 32 | data type 1 | flags or rights 1 | principal 32
//	zero 4 | label 64 | row …
func DecodeStatus(p []byte) (s StatusItem, err error) {
	r := codec.NewReader(p)
	s.Kind, s.State = StatusKind(r.U8()), model.IndexState(r.U8())
	numbers := s.numbers()
	r.Require(int(r.U8()) == len(numbers))
	for _, n := range numbers {
		*n = r.U64()
	}
	s.Collection = r.Text(model.MaxIdentifier)
	name, task := r.Text(model.MaxIdentifier), r.Text(model.MaxIdentifier)
	s.Type, s.Flags = model.DataType(r.U8()), wire.Flags(r.U8())
	r.Copy(s.Principal[:])
	r.Require(r.U32() == 0)
	s.Label = r.Text(model.MaxLabel)
	switch s.Kind {
	case StatusCollection:
		r.Require(name == s.Collection && task == "")
	case StatusIndex:
		s.Index, s.Task = name, task
	case StatusTask:
		row, err := model.DecodeRow(r.Rest())
		r.Require(err == nil && task == "")
		s.Task, s.Row = name, &row
	case StatusPrincipal, StatusGrant, StatusServer:
		r.Require(name == "" && task == "")
	default:
		r.Require(false)
	}
	return s, r.Done()
}
