package server

import (
	"motte/core/engine"
	"motte/core/wire"
)

// shortReply is how many bytes of records an answer may show that is sent by the goroutine
// that brought it about.
const shortReply = 32 << 10

// answerNow sends the only answer that waits, if it is short, in the goroutine that brought
// it about, which may be one of another connection or of a Task. So it waits for no client,
// and for the disk not longer than one try takes. It leaves all else to the writer.
func (c *conn) answerNow() {
	select {
	case c.sending <- struct{}{}:
	default:
		c.out.signal()
		return
	}
	sent := c.tryAnswer()
	<-c.sending
	// A reader that has ended by now lets the writer see what is the last answer.
	if !sent || c.readAll.Load() {
		c.out.signal()
	}
}

// tryAnswer reports whether all is sent that waits.
func (c *conn) tryAnswer() bool {
	if c.err != nil || len(c.p) > 0 || c.raw.keeps() {
		return false
	}
	r, ok := c.out.lone()
	if !ok {
		return false
	}
	if !c.readNow(&r) {
		c.out.add(r)
		return false
	}
	c.send(&r)
	_, c.err = c.net.Write(c.p)
	c.p = c.p[:0]
	return c.err == nil && !c.raw.keeps()
}

// readNow appends the frames of an answer's objects, and takes these off it, if it is short.
// It returns false if the writer has to do so, or has to read the rest of them.
func (c *conn) readNow(r *engine.Reply) bool {
	if len(r.Body) > shortReply {
		return false
	}
	switch content := r.Content.(type) {
	case nil:
		return true
	case engine.Objects:
		rest := c.readObjectsNow(r, content)
		if r.Content = rest; len(rest) == 0 {
			r.Content = nil
		}
		return len(rest) == 0
	}
	return false
}

// readObjectsNow appends the frames of some objects, if they are short, and returns those
// that are left to the writer.
func (c *conn) readObjectsNow(r *engine.Reply, list engine.Objects) (rest engine.Objects) {
	size := 0
	for _, o := range list {
		size += int(o.Loc.Length)
	}
	if size > shortReply {
		return list
	}
	h := wire.ReplyHeader{Number: r.Number, Head: r.Head, Kind: wire.KindObject}
	for ; len(list) > 0; list = list[1:] {
		o, _, buf, err := c.s.readObject(1, c.s.log.ReadCached, c.maker, c.record, list[0])
		if c.record = buf; err != nil {
			return list
		}
		c.p = wire.AppendObject(c.p, h, list[0].ID, o.Name, o.Data)
	}
	return nil
}
