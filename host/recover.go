package host

import (
	"context"
	"errors"
	"fmt"

	"motte/core/hostwire"
	"motte/core/model"
)

// dryRun is a start of the Core for what it finds out or records, not to serve:
// it ends as soon as that is done, in order.
type dryRun struct {
	accept bool               // let the Core serve a store that lacks what its anchor remembers
	admin  [32]byte           // to be made the only administrator; zero: nobody
	end    context.CancelFunc // asks the Core to stop
	ready  bool               // the store was verified, and the administrator is made for good
	key    [32]byte           // the Core's
	wrote  bool               // and the record that it was accepted is durable
	failed bool               // a write was refused, by which that record may be lost
}

// saw takes what the Core tells. An alert goes to disk behind Ready, and the
// Core does not say when; but the records that it made durable are counted, and
// here nobody else writes any before.
func (t *dryRun) saw(message hostwire.Message) {
	switch m := message.(type) {
	case hostwire.Ready:
		t.ready, t.key = true, m.Key
	case hostwire.Counters:
		t.wrote = t.wrote || m.Stats != nil && m.Stats.Synced > 0
	case hostwire.Event:
		t.failed = t.failed || m.Reason == model.ReasonStorage
	}
	if t.failed || t.ready && (t.wrote || !t.accept) {
		t.end()
	}
}

// Verify finds out whether a store has what its anchor remembers: it starts the
// Core, and stops it again. Nil means that Run would serve; ErrOlder and
// ErrForgotten say what AcceptLoss would accept. Nothing is changed.
func Verify(ctx context.Context, cfg Config) error {
	h, err := newHost(cfg)
	if err != nil {
		return err
	}
	forgotten := h.recallStore(ctx)
	if forgotten != nil && !errors.Is(forgotten, ErrForgotten) {
		return forgotten
	}
	if err := h.try(ctx, &dryRun{}); err != nil || forgotten == nil {
		return err
	}
	return fmt.Errorf("%w; the store ends with %s", forgotten, headText(h.keeper.head()))
}

// AcceptLoss lets a store be served, from now on, that lacks what its anchor
// remembers, or whose anchor was emptied: it has the Core record an alert in the
// log, and then the anchor remember the head of what is there. If it fails,
// Verify says whether it has to be done once more.
func AcceptLoss(ctx context.Context, cfg Config) error {
	h, err := newHost(cfg)
	if err != nil {
		return err
	}
	if err := h.recallStore(ctx); err != nil && !errors.Is(err, ErrForgotten) {
		return err
	}
	t := &dryRun{accept: true}
	if err := h.try(ctx, t); err != nil {
		return err
	}
	if t.failed || !t.wrote {
		return errors.New("the disk refused the record that the loss was accepted: nothing was accepted")
	}
	ctx, cancel := context.WithTimeout(ctx, lastWithin)
	defer cancel()
	h.keeper.replace = true
	if err := h.keeper.store(ctx); err != nil {
		return fmt.Errorf("that the loss was accepted is recorded, but the anchor still remembers what it did: %w", err)
	}
	return nil
}

// NewAdmin makes a principal the only administrator of a store, for an operator who
// lost the keys of all others, and returns the Core's key. The Core records an alert. The
// store has to have what its anchor remembers, if one is given, and the anchor then
// remembers the change. An error that is ErrRefused says that nothing was changed.
func NewAdmin(ctx context.Context, cfg Config, admin [32]byte) (coreKey [32]byte, err error) {
	h, err := newHost(cfg)
	if err != nil {
		return coreKey, err
	}
	if h.Anchor != "" {
		err = h.recallStore(ctx)
	} else {
		err = Find(h.Dir)
	}
	if err != nil {
		return coreKey, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	t := &dryRun{admin: admin}
	if err := h.try(ctx, t); errors.Is(err, errLocked) {
		return coreKey, fmt.Errorf("%w: %w: stop the server", ErrRefused, err)
	} else if err != nil {
		return coreKey, err
	}
	if t.failed || !t.ready {
		return coreKey, errors.New("the disk refused the record of the new administrator")
	}
	if h.keeper == nil {
		return t.key, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lastWithin)
	defer cancel()
	if err := h.keeper.store(ctx); err != nil {
		h.log.Error("the anchor lacks the record of the new administrator; 'motte serve' writes it", "error", err)
	}
	return t.key, nil
}

// Find is an error if there is no store in a directory.
func Find(dir string) error {
	h := host{Config: Config{Dir: dir}}
	empty, err := h.empty()
	if err == nil && empty {
		err = fmt.Errorf("there is no store in %s", dir)
	}
	return err
}

// recallStore opens the anchor of a store that is there, and reads it.
func (h *host) recallStore(ctx context.Context) (err error) {
	if h.Anchor == "" {
		return errors.New("no anchor is given")
	}
	if err := Find(h.Dir); err != nil {
		return err
	}
	if h.keeper, err = h.openAnchors(); err != nil {
		return err
	}
	return h.keeper.load(ctx, h.Dir, false)
}

// try starts the Core for a trial, and waits for its end. Nothing is written to
// the anchor: the keeper's goroutine does not run.
func (h *host) try(ctx context.Context, t *dryRun) error {
	trying, end := context.WithCancel(ctx)
	defer end()
	t.end = end
	h.trial = t
	if t.admin == [32]byte{} { // else the profile that is there may be what was lost
		if err := h.prepareAdmin(); err != nil {
			return err
		}
	}
	if err := h.supervise(trying); err != nil {
		return err
	}
	return ctx.Err()
}
