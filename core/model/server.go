package model

import "motte/core/codec"

// ServerFlags are conditions of the server that its operator should know.
type ServerFlags uint8

// The conditions.
const (
	ServerKeyInStore ServerFlags = 1 << 0 // the root key is in the data directory: a stolen disk is readable
	ServerReadOnly   ServerFlags = 1 << 1 // the disk refused a write
	ServerDiskFull   ServerFlags = 1 << 2 // the disk's reserve is used: see DiskFull
)

// ServerStatus is the state of the server, for a STATUS and for the host. Times are Unix
// seconds by the Core's clock.
type ServerStatus struct {
	Flags        ServerFlags
	Objects      uint64 // in all collections
	Alerts       uint64 // since the store was made
	Now, Started uint64 // times
	LiveBytes    uint64 // of live records
	Measurements
}

// Measurements are the numbers of a ServerStatus that depend on files and connections,
// which the state machine does not see. Sums begin with the start of the Core.
type Measurements struct {
	LogBytes        uint64 // of all segments
	Segments        uint64
	Connections     uint64 // of clients
	CheckpointBytes uint64 // of the newest checkpoint
	CheckpointLSN   uint64 // of the newest checkpoint; 0: none was written since the start
	CheckpointTime  uint64 // when it was written; 0: none was written since the start
	MovedBytes      uint64 // sum: live records that compaction moved
	FreedBytes      uint64 // sum: dead records that compaction removed
	ScrubbedRecords uint64 // sum: live records that the scrub read
	ScrubbedBytes   uint64 // sum: of those records
	ScrubPasses     uint64 // sum: complete passes over the store
	ScrubTime       uint64 // when the last pass ended; 0: no pass ended since the start
	ScrubDamaged    uint64 // sum: records that the scrub found damaged
	DiskBytes       uint64 // disk space of all files of the data directory
}

// AppendServerStatus appends the encoding of a ServerStatus to p: flags 1, then the
// numbers in the order of the struct, 8 bytes each.
func AppendServerStatus(p []byte, s *ServerStatus) []byte {
	w := codec.Writer(p).U8(byte(s.Flags))
	w = w.U64(s.Objects).U64(s.Alerts).U64(s.Now).U64(s.Started).U64(s.LiveBytes)
	w = w.U64(s.LogBytes).U64(s.Segments).U64(s.Connections)
	w = w.U64(s.CheckpointBytes).U64(s.CheckpointLSN).U64(s.CheckpointTime)
	w = w.U64(s.MovedBytes).U64(s.FreedBytes)
	w = w.U64(s.ScrubbedRecords).U64(s.ScrubbedBytes).U64(s.ScrubPasses)
	return w.U64(s.ScrubTime).U64(s.ScrubDamaged).U64(s.DiskBytes)
}
