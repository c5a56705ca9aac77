// Package timing calls an operation repeatedly for a time, and records the duration of each
// call.
//
// The load is closed: each worker makes its next call when its last call has returned. So the
// latencies are those of a system with this number of callers, and a slow call delays the next
// calls of its worker.
package timing

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// ObjectSize is the size of the objects that most benchmarks store.
const ObjectSize = 1 << 10 // bytes

// Object returns the content of the n-th object: ObjectSize bytes that are different for each n
// and can't be compressed.
func Object(n int) []byte {
	r := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
	p := make([]byte, ObjectSize)
	_, _ = r.Read(p) // never fails
	return p
}

// Operation is one call. Workers are numbered from 0, and so are the calls of each worker.
type Operation func(ctx context.Context, worker, call int) error

// Sample is the result of one run.
type Sample struct {
	Took      time.Duration   // duration of the whole run
	Latencies []time.Duration // of each call, ascending
}

// Run lets workers call an operation until the time is up. Each worker makes at least one call.
// Run waits for calls in progress. The first error ends the run.
func Run(ctx context.Context, d time.Duration, workers int, op Operation) (Sample, error) {
	var all sync.WaitGroup
	var over atomic.Bool
	took, errs := make([][]time.Duration, workers), make([]error, workers)
	began := time.Now()
	timer := time.AfterFunc(d, func() { over.Store(true) })
	defer timer.Stop()
	for w := range workers {
		all.Go(func() {
			var latencies []time.Duration
			before := time.Now()
			for n := 0; n == 0 || !over.Load(); n++ {
				if errs[w] = op(ctx, w, n); errs[w] != nil {
					over.Store(true)
					break
				}
				now := time.Now()
				latencies = append(latencies, now.Sub(before))
				before = now
			}
			took[w] = latencies
		})
	}
	all.Wait()
	return NewSample(time.Since(began), slices.Concat(took...)), errors.Join(errs...)
}

// NewSample makes a sample of latencies in any order. It sorts them.
func NewSample(took time.Duration, latencies []time.Duration) Sample {
	slices.Sort(latencies)
	return Sample{Took: took, Latencies: latencies}
}

// Each converts a sample of calls with n operations each into a sample of operations. Each
// operation has the duration of its call.
func (s Sample) Each(n int) Sample {
	each := make([]time.Duration, 0, n*len(s.Latencies))
	for _, l := range s.Latencies {
		for range n {
			each = append(each, l)
		}
	}
	return Sample{Took: s.Took, Latencies: each}
}

// Rate returns calls per second.
func (s Sample) Rate() float64 {
	if s.Took <= 0 {
		return 0
	}
	return float64(len(s.Latencies)) / s.Took.Seconds()
}

// Quantile returns the shortest latency that perMille of a thousand calls did not exceed: 500 is
// the median. It returns 0 if there were no calls. It returns a measured latency, and does not
// interpolate.
func (s Sample) Quantile(perMille int) time.Duration {
	if len(s.Latencies) == 0 {
		return 0
	}
	rank := (perMille*len(s.Latencies) + 999) / 1000
	return s.Latencies[min(max(rank, 1), len(s.Latencies))-1]
}
