package core

import (
	"crypto/sha256"
	"errors"
	"time"

	"motte/core/engine"
	"motte/core/identity"
	"motte/core/log"
	"motte/core/mapping"
	"motte/core/wire"
)

// quantum is how much of one answer is sent before the next one's turn, so that
// a long answer does not hold up short ones.
const quantum = 64 << 10 // bytes

// ready is a channel that is always ready.
var ready = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

var errContent = errors.New("the record is not the object of this identity")

// write sends answers until the reader has ended and all are sent, or the client
// takes no more.
func (c *conn) write() {
	defer c.net.Close()
	defer close(c.written)
	defer func() { c.s.answers.release(c.lent) }()
	over, late := c.done, (<-chan time.Time)(nil)
	for {
		more := c.out.wake
		if len(c.active) > 0 {
			more = ready
		} else if !c.flush() || over == nil && len(c.places) == 0 {
			return
		}
		select {
		case <-more:
		case <-over:
			over, c.patience, late = nil, drainTime, time.After(stopWithin)
		case <-late:
			return
		}
		if c.active = append(c.active, c.out.take()...); len(c.active) == 0 {
			continue
		}
		done, ok := c.send(&c.active[0])
		if !ok {
			return
		}
		if !done {
			c.active = append(c.active, c.active[0]) // the others come first
		}
		c.active[0] = engine.Reply{} // not even what it held
		c.active = c.active[1:]
	}
}

// writer is what the writer of a connection alone uses. It encodes answers into a
// buffer that is flushed when it is full or nothing else is to be sent: many small
// answers leave in one write.
type writer struct {
	active   []engine.Reply // begun
	maker    *identity.Maker
	p        []byte
	record   []byte        // the last one read
	lent     int           // bytes of room for large objects
	patience time.Duration // with the client
}

// flush writes what is buffered; false: the client takes no more.
func (c *conn) flush() bool {
	if len(c.p) == 0 {
		return true
	}
	_ = c.net.SetWriteDeadline(time.Now().Add(c.patience))
	_, err := c.net.Write(c.p)
	if c.p = c.p[:0]; c.lent > 0 {
		c.p, c.record = nil, nil // large objects must not keep their memory
		c.s.answers.release(c.lent)
		c.lent = 0
	}
	return err == nil
}

// send sends one quantum of an answer, and takes what it sent off r.
func (c *conn) send(r *engine.Reply) (done, ok bool) {
	h := wire.ReplyHeader{Number: r.Number, Head: r.Head}
	sent := 0
	for ; len(r.Items) > 0 && sent < quantum; r.Items = r.Items[1:] {
		if h.Kind = r.Kind; h.Kind == wire.KindIdentities {
			h.Count = uint32(len(r.Items[0]) / identity.Size)
		}
		sent += c.frame(h, r.Items[0])
	}
	for ; len(r.Objects) > 0 && sent < quantum; r.Objects = r.Objects[1:] {
		h.Kind, h.Count, h.Flags = wire.KindObject, 0, 0
		if r.Single {
			h.Flags = wire.ReplyLast
		}
		n, code := c.object(h, r.Objects[0])
		if code != wire.OK {
			*r = engine.Reply{Number: r.Number, Head: r.Head, Held: r.Held, Code: code}
			break
		}
		sent += n
	}
	if len(r.Objects) == 0 && len(r.Items) == 0 {
		c.end(r, h)
		done = true
	}
	return done, len(c.p) < bufferSize || c.flush()
}

// end ends an answer: with its last frame, unless that was its object.
func (c *conn) end(r *engine.Reply, h wire.ReplyHeader) {
	if held := r.Held; held > 0 {
		r.Held = 0
		c.s.events.put(func(e *engine.Engine) { e.Sent(c.principal, held) })
	}
	if !r.Single {
		h.Kind, h.Code, h.Flags, h.Count = wire.KindEnd, r.Code, r.Flags|wire.ReplyLast, r.Count
		c.frame(h, r.Body)
	}
	c.land(r.Number, r.Code)
}

// frame appends a frame and returns its length.
func (c *conn) frame(h wire.ReplyHeader, body []byte) int {
	h.BodyLen = len(body)
	c.p = wire.AppendReplyHeader(c.p, &h)
	c.p = append(c.p, body...)
	return wire.ReplyHeaderSize + len(body)
}

// object reads an object and appends its frame. One that is not what its identity
// says does not leave. A large one waits for room: it is held twice until it is
// sent.
func (c *conn) object(h wire.ReplyHeader, entry mapping.Entry) (n int, code wire.Code) {
	if entry.Loc.Length > bufferSize {
		c.flush() // who waits for room must not hold any
		c.lent = 2 * int(entry.Loc.Length)
		c.s.answers.acquire(c.lent)
	}
	o, _, buf, err := c.s.readObject(c.maker, c.record, entry)
	for there := true; errors.Is(err, log.ErrMoved); {
		c.s.between(func(e *engine.Engine) { entry, there = e.Current(entry) })
		if !there {
			return 0, wire.Expired
		}
		o, _, buf, err = c.s.readObject(c.maker, buf, entry)
	}
	if c.record = buf; err != nil {
		c.s.events.put(func(e *engine.Engine) { e.Damaged(entry) })
		return 0, wire.Damaged
	}
	before := len(c.p)
	c.p = wire.AppendObject(c.p, h, entry.ID, o.Name, o.Data)
	return len(c.p) - before, wire.OK
}

// readObject reads the object of an entry into buf, and holds its content
// against its identity. The object aliases the buffer that is returned.
func (s *shell) readObject(m *identity.Maker, buf []byte, entry mapping.Entry) (o engine.Object, lsn uint64, _ []byte, err error) {
	rec, buf, err := s.log.Read(buf, entry.Loc)
	if err == nil {
		o, err = engine.DecodeObject(rec.Body)
	}
	if err == nil && (rec.ID != entry.ID || rec.Collection != entry.Collection || rec.Owner != entry.Owner || !entry.Wrote(rec.LSN) ||
		!m.Check(rec.Collection, rec.ID, sha256.Sum256(o.Data))) {
		err = errContent
	}
	return o, rec.LSN, buf, err
}
