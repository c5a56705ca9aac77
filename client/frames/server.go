package frames

import (
	"motte/core/codec"
	"motte/core/model"
)

// DecodeServerStatus reads the layout of model.AppendServerStatus.
func DecodeServerStatus(p []byte) (s model.ServerStatus, err error) {
	r := codec.NewReader(p)
	s.Flags = model.ServerFlags(r.U8())
	for _, n := range []*uint64{&s.Objects, &s.Alerts, &s.Now, &s.Started, &s.LiveBytes, &s.LogBytes, &s.Segments, &s.Connections,
		&s.CheckpointBytes, &s.CheckpointLSN, &s.CheckpointTime, &s.MovedBytes, &s.FreedBytes,
		&s.ScrubbedRecords, &s.ScrubbedBytes, &s.ScrubPasses, &s.ScrubTime, &s.ScrubDamaged, &s.DiskBytes} {
		*n = r.U64()
	}
	return s, r.Done()
}
