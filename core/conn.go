package core

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
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
	MaxInFlight    = 256      // requests of one connection that are not answered; as many more are refused, then none is read
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
	written   chan struct{} // closed when the writer has ended
	places    chan struct{} // holds a token for each request that is not answered

	mu       sync.Mutex
	inFlight map[uint64]flight
	bodies   int // bytes
}

// flight is a request that is not answered.
type flight struct {
	op    wire.Operation // 0: refused before it was looked at
	began time.Time
	bytes int // of its body
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
		s.stats[control.Refused].Add(1)
		return nil
	}
	c := &conn{s: s, net: secure, principal: p, maker: identity.NewMaker(s.log.Keys().Identity()),
		out: newMailbox[engine.Reply](), done: make(chan struct{}), written: make(chan struct{}),
		places: make(chan struct{}, 2*MaxInFlight), inFlight: make(map[uint64]flight)}
	var code wire.Code
	s.between(func(e *engine.Engine) { code = s.register(e, c) })
	if code != wire.OK {
		s.stats[control.Refused].Add(1)
		h := wire.ReplyHeader{Kind: wire.KindEnd, Code: code, Flags: wire.ReplyLast}
		_ = secure.SetWriteDeadline(time.Now().Add(drainTime))
		_, _ = secure.Write(wire.AppendReplyHeader(nil, &h))
		secure.Close()
		return nil
	}
	return c
}

// register gives a connection its place, if its principal is known and there is
// one left.
func (s *shell) register(e *engine.Engine, c *conn) wire.Code {
	switch {
	case !e.Knows(c.principal):
		return wire.UnknownPrincipal
	case len(s.conns) >= MaxConnections:
		return wire.TooManyConnections
	}
	s.last++
	c.id = s.last
	s.conns[c.id] = c
	return wire.OK
}

// attend serves an admitted connection until it ends.
func (s *shell) attend(c *conn) {
	var writer sync.WaitGroup
	writer.Go(c.write)
	if last := c.read(); last.Code != wire.OK {
		c.out.put(last)
	}
	close(c.done)
	writer.Wait()
	s.bodies.release(c.bodies)
	s.events.put(func(e *engine.Engine) {
		delete(s.conns, c.id)
		e.Closed(c.id)
	})
}

// drain lets every connection send the answers that it has, and ends them.
func (s *shell) drain(*engine.Engine) {
	for _, c := range s.conns {
		_ = c.net.SetReadDeadline(time.Now())
	}
}

// read takes requests until the connection ends. A last answer with a code
// other than OK is still to be sent.
func (c *conn) read() (last engine.Reply) {
	in := bufio.NewReaderSize(c.net, bufferSize)
	header := make([]byte, wire.RequestHeaderSize)
	var batch []*engine.Request
	post := func() { c.post(batch); batch = nil }
	defer post()
	for {
		if in.Buffered() < wire.RequestHeaderSize {
			post() // the next read may block: hand over what is complete
			if !c.await(in) {
				return last
			}
		}
		if _, err := io.ReadFull(in, header); err != nil {
			return last
		}
		h, code := wire.DecodeHeader(header)
		switch code {
		case wire.Malformed, wire.UnsupportedVersion:
			return engine.Reply{Code: code}
		case wire.TooLarge: // its body is not read, so nothing after it can be
			return engine.Reply{Number: h.Number, Code: code}
		}
		if in.Buffered() < h.BodyLen() || len(c.places) == cap(c.places) {
			post() // nothing must wait here for what is held back here
		}
		code, ok := c.takeOff(&h, code)
		if !ok {
			return engine.Reply{Code: code}
		}
		var q *engine.Request
		if code == wire.OK {
			c.s.bodies.acquire(h.BodyLen())
		}
		if in.Buffered() < h.BodyLen() {
			_ = c.net.SetReadDeadline(time.Now().Add(bodyTime))
		}
		if code == wire.OK {
			body := make([]byte, h.BodyLen())
			if _, err := io.ReadFull(in, body); err != nil {
				return last
			}
			q, code = engine.Prepare(wire.SplitBody(h, body))
		} else if _, err := in.Discard(h.BodyLen()); err != nil {
			return last
		}
		if code != wire.OK {
			c.out.put(engine.Reply{Number: h.Number, Code: code})
			continue
		}
		q.Conn, q.Principal = c.id, c.principal
		batch = append(batch, q)
	}
}

// await waits for the next request. A connection on which an answer is under
// way is not idle.
func (c *conn) await(in *bufio.Reader) bool {
	for {
		wait := idleTime
		if c.s.stopping.Load() {
			wait = 0
		}
		_ = c.net.SetReadDeadline(time.Now().Add(wait))
		_, err := in.Peek(1)
		if err == nil {
			return true
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || c.landed() || c.s.stopping.Load() {
			return false
		}
	}
}

// takeOff notes a request as in flight, with the code that refuses it if there
// is one, and waits for a place among the answers and for the room that its
// body needs. It reports whether the connection goes on: a number that is in
// flight would be answered twice.
func (c *conn) takeOff(h *wire.Header, refused wire.Code) (code wire.Code, ok bool) {
	select {
	case c.places <- struct{}{}:
	case <-c.written:
		return code, false
	}
	f := flight{began: time.Now()}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch _, twice := c.inFlight[h.Number]; {
	case twice:
		return wire.InvalidRequest, false
	case refused != wire.OK:
		code = refused
	case len(c.inFlight) >= MaxInFlight, c.bodies > 0 && c.bodies+h.BodyLen() > maxConnBodies:
		code = wire.TooManyRequests
	default:
		f.op, f.bytes = h.Op, h.BodyLen()
	}
	c.inFlight[h.Number] = f
	c.bodies += f.bytes
	return code, true
}

// land notes a request as answered.
func (c *conn) land(number uint64, code wire.Code) {
	c.mu.Lock()
	f, ok := c.inFlight[number]
	delete(c.inFlight, number)
	c.bodies -= f.bytes
	c.mu.Unlock()
	if ok {
		<-c.places
		c.s.bodies.release(f.bytes)
		c.s.stats.answered(f.op, code, time.Since(f.began))
	}
}

// landed reports whether nothing is in flight.
func (c *conn) landed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.inFlight) == 0
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
