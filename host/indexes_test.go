package host

import (
	"testing"
	"time"

	"motte/core/hostwire"
	"motte/core/model"
)

// about returns the Core's message about index 7.
func about(instance uint64, state model.IndexState, queue uint64) hostwire.Index {
	return hostwire.Index{Index: 7, Instance: instance, State: state, Queued: queue}
}

// TestATaskMovesTheMetricsOfItsIndexSeldomAndInFewSteps: metrics that a Task can influence
// change at most every 15 seconds, however often the Task ends. They have few possible values.
func TestATaskMovesTheMetricsOfItsIndexSeldomAndInFewSteps(t *testing.T) {
	const limit, maxBacklog = 1 << 30, 1 << 20 // bytes of changes queued for all indexes
	var m metrics
	now, bytes := time.Unix(1_700_000_000, 0), uint64(0)
	tell := func(instance, queue uint64) standing {
		m.saw(about(instance, model.IndexServing, queue))
		m.settle(now, func(uint64) (uint64, uint64) { return bytes, limit })
		return m.indexes[7]
	}
	queues, memories := make(map[uint64]bool), make(map[uint64]bool)
	for i := range uint64(20_000) {
		now = now.Add(sampleEvery)
		bytes = i * limit / 5_000 // up to four times the limit
		queue := min(i*i, maxBacklog)
		x := tell(1, queue)
		queues[x.queue], memories[x.memory] = true, true
		if x.queue < queue || x.memory < min(bytes, limit) {
			t.Fatalf("queue %d and memory %d are shown for %d and %d; want no less", x.queue, x.memory, queue, bytes)
		}
	}
	if len(queues) > 12 || len(memories) > 2*memorySteps+1 {
		t.Errorf("the queue has %d values and the memory %d; want few", len(queues), len(memories))
	}
	changes := 0
	before := tell(1, 0)
	for i := range uint64(100 * sampleEvery / time.Second) {
		now = now.Add(time.Second)
		bytes = (i % 16) * limit / 16
		x := tell(2+i/3, 4<<(i%16)) // the Task ends every three seconds
		if x.queue != before.queue {
			changes++
		}
		before = x
	}
	if changes > 100 {
		t.Errorf("the shown queue changed %d times in 100 times %v; want 100 at most", changes, sampleEvery)
	}
}

// TestAnIndexThatIsDroppedIsShownNoMore, and neither is an index of a Core that has ended.
func TestAnIndexThatIsDroppedIsShownNoMore(t *testing.T) {
	var m metrics
	none := func(uint64) (uint64, uint64) { return 0, 0 }
	m.saw(about(1, model.IndexBuilding, 5))
	m.set(hostwire.Counters{}, none)
	if len(m.indexes) != 1 || m.indexes[7].state != model.IndexBuilding {
		t.Fatalf("%+v", m.indexes)
	}
	m.set(hostwire.Counters{}, none)
	if len(m.indexes) != 0 {
		t.Errorf("the Core no longer reports the index, but the metrics show it: %+v", m.indexes)
	}
	m.saw(about(1, model.IndexServing, 5))
	m.set(hostwire.Counters{}, none)
	m.down()
	if len(m.indexes) != 0 {
		t.Errorf("no Core runs, but the metrics show an index: %+v", m.indexes)
	}
}

// TestTheStartOfATaskIsTimed until its index serves, and not after that.
func TestTheStartOfATaskIsTimed(t *testing.T) {
	var m metrics
	none := func(uint64) (uint64, uint64) { return 0, 0 }
	m.saw(hostwire.StartTask{Instance: 3})
	began := m.began[3]
	for _, c := range []struct {
		after time.Duration
		state model.IndexState
		want  time.Duration
	}{
		{time.Second, model.IndexStarting, 0},
		{3 * time.Second, model.IndexBuilding, 0},
		{5 * time.Second, model.IndexServing, 8 * time.Second},
		{50 * time.Second, model.IndexServing, 8 * time.Second},
	} {
		m.saw(about(3, c.state, 0))
		if m.settle(began.Add(c.after), none); m.indexes[7].start != c.want {
			t.Errorf("after %v, in state %d: %v, want %v", c.after, c.state, m.indexes[7].start, c.want)
		}
	}
}
