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

	"motte/core/seglog"
	"motte/host/notify"
	"motte/host/sandbox"
)

// Config says what to run. Zero values of the optional fields have the meaning
// given.
type Config struct {
	Dir          string         // data directory; made if it is not there
	Listen       string         // TCP address of the Core
	RootKey      string         // file with the root key; "": root.key in Dir
	Anchor       string         // place that remembers the head of the log, as anchor.Open takes it; "": none
	Metrics      string         // TCP address for /metrics, /readyz and /livez; "": none
	MetricsNames bool           // /metrics says what indexes are called; that needs the administrator's profile
	Bin          string         // directory of motte-core and the Tasks' executables; "": that of this executable
	TaskDirs     []string       // directories of more Tasks' executables
	Logger       *slog.Logger   // nil: slog.Default()
	Ready        func(Ready)    // called, if set, each time that clients can connect
	Manager      notify.Manager // service manager that is told how the host is; zero: none
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
	firstTries = 6                // starts of a first Core, if each crashes before it serves
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
	if h.keeper, err = h.openAnchors(); err != nil {
		return err
	}
	if h.keeper != nil {
		// Before anything is made: what is there may not be the store.
		empty, err := h.empty()
		if err == nil {
			err = h.keeper.load(ctx, h.Dir, empty)
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
	if h.keeper != nil {
		h.keeper.start()
	}
	stopWatch := h.startWatch(ctx)
	err = h.supervise(ctx)
	stopWatch()
	if h.keeper != nil {
		h.keeper.stop() // what it writes matters more than a page of numbers
	}
	return errors.Join(err, stopMetrics())
}

// startWatch watches over the host until the context ends, or stop is called.
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

// warnOfMode says so if others can write in the data directory: they could exchange the
// store, or fill its disk.
func (h *host) warnOfMode() {
	if info, err := os.Stat(h.Dir); err == nil && info.Mode().Perm()&0o022 != 0 {
		h.log.Warn("others can write in the data directory: its mode should be 0700", "dir", h.Dir, "mode", fmt.Sprintf("%#o", info.Mode().Perm()))
	}
}

// lookAtNewStore says so if a store is about to be made, which may not be meant: the
// directory may be the wrong one, or have lost its files. It is an error if a first
// start was cut short while it made the root key in another directory: what it left may
// be somebody's key, so nothing removes it.
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
	h := &host{Config: cfg, log: cfg.Logger, images: images{dirs: append([]string{cfg.Bin}, cfg.TaskDirs...)},
		health: health{tasks: notTried}, unconfined: make(chan struct{}, 1), checkWalls: sandbox.Check}
	if cfg.MetricsNames {
		h.metrics.unnamed = make(chan struct{}, 1)
	}
	return h, nil
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
	health  health
	keeper  *anchorWriter // nil: there is no anchor
	trial   *dryRun       // nil: serve

	unconfined chan struct{} // the walls of a Task could not be put up
	checkWalls func() error  // sandbox.Check, or a test's
}

// supervise runs one Core after the other. A Core that crashes is started again; until one has
// served, only so often.
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
		case errors.Is(err, errLocked) && h.trial == nil && time.Since(first) < lockWait:
		case !served: // once a Core served, also having no process for the next is a passing error
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

// lasts reports whether the next start of a first Core would meet the same error.
func lasts(err error) bool {
	return errors.Is(err, errLocked) || errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission)
}
