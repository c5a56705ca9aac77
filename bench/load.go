package main

import (
	"context"
	"time"

	"motte/bench/timing"
)

// rate returns calls a second.
func rate(s timing.Sample, err error) (float64, error) { return s.Rate(), err }

// load has workers call op one time after the other until the time is up: as
// many calls are in flight as there are workers. It returns calls a second.
func load(ctx context.Context, d time.Duration, workers int, op timing.Operation) (float64, error) {
	return rate(timing.Run(ctx, d, workers, op))
}

// latency has workers call op for some time, and returns the latency in milliseconds that so many
// of a thousand calls did not exceed; 1000 is the longest.
func latency(ctx context.Context, d time.Duration, workers, perMille int, op func(context.Context) error) (float64, error) {
	s, err := timing.Run(ctx, d, workers, func(ctx context.Context, _, _ int) error { return op(ctx) })
	return float64(s.Quantile(perMille).Microseconds()) / 1000, err
}
