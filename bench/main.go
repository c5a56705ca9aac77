// Command bench measures Motte beside peers in the same run and prints one table. It is a
// benchmark, never a test: a slow run does not fail.
//
// Motte runs as its users run it: real processes, confined Tasks, TLS, a disk. On lines with
// a peer, Motte and the peer take turns, so that other load of the machine meets both. The
// ratio is taken within each turn. docs/reference/benchmarks.md explains each line.
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

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"motte/bench/echo"
	"motte/host/sandbox"
)

// settings holds the command line.
type settings struct {
	bin         string
	dir         string
	runs        int
	seconds     float64
	only        string
	objects     int
	entries     int
	collections int
	idle        time.Duration
	json        bool
}

func main() {
	sandbox.ReexecInit()
	switch os.Args[0] {
	case echo.Name:
		exit(echo.Serve())
	case mappingName:
		exit(fillMapping(os.Args[1:]))
	}
	var s settings
	flag.StringVar(&s.bin, "bin", "bin", "directory of motte-core and the Tasks")
	flag.StringVar(&s.dir, "dir", os.TempDir(), "directory for data, on the disk to be measured")
	flag.IntVar(&s.runs, "runs", 5, "how often each line is measured")
	flag.Float64Var(&s.seconds, "seconds", 3, "how long one run takes")
	flag.StringVar(&s.only, "only", "", "measure only lines whose name matches this regular expression")
	flag.IntVar(&s.objects, "objects", 1_000_000, "objects stored to measure memory")
	flag.IntVar(&s.entries, "entries", 1_000_000, "entries of the index of the lines of starts")
	flag.IntVar(&s.collections, "collections", fullCrowd, "collections of the lines of the crowd, with 16 indexes each")
	flag.DurationVar(&s.idle, "idle", 150*time.Second, "how long a server is idle before its memory is measured")
	flag.BoolVar(&s.json, "json", false, "print JSON")
	flag.Parse()
	exit(run(s))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(s settings) error {
	if s.runs < 1 || s.seconds <= 0 || s.objects < 1 || s.entries < 1 || s.collections < 1 || flag.NArg() > 0 {
		return errors.New("-runs, -seconds, -objects, -entries and -collections must be positive, and there must be no other arguments")
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
	f := &fixture{settings: s, residency: make(map[int]residency)}
	var results []result
	for _, l := range s.lines() {
		if err == nil && only.MatchString(l.name) {
			var r result
			if r, err = l.measure(ctx, f); err == nil {
				results = append(results, r)
			} else if errors.Is(err, errMissing) {
				fmt.Fprintln(os.Stderr, err)
				err = nil
			}
		}
	}
	if err = errors.Join(err, f.close()); err != nil {
		return err
	}
	if s.json {
		return printJSON(os.Stdout, s, results)
	}
	return printTable(os.Stdout, s, results)
}

// progress shows the progress of a line on standard error, if that is a terminal.
func progress(name string, steps int) *progressbar.ProgressBar {
	seen := term.IsTerminal(int(os.Stderr.Fd()))
	if !seen {
		fmt.Fprintln(os.Stderr, name)
	}
	return progressbar.NewOptions(steps, progressbar.OptionSetDescription(name), progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSetVisibility(seen), progressbar.OptionClearOnFinish(), progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetWidth(30), progressbar.OptionShowCount())
}
