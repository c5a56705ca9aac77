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

// patience is how long the client may take for some of an answer, while the
// connection goes on and as it ends.
var patience = [...]time.Duration{writeTime, drainTime, 0}

var errContent = errors.New("the record is not the object of this identity")

// write sends answers until the reader has ended and all are sent, or the client
// takes no more. Each gets a quantum in its turn.
func (c *conn) write() {
	defer close(c.written)
	defer c.net.Close()
	for c.err == nil {
		<-c.out.wake
		answers := c.out.take()
		for i, r := range answers {
			answers[i] = engine.Reply{} // not even what it held
			if c.err != nil || !c.send(&r) {
				c.out.put(r)
			}
		}
		ending := c.ending.Load() // then the reader has put its last
		if len(c.out.wake) == 0 {
			c.flush()
		}
		if ending == 2 || ending == 1 && len(c.out.wake)+len(c.places) == 0 {
			return
		}
	}
}

// flush writes what is buffered.
func (c *conn) flush() {
	if len(c.p) > 0 && c.err == nil {
		_ = c.net.SetWriteDeadline(time.Now().Add(patience[c.ending.Load()]))
		_, c.err = c.net.Write(c.p)
	}
	if c.p = c.p[:0]; c.lent > 0 {
		c.p, c.record = nil, nil // large objects must not keep their memory
		c.s.answers.release(c.lent)
		c.lent = 0
	}
}

// send sends one quantum of an answer, at most one large object with it, and takes
// what it sent off r; done: that was all.
func (c *conn) send(r *engine.Reply) (done bool) {
	h := wire.ReplyHeader{Number: r.Number, Head: r.Head, Kind: r.Kind}
	sent := 0
	for ; len(r.Items) > 0 && sent < quantum; r.Items = r.Items[1:] {
		if r.Kind == wire.KindIdentities {
			h.Count = uint32(len(r.Items[0]) / identity.Size)
		}
		c.frame(h, r.Items[0])
		sent += len(r.Items[0])
	}
	if h.Kind, h.Count = wire.KindObject, 0; r.Single {
		h.Flags = wire.ReplyLast
	}
	for ; len(r.Objects) > 0 && sent < quantum; r.Objects = r.Objects[1:] {
		if code := c.object(h, r.Objects[0]); code != wire.OK {
			*r = engine.Reply{Number: r.Number, Head: r.Head, Held: r.Held, Code: code}
			break
		}
		sent += int(r.Objects[0].Loc.Length)
	}
	if done = len(r.Items)+len(r.Objects) == 0; done {
		c.end(r, h)
	}
	if len(c.p) >= bufferSize || c.lent > 0 {
		c.flush() // after the request has landed: then its number may come again
	}
	return done
}

// end ends an answer: with its last frame, unless that was its object.
func (c *conn) end(r *engine.Reply, h wire.ReplyHeader) {
	if held := r.Held; held > 0 {
		c.s.events.put(func(e *engine.Engine) { e.Sent(c.principal, held) })
	}
	if !r.Single {
		h.Kind, h.Code, h.Flags, h.Count = wire.KindEnd, r.Code, r.Flags|wire.ReplyLast, r.Count
		c.frame(h, r.Body)
	}
	c.land(r.Number, r.Code)
}

// frame appends a frame.
func (c *conn) frame(h wire.ReplyHeader, body []byte) {
	h.BodyLen = len(body)
	c.p = append(wire.AppendReplyHeader(c.p, &h), body...)
}

// object reads an object and appends its frame. One that is not what its identity
// says does not leave. A large one waits for room, while none is held here: it is
// held twice until it is sent.
func (c *conn) object(h wire.ReplyHeader, entry mapping.Entry) wire.Code {
	if entry.Loc.Length > bufferSize {
		c.flush() // what is there need not wait
		c.lent = 2 * int(entry.Loc.Length)
		c.s.answers.acquire(c.lent)
	}
	for there := true; there; {
		o, _, buf, err := c.s.readObject(c.maker, c.record, entry)
		if c.record = buf; err == nil {
			c.p = wire.AppendObject(c.p, h, entry.ID, o.Name, o.Data)
			return wire.OK
		} else if !errors.Is(err, log.ErrMoved) {
			c.s.events.put(func(e *engine.Engine) { e.Damaged(entry) })
			return wire.Damaged
		}
		c.s.between(func(e *engine.Engine) { entry, there = e.Current(entry) })
	}
	return wire.Expired
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
