package conformance

import (
	"errors"
	"io"
	"time"
)

// The window of the Core: it sends on while fewer frames are neither confirmed nor answered.
const (
	windowFrames   = 1024
	windowSearches = 8
	windowBytes    = 4 << 20 // a single frame may always be on its way
)

// send sends the queued frames, as many together as the window allows.
func (c *core) send() {
	for len(c.queue) > 0 {
		var p []byte
		n := 0
		for n < len(c.queue) && c.fits(&c.queue[n]) {
			f := &c.queue[n]
			p = append(p, f.bytes...)
			c.note(f)
			n++
		}
		c.queue = c.queue[n:]
		if n == 0 {
			c.next()
			continue
		}
		c.write(p)
	}
}

// fits reports whether the window has room for a frame.
func (c *core) fits(f *frame) bool {
	if c.open == 0 {
		return true
	}
	return len(c.changes)+len(c.inquiries) < windowFrames && c.open+len(f.bytes) <= windowBytes &&
		(f.inquiry == nil || len(c.inquiries) < windowSearches)
}

// note notes that a frame is on its way.
func (c *core) note(f *frame) {
	c.trace.sent.add(f.text)
	c.sent = f.seq
	c.open += len(f.bytes)
	if f.inquiry != nil {
		f.inquiry.size = len(f.bytes)
		c.inquiries = append(c.inquiries, f.inquiry)
	} else {
		f.change.size = len(f.bytes)
		c.changes = append(c.changes, f.change)
	}
}

// write writes bytes to the Task, and takes its answers meanwhile.
func (c *core) write(p []byte) {
	parts := [][]byte{p}
	if c.cut != nil {
		parts = c.cut(p)
	}
	done := make(chan error, 1)
	go func() { done <- writeParts(c.process, parts) }()
	limit := time.NewTimer(c.Deadline)
	defer limit.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				c.ended(err)
			}
			return
		case f := <-c.incoming:
			c.take(f)
			limit.Reset(c.Deadline)
		case <-limit.C:
			c.fail(ruleDeadline, "the Task has read no more of its frames for %v, and has sent no frame", c.Deadline)
		case <-c.ctx.Done():
			panic(cancelled{c.ctx.Err()})
		}
	}
}

// writeParts writes parts. The Task reads each part by itself.
func writeParts(to Process, parts [][]byte) error {
	for i, part := range parts {
		if _, err := to.Write(part); err != nil {
			return err
		}
		if i < len(parts)-1 {
			awaitRead(to)
		}
	}
	return nil
}

// next takes the next frame of the Task.
func (c *core) next() {
	limit := time.NewTimer(c.Deadline)
	defer limit.Stop()
	select {
	case f := <-c.incoming:
		c.take(f)
	case <-limit.C:
		c.late()
	case <-c.ctx.Done():
		panic(cancelled{c.ctx.Err()})
	}
}

// late ends the check: the oldest frame is neither confirmed nor answered in time.
func (c *core) late() {
	if len(c.changes) > 0 && (len(c.inquiries) == 0 || c.changes[0].seq < c.inquiries[0].seq) {
		c.fail(ruleDeadline, "frame %d is not confirmed after %v", c.changes[0].seq, c.Deadline)
	}
	c.fail(ruleDeadline, "%s %d is not answered after %v", kindText(c.inquiries[0].kind), c.inquiries[0].seq, c.Deadline)
}

// settle sends the queued frames, and those that answers lead to, until each is confirmed or
// answered.
func (c *core) settle() {
	for c.send(); len(c.changes)+len(c.inquiries) > 0; c.send() {
		c.next()
	}
}

// ended ends the check: the channel ended with an error, while it was in use.
func (c *core) ended(err error) {
	for { // the Task's last frames may say more
		select {
		case f := <-c.incoming:
			c.take(f)
			continue
		case <-time.After(c.Deadline):
		}
		c.fail(ruleRuns, "the channel ended while it was in use: %v", err)
	}
}

// broke ends the check: the Task's bytes are no frame, or end.
func (c *core) broke(err error) {
	switch {
	case errors.Is(err, io.EOF):
		c.fail(ruleRuns, "the process ended, or closed its channel, while it was in use")
	case errors.Is(err, io.ErrUnexpectedEOF):
		c.fail(ruleFormat, "the channel ended in the middle of a frame")
	case isReset(err):
		c.fail(ruleRuns, "the process ended while it was in use, and left frames unread")
	}
	c.fail(ruleFormat, "these bytes are not a frame of a Task")
}
