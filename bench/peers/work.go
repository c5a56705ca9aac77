package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"motte/bench/echo"
	"motte/bench/timing"
)

// wanted is the number of objects that a range query finds.
const wanted = 10

// loadBatch is the number of objects in a batch while a system is filled.
const loadBatch = 256

// objectName is the name of the n-th object in every system.
func objectName(n int) string { return fmt.Sprintf("object-%08d", n) }

// These interfaces are the work that a system can do. Each method opens one connection for each
// of n workers, unless its comment says otherwise. It returns the operation, and a function that
// closes the connections. Operations check the answers.
type (
	getter interface {
		gets(ctx context.Context, n int) (timing.Operation, func() error, error)
	}
	ranger interface {
		ranges(ctx context.Context, n int) (timing.Operation, func() error, error)
	}
	putter interface {
		puts(ctx context.Context, n int) (timing.Operation, func() error, error)
	}
	server interface{ pid() int }
)

// errNotIn says that a line lists a system that can't do its work.
var errNotIn = errors.New("this system does not take part in this line")

// opened returns a running system as a T, which does the work of a line, and as a server. For a
// system that does not implement T it returns errNotIn.
func opened[T any](ctx context.Context, a *arena, name string) (worker T, s server, err error) {
	running, err := a.open(ctx, name)
	if err != nil {
		return worker, nil, err
	}
	worker, ok := running.(T)
	if !ok {
		return worker, nil, errNotIn
	}
	return worker, running, nil
}

// get reads objects by name, picked at random, one in flight on each of n connections.
func get(n int) func(context.Context, *arena, string) (contender, error) {
	return func(ctx context.Context, a *arena, system string) (contender, error) {
		if system == bareEcho {
			return a.echoes(n)
		}
		g, s, err := opened[getter](ctx, a, system)
		if err != nil {
			return contender{}, err
		}
		op, done, err := g.gets(ctx, n)
		return workers(s, n, op, done), err
	}
}

// ranges asks an index for ten adjacent objects, with one query in flight on each of n
// connections.
func ranges(n int) func(context.Context, *arena, string) (contender, error) {
	return func(ctx context.Context, a *arena, system string) (contender, error) {
		if system == bareEcho {
			return a.echoes(n)
		}
		r, s, err := opened[ranger](ctx, a, system)
		if err != nil {
			return contender{}, err
		}
		op, done, err := r.ranges(ctx, n)
		return workers(s, n, op, done), err
	}
}

// puts stores new objects in an empty collection with an index, n in flight.
func puts(n int) func(context.Context, *arena, string) (contender, error) {
	return func(ctx context.Context, a *arena, system string) (contender, error) {
		p, s, err := opened[putter](ctx, a, system)
		if err != nil {
			return contender{}, err
		}
		op, done, err := p.puts(ctx, n)
		return workers(s, n, op, done), err
	}
}

// getInFlight reads objects by name, n in flight on one connection. The echo also has n in
// flight. It does not distinguish them, so it sends and takes many at once.
func getInFlight(n int) func(context.Context, *arena, string) (contender, error) {
	return func(ctx context.Context, a *arena, system string) (contender, error) {
		if system == bareEcho {
			return a.pipelined(n)
		}
		m, err := a.theMotte(ctx)
		if err != nil {
			return contender{}, err
		}
		op, done, err := m.getsOnOne(ctx)
		return workers(m, n, op, done), err
	}
}

// getMany reads n objects by name in one request, and sends the next request after the answer.
// One object is one operation. The echo has n objects in flight.
func getMany(n int) func(context.Context, *arena, string) (contender, error) {
	return func(ctx context.Context, a *arena, system string) (contender, error) {
		if system == bareEcho {
			return a.pipelined(n)
		}
		m, err := a.theMotte(ctx)
		if err != nil {
			return contender{}, err
		}
		op, done, err := m.getsMany(ctx, n)
		run := func(ctx context.Context, d time.Duration) (timing.Sample, error) {
			s, err := timing.Run(ctx, d, 1, op)
			return s.Each(n), err
		}
		return contender{pid: m.pid(), close: done, run: run}, err
	}
}

// workers makes a contender whose n workers call an operation.
func workers(s server, n int, op timing.Operation, done func() error) contender {
	run := func(ctx context.Context, d time.Duration) (timing.Sample, error) { return timing.Run(ctx, d, n, op) }
	return contender{pid: s.pid(), close: done, run: run}
}

// echoes sends and takes an object on each of n connections.
func (a *arena) echoes(n int) (contender, error) {
	conns, err := a.echo.Dial(n)
	run := func(ctx context.Context, d time.Duration) (timing.Sample, error) {
		return echo.Alternate(ctx, d, conns)
	}
	return contender{pid: a.echo.PID(), close: closer(conns...), run: run}, err
}

// pipelined keeps n objects in flight on one connection.
func (a *arena) pipelined(n int) (contender, error) {
	conns, err := a.echo.Dial(1)
	run := func(ctx context.Context, d time.Duration) (timing.Sample, error) {
		return echo.Pipeline(ctx, d, conns[0], n)
	}
	return contender{pid: a.echo.PID(), close: closer(conns...), run: run}, err
}

func closer(conns ...net.Conn) func() error {
	return func() error {
		var errs []error
		for _, c := range conns {
			errs = append(errs, c.Close())
		}
		return errors.Join(errs...)
	}
}

// anyObject picks one of the stored objects.
func (s settings) anyObject() int { return rand.IntN(s.objects) }

// anyRange picks the beginning of a range query.
func (s settings) anyRange() int { return rand.IntN(s.objects - wanted) }

// checkSize returns an error for an object of the wrong size.
func checkSize(object []byte) error {
	if len(object) != timing.ObjectSize {
		return fmt.Errorf("the answer has an object of %d bytes", len(object))
	}
	return nil
}

// checkFound returns an error for a range query with a wrong number of objects.
func checkFound(n int) error {
	if n != wanted {
		return fmt.Errorf("a range query found %d objects, not %d", n, wanted)
	}
	return nil
}
