package main

import (
	"context"
	"fmt"
	"sync"

	"motte/client"
	"motte/core/wire"
)

// counted is the number of objects that one COUNT counts.
const counted = 600_000

// counting measures the longest latency of GETs, one in flight, while another client repeatedly
// counts all objects of a large collection. A percentile would hide the effect: one long event
// delays only a few GETs. The peer is the same load of GETs without the counting.
func counting(ctx context.Context, f *fixture) (motte, beside measure, err error) {
	clients, _, err := f.readers(ctx, 2)
	if err != nil {
		return nil, nil, err
	}
	s, err := f.theServer(ctx)
	if err == nil {
		err = s.manySmall(ctx, "counted", "n", counted)
	}
	if err != nil {
		return nil, nil, err
	}
	gets := func(ctx context.Context) (float64, error) {
		return latency(ctx, f.duration(), 1, 1000, func(ctx context.Context) error { return get(ctx, clients[0]) })
	}
	motte = func(ctx context.Context) (float64, error) {
		var all sync.WaitGroup
		var failed error
		going, stop := context.WithCancel(ctx)
		all.Go(func() {
			for going.Err() == nil && failed == nil {
				var found client.Found
				found, failed = clients[1].Count(ctx, client.Query{Collection: "counted", Index: "n", Predicate: "all"})
				if failed == nil && found.Count != counted {
					failed = fmt.Errorf("a COUNT returns %d objects; want %d", found.Count, counted)
				}
			}
		})
		took, err := gets(ctx)
		stop()
		all.Wait()
		if err == nil {
			err = failed
		}
		return took, err
	}
	return motte, gets, nil
}

// manySmall makes a collection with an index, and fills it with n small objects.
func (s *server) manySmall(ctx context.Context, collection, index string, n int) error {
	if err := s.collection(ctx, collection, index); err != nil {
		return err
	}
	bar := progress("  filling", n)
	defer bar.Finish()
	for i := 0; i < n; {
		var b client.Batch
		for ; i < n && b.Len() < wire.MaxBatch; i++ {
			b.Put([]byte("small"), client.Attribute(index, fmt.Append(nil, i)))
		}
		if _, err := s.admin.PutBatch(ctx, collection, &b); err != nil {
			return fmt.Errorf("fill %s: %w", collection, err)
		}
		_ = bar.Add(b.Len())
	}
	return nil
}
