package core

import (
	"context"
	"slices"
	"sync"
	"time"

	"motte/core/access"
)

// roomTime is how long a request, or an object on its way out, waits for room. Then it
// is refused: its client may be gone, which nobody notices who does not read.
const roomTime = 2 * time.Minute

// room bounds the bytes of one kind that all connections hold together. A principal may
// hold no more of them than it leaves to the others, so no principal uses up a room.
// Of those who wait, the one whose principal holds least is next; of its equals, the
// one who came first.
type room struct {
	mu      sync.Mutex
	free    int
	held    map[access.Principal]int
	waiting []*waiter // in the order of their arrival
}

// waiter is somebody who waits for room.
type waiter struct {
	principal access.Principal
	bytes     int
	granted   chan struct{} // closed when it has what it waits for
}

func newRoom(bytes int) *room { return &room{free: bytes, held: make(map[access.Principal]int)} }

// acquire takes n bytes for a principal, and reports whether it did: it gives up when
// the context ends, when there is something to take from spared, or after roomTime.
// Before it waits, it calls first.
func (r *room) acquire(ctx context.Context, p access.Principal, n int, first func(), spared <-chan struct{}) bool {
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

// grant gives those who wait what they wait for, in their order. Nobody passes the next
// one, so a large request is not overtaken for ever by small ones.
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
