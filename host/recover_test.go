package host

import (
	"testing"

	"motte/core/hostwire"
	"motte/core/model"
)

// TestWhenATrialEnds: a dry run that verifies ends when the Core is ready. A dry run that
// accepts a loss ends when the record is durable, or was refused.
func TestWhenATrialEnds(t *testing.T) {
	ready := hostwire.Ready{}
	event := func(r model.Reason) hostwire.Message { return hostwire.Event{Reason: r} }
	counted := func(records uint64) hostwire.Message {
		return hostwire.Counters{Stats: &hostwire.Stats{Synced: records}}
	}
	for _, tt := range []struct {
		name   string
		accept bool
		seen   []hostwire.Message
		ends   int // number of messages after which it ends; 0: it does not end
		failed bool
	}{
		{"verify", false, []hostwire.Message{hostwire.StartTask{}, ready}, 2, false},
		{"not verified yet", false, []hostwire.Message{hostwire.StartTask{}}, 0, false},
		{"accept", true, []hostwire.Message{event(model.ReasonLossAccepted), ready, counted(0), counted(1)}, 4, false},
		{"not durable yet", true, []hostwire.Message{event(model.ReasonLossAccepted), ready, counted(0)}, 0, false},
		{"the disk refuses it", true, []hostwire.Message{event(model.ReasonLossAccepted), ready, event(model.ReasonStorage)}, 3, true},
		{"counters of another version", true, []hostwire.Message{ready, hostwire.Counters{}}, 0, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ended, n := 0, 0
			trial := &dryRun{accept: tt.accept, end: func() {
				if ended == 0 {
					ended = n
				}
			}}
			for _, m := range tt.seen {
				n++
				trial.saw(m)
			}
			if ended != tt.ends || trial.failed != tt.failed {
				t.Errorf("it ends after %d messages, failed: %v; want %d, %v", ended, trial.failed, tt.ends, tt.failed)
			}
		})
	}
}
