package server

import (
	"cmp"
	"fmt"

	"motte/core/seglog"
)

// Records that are opened before the engine applies them: batches, and records in each.
const (
	replayAhead = 16
	replayBatch = 256
)

// replayed is a record after the checkpoint.
type replayed struct {
	record seglog.Record
	at     seglog.Location
}

// replay applies the records after the checkpoint. The log opens records while the engine applies
// those before.
func (s *server) replay() error {
	opened, applied := make(chan []replayed, replayAhead), make(chan error, 1)
	go func() { applied <- s.applyReplayed(opened) }()
	var batch []replayed
	err := s.log.Replay(func(r seglog.Record, at seglog.Location) error {
		s.written.Add(int64(at.Length) + replayCost)
		if batch = append(batch, replayed{r, at}); len(batch) == replayBatch {
			opened <- batch
			batch = nil
		}
		return nil
	})
	opened <- batch
	close(opened)
	return cmp.Or(err, <-applied)
}

// applyReplayed applies all records, up to the first that the engine does not accept.
func (s *server) applyReplayed(opened <-chan []replayed) (failed error) {
	for batch := range opened {
		for _, r := range batch {
			if failed == nil && s.engine.Replay(r.record, r.at) != nil {
				failed = fmt.Errorf("%w: the record in segment %d at %d can't be applied",
					seglog.ErrDamaged, r.at.Segment, r.at.Offset)
			}
		}
	}
	return failed
}
