package model

import (
	"math"
	"testing"
	"time"
)

func TestLatencies(t *testing.T) {
	for _, c := range []struct {
		d      time.Duration
		bucket int
	}{
		{-time.Second, 0},
		{0, 0},
		{time.Millisecond - 1, 0},
		{time.Millisecond, 1},
		{4*time.Millisecond - 1, 1},
		{4 * time.Millisecond, 2},
		{16*time.Millisecond - 1, 2},
		{256 * time.Millisecond, 5},
		{4096*time.Millisecond - 1, 6},
		{4096 * time.Millisecond, 7},
		{math.MaxInt64, 7},
	} {
		var want, got Latencies
		want[c.bucket] = 1
		if got.Add(c.d); got != want {
			t.Errorf("%v is counted as %v; want bucket %d", c.d, got, c.bucket)
		}
	}
}
