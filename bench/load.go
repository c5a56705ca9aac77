package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// objectSize is the size of every object that is read or written.
const objectSize = 1 << 10

// object returns the content of an object: bytes that no two objects share and
// that nothing could compress.
func object(n int) []byte {
	r := rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
	p := make([]byte, objectSize)
	_, _ = r.Read(p) // never fails
	return p
}

// load has workers call op one time after the other until the time is up: as
// many calls are in flight as there are workers. It returns calls a second.
func load(ctx context.Context, d time.Duration, workers int, op func(ctx context.Context, worker, call int) error) (float64, error) {
	var all sync.WaitGroup
	var over atomic.Bool
	counts, errs := make([]int, workers), make([]error, workers)
	began := time.Now()
	timer := time.AfterFunc(d, func() { over.Store(true) })
	defer timer.Stop()
	for w := range workers {
		all.Go(func() {
			n := 0
			for ; !over.Load() && errs[w] == nil; n++ {
				errs[w] = op(ctx, w, n)
			}
			counts[w] = n
		})
	}
	all.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / time.Since(began).Seconds(), errors.Join(errs...)
}

// latency has workers call op for some time, and returns a percentile of its latency in
// milliseconds; 100 is the longest.
func latency(ctx context.Context, d time.Duration, workers, percent int, op func(context.Context) error) (float64, error) {
	var mu sync.Mutex
	var took []time.Duration
	_, err := load(ctx, d, workers, func(ctx context.Context, _, _ int) error {
		began := time.Now()
		err := op(ctx)
		mu.Lock()
		defer mu.Unlock()
		took = append(took, time.Since(began))
		return err
	})
	if err != nil || len(took) == 0 {
		return 0, err
	}
	slices.Sort(took)
	return float64(took[min(len(took)*percent/100, len(took)-1)].Microseconds()) / 1000, nil
}
