package main

import (
	"context"
	"fmt"
	"slices"
)

// measure takes one sample: calls per second, or bytes.
type measure func(context.Context) (float64, error)

// line is one line of the table.
type line struct {
	name   string
	unit   string
	peer   string // name of the peer, or ""
	target target
	once   bool // measure only once, since it takes long
	// prepare sets up the line. beside is nil if the line has no peer.
	prepare func(context.Context, *fixture) (motte, beside measure, err error)
}

// lines is the table.
var lines = []line{
	{name: "GET, 16 connections × 1", unit: "/s", peer: peerEcho, target: target{ratio: true, least: 0.5}, prepare: getOnEach(16)},
	{name: "GET, 1 connection × 64", unit: "/s", peer: peerEcho, target: target{ratio: true, least: 0.5}, prepare: getInFlight(64)},
	{name: "PUT, 1 in flight", unit: "/s", peer: peerSync, prepare: put(1)},
	{name: "PUT, 16 in flight", unit: "/s", peer: peerSync, prepare: put(16)},
	{name: "PUT, 64 in flight", unit: "/s", peer: peerSync, target: target{least: 20_000}, prepare: put(64)},
	{name: "SEARCH, 1 in flight", unit: "/s", prepare: search(1)},
	{name: "SEARCH, 16 in flight", unit: "/s", prepare: search(16)},
	{name: "AND, of 10 and 100", unit: "/s", peer: peerLeaf, prepare: intersect(90)},
	{name: "AND, of 10 and 1,000", unit: "/s", peer: peerLeaf, prepare: intersect(990)},
	{name: "GET longest, counting", unit: "ms", peer: peerAlone, target: target{ratio: true, most: 10}, prepare: counting},
	{name: "PUT p99, compacting", unit: "ms", peer: peerQuiet, target: target{ratio: true, most: 2}, prepare: tail},
	{name: "GET, 1 in flight, spinning", unit: "/s", peer: peerIdle, target: tenth, prepare: beside(1, false, readBusy)},
	{name: "GET, 64 in flight, spinning", unit: "/s", peer: peerIdle, target: tenth, prepare: beside(64, false, readBusy)},
	{name: "PUT, 16 in flight, spinning", unit: "/s", peer: peerIdle, target: tenth, prepare: beside(16, false, writeBusy)},
	{name: "GET, 64 in flight, asked", unit: "/s", peer: peerIdle, prepare: beside(64, true, readBusy)},
	{name: "PUT, 16 in flight, asked", unit: "/s", peer: peerIdle, prepare: beside(16, true, writeBusy)},
	{name: "BUILD, beside 64 GETs", unit: "/s", peer: peerFree, prepare: build},
	{name: "SPACE, uniform", unit: "ratio", once: true, target: target{most: 1.5}, prepare: space(uniform)},
	{name: "SPACE, zipfian", unit: "ratio", once: true, target: target{most: 1.5}, prepare: space(zipfian)},
	{name: "RESTART", unit: "ms", target: target{most: 1000}, prepare: restart},
	{name: "TASK, ten identities", unit: "µs", peer: peerCall, target: target{ratio: true, most: 1.25}, prepare: throughTask},
	{name: "TASK, SEARCH of ten", unit: "µs", peer: peerLibrary, target: target{ratio: true, most: 1.25}, prepare: searchThroughTask},
	{name: "MEMORY, RSS just loaded", unit: "bytes", once: true, prepare: memory(1, func(m residency) float64 { return m.loaded })},
	{name: "MEMORY, RSS after idling", unit: "bytes", once: true, target: target{most: 100}, prepare: memory(1, func(m residency) float64 { return m.idle })},
	{name: "MEMORY × 10, just loaded", unit: "bytes", once: true, prepare: memory(10, func(m residency) float64 { return m.loaded })},
	{name: "MEMORY × 10, after idling", unit: "bytes", once: true, target: target{most: 64}, prepare: memory(10, func(m residency) float64 { return m.idle })},
	{name: "MEMORY, mapping alone", unit: "bytes", once: true, target: target{most: 64}, prepare: mappingAlone(1, func(m alone) float64 { return m.bytes })},
	{name: "MEMORY × 10, mapping", unit: "bytes", once: true, target: target{most: 64}, prepare: mappingAlone(10, func(m alone) float64 { return m.bytes })},
	{name: "GC PAUSE", unit: "µs", once: true, prepare: mappingAlone(1, func(m alone) float64 { return m.pause })},
	{name: "GC PAUSE × 10", unit: "µs", once: true, prepare: mappingAlone(10, func(m alone) float64 { return m.pause })},
}

// lines returns the table, with the lines that depend on settings.
func (s *settings) lines() []line {
	return slices.Concat(lines, startLines(s.entries), crowdLines(s.collections), languageLines())
}

const (
	peerEcho    = "echo"
	peerSync    = "fdatasync"
	peerGo      = "Go"
	peerLibrary = "library and GETMANY"
	peerCall    = "in one process"
	peerLeaf    = "one leaf"
	peerQuiet   = "not compacting"
	peerAlone   = "not counting"
	peerFree    = "alone"
	peerIdle    = "not spinning"
)

// tenth is the target of a load beside a Task that spins: it takes at most a tenth.
var tenth = target{ratio: true, least: 0.9}

// target is the value that a line should reach. The zero value means that the line has no
// target.
type target struct {
	ratio       bool // the bounds are of the ratio to the peer, not of the value
	least, most float64
}

// result is a line with its samples.
type result struct {
	line   line
	motte  samples
	beside samples
	ratios samples
}

// measure takes the samples of a line, in turns: Motte, peer, Motte, peer …
func (l line) measure(ctx context.Context, f *fixture) (r result, err error) {
	r.line = l
	runs := f.runs
	if l.once {
		runs = 1
	}
	steps := runs
	if l.peer != "" {
		steps *= 2
	}
	bar := progress(l.name, steps)
	defer bar.Finish()
	_ = bar.RenderBlank() // ignore errors of the display
	motte, beside, err := l.prepare(ctx, f)
	for i := 0; i < runs && err == nil; i++ {
		var a, b float64
		if a, err = motte(ctx); err != nil {
			break
		}
		_ = bar.Add(1)
		r.motte = append(r.motte, a)
		if beside == nil {
			continue
		}
		if b, err = beside(ctx); err != nil {
			break
		}
		_ = bar.Add(1)
		r.beside, r.ratios = append(r.beside, b), append(r.ratios, a/b)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", l.name, err)
	}
	return r, err
}

// samples are the measured values of a line or its peer.
type samples []float64

// spread returns the least, the median and the greatest.
func (s samples) spread() (least, median, greatest float64) {
	if len(s) == 0 {
		return 0, 0, 0
	}
	s = slices.Sorted(slices.Values(s))
	return s[0], (s[(len(s)-1)/2] + s[len(s)/2]) / 2, s[len(s)-1]
}

// reached reports whether the target is met by the median.
func (r *result) reached() bool {
	_, v, _ := r.motte.spread()
	if r.line.target.ratio {
		_, v, _ = r.ratios.spread()
	}
	t := r.line.target
	return (t.least == 0 || v >= t.least) && (t.most == 0 || v <= t.most)
}
