package server

import (
	"errors"
	"fmt"
	"time"

	"motte/core/engine"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/wire"
)

// send sends the next part of an answer: about one buffer, or one large object. It removes
// this part from r, and reports whether the answer is complete. Then the next answer has its
// turn, so a long answer does not delay short answers.
func (c *conn) send(r *engine.Reply) (done bool) {
	switch content := r.Content.(type) {
	case nil:
		c.sendEnd(r)
		done = true
	case engine.Single:
		c.sendSingle(r, content)
		done = true
	case engine.Frames:
		r.Content = c.sendFrames(r, content)
	case engine.Objects:
		r.Content = c.sendObjects(r, content)
	}
	if !done && r.Content == nil {
		c.sendEnd(r)
		done = true
	}
	if done {
		c.sent(r)
	}
	if len(c.p) >= bufferSize || c.reserved > 0 {
		c.flush() // after finish, since the client may use the number again when it has the answer
	}
	return done
}

// sent notes that an answer is sent. For a short answer it wakes no goroutine to count the
// bytes: the next tick is early enough.
func (c *conn) sent(r *engine.Reply) {
	if held := r.Unsent; held > 0 {
		c.s.events.add(func(e *engine.Engine) { e.Sent(c.principal, held) })
		if held > shortReply {
			c.s.events.signal()
		}
	}
	c.finish(r.Number, r.Code)
}

// sendEnd sends the end frame of an answer.
func (c *conn) sendEnd(r *engine.Reply) {
	c.frame(wire.ReplyHeader{Number: r.Number, Head: r.Head, Kind: wire.KindEnd, Code: r.Code,
		Flags: r.Flags | wire.ReplyLast, Count: r.Count}, r.Body)
}

// sendSingle sends the object of a GET, or the code of the failure if the object can't be
// read.
func (c *conn) sendSingle(r *engine.Reply, o engine.Single) {
	h := wire.ReplyHeader{Number: r.Number, Head: r.Head, Kind: wire.KindObject, Flags: wire.ReplyLast}
	if r.Code = c.object(h, o.Entry, true); r.Code != model.OK {
		c.sendEnd(r)
	}
}

// sendFrames sends frames until a buffer is full, and returns the rest, or nil.
func (c *conn) sendFrames(r *engine.Reply, f engine.Frames) engine.Content {
	h := wire.ReplyHeader{Number: r.Number, Head: r.Head, Kind: f.Kind}
	for sent := 0; len(f.Bodies) > 0 && sent < bufferSize; f.Bodies = f.Bodies[1:] {
		body := f.Bodies[0]
		if f.Kind == wire.KindIdentities {
			h.Count = uint32(len(body) / identity.Size)
		}
		c.frame(h, body)
		sent += wire.ReplyHeaderSize + len(body)
	}
	if len(f.Bodies) == 0 {
		return nil
	}
	return f
}

// sendObjects sends objects until a buffer is full, and returns the rest, or nil.
func (c *conn) sendObjects(r *engine.Reply, rest engine.Objects) engine.Content {
	c.prefetch(rest)
	for sent := 0; len(rest) > 0 && sent < bufferSize; rest = rest[1:] {
		sent += c.sendOne(r, rest[0])
	}
	if len(rest) == 0 {
		return nil
	}
	return rest
}

// prefetch reads the records that fill the next buffer of an answer. It reads neighbouring
// records together.
func (c *conn) prefetch(list engine.Objects) {
	c.locations = c.locations[:0]
	bytes := 0
	for i := 0; i < len(list) && bytes < bufferSize; i++ {
		if loc := list[i].Loc; loc.Length > 0 { // 0: an object that was not found
			c.locations = append(c.locations, loc)
			bytes += int(loc.Length)
		}
	}
	if len(c.locations) > 1 {
		c.s.log.Prefetch(c.locations)
	}
}

// missingSize is about the bytes of the frame for an object that can't be shown.
const missingSize = 100

// sendOne sends an object of an answer, or the code of the failure if the object can't be
// shown. The objects after it are shown in any case. It returns the bytes that count as
// sent.
func (c *conn) sendOne(r *engine.Reply, o mapping.Entry) (sent int) {
	if o.Loc.Length == 0 {
		c.missing(r, o.ID, model.NotFound)
		return missingSize
	}
	h := wire.ReplyHeader{Number: r.Number, Head: r.Head, Kind: wire.KindObject}
	code := c.object(h, o, r.Code != model.ReadFailed)
	if code == model.OK {
		return int(o.Loc.Length)
	}
	c.missing(r, o.ID, code)
	return bufferSize // reads that fail take their time: other answers come first
}

// missing appends the frame of an object that can't be shown.
func (c *conn) missing(r *engine.Reply, id identity.ID, code model.Code) {
	r.Code = worse(r.Code, code)
	h := wire.ReplyHeader{Number: r.Number, Head: r.Head, Kind: wire.KindMissing}
	c.frame(h, wire.AppendMissing(nil, id, code))
}

// frame appends a frame.
func (c *conn) frame(h wire.ReplyHeader, body []byte) {
	h.BodyLen = len(body)
	c.p = append(wire.AppendReplyHeader(c.p, &h), body...)
}

// worse returns the code for the End of an answer in which objects are missing for two reasons:
// the reason that the client should know first. Damage stays; a read that failed may succeed
// later; an expired object can be requested again.
func worse(a, b model.Code) model.Code {
	for _, code := range []model.Code{model.Damaged, model.ReadFailed, model.Expired} {
		if a == code || b == code {
			return code
		}
	}
	return b
}

// object reads an object and appends its frame. An object whose content does not match its
// identity is not sent. A large object is in memory twice until it is sent, so object first
// waits for the answer budget, while the writer holds no other bytes of it. If again is set,
// a failed read is repeated. After a failed read of an answer, its later objects are read without
// again, so that the answer does not wait for the disk at each object.
func (c *conn) object(h wire.ReplyHeader, entry mapping.Entry, again bool) model.Code {
	tries := 1
	if again {
		tries = readTries
	}
	if entry.Loc.Length > bufferSize {
		c.flush() // complete frames need not wait
		n := 2 * int(entry.Loc.Length)
		if !c.s.answerBudget.acquire(c.life, c.principal, n, func() {}, nil) {
			c.err = c.life.Err() // nil: the wait was too long
			return model.Overloaded
		}
		c.reserved = n
	}
	for there := true; there; {
		o, _, buf, err := c.s.readObject(tries, c.s.log.ReadCached, c.maker, c.record, entry)
		if c.record = buf; err == nil {
			c.p = wire.AppendObject(c.p, h, entry.ID, o.Name, o.Data)
			return model.OK
		} else if errors.Is(err, seglog.ErrDamaged) {
			c.s.events.put(func(e *engine.Engine) { e.Damaged(entry) })
			return model.Damaged
		} else if !errors.Is(err, seglog.ErrMoved) {
			c.s.events.put(func(e *engine.Engine) { e.Unreadable(entry) })
			return model.ReadFailed
		}
		c.s.runOnEngine(func(e *engine.Engine) { entry, there = e.Current(entry) })
	}
	return model.Expired
}

// A repeated read may succeed: the disk was busy, all descriptors were in use, or a bit was wrong
// in memory.
const (
	readTries = 4
	readPause = 10 * time.Millisecond // before the second read; four times as long before each further read
)

// retry repeats a failed read, up to this number of tries. It returns ErrDamaged only if two
// reads in a row found damage: for this it adds a read after the last try. It ends at once with
// ErrMoved. Any other error is that of the last read: the record may be intact.
func retry(tries int, read func() error) error {
	damaged := false // the read before found damage
	for try := 1; ; try++ {
		err := read()
		again := errors.Is(err, seglog.ErrDamaged)
		if err == nil || errors.Is(err, seglog.ErrMoved) || again && damaged || try >= tries && !again {
			return err
		}
		damaged = again
		if try < tries {
			time.Sleep(readPause << (2 * (try - 1)))
		}
	}
}

// reader is Log.ReadCached for an object that a client asks for, or Log.Read for a read that
// must reach the disk.
type reader func(buf []byte, at seglog.Location) (seglog.Record, []byte, error)

// readObject reads the object of an entry into buf, and compares its content with its
// identity. It repeats a failed read as retry does. The object aliases the buffer that is
// returned.
func (s *server) readObject(tries int, read reader, m *identity.Maker, buf []byte,
	entry mapping.Entry) (o engine.Object, lsn uint64, _ []byte, err error) {
	err = retry(tries, func() (err error) {
		var rec seglog.Record
		rec, buf, err = read(buf, entry.Loc)
		if err != nil {
			return err
		}
		lsn = rec.LSN
		o, err = engine.DecodeObject(rec.Body)
		matches := rec.ID == entry.ID && rec.Collection == entry.Collection && rec.Owner == entry.Owner
		content := identity.Digest(o.Attributes, o.Data)
		matches = matches && entry.Wrote(lsn) && m.Check(rec.Collection, rec.Owner, rec.ID, content)
		if err == nil && !matches {
			err = fmt.Errorf("%w: the record is not the object of this identity", seglog.ErrDamaged)
		}
		return err
	})
	return o, lsn, buf, err
}
