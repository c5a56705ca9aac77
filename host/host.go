// Package host runs a Core and its Tasks. It starts and restarts their processes, and shuts them
// down in order. It hands the Core one end of each Task's channel, and counts.
//
// The host is not trusted with content: keys, objects and predicates never pass through it. In the
// process backend the host is trusted to run the programs that it claims to run. So is everything
// that root can do (docs/threat-model.md).
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"motte/core/seglog"
	"motte/host/notify"
	"motte/host/sandbox"
)

// Config tells which store to serve, and how. The comments give the meaning of a zero value.
type Config struct {
	Dir          string         // data directory; the host makes a missing directory
	Listen       string         // TCP address of the Core
	RootKey      string         // file with the root key; "": root.key in Dir
	Anchor       string         // where the head of the log is kept, as anchor.Open takes it; "": no anchor
	Metrics      string         // TCP address for /metrics, /readyz and /livez; "": no such pages
	MetricsNames bool           // /metrics shows the names of indexes, which needs the administrator's profile
	Bin          string         // directory of motte-core and the Tasks' executables; "": the directory of this executable
	TaskDirs     []string       // further directories of Tasks' executables
	Logger       *slog.Logger   // nil: slog.Default()
	Ready        func(Ready)    // if not nil, called each time that clients can connect
	Manager      notify.Manager // service manager that hears of the host's state; zero: no manager
}

// Ready tells how clients reach a Core.
type Ready struct {
	Address string
	CoreKey [32]byte
	Profile string // file of the administrator's profile, or ""
}

// How often the host starts a process again, and how long it waits.
const (
	minPause   = 100 * time.Millisecond
	maxPause   = 10 * time.Second
	steadyTime = time.Minute      // a Core that ran this long is started again without a pause
	lockWait   = 15 * time.Second // for the end of an earlier host's Core
	firstTries = 6                // starts of a first Core, if each crashes before it serves
	stopWithin = 15 * time.Second // for the Core's stop in order
)

// ErrRefused says that the Core does not serve this store, and why. Another start would not help.
var ErrRefused = errors.New("the Core refuses to start")

// ErrOlder says that the store lacks the head that its anchor holds. The host does not serve such a
// store until an operator accepts the loss (AcceptLoss). The Core reports it with the same text
// (server.ErrOlder).
var ErrOlder = errors.New("the store is older than its anchor, or is a fork")

// Run serves until the context ends, and then stops in order. It returns an error if the host can't
// start the Core at all, or if the Core refuses the store.
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
	if h.anchorWriter, err = h.openAnchors(); err != nil {
		return err
	}
	if h.anchorWriter != nil {
		// Before the host makes any file: the directory may not hold the store that is meant.
		empty, err := h.empty()
		if err == nil {
			err = h.anchorWriter.load(ctx, h.Dir, empty)
		}
		if err != nil {
			return err
		}
	}
	if err := h.lookAtNewStore(); err != nil {
		return err
	}
	if err := h.prepareAdmin(); err != nil {
		return err
	}
	stopMetrics, err := h.serveMetrics()
	if err != nil {
		return err
	}
	if h.anchorWriter != nil {
		h.anchorWriter.start()
	}
	stopWatch := h.startWatch(ctx)
	err = withAdvice(h.supervise(ctx))
	stopWatch()
	if h.anchorWriter != nil {
		h.anchorWriter.stop() // the last write of the anchor matters more than the metrics
	}
	return errors.Join(err, stopMetrics())
}

// startWatch watches the host until the context ends, or until the caller calls stop.
func (h *host) startWatch(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ticker := time.NewTicker(h.pulse())
	watched, examined := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		h.watch(ctx, ticker.C)
	}()
	go func() {
		defer close(examined)
		h.examine(ctx)
	}()
	return func() {
		cancel()
		<-watched
		ticker.Stop()
		select {
		case <-examined:
		case <-time.After(time.Second): // a disk that hangs does not answer
		}
	}
}

// warnOfMode warns if other users can write in the data directory. They could replace the store, or
// fill its disk.
func (h *host) warnOfMode() {
	if info, err := os.Stat(h.Dir); err == nil && info.Mode().Perm()&0o022 != 0 {
		h.log.Warn("others can write in the data directory: its mode should be 0700", "dir", h.Dir, "mode", fmt.Sprintf("%#o", info.Mode().Perm()))
	}
}

// lookAtNewStore logs that the host is about to make a new store. The operator may not mean that:
// the directory may be the wrong one, or may have lost its files.
//
// It returns an error if an interrupted first start left the temporary file of a root key in
// another directory. That file may be a user's key, so the host does not remove it.
func (h *host) lookAtNewStore() error {
	if empty, err := h.empty(); err != nil || !empty {
		return err
	}
	for _, name := range seglog.KeysNames {
		if _, err := os.Stat(filepath.Join(h.Dir, name)); err == nil {
			h.log.Warn("the data directory has the keys of a store and none of its segments: an empty store is begun. "+
				"If this is not its first start, its files are lost: stop, and restore a backup", "dir", h.Dir)
			return nil
		}
	}
	h.log.Info("there is no store in the data directory: a new one is made", "dir", h.Dir)
	if h.RootKey == "" || within(h.Dir, h.RootKey) {
		return nil
	}
	making := filepath.Join(filepath.Dir(h.RootKey), "new-"+filepath.Base(h.RootKey))
	_, errKey := os.Lstat(h.RootKey)
	_, errMaking := os.Lstat(making)
	if errors.Is(errKey, os.ErrNotExist) && errMaking == nil {
		return fmt.Errorf("%w: %s is in the way of a new root key: a first start that was cut short left it, or it is somebody's key. "+
			"If no store needs it, remove it, and start again", ErrRefused, making)
	}
	return nil
}

// newHost returns a host that is not started.
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
	h := &host{Config: cfg, log: cfg.Logger, images: images{dirs: append([]string{cfg.Bin}, cfg.TaskDirs...)},
		health: health{tasks: notTried}, unconfined: make(chan struct{}, 1), checkConfinement: sandbox.Check,
		mayClass: sandbox.MaySetClass()}
	if cfg.MetricsNames {
		h.metrics.unnamed = make(chan struct{}, 1)
	}
	return h, nil
}

// empty reports whether the data directory holds no segment, and so no store.
func (h *host) empty() (bool, error) {
	files, err := os.ReadDir(h.Dir)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	return !slices.ContainsFunc(files, func(f os.DirEntry) bool { return filepath.Ext(f.Name()) == ".seg" }), err
}

// Bin is the directory of this executable. motte-core and the Tasks' executables are beside it.
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
	log          *slog.Logger
	admin        [32]byte // principal of the administrator; zero: the host has no profile
	images       images
	metrics      metrics
	health       health
	anchorWriter *anchorWriter // nil: no anchor is configured
	dryRun       *dryRun       // nil: the host serves

	unconfined       chan struct{} // a start of a Task failed because it could not be confined
	checkConfinement func() error  // sandbox.Check, or a test's function
	mayClass         bool          // the classes of Tasks can be lowered and raised
}

// supervise runs one Core after the other. It starts a crashed Core again. Until a Core has served,
// it gives up after firstTries starts.
func (h *host) supervise(ctx context.Context) error {
	pause, ready, first, tries := minPause, false, time.Now(), 0
	for {
		began := time.Now()
		s, err := h.startCore()
		served := ready
		if err == nil {
			err = s.run(ctx)
			h.metrics.down()
			served = ready || s.ready
		}
		h.health.enter(pausing)
		switch {
		case ctx.Err() != nil && (err == nil || ready):
			return err
		case errors.Is(err, ErrRefused):
			return err
		case errors.Is(err, errLocked) && h.dryRun == nil && time.Since(first) < lockWait:
		case !served: // after a Core has served, a failed start is a passing error, too
			tries++
			if ctx.Err() != nil || lasts(err) {
				return err
			}
			if tries == firstTries {
				return fmt.Errorf("the Core was started %d times, and never became ready: %w", tries, err)
			}
		}
		ready = served
		if time.Since(began) > steadyTime {
			pause = minPause
		}
		h.log.Warn("the Core ended and is started again", "error", err, "pause", pause.String())
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		pause = min(pause*2, maxPause)
	}
}

// withAdvice adds to an error how to go on, if another server is the cause. Only the Core's text says that
// an address is in use.
func withAdvice(err error) error {
	switch {
	case errors.Is(err, errLocked):
		return fmt.Errorf("%w: stop that server first", err)
	case err != nil && strings.Contains(err.Error(), syscall.EADDRINUSE.Error()):
		return fmt.Errorf("%w: stop the server that listens there, or choose another address by --listen", err)
	}
	return err
}

// lasts reports whether the next start of a first Core would meet the same error.
func lasts(err error) bool {
	return errors.Is(err, errLocked) || errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission)
}
