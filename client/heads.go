package client

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"time"

	"motte/core/model"
	"motte/core/wire"
)

// HeadStore keeps the newest head of a log that a client saw, for the clients
// that come after it: a Core that no longer has that head in its history went
// back or is a branch. A log is named by its Core's key, and has no other name.
// HeadFile is one; a program may bring its own, and shares it as it likes.
type HeadStore interface {
	// LoadHead returns the head that is kept for a Core; the zero Head: none.
	LoadHead(core ed25519.PublicKey) (Head, error)
	// StoreHead keeps h, unless a head with a higher LSN is kept: others may
	// have stored theirs meanwhile. One with the same LSN stays, and is the
	// Remembered of a *RolledBackError if it is in another segment.
	StoreHead(core ed25519.PublicKey, h Head) error
}

// keepEvery is how old the head in the store may be while a client is in use,
// and so how much of the log may be lost without being noticed if the client's
// machine crashes at the same time.
const keepEvery = 2 * time.Second

// headTracker is what a client knows of the head of the log.
//
// Invariants: head is the one with the highest LSN of all that were seen, since
// the store was last asked; what was seen is stored before the store is asked.
// So the store decides what a Core must have in its history, and an operator who
// has accepted a loss says so there once, for all clients.
type headTracker struct {
	core  ed25519.PublicKey
	store HeadStore // nil: none

	saving sync.Mutex // held while the store is used, which may take long

	mu    sync.Mutex
	head  Head
	saved Head // what the store has
}

// newest returns the head.
func (m *headTracker) newest() Head {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.head
}

// seen takes the head of an answer. One that is older says nothing: answers to
// several requests overtake one another. One with the same LSN in another
// segment is a *RolledBackError.
func (m *headTracker) seen(h Head) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case h.LSN > m.head.LSN:
		m.head = h
	case parted(m.head, h):
		return &RolledBackError{m.head, h}
	}
	return nil
}

// parted reports whether two heads can't be of one history. A record is in one
// segment, and no two branches have a segment in common; in a segment, one chain
// value belongs to it.
func parted(a, b Head) bool { return a.LSN == b.LSN && a.LSN != 0 && a != b }

// save stores the head if the store does not have it.
func (m *headTracker) save() error {
	m.saving.Lock()
	defer m.saving.Unlock()
	return m.saveLocked()
}

func (m *headTracker) saveLocked() error {
	m.mu.Lock()
	h := m.head
	old := h == m.saved
	m.mu.Unlock()
	if old || m.store == nil {
		return nil
	}
	if err := m.store.StoreHead(m.core, h); err != nil {
		return err
	}
	m.mu.Lock()
	m.saved = h
	m.mu.Unlock()
	return nil
}

// load returns the head that a Core must have in its history. A store that
// can't be written is no reason to refuse one; a store that can't be read is,
// and so is another head with the same LSN in it.
func (m *headTracker) load() (Head, error) {
	if m.store == nil {
		return m.newest(), nil
	}
	m.saving.Lock()
	defer m.saving.Unlock()
	if err := m.saveLocked(); errors.Is(err, ErrHistoryDiffers) {
		return Head{}, err
	}
	h, err := m.store.LoadHead(m.core)
	if err != nil {
		return Head{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if h.LSN > m.head.LSN || m.head == m.saved && h.LSN > 0 {
		m.head, m.saved = h, h
	}
	return m.head, nil
}

// saveOften saves the head from time to time until the context ends.
func (m *headTracker) saveOften(ctx context.Context) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = m.save() // tried again, and told of by SaveHead and Close
		case <-ctx.Done():
			return
		}
	}
}

// Head returns the newest head of the log that an answer carried: what the
// Core told this client was durable.
func (c *Client) Head() Head { return c.memory.newest() }

// SaveHead stores the newest head where the profile says that it is kept. That
// happens by itself every few seconds and with Close; the error tells a program
// that cares why heads are not kept, and so why the next client may not notice
// that the store went back.
func (c *Client) SaveHead() error { return c.memory.save() }

// greetWithin bounds how long the Core may take to answer the first request on
// a connection, which needs nothing but its memory.
const greetWithin = 30 * time.Second

// greet asks the Core at the other end of a new link whether the log still has
// the newest head in its history. Nothing else is sent before.
func (c *Client) greet(ctx context.Context, l *connection) error {
	h, err := c.memory.load()
	if err != nil {
		return err
	}
	r := &wire.Request{Op: model.OpHead}
	if h.LSN > 0 {
		r.Query = model.AppendHead(nil, &h)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, greetWithin, fmt.Errorf("the Core does not answer within %v", greetWithin))
	defer cancel()
	k := newCall()
	if err := l.start(r, k); err != nil {
		return err
	}
	err = k.whole(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("connect to %s: %w", c.profile.Address, context.Cause(ctx))
	case err != nil:
		return err
	}
	defer k.reuse()
	last := k.parts[len(k.parts)-1]
	switch last.Code {
	case model.OK:
		return c.pins.saw(l.key, nextKey(last.body))
	case model.HistoryDiffers:
		return &RolledBackError{h, last.Head}
	}
	return failure(last.Code)
}
