package main

import (
	"context"
	"crypto/rand"
	"errors"
	randv2 "math/rand/v2"
	"os"
	"sync"
	"time"

	"motte/client"
	"motte/mottetest"
)

// Sizes of the load that overwrites objects, to measure the storage at work.
const (
	liveObjects = 1 << 16 // objects of liveSize, 512 MiB in all
	liveSize    = 8 << 10 // bytes
	overwrites  = 4       // for each live object
	writers     = 64      // PUTs in flight
)

// restart measures the time of a start with -objects objects, until clients can connect.
func restart(ctx context.Context, f *fixture) (motte, beside measure, err error) {
	s, err := startServer(ctx, f.dir, f.bin)
	if err != nil {
		return nil, nil, err
	}
	f.cleanup(s.stop)
	if err := errors.Join(s.collection(ctx, "c", ""), s.loadSmall(ctx, f.objects)); err != nil {
		return nil, nil, err
	}
	motte = func(context.Context) (float64, error) {
		if err := s.Stop(); err != nil {
			return 0, err
		}
		began := time.Now()
		again, err := mottetest.Start(s.dir, f.bin)
		if err != nil {
			return 0, err
		}
		took := time.Since(began)
		s.Server = again
		return float64(took.Milliseconds()), nil
	}
	return motte, nil, nil
}

// theLive returns the server with liveObjects objects.
func (f *fixture) theLive(ctx context.Context) (*server, error) {
	if f.live != nil {
		return f.live, nil
	}
	s, err := startServer(ctx, f.dir, f.bin)
	if err != nil {
		return nil, err
	}
	f.cleanup(s.stop)
	if err := s.collection(ctx, "live", ""); err != nil {
		return nil, err
	}
	bar := progress("  loading", liveObjects)
	defer bar.Finish()
	for i := 0; i < liveObjects; {
		var b client.Batch
		for ; i < liveObjects && b.Len() < 256; i++ {
			b.Put(random(), client.Name(objectName(i)))
		}
		if _, err := s.admin.PutBatch(ctx, "live", &b); err != nil {
			return nil, err
		}
		_ = bar.Add(b.Len())
	}
	f.live = s
	return s, nil
}

// random returns the content of an object to be overwritten.
func random() []byte {
	p := make([]byte, liveSize)
	_, _ = rand.Read(p) // never fails
	return p
}

// tail measures the 99th percentile of the latency of overwriting PUTs during forced
// compactions, one after another. Each compaction begins with two checkpoints. The peer is the
// same load of PUTs without compactions.
func tail(ctx context.Context, f *fixture) (motte, beside measure, err error) {
	s, err := f.theLive(ctx)
	if err != nil {
		return nil, nil, err
	}
	puts := func(ctx context.Context) (float64, error) {
		return latency(ctx, f.duration(), writers, 990, func(ctx context.Context) error {
			_, err := s.admin.Put(ctx, "live", random(), client.Name(objectName(randv2.IntN(liveObjects))))
			return err
		})
	}
	motte = func(ctx context.Context) (float64, error) {
		compacting, stop := context.WithCancel(ctx)
		var all sync.WaitGroup
		all.Go(func() {
			for compacting.Err() == nil && s.admin.Compact(compacting) == nil {
			}
		})
		defer all.Wait()
		defer stop()
		return puts(ctx)
	}
	return motte, puts, nil
}

// space measures the size of the data directory for each byte of live records. It returns the
// greatest value during the load, which overwrites each live object overwrites times on average.
// pick chooses the objects.
func space(pick func() func() int) func(context.Context, *fixture) (motte, beside measure, err error) {
	return func(ctx context.Context, f *fixture) (motte, beside measure, err error) {
		s, err := f.theLive(ctx)
		if err != nil {
			return nil, nil, err
		}
		motte = func(ctx context.Context) (float64, error) {
			most, next := 0.0, pick()
			bar := progress("  overwriting", overwrites*liveObjects)
			defer bar.Finish()
			for i := 0; i < overwrites*liveObjects; {
				var b client.Batch
				for ; b.Len() < 256; i++ {
					b.Put(random(), client.Name(objectName(next())))
				}
				if _, err := s.admin.PutBatch(ctx, "live", &b); err != nil {
					return 0, err
				}
				_ = bar.Add(b.Len())
				// Skip the first half of the overwrites: the disk space is not steady yet.
				if i < overwrites*liveObjects/2 {
					continue
				}
				taken, err := onDisk(s.Dir)
				if err != nil {
					return 0, err
				}
				most = max(most, float64(taken)/(liveObjects*(liveSize+recordOverhead)))
			}
			return most, nil
		}
		return motte, nil, nil
	}
}

// recordOverhead is the size of a record without the content of its object.
const recordOverhead = 144 // bytes

func uniform() func() int { return func() int { return randv2.IntN(liveObjects) } }

// zipfian picks some objects far more often than others: the n-th with a probability
// proportional to n^-1.1.
func zipfian() func() int {
	z := randv2.NewZipf(randv2.New(randv2.NewPCG(1, 2)), 1.1, 1, liveObjects-1)
	return func() int { return int(z.Uint64()) }
}

// onDisk returns the bytes of the files in a directory.
func onDisk(dir string) (n int64, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue // the file was removed meanwhile
		}
		if err != nil {
			return 0, err
		}
		n += info.Size()
	}
	return n, err
}
