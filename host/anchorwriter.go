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

// How the anchor is written.
const (
	// settle is how long after its start a host writes for the first time, if
	// the medium's own pace is not shorter: one that is started again and again
	// does not wear the medium out.
	settle = time.Minute
	// retryAfter is how soon a failed write is tried again, if not sooner.
	retryAfter = time.Minute
	// lastWithin is how long the stop of a host waits for the last write. With
	// stopWithin it has to stay below what service managers allow.
	lastWithin = 10 * time.Second
)

// ErrForgotten says that an anchor holds no head, although the store is not new.
// To take that for a first use would open the store to who can empty the anchor:
// so it is not served until somebody accepts that (AcceptLoss).
var ErrForgotten = errors.New("the anchor was never this store's, or was emptied")

// anchorWriter has a store's anchor remember the head of its log. What it makes sure of:
//
//  1. Only heads that a Core told of are written, and a Core tells of a head when
//     it is durable: the anchor is never ahead of the disk.
//  2. No head replaces one with a higher LSN, unless replace says so.
//  3. The medium is written at its own pace at most, and once more when the host
//     stops; a medium that is slow, or fails, holds up nothing.
//
// Its goroutine is started by start; stop waits for it.
type anchorWriter struct {
	anchor  anchor.Anchor
	log     *slog.Logger
	metrics *metrics
	replace bool          // what the anchor holds was given up
	offers  chan struct{} // there may be a newer head; closed: there will be none
	done    chan struct{} // closed when the goroutine has ended
	cancel  context.CancelFunc

	mu     sync.Mutex
	stored anchor.Head // what the anchor holds, as far as is known
	newest anchor.Head // that a Core told of, if told
	told   bool

	failing bool      // the last write failed, which was logged
	writing time.Time // since when a write is under way; zero: none is
}

// openAnchors opens the anchor that a host is configured with; nil: none.
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
		h.log.Warn("the anchor lies in the data directory, and goes back together with it: put it on another volume", "anchor", a.String())
	}
	return &anchorWriter{anchor: a, log: h.log, metrics: &h.metrics, offers: make(chan struct{}, 1), done: make(chan struct{})}, nil
}

// within reports whether a file lies in a directory, or below.
func within(dir, path string) bool {
	dir, errDir := filepath.EvalSymlinks(dir)
	parent, errParent := filepath.EvalSymlinks(filepath.Dir(path))
	if errors.Join(errDir, errParent) != nil {
		return false // there is nothing yet, on either side
	}
	dir, errDir = filepath.Abs(dir)
	rel, err := filepath.Rel(dir, parent)
	return errors.Join(errDir, err) == nil && filepath.IsLocal(rel)
}

// load reads what the anchor remembers, before the first start of a Core. A
// new store begins with an anchor that says so: a head of LSN 0, which is part
// of every history. Otherwise a host that was killed before its first write
// would leave a store with an anchor that seems to be emptied.
func (k *anchorWriter) load(ctx context.Context, dir string, empty bool) error {
	h, found, err := k.anchor.Read(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("what the anchor remembers can't be read: %w", err)
	case !found && !empty:
		return fmt.Errorf("%w: %s holds nothing, and the store in %s is not new", ErrForgotten, k.anchor, dir)
	case !found:
		if err := k.anchor.Write(ctx, h); err != nil {
			return fmt.Errorf("the anchor of a new store can't be written: %w", err)
		}
	case empty && h.LSN() > 0:
		return fmt.Errorf("%w: %s remembers %s, and there is no store in %s", ErrOlder, k.anchor, headText(h), dir)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stored = h
	k.metrics.anchored(h.LSN())
	return nil
}

// head is the newest that is known of: what the next Core has to have. It can be
// newer than what the anchor holds.
func (k *anchorWriter) head() anchor.Head {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.told {
		return k.newest
	}
	return k.stored
}

// update takes a head that a Core told of.
func (k *anchorWriter) update(h anchor.Head) {
	k.mu.Lock()
	k.newest, k.told = h, true
	k.mu.Unlock()
	select {
	case k.offers <- struct{}{}:
	default: // it will look anyway
	}
}

// start starts to write what is offered.
func (k *anchorWriter) start() {
	ctx, cancel := context.WithCancel(context.Background())
	k.cancel = cancel
	go k.run(ctx)
}

// stop writes the last head, and waits until that is done or its time is up.
// Nothing may be offered any more.
func (k *anchorWriter) stop() {
	close(k.offers)
	defer k.cancel()
	select {
	case <-k.done:
		return
	case <-time.After(lastWithin):
	}
	k.cancel()
	select {
	case <-k.done:
	case <-time.After(time.Second): // a call of the system that does not return
		k.log.Error("the anchor does not answer, and may lack the last head", "anchor", k.anchor.String())
	}
}

func (k *anchorWriter) run(ctx context.Context) {
	defer close(k.done)
	next := time.Now().Add(min(k.anchor.Pace(), settle))
	for range k.offers {
		if !k.moved() || time.Now().Before(next) {
			continue // a Core that runs offers every second
		}
		k.writeStarted(time.Now())
		err := k.store(ctx)
		failed := k.writeEnded(err)
		pause := k.anchor.Pace()
		if err != nil {
			pause = min(pause, retryAfter)
			if !failed {
				k.log.Error("the anchor can't be written, and is tried again", "error", err)
			}
		} else if failed {
			k.log.Info("the anchor can be written again", "anchor", k.anchor.String())
		}
		next = time.Now().Add(pause)
	}
	if err := k.store(ctx); err != nil {
		k.log.Error("the anchor lacks the last head", "error", err)
	}
}

// writeStarted notes that a write is under way.
func (k *anchorWriter) writeStarted(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.writing = now
}

// writeEnded notes how that write ended, and returns whether the one before failed.
func (k *anchorWriter) writeEnded(err error) (failed bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	failed, k.failing, k.writing = k.failing, err != nil, time.Time{}
	return failed
}

// trouble says why the anchor does not follow the log; "": it does.
func (k *anchorWriter) trouble(now time.Time) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.failing:
		return anchorRefuses
	case !k.writing.IsZero() && now.Sub(k.writing) > anchorsIn:
		return anchorHangs
	}
	return ""
}

// moved reports whether there is a head that the anchor should hold and does not.
func (k *anchorWriter) moved() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.told && (k.replace || k.newest.LSN() > k.stored.LSN())
}

// store writes the newest head, if it moved.
func (k *anchorWriter) store(ctx context.Context) error {
	if !k.moved() {
		return nil
	}
	h := k.head()
	err := k.mayWrite(ctx, h)
	if err == nil {
		err = k.anchor.Write(ctx, h)
	}
	if err != nil {
		k.metrics.anchorFailed()
		return err
	}
	k.metrics.anchored(h.LSN())
	k.mu.Lock()
	defer k.mu.Unlock()
	k.stored, k.replace = h, false
	return nil
}

// mayWrite looks what would be overwritten: another store may have been given
// the same anchor, by mistake.
func (k *anchorWriter) mayWrite(ctx context.Context, h anchor.Head) error {
	there, found, err := k.anchor.Read(ctx)
	switch {
	case err != nil || k.replace:
		return err
	case !found:
		k.log.Warn("the anchor held a head when this host started, and was emptied since", "anchor", k.anchor.String())
	case there.LSN() > h.LSN():
		return fmt.Errorf("%s holds %s, which is behind %s, the last one of this store: is another store writing there?",
			k.anchor, headText(there), headText(h))
	}
	return nil
}

// headOf encodes a head as an anchor stores it.
func headOf(h model.Head) anchor.Head { return anchor.Head(model.AppendHead(nil, &h)) }

// headText names a head as the Core does.
func headText(h anchor.Head) string {
	return fmt.Sprintf("record %d of segment %x…", h.LSN(), h[8:12])
}
