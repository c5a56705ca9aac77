package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	"motte/bench/timing"
	"motte/client"
)

// wanted is the number of objects that a SEARCH finds.
const wanted = 10

// search measures range queries that return ten objects, n in flight on one
// connection.
func search(n int) func(context.Context, *fixture) (motte, beside measure, err error) {
	return func(ctx context.Context, f *fixture) (motte, beside measure, err error) {
		s, err := f.theServer(ctx)
		if err != nil {
			return nil, nil, err
		}
		if err := s.filled(ctx, "search", "n", stored); err != nil {
			return nil, nil, err
		}
		motte = func(ctx context.Context) (float64, error) {
			return load(ctx, f.duration(), n, func(ctx context.Context, _, _ int) error {
				return searchOnce(ctx, s.admin)
			})
		}
		return motte, nil, nil
	}
}

func searchOnce(ctx context.Context, c *client.Client) error {
	from := rand.IntN(stored - wanted)
	q := client.Query{Collection: "search", Index: "n", Limit: wanted,
		Predicate: fmt.Sprintf(">= %d and < %d", from, from+wanted)}
	found := 0
	for o, err := range c.Search(ctx, q) {
		if err != nil {
			return err
		}
		if len(o.Data) == timing.ObjectSize {
			found++
		}
	}
	if found != wanted {
		return fmt.Errorf("a search found %d objects; want %d", found, wanted)
	}
	return nil
}
