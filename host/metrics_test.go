package host

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"motte/core/hostwire"
	"motte/core/model"
)

// TestMetricsCountTasks counts each start of a Task, each Task that broke its contract, and each
// that was too slow. It does not count alerts about the disk.
func TestMetricsCountTasks(t *testing.T) {
	var m metrics
	for _, msg := range []hostwire.Message{
		hostwire.StartTask{Instance: 1},
		hostwire.StartTask{Instance: 2},
		hostwire.StartTask{Instance: 3},
		hostwire.StopTask{Instance: 1},
		hostwire.Event{Reason: model.ReasonInvalidIdentity},
		hostwire.Event{Reason: model.ReasonTooSlow},
		hostwire.Event{Reason: model.ReasonTaskEnded},
		hostwire.Event{Reason: model.ReasonDamagedRecord},
		hostwire.Event{Reason: model.ReasonStorage},
	} {
		m.saw(msg)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(&m)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		if f.GetMetric()[0].GetCounter() != nil {
			got[f.GetName()] = f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	if got["motte_task_starts_total"] != 3 || got["motte_quarantines_total"] != 2 || got["motte_slow_tasks_total"] != 1 {
		t.Errorf("%v", got)
	}
}
