package timing

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// TestQuantileIsTheNearestRank: a quantile is a measured latency, at the least rank that covers
// the share.
func TestQuantileIsTheNearestRank(t *testing.T) {
	var thousand []time.Duration
	for i := 1000; i > 0; i-- {
		thousand = append(thousand, time.Duration(i))
	}
	for _, tc := range []struct {
		latencies []time.Duration
		perMille  int
		want      time.Duration
	}{
		{nil, 500, 0},
		{[]time.Duration{7}, 500, 7},
		{[]time.Duration{7}, 999, 7},
		{[]time.Duration{9, 1}, 500, 1},
		{[]time.Duration{9, 1}, 510, 9},
		{thousand, 500, 500},
		{thousand, 990, 990},
		{thousand, 999, 999},
		{thousand, 1000, 1000},
	} {
		s := NewSample(time.Second, tc.latencies)
		if got := s.Quantile(tc.perMille); got != tc.want {
			t.Errorf("%d of a thousand of %d latencies: %d, not %d", tc.perMille, len(tc.latencies), got, tc.want)
		}
	}
}

// TestEachOperationCounts: a call of three operations counts as three operations with the call's
// duration.
func TestEachOperationCounts(t *testing.T) {
	s := NewSample(2*time.Second, []time.Duration{4, 2}).Each(3)
	if s.Rate() != 3 || s.Quantile(500) != 2 || s.Quantile(501) != 4 {
		t.Errorf("two calls of three operations each: %+v", s)
	}
}

func TestRate(t *testing.T) {
	if got := NewSample(2*time.Second, make([]time.Duration, 10)).Rate(); got != 5 {
		t.Errorf("10 calls in 2 s are %g a second, not 5", got)
	}
	if got := (Sample{}).Rate(); got != 0 {
		t.Errorf("the rate of no run is %g, not 0", got)
	}
}

// TestRunCountsEachCall of every worker, and no other call.
func TestRunCountsEachCall(t *testing.T) {
	const workers = 3
	var calls [workers]atomic.Int64
	s, err := Run(t.Context(), 5*time.Millisecond, workers, func(_ context.Context, worker, call int) error {
		if got := calls[worker].Add(1); got != int64(call)+1 {
			t.Errorf("worker %d has call number %d; want %d", worker, call, got-1)
		}
		time.Sleep(100 * time.Microsecond)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	total := calls[0].Load() + calls[1].Load() + calls[2].Load()
	if int64(len(s.Latencies)) != total || s.Quantile(0) < 100*time.Microsecond {
		t.Errorf("%d calls of 100 µs and more are %d latencies, the least %v", total, len(s.Latencies), s.Quantile(0))
	}
}

// TestAnErrorEndsTheRun of all workers, immediately.
func TestAnErrorEndsTheRun(t *testing.T) {
	failed := errors.New("failed")
	_, err := Run(t.Context(), time.Hour, 2, func(_ context.Context, worker, _ int) error {
		if worker == 0 {
			return failed
		}
		return nil
	})
	if !errors.Is(err, failed) {
		t.Errorf("the run ended with %v; want the error of the call", err)
	}
}

func TestObjectsDiffer(t *testing.T) {
	if len(Object(1)) != ObjectSize || bytes.Equal(Object(1), Object(2)) || !bytes.Equal(Object(3), Object(3)) {
		t.Error("the content of an object must depend only on its number")
	}
}
