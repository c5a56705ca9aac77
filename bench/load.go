package main

import (
	"context"
	"time"

	"motte/bench/timing"
)

// rate returns calls per second.
func rate(s timing.Sample, err error) (float64, error) { return s.Rate(), err }

// load lets workers call op repeatedly until the time is up, so there are as many calls in
// flight as workers. It returns calls per second.
func load(ctx context.Context, d time.Duration, workers int, op timing.Operation) (float64, error) {
	return rate(timing.Run(ctx, d, workers, op))
}

// latency lets workers call op for some time. It returns the latency in milliseconds that
// perMille of a thousand calls did not exceed. With 1000 it returns the longest latency.
func latency(ctx context.Context, d time.Duration, workers, perMille int, op func(context.Context) error) (float64, error) {
	s, err := timing.Run(ctx, d, workers, func(ctx context.Context, _, _ int) error { return op(ctx) })
	return float64(s.Quantile(perMille).Microseconds()) / 1000, err
}
