package core

import (
	"runtime/debug"
	"sync/atomic"
	"time"

	"motte/core/control"
	"motte/core/wire"
)

// counters are the Core's statistics: see control.Stats.
type counters [len(control.Stats{})]atomic.Uint64

func (c *counters) answered(op wire.Operation, code wire.Code, d time.Duration) {
	c[control.Requests(int(op), int(code))].Add(1)
	c[control.Latency(int(op), bucket(d))].Add(1)
	c[control.Micros(int(op))].Add(uint64(d.Microseconds()))
}

func (c *counters) synced(d time.Duration, records int) {
	c[control.SyncLatency+bucket(d)].Add(1)
	c[control.SyncMicros].Add(uint64(d.Microseconds()))
	c[control.Synced].Add(uint64(records))
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
	size, list := int64(0), s.log.Segments()
	for i := range list {
		size += list[i].Bytes
	}
	s.engine.Observe(len(s.conns), size, len(list))
	n, bytes := s.engine.Objects()
	collect(bytes)
	values := make([]uint64, len(s.stats))
	for i := range values {
		values[i] = s.stats[i].Load()
	}
	values[control.Connections], values[control.LogBytes], values[control.Objects] =
		uint64(len(s.conns)), uint64(size), uint64(n)
	s.toHost.put(control.Message{Type: control.Counters, Values: values}, *anchor(s.engine.Head()))
}

// headroom is the memory for garbage beside a large mapping, which has no
// pointers to follow: it costs little to collect often, and much to wait until
// there is half as much garbage as there is mapping.
const headroom = 48 << 20 // bytes

// collect sets how often garbage is collected, for a mapping of this size.
func collect(bytes int64) {
	debug.SetGCPercent(int(min(50, headroom*100/(bytes+headroom/2))))
}
