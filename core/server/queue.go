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

func (q *queue[T]) put(items ...T) {
	if len(items) == 0 {
		return
	}
	q.add(items...)
	q.signal()
}

// add puts items without a signal. The caller signals later, or takes the items itself.
func (q *queue[T]) add(items ...T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = append(q.items, items...)
}

// signal wakes the goroutine that takes, even if the queue is empty.
func (q *queue[T]) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue[T]) take() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items = nil
	return items
}

func (q *queue[T]) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// lone takes the only item. It returns false if the queue has no item, or several.
func (q *queue[T]) lone() (item T, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) != 1 {
		return item, false
	}
	item = q.items[0]
	q.items = nil
	return item, true
}

// signals yields at every signal, until done is closed.
func (q *queue[T]) signals(done <-chan struct{}) iter.Seq[struct{}] {
	return func(yield func(struct{}) bool) {
		for {
			select {
			case <-q.wake:
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
func (q *queue[T]) batches(done <-chan struct{}) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for range q.signals(done) {
			if !yield(q.take()) {
				return
			}
		}
	}
}
