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

// intersect measures queries over two leaves of one index, 16 in flight on one connection. They
// return the ten objects of the first leaf. The other leaf finds these and so many more objects. The
// peer is a search for the first leaf alone.
func intersect(more int) func(context.Context, *fixture) (motte, beside measure, err error) {
	return func(ctx context.Context, f *fixture) (motte, beside measure, err error) {
		alone, _, err := search(16)(ctx, f)
		if err != nil {
			return nil, nil, err
		}
		s, err := f.theServer(ctx)
		if err != nil {
			return nil, nil, err
		}
		motte = func(ctx context.Context) (float64, error) {
			return load(ctx, f.duration(), 16, func(ctx context.Context, _, _ int) error {
				return intersectOnce(ctx, s.admin, more)
			})
		}
		return motte, alone, nil
	}
}

func between(from, n int) client.Expression {
	return client.Leaf("n", fmt.Sprintf(">= %d and < %d", from, from+n))
}

func searchOnce(ctx context.Context, c *client.Client) error {
	from := rand.IntN(stored - wanted)
	q := client.Query{Collection: "search", Index: "n", Limit: wanted,
		Predicate: fmt.Sprintf(">= %d and < %d", from, from+wanted)}
	return searchFor(ctx, c, q)
}

func intersectOnce(ctx context.Context, c *client.Client, more int) error {
	from := rand.IntN(stored - wanted - more)
	q := client.Query{Collection: "search", Limit: wanted,
		Where: client.And(between(from, wanted), between(from, wanted+more))}
	return searchFor(ctx, c, q)
}

// searchFor sends a search that finds ten objects.
func searchFor(ctx context.Context, c *client.Client, q client.Query) error {
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
