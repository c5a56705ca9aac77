package server

import (
	"iter"
	"sync"
)

// queue hands items from any number of goroutines to one goroutine, which takes all items at
// once. It has no bound of its own: a goroutine that puts items is bounded by the requests
// that it may have in flight.
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
	m.add(items...)
	m.signal()
}

// add puts items without a signal. The caller signals later, or takes the items itself.
func (m *queue[T]) add(items ...T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.items = append(m.items, items...)
}

// signal wakes the goroutine that takes, even if the queue is empty.
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

// lone takes the only item. It returns false if the queue has no item, or several.
func (m *queue[T]) lone() (item T, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.items) != 1 {
		return item, false
	}
	item = m.items[0]
	m.items = nil
	return item, true
}

// signals yields at every signal, until done is closed.
func (m *queue[T]) signals(done <-chan struct{}) iter.Seq[struct{}] {
	return func(yield func(struct{}) bool) {
		for {
			select {
			case <-m.wake:
			case <-done:
				return
			}
			if !yield(struct{}{}) {
				return
			}
		}
	}
}

// batches yields the items of the queue, at every signal, until done is closed.
func (m *queue[T]) batches(done <-chan struct{}) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for range m.signals(done) {
			if !yield(m.take()) {
				return
			}
		}
	}
}
