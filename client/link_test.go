package client

import (
	"context"
	"testing"
	"time"

	"motte/core/wire"
)

// TestGivenUpCallsCountUntilTheyAreAnswered: the Core holds their bodies, and
// so does the link; a caller that gives up must not make room for the next.
func TestGivenUpCallsCountUntilTheyAreAnswered(t *testing.T) {
	answer := make(chan struct{})
	c := connect(t, fake(t, func(c conn) {
		for n := 0; ; n++ {
			r, ok := c.request()
			if !ok {
				return
			}
			if n == 1 {
				<-answer
			}
			ids := uint32(1)
			if r.Op == wire.OpHead {
				ids = 0
			}
			c.reply(r.Number, wire.KindEnd, ids, make([]byte, ids*wire.IdentitySize))
		}
	}))
	data := make([]byte, maxLarge/2)
	for range 8 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := c.Put(ctx, "c", data); err == nil {
			t.Error("answered by nobody")
		}
		cancel()
	}
	c.link.mu.Lock()
	if n := len(c.link.calls); n > 2 {
		t.Errorf("%d calls of half the budget each are in flight", n)
	}
	c.link.mu.Unlock()
	close(answer)
	if _, err := c.Put(t.Context(), "c", data); err != nil {
		t.Errorf("after the answers: %v", err)
	}
}
