package server

import (
	"context"
	"slices"
	"sync"
	"time"

	"motte/core/access"
)

// roomTime is how long a request, or an object on its way out, waits for room. Then the
// Core refuses it. Its client may be gone, which the Core does not notice while it does
// not read from the connection.
const roomTime = 2 * time.Minute

// room bounds the bytes of one kind that all connections hold together. A principal may
// hold no more of them than it leaves to the others, so no principal uses up a room.
// Room goes next to the waiter whose principal holds least, and among equals to the
// waiter that came first.
type room struct {
	mu      sync.Mutex
	free    int
	held    map[access.Principal]int
	waiting []*waiter // in the order of their arrival
}

// waiter is a request, or an object on its way out, that waits for room.
type waiter struct {
	principal access.Principal
	bytes     int
	granted   chan struct{} // closed when the room is taken for it
}

func newRoom(bytes int) *room { return &room{free: bytes, held: make(map[access.Principal]int)} }

// acquire takes n bytes for a principal, and reports whether it did. It gives up when
// the context ends, when spared holds a token, or after roomTime. It calls first before
// it waits.
func (r *room) acquire(ctx context.Context, p access.Principal, n int,
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
	limit := time.NewTimer(roomTime)
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
func (r *room) release(p access.Principal, n int) {
	if n == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free += n
	if r.held[p] -= n; r.held[p] <= 0 {
		delete(r.held, p)
	}
	r.grant()
}

// take takes n bytes for a principal, if it then holds no more than was free.
func (r *room) take(p access.Principal, n int) bool {
	if r.held[p]+n > r.free {
		return false
	}
	r.free -= n
	r.held[p] += n
	return true
}

// grant gives room to the waiters in their order. No waiter overtakes the next one, so
// small requests do not hold up a large one for ever.
func (r *room) grant() {
	for len(r.waiting) > 0 {
		next := slices.MinFunc(r.waiting, func(a, b *waiter) int {
			return r.held[a.principal] - r.held[b.principal]
		})
		if !r.take(next.principal, next.bytes) {
			return
		}
		i := slices.Index(r.waiting, next)
		r.waiting = slices.Delete(r.waiting, i, i+1)
		close(next.granted)
	}
}
