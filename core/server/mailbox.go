package server

import (
	"iter"
	"sync"
)

// mailbox hands items from any number of goroutines to one, which takes all
// that are there at once. It is not bounded: whoever puts is bounded by what
// it may have in flight.
type mailbox[T any] struct {
	wake chan struct{} // holds a token while there is something to take

	mu    sync.Mutex
	items []T
}

func newMailbox[T any]() *mailbox[T] { return &mailbox[T]{wake: make(chan struct{}, 1)} }

func (m *mailbox[T]) put(items ...T) {
	if len(items) == 0 {
		return
	}
	m.mu.Lock()
	m.items = append(m.items, items...)
	m.mu.Unlock()
	m.ring()
}

// ring wakes the one who takes, even if there is nothing.
func (m *mailbox[T]) ring() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *mailbox[T]) take() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	items := m.items
	m.items = nil
	return items
}

func (m *mailbox[T]) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.items)
}

// batches yields what is there to take, at every ring, until done is closed.
func (m *mailbox[T]) batches(done <-chan struct{}) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for {
			select {
			case <-m.wake:
			case <-done:
				return
			}
			if !yield(m.take()) {
				return
			}
		}
	}
}
