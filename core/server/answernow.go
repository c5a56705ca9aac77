package server

import (
	"motte/core/engine"
	"motte/core/wire"
)

// shortReply is the most bytes of records in an answer that is sent by the goroutine that
// caused the answer.
const shortReply = 32 << 10

// answerNow sends the only waiting answer, if it is short, in the goroutine that caused it.
// This goroutine may belong to another connection or to a Task. So it waits for no client, and
// for no more than two reads of each object. It leaves all other answers to the writer.
func (c *conn) answerNow() {
	select {
	case c.sending <- struct{}{}:
	default:
		c.out.signal()
		return
	}
	sent := c.tryAnswer()
	<-c.sending
	// If the reader has ended by now, the writer must check whether this was the last answer.
	if !sent || c.readAll.Load() {
		c.out.signal()
	}
}

// tryAnswer reports whether all waiting answers are sent.
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

// readNow appends the frames of the objects of a short answer, and removes these objects
// from the answer. It returns false if the writer must send the answer, or the rest of it.
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

// readObjectsNow appends the frames of the objects, if they are short together. It returns
// the objects that are left to the writer.
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
