package main

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"os"
)

// The chart has a bar for each target. Ratios of different targets differ in size and direction,
// so a bar shows how far a ratio goes towards its target. All targets are on one vertical line.
// A bar that reaches the line meets its target. A thin line shows the least and the greatest
// ratio of the turns.
const (
	chartWidth = 760
	barsAt     = 235 // x of the bars' beginning
	targetAt   = 385 // x of the target
	barsEnd    = 485 // greatest x of a bar
	textAt     = 497 // x of the figures
	rowHeight  = 26
	barHeight  = 14
	headHeight = 44
)

// chartStyle is readable on a light and on a dark page. It uses the reader's fonts.
const chartStyle = `<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.small { font-size: 11px; fill: #59636e; }
.met { fill: #2da44e; } .missed { fill: #d4791f; } .spread { stroke: #1f2328; stroke-width: 1; }
.target { stroke: #59636e; stroke-width: 1; stroke-dasharray: 4 3; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .small { fill: #9198a1; } .spread { stroke: #e6edf3; } .target { stroke: #9198a1; }
.met { fill: #3fb950; } .missed { fill: #f0883e; }
}
</style>`

// bar is a target and its result.
type bar struct {
	line   string
	target target
	ratio  spread
}

// bars lists the targets of the results.
func bars(results []result) (list []bar) {
	for _, r := range results {
		for _, t := range r.line.targets {
			list = append(list, bar{r.line.name, t, r.ratio(t.peer, t.figure)})
		}
	}
	return list
}

// writeChart writes the picture of the results to a file.
func writeChart(path string, results []result) error {
	var b bytes.Buffer
	if err := drawChart(&b, bars(results)); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// drawChart writes an SVG.
func drawChart(w io.Writer, list []bar) error {
	height := headHeight + rowHeight*len(list) + 8
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img">`+"\n",
		chartWidth, height)
	fmt.Fprintf(&b, "<title>Motte beside its peers</title>\n%s\n", chartStyle)
	fmt.Fprintf(&b, `<text x="%d" y="20" text-anchor="middle">target → met</text>`+"\n", targetAt)
	for i, c := range list {
		c.draw(&b, headHeight+i*rowHeight)
	}
	fmt.Fprintf(&b, `<line class="target" x1="%d" y1="26" x2="%[1]d" y2="%d"/>`+"\n</svg>\n", targetAt, height-8)
	_, err := w.Write(b.Bytes())
	return err
}

// draw draws a bar whose upper edge is at y.
func (c bar) draw(b *bytes.Buffer, y int) {
	class := "missed"
	if c.target.met(c.ratio) {
		class = "met"
	}
	middle := y + barHeight/2
	from, to := c.end(c.ratio.least), c.end(c.ratio.greatest)
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n",
		barsAt-10, y+barHeight-2, html.EscapeString(c.line))
	fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`+"\n",
		class, barsAt, y, c.end(c.ratio.median)-barsAt, barHeight)
	fmt.Fprintf(b, `<line class="spread" x1="%.1f" y1="%d" x2="%.1f" y2="%[2]d"/>`+"\n", from, middle, to)
	said := fmt.Sprintf("%s %s× %s, target %s", c.target.figure, significant(c.ratio.median), c.target.peer, c.target)
	fmt.Fprintf(b, `<text class="small" x="%d" y="%d">%s</text>`+"\n", textAt, y+barHeight-3, html.EscapeString(said))
}

// end is the x at which the bar of a ratio ends.
func (c bar) end(ratio float64) float64 {
	return min(barsAt+c.target.reached(ratio)*(targetAt-barsAt), barsEnd)
}

// reached says how far a ratio goes towards the target: 1 is the target, and more is better.
func (t target) reached(ratio float64) float64 {
	switch {
	case t.least > 0:
		return ratio / t.least
	case ratio > 0:
		return t.most / ratio
	}
	return 0
}
