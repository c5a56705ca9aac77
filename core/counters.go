package core

import (
	"sync"
	"time"

	"motte/core/control"
	"motte/core/wire"
)

// counters are the Core's statistics: see control.Stats.
type counters struct {
	mu sync.Mutex
	s  control.Stats
}

func (c *counters) add(index int, n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s[index] += n
}

func (c *counters) answered(op wire.Operation, code wire.Code, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s[control.Requests(int(op), int(code))]++
	c.s[control.Latency(int(op), bucket(d))]++
	c.s[control.Micros(int(op))] += uint64(d.Microseconds())
}

func (c *counters) synced(d time.Duration, records int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.s[control.SyncLatency+bucket(d)]++
	c.s[control.SyncMicros] += uint64(d.Microseconds())
	c.s[control.Synced] += uint64(records)
}

// bucket is the bucket of a duration.
func bucket(d time.Duration) (b int) {
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
	s.engine.Observe(conns, size, segments)
	s.stats.mu.Lock()
	st := s.stats.s
	s.stats.mu.Unlock()
	st[control.Connections], st[control.LogBytes], st[control.Objects] = uint64(conns), uint64(size), uint64(s.engine.Objects())
	s.toHost.put(control.Message{Type: control.Counters, Values: st[:]})
}
