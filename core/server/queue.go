package server

import (
	"iter"
	"sync"
)

// queue hands items from any number of goroutines to one, which takes all
// that are there at once. It is not bounded: whoever puts is bounded by what
// it may have in flight.
type queue[T any] struct {
	wake chan struct{} // holds a token while there is something to take

	mu    sync.Mutex
	items []T
}

func newQueue[T any]() *queue[T] { return &queue[T]{wake: make(chan struct{}, 1)} }

func (m *queue[T]) put(items ...T) {
	if len(items) == 0 {
		return
	}
	m.mu.Lock()
	m.items = append(m.items, items...)
	m.mu.Unlock()
	m.signal()
}

// signal wakes the one who takes, even if there is nothing.
func (m *queue[T]) signal() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *queue[T]) take() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	items := m.items
	m.items = nil
	return items
}

func (m *queue[T]) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.items)
}

// batches yields what is there to take, at every signal, until done is closed.
func (m *queue[T]) batches(done <-chan struct{}) iter.Seq[[]T] {
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
