// Package host runs a Core and its Tasks: it starts and restarts their
// processes, hands the Core one end of each Task's channel, counts, and shuts
// down in order.
//
// The host is not trusted with content: keys, objects and predicates never
// pass through it. In the process backend it is trusted to run what it says it
// runs, as everything is that root can do (docs/threat-model.md).
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Config says what to run. Zero values of the optional fields have the meaning
// given.
type Config struct {
	Dir      string       // data directory; made if it is not there
	Listen   string       // TCP address of the Core
	RootKey  string       // file with the root key; "": root.key in Dir
	Anchor   string       // place that remembers the head of the log, as anchor.Open takes it; "": none
	Metrics  string       // TCP address for /metrics and /healthz; "": none
	Bin      string       // directory of motte-core and the Tasks' executables; "": that of this executable
	TaskDirs []string     // directories of more Tasks' executables
	Logger   *slog.Logger // nil: slog.Default()
	Ready    func(Ready)  // called, if set, each time that clients can connect
}

// Ready says how clients reach a Core.
type Ready struct {
	Address string
	CoreKey [32]byte
	Profile string // file of the administrator's profile, or ""
}

// How processes are started again.
const (
	minPause   = 100 * time.Millisecond
	maxPause   = 10 * time.Second
	steadyTime = time.Minute      // a Core that ran so long starts again without pause
	lockWait   = 15 * time.Second // for a Core of an earlier host to finish
	stopWithin = 15 * time.Second // for the Core to stop in order
)

// ErrRefused says that the Core does not serve this store, and why; starting
// it again would not help.
var ErrRefused = errors.New("the Core refuses to start")

// ErrOlder says that the store lacks what its anchor remembers: it is not served
// until somebody accepts that (AcceptLoss).
var ErrOlder = errors.New("the store is older than its anchor, or another branch of its history")

// Run serves until the context ends, and then stops in order. It returns an
// error if the Core can't be started at all, or refuses the store.
func Run(ctx context.Context, cfg Config) error {
	h, err := newHost(cfg)
	if err != nil {
		return err
	}
	h.tellBuild()
	for _, dir := range h.TaskDirs {
		if _, err := os.ReadDir(dir); err != nil {
			return fmt.Errorf("directory of Tasks: %w", err)
		}
	}
	if err := os.MkdirAll(h.Dir, 0o700); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	h.warnOfMode()
	if h.keeper, err = h.openKeeper(); err != nil {
		return err
	}
	if h.keeper != nil {
		// Before anything is made: what is there may not be the store.
		empty, err := h.empty()
		if err == nil {
			err = h.keeper.recall(ctx, h.Dir, empty)
		}
		if err != nil {
			return err
		}
	}
	if err := h.prepareAdmin(); err != nil {
		return err
	}
	stopMetrics, err := h.serveMetrics()
	if err != nil {
		return err
	}
	if h.keeper != nil {
		h.keeper.start()
	}
	err = h.supervise(ctx)
	if h.keeper != nil {
		h.keeper.stop() // what it writes matters more than a page of numbers
	}
	return errors.Join(err, stopMetrics())
}

// warnOfMode says so if others can write in the data directory: they could exchange the
// store, or fill its disk.
func (h *host) warnOfMode() {
	if info, err := os.Stat(h.Dir); err == nil && info.Mode().Perm()&0o022 != 0 {
		h.log.Warn("others can write in the data directory: its mode should be 0700", "dir", h.Dir, "mode", fmt.Sprintf("%#o", info.Mode().Perm()))
	}
}

// newHost is a host that has not begun.
func newHost(cfg Config) (*host, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Bin == "" {
		var err error
		if cfg.Bin, err = Bin(); err != nil {
			return nil, err
		}
	}
	return &host{Config: cfg, log: cfg.Logger, images: images{dirs: append([]string{cfg.Bin}, cfg.TaskDirs...)}}, nil
}

// empty reports whether the data directory holds no store yet.
func (h *host) empty() (bool, error) {
	files, err := os.ReadDir(h.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	return !slices.ContainsFunc(files, func(f os.DirEntry) bool { return filepath.Ext(f.Name()) == ".seg" }), err
}

// Bin is the directory of this executable, beside which motte-core and the
// Tasks' executables lie.
func Bin() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find motte-core: %w", err)
	}
	return filepath.Dir(self), nil
}

// host is a running host.
type host struct {
	Config
	log     *slog.Logger
	admin   [32]byte // principal of the administrator; zero: nobody that the host knows
	images  images
	metrics metrics
	keeper  *keeper // nil: there is no anchor
	trial   *trial  // nil: serve
}

// supervise runs one Core after the other.
func (h *host) supervise(ctx context.Context) error {
	pause, ready, first := minPause, false, time.Now()
	for {
		began := time.Now()
		s, err := h.startCore()
		served := ready
		if err == nil {
			err = s.run(ctx)
			h.metrics.down()
			served = ready || s.ready
		}
		switch {
		case ctx.Err() != nil && (err == nil || ready):
			return err
		case errors.Is(err, ErrRefused):
			return err
		case errors.Is(err, errLocked) && h.trial == nil && time.Since(first) < lockWait:
		case !served: // once a Core served, also having no process for the next is a passing error
			return err
		}
		ready = served
		if time.Since(began) > steadyTime {
			pause = minPause
		}
		h.log.Warn("the Core ended and is started again", "error", err, "pause", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		pause = min(pause*2, maxPause)
	}
}
