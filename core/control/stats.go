package control

// Buckets is the number of buckets of a latency histogram: bucket i counts
// what took less than 2^i × 16 µs; the last one counts the rest.
const Buckets = 20

// MaxOp and MaxCode are one more than the highest operation and code counted.
const (
	MaxOp   = 35
	MaxCode = 26
)

// Stats are the Core's counters since it started. They depend on how many
// requests there were, on their kind, outcome and duration, and on nothing
// else: on no content, name, principal or predicate.
type Stats struct {
	Requests    [MaxOp][MaxCode]uint64 // answered, by operation and code
	Latency     [MaxOp][Buckets]uint64 // by operation
	LatencySum  [MaxOp]uint64          // microseconds
	SyncLatency [Buckets]uint64        // of group commits
	SyncSum     uint64                 // microseconds
	Synced      uint64                 // records made durable
	LogBytes    uint64
	Objects     uint64
	Connections uint64 // open now
	Refused     uint64 // connections refused: over the limit, or a handshake that failed
	TaskStarts  uint64
	Quarantines uint64
}

// Values lists the counters in a fixed order, for a Counters message.
func (s *Stats) Values() []uint64 {
	var list []uint64
	s.each(func(p *uint64) { list = append(list, *p) })
	return list
}

// SetValues takes the counters from a Counters message; it reports whether
// their number is right.
func (s *Stats) SetValues(list []uint64) bool {
	n := 0
	s.each(func(*uint64) { n++ })
	if n != len(list) {
		return false
	}
	s.each(func(p *uint64) { *p, list = list[0], list[1:] })
	return true
}

func (s *Stats) each(f func(*uint64)) {
	for op := range s.Requests {
		for code := range s.Requests[op] {
			f(&s.Requests[op][code])
		}
		for b := range s.Latency[op] {
			f(&s.Latency[op][b])
		}
		f(&s.LatencySum[op])
	}
	for b := range s.SyncLatency {
		f(&s.SyncLatency[b])
	}
	for _, p := range []*uint64{&s.SyncSum, &s.Synced, &s.LogBytes, &s.Objects,
		&s.Connections, &s.Refused, &s.TaskStarts, &s.Quarantines} {
		f(p)
	}
}
