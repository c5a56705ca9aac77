package core

import (
	"sync"
	"time"

	"motte/core/control"
	"motte/core/wire"
)

// counters are the Core's statistics. They count requests by kind, outcome and
// duration, whatever was in them.
type counters struct {
	mu sync.Mutex
	s  control.Stats
}

func (c *counters) answered(op wire.Operation, code wire.Code, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Requests[op][code]++
	c.s.Latency[op][latencyBucket(d)]++
	c.s.LatencySum[op] += uint64(d.Microseconds())
}

func (c *counters) synced(d time.Duration, records int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.SyncLatency[latencyBucket(d)]++
	c.s.SyncSum += uint64(d.Microseconds())
	c.s.Synced += uint64(records)
}

func (c *counters) refused() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.Refused++
}

func (c *counters) noteTasks(started int, events []wire.Alert) {
	if started == 0 && len(events) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s.TaskStarts += uint64(started)
	for _, a := range events {
		if a.Index != "" {
			c.s.Quarantines++
		}
	}
}

// latencyBucket is the bucket of a duration: see control.Stats.
func latencyBucket(d time.Duration) int {
	b := 0
	for limit := 16 * time.Microsecond; d >= limit && b < control.Buckets-1; limit *= 2 {
		b++
	}
	return b
}

// count tells the host how much there is, and the engine what only the shell
// knows.
func (s *shell) count() {
	s.mu.Lock()
	conns := len(s.conns)
	s.mu.Unlock()
	size, segments := s.log.Size()
	s.engine.Observe(conns, uint64(size), uint32(segments))
	s.stats.mu.Lock()
	defer s.stats.mu.Unlock()
	st := &s.stats.s
	st.Connections, st.LogBytes, st.Objects = uint64(conns), uint64(size), uint64(s.engine.Objects())
	s.toHost.put(control.Message{Type: control.Counters, Values: st.Values()})
}
