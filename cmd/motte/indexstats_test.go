package main

import (
	"testing"

	"motte/core/model"
)

func TestLatencyText(t *testing.T) {
	for _, c := range []struct {
		l    model.Latencies
		want string
	}{
		{model.Latencies{}, "0"},
		{model.Latencies{0: 1}, "1, half within 1 ms, 99% within 1 ms"},
		{model.Latencies{0: 1, 7: 1}, "2, half within 1 ms, 99% over 4096 ms"},
		{model.Latencies{2: 99, 6: 1}, "100, half within 16 ms, 99% within 16 ms"},
		{model.Latencies{2: 98, 6: 2}, "100, half within 16 ms, 99% within 4096 ms"},
	} {
		if got := latencyText(c.l); got != c.want {
			t.Errorf("%v: %q; want %q", c.l, got, c.want)
		}
	}
}
