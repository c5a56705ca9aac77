package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"time"

	"motte/bench/timing"
	"motte/internal/procfs"
)

// The systems. The echo stores no data. It shows the least cost of any service over TLS.
const (
	motte    = "Motte"
	bareEcho = "echo"
	postgres = "PostgreSQL"
	redis    = "Redis"
)

// line is a comparison: several systems do the same work.
type line struct {
	name    string
	systems []string // Motte first
	targets []target
	// prepare connects to a system, and makes the tables and objects for the work.
	prepare func(ctx context.Context, a *arena, system string) (contender, error)
}

// contender is a system that is ready for the work of a line.
type contender struct {
	pid   int // of the server, whose descendants count, too
	run   func(ctx context.Context, d time.Duration) (timing.Sample, error)
	close func() error // closes the connections
}

// figure is the value that a target compares.
type figure int

const (
	rate    figure = iota // Motte's operations per second, divided by the peer's
	latency               // Motte's median latency, divided by the peer's
)

// target is what Motte should reach beside a peer.
type target struct {
	peer        string
	figure      figure
	least, most float64 // one of them is 0, and is not a bound
}

// lines lists all comparisons, in the order of the table.
var lines = []line{
	{name: "GET, 1 connection × 1", systems: []string{motte, bareEcho, postgres, redis}, prepare: get(1),
		targets: []target{{peer: bareEcho, figure: latency, most: 2}}},
	{name: "GET, 16 connections × 1", systems: []string{motte, bareEcho, postgres, redis}, prepare: get(16),
		targets: []target{{peer: bareEcho, least: 0.7}}},
	{name: "GET, 1 connection × 64", systems: []string{motte, bareEcho}, prepare: getInFlight(64),
		targets: []target{{peer: bareEcho, least: 0.4}}},
	{name: "GETMANY of 64, 1 connection × 1", systems: []string{motte, bareEcho}, prepare: getMany(64),
		targets: []target{{peer: bareEcho, least: 0.6}}},
	{name: "range of 10, 1 connection × 1", systems: []string{motte, bareEcho, postgres}, prepare: ranges(1),
		targets: []target{{peer: bareEcho, figure: latency, most: 4}, {peer: postgres, figure: latency, most: 1}}},
	{name: "range of 10, 16 connections × 1", systems: []string{motte, postgres}, prepare: ranges(16),
		targets: []target{{peer: postgres, least: 3}}},
	{name: "durable PUT, 1 in flight", systems: []string{motte, postgres}, prepare: puts(1),
		targets: []target{{peer: postgres, least: 1.2}}},
	{name: "durable PUT, 16 in flight", systems: []string{motte, postgres}, prepare: puts(16),
		targets: []target{{peer: postgres, least: 4}}},
	{name: "durable PUT, 64 in flight", systems: []string{motte, postgres}, prepare: puts(64),
		targets: []target{{peer: postgres, least: 6}}},
	{name: "rare word, 10 texts, 1 connection × 1", systems: []string{motte, postgres}, prepare: wordWork(1, wordSearcher.rare),
		targets: []target{{peer: postgres, least: 1}}},
	{name: "rare word, 10 texts, 16 connections × 1", systems: []string{motte, postgres}, prepare: wordWork(16, wordSearcher.rare),
		targets: []target{{peer: postgres, least: 3}}},
	{name: "rare word, 10 texts, 64 connections × 1", systems: []string{motte, postgres}, prepare: wordWork(64, wordSearcher.rare),
		targets: []target{{peer: postgres, least: 4}}},
	{name: "two common words, best 10 texts, 1 connection × 1", systems: []string{motte, postgres}, prepare: wordWork(1, wordSearcher.best),
		targets: []target{{peer: postgres, least: 5}}},
	{name: "durable PUT of a text, 1 in flight", systems: []string{motte, postgres}, prepare: wordWork(1, wordSearcher.putTexts),
		targets: []target{{peer: postgres, least: 1}}},
	{name: "durable PUT of a text, 16 in flight", systems: []string{motte, postgres}, prepare: wordWork(16, wordSearcher.putTexts),
		targets: []target{{peer: postgres, least: 3}}},
	{name: "YCSB A, 16 threads", systems: []string{motte, redis, postgres}, prepare: workload("A", 16),
		targets: []target{{peer: redis, least: 2.5}, {peer: postgres, least: 3}}},
	{name: "YCSB B, 16 threads", systems: []string{motte, redis, postgres}, prepare: workload("B", 16),
		targets: []target{{peer: redis, least: 1.5}, {peer: postgres, least: 3}}},
	{name: "YCSB C, 16 threads", systems: []string{motte, redis, postgres}, prepare: workload("C", 16),
		targets: []target{{peer: redis, least: 1.5}, {peer: postgres, least: 3}}},
	{name: "YCSB F, 16 threads", systems: []string{motte, redis, postgres}, prepare: workload("F", 16),
		targets: []target{{peer: redis, least: 2.5}, {peer: postgres, least: 3}}},
}

// observation is the result of one turn of one system.
type observation struct {
	rate           float64       // operations per second
	server, client time.Duration // processor time for each operation
	p50, p99, p999 time.Duration // latencies
}

// result is a line with its observations: for each system, one for each turn.
type result struct {
	line line
	of   map[string][]observation
}

// warmUp is how long a system works before its first turn, to fill its caches. These operations
// do not count.
const warmUp = 300 * time.Millisecond

// measure lets the systems of a line take turns.
func (l line) measure(ctx context.Context, a *arena, each time.Duration, turns int, p *progress) (r result, err error) {
	r = result{line: l, of: make(map[string][]observation)}
	contenders := make([]contender, len(l.systems))
	for i, system := range l.systems {
		p.say(l.name + ": preparing " + system)
		c, err := l.prepare(ctx, a, system)
		if err != nil {
			return r, fmt.Errorf("%s: %w", system, err)
		}
		defer func() { err = errors.Join(err, c.close()) }()
		if _, err := c.run(context.WithoutCancel(ctx), min(warmUp, each)); err != nil {
			return r, fmt.Errorf("%s: %w", system, err)
		}
		contenders[i] = c
	}
	for turn := range turns {
		for i, system := range l.systems {
			if err := ctx.Err(); err != nil {
				return r, err
			}
			p.step(fmt.Sprintf("%s: turn %d of %d, %s", l.name, turn+1, turns, system))
			o, err := contenders[i].observe(ctx, each)
			if err != nil {
				return r, fmt.Errorf("%s: %w", system, err)
			}
			r.of[system] = append(r.of[system], o)
		}
	}
	return r, nil
}

// observe takes one sample. The context of the operations can't be cancelled. With a context
// that can be cancelled, some clients have a cost for each operation, and others have not.
func (c contender) observe(ctx context.Context, d time.Duration) (o observation, err error) {
	runtime.GC() // so that no system pays for the garbage of another
	server, err := procfs.CPU(c.pid)
	if err != nil {
		return o, err
	}
	client, err := ownCPU()
	if err != nil {
		return o, err
	}
	s, err := c.run(context.WithoutCancel(ctx), d)
	if err != nil {
		return o, err
	}
	clientAfter, err := ownCPU()
	if err != nil {
		return o, err
	}
	serverAfter, err := procfs.CPU(c.pid)
	if err != nil {
		return o, err
	}
	n := time.Duration(len(s.Latencies))
	if n == 0 {
		return o, errors.New("no operation ended")
	}
	return observation{rate: s.Rate(), server: (serverAfter - server) / n, client: (clientAfter - client) / n,
		p50: s.Quantile(500), p99: s.Quantile(990), p999: s.Quantile(999)}, nil
}

// ownCPU returns the processor time that this process has used.
func ownCPU() (time.Duration, error) {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}

// spread is the least, the median and the greatest of several values.
type spread struct{ least, median, greatest float64 }

func spreadOf(values []float64) (s spread) {
	if len(values) == 0 {
		return s
	}
	values = slices.Sorted(slices.Values(values))
	last := len(values) - 1
	return spread{values[0], (values[last/2] + values[len(values)/2]) / 2, values[last]}
}

// figures returns one figure of a system, over all turns.
func (r result) figures(system string, of func(observation) float64) spread {
	var values []float64
	for _, o := range r.of[system] {
		values = append(values, of(o))
	}
	return spreadOf(values)
}

// ratio compares Motte with a peer, turn by turn.
func (r result) ratio(peer string, f figure) spread {
	of := func(o observation) float64 { return o.rate }
	if f == latency {
		of = func(o observation) float64 { return float64(o.p50) }
	}
	var values []float64
	for turn, o := range r.of[peer] {
		values = append(values, of(r.of[motte][turn])/of(o))
	}
	return spreadOf(values)
}

// met reports whether the median of the ratios reaches a target.
func (t target) met(r spread) bool {
	return (t.least == 0 || r.median >= t.least) && (t.most == 0 || r.median <= t.most)
}

// targetBeside returns the target beside a peer, if there is one.
func (l line) targetBeside(peer string) (target, bool) {
	i := slices.IndexFunc(l.targets, func(t target) bool { return t.peer == peer })
	if i < 0 {
		return target{peer: peer}, false
	}
	return l.targets[i], true
}
