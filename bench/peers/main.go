// Command peers measures Motte beside PostgreSQL, Redis and a bare TLS echo, in one run on one machine.
//
// All systems have the same objects, use TLS 1.3 on the loopback interface, and acknowledge a
// write when it is on the disk. They take turns, so that other load of the machine affects all
// of them. Ratios are taken within each turn. docs/explanation/performance.md explains the
// measurements and the figures.
//
// The servers run in a temporary directory, with configurations, keys and certificates of this
// run. The program removes all of their files at the end, and does not touch other servers of
// the machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"motte/bench/echo"
)

// settings holds the command line.
type settings struct {
	bin     string
	dir     string
	turns   int
	total   time.Duration
	only    string
	objects int
	svg     string
}

func main() {
	if os.Args[0] == echo.Name {
		exit(echo.Serve())
	}
	var s settings
	flag.StringVar(&s.bin, "bin", "bin", "directory of motte, motte-core and the Tasks")
	flag.StringVar(&s.dir, "dir", os.TempDir(), "directory for data, on the disk to be measured")
	flag.DurationVar(&s.total, "for", 5*time.Minute, "how long all samples take together, without loading")
	flag.IntVar(&s.turns, "turns", 5, "how often each system is measured in each line")
	flag.StringVar(&s.only, "only", "", "measure only lines whose name matches this regular expression")
	flag.IntVar(&s.objects, "objects", 100_000, "objects stored in each system, and records of YCSB")
	flag.StringVar(&s.svg, "svg", "", "file for a picture of the ratios")
	flag.Parse()
	exit(run(s))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(s settings) error {
	if s.turns < 1 || s.total <= 0 || s.objects < 10*wanted || flag.NArg() > 0 {
		return fmt.Errorf("-turns and -for must be positive, -objects must be at least %d, and there must be no other arguments", 10*wanted)
	}
	only, err := regexp.Compile(s.only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if s.bin, err = filepath.Abs(s.bin); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// YCSB's generators print on standard output. That is reserved for the table.
	out := os.Stdout
	if os.Stdout, err = os.OpenFile(os.DevNull, os.O_WRONLY, 0); err != nil {
		return err
	}

	var chosen []line
	for _, l := range lines {
		if only.MatchString(l.name) {
			chosen = append(chosen, l)
		}
	}
	results, about, err := compete(ctx, s, chosen)
	if err != nil {
		return err
	}
	if err := printTable(out, about, results); err != nil || s.svg == "" {
		return err
	}
	return writeChart(s.svg, results)
}

// compete starts the systems, measures the lines, and stops the systems.
func compete(ctx context.Context, s settings, chosen []line) (results []result, about string, err error) {
	a, err := newArena(s)
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	p := newProgress(chosen, s.turns)
	each := p.each(s.total)
	for _, l := range chosen {
		r, err := l.measure(ctx, a, each, s.turns, p)
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", l.name, err)
		}
		results = append(results, r)
	}
	about, err = a.describe(ctx, each, s.turns)
	return results, about, err
}
