package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"motte/core/model"
	"motte/host/anchor"
)

// How often the anchor is written.
const (
	// settle is the time from the host's start to its first write, unless the medium's pace is
	// shorter. So a host that restarts again and again does not wear the medium out.
	settle = time.Minute
	// retryAfter is the longest pause before a failed write is tried again.
	retryAfter = time.Minute
	// lastWithin bounds the wait for the last write when the host stops. With stopWithin it must
	// stay below the stop timeout of service managers.
	lastWithin = 10 * time.Second
)

// ErrForgotten says that an anchor holds no head, although the store is not new. The host does not
// serve such a store until an operator accepts that (AcceptLoss). Otherwise an attacker who can
// empty the anchor could roll the store back.
var ErrForgotten = errors.New("the anchor was never this store's, or was emptied")

// anchorWriter stores the head of a store's log in its anchor. Invariants:
//
//  1. It writes only heads that a Core reported. A Core reports a head when it is durable, so the
//     anchor is never ahead of the disk.
//  2. No head replaces a head with a higher LSN, unless replace is set.
//  3. It writes at most at the medium's pace, and once more when the host stops. A slow or failing
//     medium delays nothing else.
//
// start starts its goroutine, and stop waits for that.
type anchorWriter struct {
	anchor  anchor.Anchor
	log     *slog.Logger
	metrics *metrics
	replace bool          // the operator gave up the head that the anchor holds
	updates chan struct{} // has a token when a newer head may be there; closed: no head follows
	done    chan struct{} // closed when the goroutine has ended
	cancel  context.CancelFunc

	mu     sync.Mutex
	stored anchor.Head // the head that the anchor holds, as far as the host knows
	newest anchor.Head // the last head that a Core reported, if told
	told   bool

	failing bool      // the last write failed, and a log line said so
	writing time.Time // start of the write under way; zero: no write is under way
}

// openAnchors opens the anchor of the configuration; nil: no anchor is configured.
func (h *host) openAnchors() (*anchorWriter, error) {
	if h.Anchor == "" {
		h.log.Info("there is no anchor, so this host does not notice when the store is exchanged for an older copy; see --anchor")
		return nil, nil
	}
	a, err := anchor.Open(h.Anchor)
	if err != nil {
		return nil, err
	}
	if path, ok := strings.CutPrefix(a.String(), "file:"); ok && within(h.Dir, path) {
		h.log.Warn("the anchor lies in the data directory, and is rolled back together with it: put it on another volume", "anchor", a.String())
	}
	return &anchorWriter{anchor: a, log: h.log, metrics: &h.metrics, updates: make(chan struct{}, 1), done: make(chan struct{})}, nil
}

// within reports whether a file lies in a directory, or below it.
func within(dir, path string) bool {
	dir, errDir := filepath.EvalSymlinks(dir)
	parent, errParent := filepath.EvalSymlinks(filepath.Dir(path))
	if errors.Join(errDir, errParent) != nil {
		return false // one of the two does not exist yet
	}
	dir, errDir = filepath.Abs(dir)
	rel, err := filepath.Rel(dir, parent)
	return errors.Join(errDir, err) == nil && filepath.IsLocal(rel)
}

// load reads the anchor's head before the first start of a Core. For a new store it writes a head
// of LSN 0, which is part of every history. Otherwise a host that is killed before its first write
// would leave a store whose anchor seems to be emptied.
func (w *anchorWriter) load(ctx context.Context, dir string, empty bool) error {
	h, found, err := w.anchor.Read(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("the anchor's head can't be read: %w", err)
	case !found && !empty:
		return fmt.Errorf("%w: %s holds nothing, and the store in %s is not new", ErrForgotten, w.anchor, dir)
	case !found:
		if err := w.anchor.Write(ctx, h); err != nil {
			return fmt.Errorf("the anchor of a new store can't be written: %w", err)
		}
	case empty && h.LSN() > 0:
		return fmt.Errorf("%w: %s remembers %s, and there is no store in %s", ErrOlder, w.anchor, headText(h), dir)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stored = h
	w.metrics.anchored(h.LSN())
	return nil
}

// head is the newest head that the host knows, and that the next Core must have. It can be newer
// than the anchor's head.
func (w *anchorWriter) head() anchor.Head {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told {
		return w.newest
	}
	return w.stored
}

// update takes a head that a Core reported.
func (w *anchorWriter) update(h anchor.Head) {
	w.mu.Lock()
	w.newest, w.told = h, true
	w.mu.Unlock()
	select {
	case w.updates <- struct{}{}:
	default: // the token of an earlier update is still there
	}
}

// start starts the goroutine that writes the heads.
func (w *anchorWriter) start() {
	ctx, cancel := context.WithCancel(context.Background())
	w.cancel = cancel
	go w.run(ctx)
}

// stop writes the last head, and waits until that is done, or for lastWithin. The caller must not
// call update any more.
func (w *anchorWriter) stop() {
	close(w.updates)
	defer w.cancel()
	select {
	case <-w.done:
		return
	case <-time.After(lastWithin):
	}
	w.cancel()
	select {
	case <-w.done:
	case <-time.After(time.Second): // a system call does not return
		w.log.Error("the anchor does not answer, and may lack the last head", "anchor", w.anchor.String())
	}
}

func (w *anchorWriter) run(ctx context.Context) {
	defer close(w.done)
	next := time.Now().Add(min(w.anchor.Pace(), settle))
	for range w.updates {
		if !w.moved() || time.Now().Before(next) {
			continue // a Core reports its head every second
		}
		w.writeStarted(time.Now())
		err := w.store(ctx)
		failed := w.writeEnded(err)
		pause := w.anchor.Pace()
		if err != nil {
			pause = min(pause, retryAfter)
			if !failed {
				w.log.Error("the anchor can't be written, and is tried again", "error", err)
			}
		} else if failed {
			w.log.Info("the anchor can be written again", "anchor", w.anchor.String())
		}
		next = time.Now().Add(pause)
	}
	if err := w.store(ctx); err != nil {
		w.log.Error("the anchor lacks the last head", "error", err)
	}
}

// writeStarted notes that a write is under way.
func (w *anchorWriter) writeStarted(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writing = now
}

// writeEnded notes how that write ended, and returns whether the write before had failed.
func (w *anchorWriter) writeEnded(err error) (failed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	failed, w.failing, w.writing = w.failing, err != nil, time.Time{}
	return failed
}

// trouble says why the anchor does not follow the log; "": it follows.
func (w *anchorWriter) trouble(now time.Time) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.failing:
		return anchorRefuses
	case !w.writing.IsZero() && now.Sub(w.writing) > anchorsIn:
		return anchorHangs
	}
	return ""
}

// moved reports whether a Core reported a head that the anchor should hold and lacks.
func (w *anchorWriter) moved() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.told && (w.replace || w.newest.LSN() > w.stored.LSN())
}

// store writes the newest head, if moved reports true.
func (w *anchorWriter) store(ctx context.Context) error {
	if !w.moved() {
		return nil
	}
	h := w.head()
	err := w.mayWrite(ctx, h)
	if err == nil {
		err = w.anchor.Write(ctx, h)
	}
	if err != nil {
		w.metrics.anchorFailed()
		return err
	}
	w.metrics.anchored(h.LSN())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stored, w.replace = h, false
	return nil
}

// mayWrite reads the head that a write would replace. An operator may have given another store the
// same anchor by mistake.
func (w *anchorWriter) mayWrite(ctx context.Context, h anchor.Head) error {
	there, found, err := w.anchor.Read(ctx)
	switch {
	case err != nil || w.replace:
		return err
	case !found:
		w.log.Warn("the anchor held a head when this host started, and was emptied since", "anchor", w.anchor.String())
	case there.LSN() > h.LSN():
		return fmt.Errorf("%s holds %s, which is behind %s, the last one of this store: is another store writing there?",
			w.anchor, headText(there), headText(h))
	}
	return nil
}

// headOf encodes a head as an anchor stores it.
func headOf(h model.Head) anchor.Head { return anchor.Head(model.AppendHead(nil, &h)) }

// headText names a head as the Core does.
func headText(h anchor.Head) string {
	return fmt.Sprintf("record %d of segment %x…", h.LSN(), h[8:12])
}
