package server

import (
	"context"
	"slices"
	"sync"
	"time"

	"motte/core/access"
)

// budgetTimeout is how long a request, or an object to be sent, waits for a byte budget.
// Then the Core refuses it. Its client may have ended, which the Core does not notice while it
// does not read from the connection.
const budgetTimeout = 2 * time.Minute

// byteBudget bounds the bytes of one kind that all connections hold together. A principal
// may hold no more of them than it leaves to the others, so no principal uses up a budget.
// Bytes go next to the waiter whose principal holds least, and among equals to the waiter
// that came first.
type byteBudget struct {
	mu      sync.Mutex
	free    int
	taken   map[access.Principal]int
	waiting []*waiter // in the order of their arrival
}

// waiter is a request, or an object to be sent, that waits for bytes of a budget.
type waiter struct {
	principal access.Principal
	bytes     int
	granted   chan struct{} // closed when the bytes are taken for it
}

func newByteBudget(bytes int) *byteBudget {
	return &byteBudget{free: bytes, taken: make(map[access.Principal]int)}
}

// acquire takes n bytes for a principal, and reports whether it did. It gives up when
// the context ends, when spared holds a token, or after budgetTimeout. It calls first before
// it waits.
func (b *byteBudget) acquire(ctx context.Context, p access.Principal, n int,
	first func(), spared <-chan struct{}) bool {
	b.mu.Lock()
	if len(b.waiting) == 0 && b.take(p, n) {
		b.mu.Unlock()
		return true
	}
	w := &waiter{principal: p, bytes: n, granted: make(chan struct{})}
	b.waiting = append(b.waiting, w)
	b.grant()
	b.mu.Unlock()
	first()
	limit := time.NewTimer(budgetTimeout)
	defer limit.Stop()
	select {
	case <-w.granted:
		return true
	case <-limit.C:
	case <-spared:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.waiting, w)
	if i < 0 {
		return true // it was granted meanwhile
	}
	b.waiting = slices.Delete(b.waiting, i, i+1)
	b.grant()
	return false
}

// release frees n bytes that were taken for a principal.
func (b *byteBudget) release(p access.Principal, n int) {
	if n == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free += n
	if b.taken[p] -= n; b.taken[p] <= 0 {
		delete(b.taken, p)
	}
	b.grant()
}

// take takes n bytes for a principal, if it then holds no more than was free.
func (b *byteBudget) take(p access.Principal, n int) bool {
	if b.taken[p]+n > b.free {
		return false
	}
	b.free -= n
	b.taken[p] += n
	return true
}

// grant gives bytes to the waiters in their order. It stops at a waiter whose bytes are not
// free, so small requests can't delay a large request for ever.
func (b *byteBudget) grant() {
	for len(b.waiting) > 0 {
		next := slices.MinFunc(b.waiting, func(a, other *waiter) int {
			return b.taken[a.principal] - b.taken[other.principal]
		})
		if !b.take(next.principal, next.bytes) {
			return
		}
		i := slices.Index(b.waiting, next)
		b.waiting = slices.Delete(b.waiting, i, i+1)
		close(next.granted)
	}
}
