package core

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"motte/core/engine"
)

// TestAFrameCountsWhenItHasLeft: the engine learns that a frame has left the Core when the
// channel has taken it with its input, and not when it is handed to the channel.
func TestAFrameCountsWhenItHasLeft(t *testing.T) {
	here, there := net.Pipe()
	c := &taskChannel{net: here, out: newMailbox[engine.TaskFrame]()}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		c.write(ctx)
		close(over)
	}()
	c.out.put(engine.TaskFrame{Frame: []byte("head"), Input: []byte("input")}, engine.TaskFrame{Frame: []byte("other")})
	p := make([]byte, len("headinputother"))
	if _, err := io.ReadFull(there, p[:1]); err != nil || c.left.Load() != 0 {
		t.Errorf("%d frames have left when a byte is read: %v", c.left.Load(), err)
	}
	if _, err := io.ReadFull(there, p[1:]); err != nil || string(p) != "headinputother" {
		t.Errorf("%q came out: %v", p, err)
	}
	for c.left.Load() == 0 { // the writer is about to count
		time.Sleep(time.Millisecond)
	}
	if n := c.left.Load(); n != 2 {
		t.Errorf("%d frames have left, want 2", n)
	}
	cancel()
	<-over
}
