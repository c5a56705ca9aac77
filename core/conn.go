package core

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"motte/core/access"
	"motte/core/control"
	"motte/core/engine"
	"motte/core/identity"
	"motte/core/wire"
)

// Limits of connections.
const (
	MaxConnections = 1024
	MaxInFlight    = 256      // requests of one connection that are not answered
	maxConnBodies  = 34 << 20 // bytes of their bodies: two of the largest
	maxHandshakes  = 64       // at a time: they are the work that strangers can cause
	handshakeTime  = 10 * time.Second
	idleTime       = 10 * time.Minute // without a request, nor an answer under way
	bodyTime       = 2 * time.Minute  // to send the rest of a request
	writeTime      = 30 * time.Second // to take some of an answer
	drainTime      = 2 * time.Second  // to take the last answers when the Core stops
	bufferSize     = 64 << 10
)

// conn is one client's connection: a reader and a writer.
type conn struct {
	s         *shell
	id        engine.Conn
	net       net.Conn
	principal access.Principal
	maker     *identity.Maker // the writer's
	out       *mailbox[engine.Reply]
	done      chan struct{} // closed when the reader has ended

	mu       sync.Mutex
	inFlight map[uint64]flight
	bodies   int // bytes
}

// flight is a request that is not answered.
type flight struct {
	op    wire.Operation
	began time.Time
	bytes int
}

// accept takes connections until the listener is closed, and waits for them.
func (s *shell) accept(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	handshakes := make(chan struct{}, maxHandshakes)
	for {
		raw, err := s.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(tickEvery) // out of descriptors, for one: it passes
			continue
		}
		handshakes <- struct{}{}
		all.Go(func() {
			defer raw.Close()
			c := s.admit(ctx, raw)
			<-handshakes
			if c != nil {
				s.attend(c)
			}
		})
	}
}

// admit makes a connection secure and finds out whether its principal may
// speak; one that may not is told so in one frame.
func (s *shell) admit(ctx context.Context, raw net.Conn) *conn {
	hs, cancel := context.WithTimeout(ctx, handshakeTime)
	defer cancel()
	secure, p, err := s.listener.Handshake(hs, raw)
	if err != nil {
		s.stats.add(control.Refused, 1)
		return nil
	}
	code := wire.OK
	c := &conn{s: s, net: secure, principal: p, maker: identity.NewMaker(s.log.Keys().Identity()),
		out: newMailbox[engine.Reply](), done: make(chan struct{}), inFlight: make(map[uint64]flight)}
	if !s.ask(func(e *engine.Engine) bool { return e.Knows(p) }) {
		code = wire.UnknownPrincipal
	}
	s.mu.Lock()
	if len(s.conns) >= MaxConnections && code == wire.OK {
		code = wire.TooManyConnections
	}
	if code == wire.OK {
		s.last++
		c.id = s.last
		s.conns[c.id] = c
	}
	s.mu.Unlock()
	if code != wire.OK {
		s.stats.add(control.Refused, 1)
		c.refuse(code)
		return nil
	}
	return c
}

// refuse answers the connection as a whole, and ends it.
func (c *conn) refuse(code wire.Code) {
	h := wire.ReplyHeader{Kind: wire.KindEnd, Code: code, Flags: wire.ReplyLast}
	_ = c.net.SetWriteDeadline(time.Now().Add(drainTime))
	_, _ = c.net.Write(wire.AppendReplyHeader(nil, &h))
	c.net.Close()
}

// attend serves an admitted connection until it ends.
func (s *shell) attend(c *conn) {
	var writer sync.WaitGroup
	writer.Go(c.write)
	code := c.read()
	if code != wire.OK {
		c.out.put(engine.Reply{Conn: c.id, Code: code})
	}
	close(c.done)
	writer.Wait()
	s.mu.Lock()
	delete(s.conns, c.id)
	s.mu.Unlock()
	c.mu.Lock()
	s.bodies.release(c.bodies)
	c.mu.Unlock()
	s.events.put(func(e *engine.Engine) { e.Closed(c.id) })
}

// drain lets every connection send the answers that it has, and ends them.
func (s *shell) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.net.SetReadDeadline(time.Now())
	}
}

// read takes requests until the connection ends. A code other than OK is the
// last thing that the client is told.
func (c *conn) read() wire.Code {
	in := bufio.NewReaderSize(c.net, bufferSize)
	header := make([]byte, wire.RequestHeaderSize)
	var batch []*engine.Request
	for {
		if in.Buffered() < wire.RequestHeaderSize {
			// The next read may block: hand over what is complete.
			c.post(batch)
			batch = nil
			if !c.await(in) {
				return wire.OK
			}
		}
		if _, err := io.ReadFull(in, header); err != nil {
			return wire.OK
		}
		h, code := wire.DecodeHeader(header)
		switch code {
		case wire.Malformed, wire.UnsupportedVersion:
			c.post(batch)
			return code
		case wire.TooLarge:
			// The body is not read, so nothing after it can be.
			c.post(batch)
			c.out.put(engine.Reply{Conn: c.id, Number: h.Number, Code: code})
			return wire.TooLarge
		}
		began := time.Now()
		c.s.bodies.acquire(h.BodyLen())
		if code == wire.OK {
			code = c.takeOff(&h, began)
		}
		body := make([]byte, h.BodyLen())
		if in.Buffered() < len(body) {
			c.post(batch)
			batch = nil
			_ = c.net.SetReadDeadline(began.Add(bodyTime))
		}
		if _, err := io.ReadFull(in, body); err != nil {
			if code != wire.OK {
				c.s.bodies.release(len(body))
			}
			return wire.OK
		}
		var q *engine.Request
		if code == wire.OK {
			if q, code = engine.Prepare(wire.SplitBody(h, body)); code == wire.OK {
				q.Conn, q.Principal = c.id, c.principal
				batch = append(batch, q)
				continue
			}
		} else {
			c.s.bodies.release(len(body))
		}
		c.out.put(engine.Reply{Conn: c.id, Number: h.Number, Code: code})
	}
}

// await waits for the next request. A connection on which an answer is under
// way is not idle.
func (c *conn) await(in *bufio.Reader) bool {
	for {
		_ = c.net.SetReadDeadline(time.Now().Add(idleTime))
		if c.s.stopping.Load() {
			_ = c.net.SetReadDeadline(time.Now())
		}
		_, err := in.Peek(1)
		ne, timeout := err.(net.Error)
		c.mu.Lock()
		busy := len(c.inFlight) > 0
		c.mu.Unlock()
		if err == nil {
			return true
		}
		if !(timeout && ne.Timeout() && busy) || c.s.stopping.Load() {
			return false
		}
	}
}

// takeOff notes a request as in flight; the room for its body is its own from
// now on.
func (c *conn) takeOff(h *wire.Header, began time.Time) wire.Code {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, twice := c.inFlight[h.Number]; twice {
		return wire.InvalidRequest
	}
	if len(c.inFlight) >= MaxInFlight || c.bodies > 0 && c.bodies+h.BodyLen() > maxConnBodies {
		return wire.TooManyRequests
	}
	c.inFlight[h.Number] = flight{h.Op, began, h.BodyLen()}
	c.bodies += h.BodyLen()
	return wire.OK
}

// land notes a request as answered.
func (c *conn) land(number uint64, code wire.Code) {
	c.mu.Lock()
	f, ok := c.inFlight[number]
	delete(c.inFlight, number)
	c.bodies -= f.bytes
	c.mu.Unlock()
	if ok {
		c.s.bodies.release(f.bytes)
		c.s.stats.answered(f.op, code, time.Since(f.began))
	}
}

// post hands complete requests to the engine, in one event.
func (c *conn) post(batch []*engine.Request) {
	if len(batch) > 0 {
		c.s.events.put(func(e *engine.Engine) {
			for _, q := range batch {
				e.Request(q)
			}
		})
	}
}
