package main

import (
	"fmt"
	"io"
	"strconv"
	"time"
)

// printTable prints the results as Markdown: a row for each system of each line.
func printTable(w io.Writer, about string, results []result) error {
	const head = `%s

| | | operations a second: min · median · max | CPU µs, server | CPU µs, client | p50 ms | p99 ms | p99.9 ms | Motte beside it | target | |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|
`
	if _, err := fmt.Fprintf(w, head, about); err != nil {
		return err
	}
	for _, r := range results {
		for i, system := range r.line.systems {
			name := ""
			if i == 0 {
				name = r.line.name
			}
			if _, err := fmt.Fprintf(w, "| %s | %s | %s | %s |\n", name, system, r.own(system), r.beside(system)); err != nil {
				return err
			}
		}
	}
	return nil
}

// own returns the cells of a system alone. All except the rate are medians.
func (r result) own(system string) string {
	s := r.figures(system, func(o observation) float64 { return o.rate })
	micros := func(of func(observation) time.Duration) string {
		return significant(r.figures(system, func(o observation) float64 { return float64(of(o)) / 1e3 }).median)
	}
	millis := func(of func(observation) time.Duration) string {
		return significant(r.figures(system, func(o observation) float64 { return float64(of(o)) / 1e6 }).median)
	}
	return fmt.Sprintf("%s · **%s** · %s | %s | %s | %s | %s | %s", thousands(s.least), thousands(s.median), thousands(s.greatest),
		micros(func(o observation) time.Duration { return o.server }), micros(func(o observation) time.Duration { return o.client }),
		millis(func(o observation) time.Duration { return o.p50 }), millis(func(o observation) time.Duration { return o.p99 }),
		millis(func(o observation) time.Duration { return o.p999 }))
}

// beside returns the cells that compare Motte with a peer.
func (r result) beside(peer string) string {
	if peer == motte {
		return " | | "
	}
	t, wanted := r.line.targetBeside(peer)
	s := r.ratio(peer, t.figure)
	text := fmt.Sprintf("%s × %s (%s–%s)", t.figure, significant(s.median), significant(s.least), significant(s.greatest))
	if !wanted {
		return text + " | | "
	}
	return fmt.Sprintf("%s | %s | %s", text, t, verdict(t.met(s)))
}

func (f figure) String() string {
	if f == latency {
		return "p50"
	}
	return "rate"
}

// String returns the bound of the ratio.
func (t target) String() string {
	if t.most > 0 {
		return "≤ " + significant(t.most)
	}
	return "≥ " + significant(t.least)
}

func verdict(met bool) string {
	if met {
		return "met"
	}
	return "**missed**"
}

// significant writes a number with about three digits.
func significant(v float64) string {
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// thousands writes a whole number with separators.
func thousands(v float64) string {
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
