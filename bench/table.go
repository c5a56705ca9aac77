package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// printTable prints results for people.
func printTable(w io.Writer, s settings, results []result) error {
	fmt.Fprintf(w, "%d runs of %g s each, %d processors, %s %s/%s, data in %s%s\n\n", s.runs, s.seconds, runtime.NumCPU(),
		runtime.Version(), runtime.GOOS, runtime.GOARCH, s.dir, inMemory(s.dir))
	const row = "%-25s %8s %8s %8s   %8s %8s %8s   %-17s %-13s%s\n"
	fmt.Fprintf(w, row, "", "", "Motte", "", "", "peer", "", "ratio", "target", "")
	fmt.Fprintf(w, row, "", "min", "median", "max", "min", "median", "max", "median (min–max)", "", "")
	for i := range results {
		r := &results[i]
		m, b := r.motte.texts(), r.beside.texts()
		fmt.Fprintf(w, row, r.line.name, m[0], m[1], m[2], b[0], b[1], b[2], ratio(r.ratios), r.line.target, r.verdict())
	}
	_, err := fmt.Fprintf(w, "\nCalls per second, of objects of 1 KiB; for latencies, RESTART and START, ms, or percent fed again; for SPACE, bytes on disk\n"+
		"for each live byte; for SHELF, bytes written for each byte changed;\n"+
		"for TASK and EXACT, µs of processor time;\n"+
		"for MEMORY, bytes an object; for GC PAUSE, µs. Peers: of GET a bare TLS 1.3 echo of 1 KiB; of PUT one write of 1 KiB\n"+
		"and one fdatasync, repeated; of latencies the same load without the other work. See docs/reference/benchmarks.md.\n")
	return err
}

// inMemory warns of a file system in memory, on which no write is durable.
func inMemory(dir string) string {
	const tmpfs = 0x01021994 // TMPFS_MAGIC in linux/magic.h
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err == nil && s.Type == tmpfs {
		return " (in memory: PUT is not durable there; choose a disk with -dir)"
	}
	return ""
}

// texts returns the least, the median and the greatest for people.
func (s samples) texts() (t [3]string) {
	if len(s) > 0 {
		least, median, greatest := s.spread()
		t = [3]string{thousands(least), thousands(median), thousands(greatest)}
	}
	return t
}

func ratio(s samples) string {
	if len(s) == 0 {
		return ""
	}
	least, median, greatest := s.spread()
	return fmt.Sprintf("%.2f (%.2f–%.2f)", median, least, greatest)
}

// thousands writes a number for people.
func thousands(v float64) string {
	if v < 10 {
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	if v < 1000 {
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// String returns the bound of the target.
func (t target) String() string {
	switch {
	case t.ratio && t.most > 0:
		return fmt.Sprintf("ratio ≤ %.2f", t.most)
	case t.ratio:
		return fmt.Sprintf("ratio ≥ %.2f", t.least)
	case t.least > 0:
		return "≥ " + thousands(t.least)
	case t.most > 0:
		return "≤ " + strings.TrimSuffix(thousands(t.most), ".0")
	}
	return ""
}

func (r *result) verdict() string {
	switch {
	case r.line.target == target{}:
		return ""
	case r.reached():
		return "met"
	}
	return "missed"
}

// figures are samples as JSON.
type figures struct {
	Min     float64   `json:"min"`
	Median  float64   `json:"median"`
	Max     float64   `json:"max"`
	Samples []float64 `json:"samples"`
}

func (s samples) figures() *figures {
	if len(s) == 0 {
		return nil
	}
	f := &figures{Samples: s}
	f.Min, f.Median, f.Max = s.spread()
	return f
}

// printJSON prints results as JSON.
func printJSON(w io.Writer, s settings, results []result) error {
	type line struct {
		Name   string   `json:"name"`
		Unit   string   `json:"unit"`
		Motte  *figures `json:"motte"`
		Peer   string   `json:"peer,omitempty"`
		Beside *figures `json:"beside,omitempty"`
		Ratio  *figures `json:"ratio,omitempty"`
		Target string   `json:"target,omitempty"`
		Met    *bool    `json:"met,omitempty"`
	}
	list := make([]line, len(results))
	for i := range results {
		r := &results[i]
		list[i] = line{Name: r.line.name, Unit: r.line.unit, Motte: r.motte.figures(), Peer: r.line.peer,
			Beside: r.beside.figures(), Ratio: r.ratios.figures(), Target: r.line.target.String()}
		if list[i].Target != "" {
			met := r.reached()
			list[i].Met = &met
		}
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(map[string]any{"runs": s.runs, "seconds": s.seconds, "processors": runtime.NumCPU(),
		"go": runtime.Version(), "objects": s.objects, "lines": list})
}
