package main

import "testing"

func TestSpread(t *testing.T) {
	for _, tc := range []struct {
		samples                 samples
		least, median, greatest float64
	}{
		{nil, 0, 0, 0},
		{samples{3}, 3, 3, 3},
		{samples{5, 1}, 1, 3, 5},
		{samples{9, 1, 2}, 1, 2, 9},
	} {
		if l, m, g := tc.samples.spread(); l != tc.least || m != tc.median || g != tc.greatest {
			t.Errorf("%v: %g, %g, %g", tc.samples, l, m, g)
		}
	}
}

// TestTargetsAreJudgedByMedians: one fast run does not meet a target, and one slow run does not
// miss it. A bound of a ratio is not applied to a value.
func TestTargetsAreJudgedByMedians(t *testing.T) {
	for _, tc := range []struct {
		target        target
		motte, ratios samples
		reached       bool
	}{
		{target{}, samples{0}, nil, true},
		{target{least: 10}, samples{1, 2, 30}, nil, false},
		{target{least: 10}, samples{1, 20, 30}, nil, true},
		{target{most: 10}, samples{1, 2, 30}, nil, true},
		{target{most: 10}, samples{1, 20, 30}, nil, false},
		{target{ratio: true, least: 0.5}, samples{20, 20, 20}, samples{0.4, 0.4, 0.9}, false},
		{target{ratio: true, least: 0.5}, samples{0.1, 0.1, 0.1}, samples{0.4, 0.6, 0.9}, true},
	} {
		r := result{line: line{target: tc.target}, motte: tc.motte, ratios: tc.ratios}
		if r.reached() != tc.reached {
			t.Errorf("%v with %v, %v: reached is %v", tc.target, tc.motte, tc.ratios, r.reached())
		}
	}
}

func TestThousands(t *testing.T) {
	for v, want := range map[float64]string{1.468: "1.47", 61.25: "61.2", 999: "999.0", 1000: "1,000", 23456.7: "23,457", 1234567: "1,234,567"} {
		if got := thousands(v); got != want {
			t.Errorf("%g: %q, not %q", v, got, want)
		}
	}
}

// TestTheTargetOfAStartIsForTenMillionEntries: a start with fewer entries can't meet it.
func TestTheTargetOfAStartIsForTenMillionEntries(t *testing.T) {
	for entries, want := range map[int]target{fullEntries - 1: {}, fullEntries: {most: 5000}} {
		if got := startTarget(entries); got != want {
			t.Errorf("with %d entries the target is %q; want %q", entries, got, want)
		}
	}
}
