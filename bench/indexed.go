package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"

	"motte/bench/exact"
	"motte/bench/timing"
	"motte/client"
	"motte/client/frames"
	"motte/core/model"
	"motte/core/wire"
	"motte/host"
	"motte/internal/procfs"
	"motte/mottetest"
	"motte/sdk"
)

// exactName is the name of the Task, the index and the collection.
const exactName = "exact"

// searchThroughTask measures the processor time of a SEARCH that finds ten small objects, by an index
// in a Task: of client, Core and Task together. The peer has the same index in the client's process,
// and gets the ten objects by a GETMANY.
func searchThroughTask(ctx context.Context, f *fixture) (motte, beside measure, err error) {
	s, x, err := f.exactServer(ctx)
	if err != nil {
		return nil, nil, err
	}
	each := func(op func(ctx context.Context, key []byte) error) measure {
		return func(ctx context.Context) (float64, error) {
			var calls atomic.Int64
			before, err := procfs.CPU(os.Getpid())
			if err != nil {
				return 0, err
			}
			_, err = timing.Run(ctx, f.duration(), exactFlight, func(ctx context.Context, _, _ int) error {
				calls.Add(1)
				return op(ctx, exactKey(rand.IntN(exactEntries)))
			})
			if err != nil {
				return 0, err
			}
			after, err := procfs.CPU(os.Getpid())
			return micros(after-before, int(calls.Load())), err
		}
	}
	motte = each(func(ctx context.Context, key []byte) error {
		found := 0
		for _, err := range s.admin.Search(ctx, client.Query{Collection: exactName, Index: exactName, Predicate: string(key)}) {
			if err != nil {
				return err
			}
			found++
		}
		return foundWanted(found)
	})
	beside = each(func(ctx context.Context, key []byte) error {
		ids, err := x.Search(sdk.Query{Limit: wanted, Predicate: key})
		if err != nil {
			return err
		}
		found := 0
		for _, err := range s.admin.GetAllIdentities(ctx, exactName, take(ids)...) {
			if err != nil {
				return err
			}
			found++
		}
		return foundWanted(found)
	})
	return motte, beside, nil
}

func foundWanted(found int) error {
	if found != wanted {
		return fmt.Errorf("%d objects are found; want %d", found, wanted)
	}
	return nil
}

// exactServer starts a server with objects in an index of exact matches. It returns the same index
// in this process, too.
func (f *fixture) exactServer(ctx context.Context) (s *server, x *exact.Index, err error) {
	path, err := f.exactTask(ctx, inGo)
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp(f.dir, "motte-bench-")
	if err != nil {
		return nil, nil, err
	}
	s = &server{dir: dir}
	if s.Server, err = mottetest.Start(dir, f.bin, filepath.Dir(path)); err != nil {
		return nil, nil, err
	}
	f.cleanup(s.stop)
	if s.admin, err = s.Admin(ctx); err != nil {
		return nil, nil, err
	}
	measurement, err := host.Measure(path)
	if err != nil {
		return nil, nil, err
	}
	if err := s.admin.RegisterTask(ctx, exactName, client.Row{Measurement: measurement, Operations: frames.TaskSearch,
		MaxInput: 1 << 10, MaxResults: 1000, Deadline: 10_000, Memory: exactMemory}); err != nil {
		return nil, nil, err
	}
	if err := s.admin.CreateCollection(ctx, exactName); err != nil {
		return nil, nil, err
	}
	if err := s.admin.CreateIndex(ctx, exactName, exactName, client.Index{Task: exactName, Type: model.TypeBytes}); err != nil {
		return nil, nil, err
	}
	ids, err := s.putExact(ctx)
	return s, filledExact(ids), err
}

// putExact puts the entries, and returns the identities.
func (s *server) putExact(ctx context.Context) (ids []sdk.Identity, err error) {
	for i := 0; i < exactEntries; {
		var b client.Batch
		for ; i < exactEntries && b.Len() < wire.MaxBatch; i++ {
			b.Put(exactKey(i))
		}
		results, err := s.admin.PutBatch(ctx, exactName, &b)
		if err != nil {
			return nil, fmt.Errorf("fill %s: %w", exactName, err)
		}
		for _, r := range results {
			ids = append(ids, r.Identity)
		}
	}
	return ids, nil
}
