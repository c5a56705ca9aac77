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

// HeadStore keeps the newest head of each log that its clients saw. Later clients require
// that head of the Core: if its history lacks the head, the store was rolled back or is a
// fork. A log is named by the first key of its Core: see [Profile.LogKey].
//
// [HeadFile] implements HeadStore. A program may bring another implementation, and clients
// may share it.
type HeadStore interface {
	// LoadHead returns the stored head for a Core, or the zero Head if there is none.
	LoadHead(core ed25519.PublicKey) (Head, error)
	// StoreHead stores h if its LSN is higher than that of the stored head. Other
	// clients may have stored a newer head meanwhile. A different head with the same
	// LSN stays, and StoreHead returns a *RolledBackError.
	StoreHead(core ed25519.PublicKey, h Head) error
}

// keepEvery bounds the age of the stored head while a client is in use. If the client's
// machine crashes, the client does not notice the loss of records younger than that.
const keepEvery = 2 * time.Second

// headTracker tracks the newest head of the log that a client saw. Invariants:
//
//  1. head has the highest LSN of all heads seen since the store was last read.
//  2. The tracker stores its head before it reads the store.
//
// So the store decides which head a Core must have in its history. An operator who accepts
// a loss changes the store once, for all clients.
type headTracker struct {
	core  ed25519.PublicKey
	store HeadStore // nil: heads are not stored

	saving sync.Mutex // held while the store is used, which may take long

	mu    sync.Mutex
	head  Head
	saved Head // the stored head
}

// newest returns the head.
func (m *headTracker) newest() Head {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.head
}

// seen takes the head of an answer. It ignores an older head, since answers overtake one
// another. A different head with the same LSN is a *RolledBackError.
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

// parted reports whether two heads can't belong to one history. In one history a record has
// one segment and one chain value.
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

// load returns the head that a Core must have in its history. It fails if the store can't be
// read, or holds a different head with the same LSN. It does not fail if the store can't be
// written.
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
			_ = m.save() // tried again; SaveHead and Close report the error
		case <-ctx.Done():
			return
		}
	}
}

// Head returns the newest head of the log that an answer carried. The Core said that all
// records up to this head are durable.
func (c *Client) Head() Head { return c.memory.newest() }

// SaveHead stores the newest head in the [HeadStore] of the profile. The client also does so
// every few seconds and in [Client.Close]. After an error the next client may not notice that
// the store was rolled back.
func (c *Client) SaveHead() error { return c.memory.save() }

// greetWithin bounds how long the Core may take to answer the first request on
// a connection, which needs nothing but its memory.
const greetWithin = 30 * time.Second

// greet asks the Core on a new connection whether its history has the client's newest head.
// This is the first request of each connection.
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
