package hostwire

import (
	"motte/core/codec"
	"motte/core/model"
)

// Operations and Codes are one more than the highest operation and code that is counted.
const (
	Operations = int(model.LastOperation) + 1
	Codes      = int(model.LastCode) + 1
)

// Buckets is the number of buckets of a Histogram. Bucket i counts durations below
// 2^i × 16 µs; the last bucket counts all longer durations.
const Buckets = 20

// Stats are the Core's counters since its start. They depend on the number of requests,
// on their kind, outcome and duration, and on nothing else: on no content, name, principal
// or predicate.
type Stats struct {
	Synced  uint64 // records made durable
	Refused uint64 // connections: strangers, over the limit, or a handshake that failed

	// WriteBegan is when the unfinished write began, in Unix milliseconds. 0: there is no
	// such write.
	WriteBegan uint64

	Commits  Histogram                 // of group commits
	Requests [Operations][Codes]uint64 // answers
	Latency  [Operations]Histogram     // from a request's header to the end of its answer
}

// Histogram counts durations.
type Histogram struct {
	Counts [Buckets]uint64
	Micros uint64 // the sum of the durations in microseconds
}

// appendStats appends the encoding of s to w: its numbers in the order of the struct, 8
// bytes each. Those of Requests and Latency are in the order of the operations.
func appendStats(w codec.Writer, s *Stats) codec.Writer {
	w = s.Commits.append(w.U64(s.Synced).U64(s.Refused).U64(s.WriteBegan))
	for op := range s.Requests {
		for _, n := range s.Requests[op] {
			w = w.U64(n)
		}
	}
	for op := range s.Latency {
		w = s.Latency[op].append(w)
	}
	return w
}

func (h *Histogram) append(w codec.Writer) codec.Writer {
	for _, n := range h.Counts {
		w = w.U64(n)
	}
	return w.U64(h.Micros)
}
