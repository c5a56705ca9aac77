package host

import (
	"context"
	"errors"
	"fmt"

	"motte/core/hostwire"
	"motte/core/model"
)

// dryRun is a start of the Core that does not serve. It verifies the store, or records a change,
// and then stops the Core in order.
type dryRun struct {
	accept bool               // let the Core serve a store that lacks the head that its anchor holds
	admin  [32]byte           // the principal that becomes the only administrator; zero: no change
	end    context.CancelFunc // asks the Core to stop
	ready  bool               // the Core verified the store, and the change of administrator is durable
	key    [32]byte           // the Core's key
	wrote  bool               // the record of the accepted loss is durable
	failed bool               // the Core refused a write, so that record may be lost
}

// saw takes a message of the Core. The Core writes the alert's record after Ready, and does not
// tell when it is durable. But the Core counts its durable records, and a dry run has no other
// writer before.
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

// Verify tells whether a store has the head that its anchor holds. It starts the Core, and stops it
// again. It changes nothing. Nil means that Run would serve. ErrOlder and ErrForgotten name the
// loss that AcceptLoss would accept.
func Verify(ctx context.Context, cfg Config) error {
	h, err := newHost(cfg)
	if err != nil {
		return err
	}
	forgotten := h.loadAnchor(ctx)
	if forgotten != nil && !errors.Is(forgotten, ErrForgotten) {
		return forgotten
	}
	if err := h.try(ctx, &dryRun{}); err != nil || forgotten == nil {
		return err
	}
	return fmt.Errorf("%w; the store ends with %s", forgotten, headText(h.anchorWriter.head()))
}

// AcceptLoss lets the host serve a store that lacks the anchor's head, or whose anchor was emptied.
// First the Core records an alert in the log. Then the anchor stores the current head of the log.
// If AcceptLoss fails, Verify tells whether the operator has to call it again.
func AcceptLoss(ctx context.Context, cfg Config) error {
	h, err := newHost(cfg)
	if err != nil {
		return err
	}
	if err := h.loadAnchor(ctx); err != nil && !errors.Is(err, ErrForgotten) {
		return err
	}
	t := &dryRun{accept: true}
	if err := h.try(ctx, t); err != nil {
		return err
	}
	if t.failed || !t.wrote {
		return errors.New("the disk refused the record of the accepted loss, so the loss is not accepted")
	}
	ctx, cancel := context.WithTimeout(ctx, lastWithin)
	defer cancel()
	h.anchorWriter.replace = true
	if err := h.anchorWriter.store(ctx); err != nil {
		return fmt.Errorf("the accepted loss is recorded, but the anchor still has its old head: %w", err)
	}
	return nil
}

// NewAdmin makes a principal the only administrator of a store, and returns the Core's key. It is
// for an operator who lost the keys of all administrators. The Core records an alert. If an anchor
// is given, the store must have the anchor's head, and the anchor then stores the new head. An
// error that is ErrRefused says that NewAdmin changed nothing.
func NewAdmin(ctx context.Context, cfg Config, admin [32]byte) (coreKey [32]byte, err error) {
	h, err := newHost(cfg)
	if err != nil {
		return coreKey, err
	}
	if h.Anchor != "" {
		err = h.loadAnchor(ctx)
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
	if h.anchorWriter == nil {
		return t.key, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lastWithin)
	defer cancel()
	if err := h.anchorWriter.store(ctx); err != nil {
		h.log.Error("the anchor lacks the record of the new administrator; 'motte serve' writes it", "error", err)
	}
	return t.key, nil
}

// Find returns an error if a directory holds no store.
func Find(dir string) error {
	h := host{Config: Config{Dir: dir}}
	empty, err := h.empty()
	if err == nil && empty {
		err = fmt.Errorf("there is no store in %s", dir)
	}
	return err
}

// loadAnchor opens and reads the anchor of an existing store.
func (h *host) loadAnchor(ctx context.Context) (err error) {
	if h.Anchor == "" {
		return errors.New("no anchor is given")
	}
	if err := Find(h.Dir); err != nil {
		return err
	}
	if h.anchorWriter, err = h.openAnchors(); err != nil {
		return err
	}
	return h.anchorWriter.load(ctx, h.Dir, false)
}

// try starts the Core for a dry run, and waits for its end. It does not start the anchor writer's
// goroutine, so the anchor stays as it is.
func (h *host) try(ctx context.Context, t *dryRun) error {
	trying, end := context.WithCancel(ctx)
	defer end()
	t.end = end
	h.dryRun = t
	if t.admin == [32]byte{} { // the operator may have lost just the key in the present profile
		if err := h.prepareAdmin(); err != nil {
			return err
		}
	}
	if err := h.supervise(trying); err != nil {
		return err
	}
	return ctx.Err()
}
