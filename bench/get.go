package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"

	"motte/bench/echo"
	"motte/bench/timing"
	"motte/client"
)

// stored is the number of objects from which a GET or SEARCH picks.
const stored = 10_000

// getOnEach measures GET by name on n connections, one in flight on each.
func getOnEach(n int) func(context.Context, *fixture) (motte, beside measure, err error) {
	return func(ctx context.Context, f *fixture) (motte, beside measure, err error) {
		clients, conns, err := f.readers(ctx, n)
		motte = func(ctx context.Context) (float64, error) {
			return load(ctx, f.duration(), n, func(ctx context.Context, worker, _ int) error {
				return get(ctx, clients[worker])
			})
		}
		beside = func(ctx context.Context) (float64, error) { return rate(echo.Alternate(ctx, f.duration(), conns)) }
		return motte, beside, err
	}
}

// getInFlight measures GET by name on one connection, n in flight.
func getInFlight(n int) func(context.Context, *fixture) (motte, beside measure, err error) {
	return func(ctx context.Context, f *fixture) (motte, beside measure, err error) {
		clients, conns, err := f.readers(ctx, 1)
		motte = func(ctx context.Context) (float64, error) {
			return load(ctx, f.duration(), n, func(ctx context.Context, _, _ int) error {
				return get(ctx, clients[0])
			})
		}
		beside = func(ctx context.Context) (float64, error) {
			return rate(echo.Pipeline(ctx, f.duration(), conns[0], n))
		}
		return motte, beside, err
	}
}

const getCollection = "get"

// readers connects n clients to a filled collection, and as many to the echo.
func (f *fixture) readers(ctx context.Context, n int) ([]*client.Client, []net.Conn, error) {
	s, err := f.theServer(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := s.filled(ctx, getCollection, "", stored); err != nil {
		return nil, nil, err
	}
	clients, err := s.connect(ctx, n)
	if err != nil {
		return nil, nil, err
	}
	e, err := f.theEcho()
	if err != nil {
		return nil, nil, err
	}
	conns, err := e.Dial(n)
	return clients, conns, err
}

func get(ctx context.Context, c *client.Client) error {
	o, err := c.Get(ctx, getCollection, objectName(rand.IntN(stored)))
	if err == nil && len(o.Data) != timing.ObjectSize {
		err = fmt.Errorf("GET returned an object of %d bytes", len(o.Data))
	}
	return err
}
