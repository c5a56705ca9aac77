package model

import (
	"math/bits"
	"time"
)

// LatencyBuckets is the number of buckets of a Latencies.
const LatencyBuckets = 8

// Latencies counts durations. Bucket i counts durations below 4^i milliseconds that no bucket
// before it counts. The last bucket counts all longer durations.
type Latencies [LatencyBuckets]uint64

// Add counts a duration.
func (l *Latencies) Add(d time.Duration) {
	length := bits.Len64(uint64(max(d, 0) / time.Millisecond))
	l[min((length+1)/2, LatencyBuckets-1)]++
}
