package server

import (
	"context"
	"slices"
	"sync"
	"time"

	"motte/core/access"
)

// budgetTimeout is how long a request, or an object to be sent, waits for a byte budget.
// Then the Core refuses it. Its client may be gone, which the Core does not notice while it
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
func (r *byteBudget) acquire(ctx context.Context, p access.Principal, n int,
	first func(), spared <-chan struct{}) bool {
	r.mu.Lock()
	if len(r.waiting) == 0 && r.take(p, n) {
		r.mu.Unlock()
		return true
	}
	w := &waiter{principal: p, bytes: n, granted: make(chan struct{})}
	r.waiting = append(r.waiting, w)
	r.grant()
	r.mu.Unlock()
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
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.Index(r.waiting, w)
	if i < 0 {
		return true // it was granted meanwhile
	}
	r.waiting = slices.Delete(r.waiting, i, i+1)
	r.grant()
	return false
}

// release gives back n bytes of a principal.
func (r *byteBudget) release(p access.Principal, n int) {
	if n == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free += n
	if r.taken[p] -= n; r.taken[p] <= 0 {
		delete(r.taken, p)
	}
	r.grant()
}

// take takes n bytes for a principal, if it then holds no more than was free.
func (r *byteBudget) take(p access.Principal, n int) bool {
	if r.taken[p]+n > r.free {
		return false
	}
	r.free -= n
	r.taken[p] += n
	return true
}

// grant gives bytes to the waiters in their order. It stops at a waiter whose bytes are not
// free, so small requests can't delay a large request for ever.
func (r *byteBudget) grant() {
	for len(r.waiting) > 0 {
		next := slices.MinFunc(r.waiting, func(a, b *waiter) int {
			return r.taken[a.principal] - r.taken[b.principal]
		})
		if !r.take(next.principal, next.bytes) {
			return
		}
		i := slices.Index(r.waiting, next)
		r.waiting = slices.Delete(r.waiting, i, i+1)
		close(next.granted)
	}
}
