package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"motte/core/access"
	"motte/core/engine"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/wire"
)

// Limits of connections.
const (
	MaxConnections = 16384            // a principal may have no more of them than it leaves to the others
	MaxInFlight    = 512              // unanswered requests of a connection; with more, it is not read from
	maxConnBodies  = 35 << 20         // bytes of their bodies: two of the largest, or MaxInFlight small ones
	maxHandshakes  = 64               // handshakes at a time: strangers can cause no other work
	handshakeTime  = 10 * time.Second // of a handshake
	handshakeHurry = 2 * time.Second  // of a handshake, while more than half of maxHandshakes are under way
	idleTime       = 10 * time.Minute // without a request; then the connection ends
	bodyTime       = 30 * time.Second // to send a body, and more time for the bytes read
	writeTime      = 30 * time.Second // to take a part of an answer, and more time for the bytes sent
	drainTime      = 2 * time.Second  // instead of writeTime, when the Core stops
	leastRate      = 64 << 10         // bytes a second that a client has to send or take, at least
	bodyPart       = 256 << 10        // bytes of a body that are read with one deadline
	recordSize     = 16 << 10         // bytes of a TLS record
	bufferSize     = 64 << 10
	inputSize      = 16 << 10 // bytes of the input buffer of a connection: one TLS record
	maxGets        = 64       // wanted objects at which the collected GETs are decided together
	maxFirst       = 4        // parts of an answer that the reader sends: 256 objects of 1 KiB
)

// The memory of a request beside its body, in bytes: see cost.
const (
	requestCost = 1 << 10 // of each request
	writeCost   = 512     // of each write of a batch
	batchOpSize = 44      // least bytes of a write in the body of a batch
	wantedCost  = 128     // of each object of a GETMANY, also in its answer
	wantedSize  = 3       // least bytes of an object in the body of a GETMANY
)

// conn is one client's connection: a reader and a writer.
type conn struct {
	s         *server
	id        engine.Conn
	net       net.Conn
	raw       *socket // the socket under net
	principal access.Principal
	in        *bufio.Reader     // the reader's
	batch     []event           // the reader's: complete requests, not handed over
	gets      []*engine.Request // the reader's: complete GETs and GETMANYs, not answered
	wanted    int               // the reader's: objects that gets ask for
	getMaker  *identity.Maker   // the reader's: it computes the values of named objects
	out       *queue[engine.Reply]
	written   chan struct{} // closed when the writer has ended
	readAll   atomic.Bool   // the reader has ended
	freed     chan struct{} // holds a token when a request has left the window

	life        context.Context    // ends with the connection; then no request waits for a byte budget
	end         context.CancelFunc // ends life
	reading     context.Context    // the reader's, which ends earlier when the Core stops
	stopReading context.CancelFunc

	unanswered atomic.Int64  // requests that the engine has, or is about to get, and has not answered
	idle       chan struct{} // holds a token when no request is unanswered any more
	ended      bool          // guarded by the server's state: reader and writer have ended

	mu       sync.Mutex
	inflight map[uint64]inflightRequest // requests whose answers are not sent
	window   int                        // bytes of maxConnBodies that these requests take

	// The goroutine that encodes and writes answers holds the token of sending: the writer,
	// the reader for small answers to GETs, or another goroutine in answerNow. Answers are
	// encoded into the buffer p. It is flushed when it is full, or when no other answer is
	// to be sent, so many small answers leave in one write.
	sending   chan struct{}
	maker     *identity.Maker
	p         []byte
	record    []byte            // buffer of the last record read
	locations []seglog.Location // locations of the records that are read together
	reserved  int               // bytes of answerBudget that a large object takes
	err       error             // not nil: the client takes no more bytes
}

func newConn(s *server, secure net.Conn, raw *socket, p access.Principal) *conn {
	c := &conn{s: s, net: secure, raw: raw, principal: p, in: bufio.NewReaderSize(secure, inputSize),
		out: newQueue[engine.Reply](), written: make(chan struct{}), freed: make(chan struct{}, 1),
		idle: make(chan struct{}, 1), inflight: make(map[uint64]inflightRequest), maker: s.newMaker(),
		getMaker: s.newMaker(), sending: make(chan struct{}, 1)}
	c.life, c.end = context.WithCancel(context.Background())
	c.reading, c.stopReading = context.WithCancel(c.life)
	return c
}

// inflightRequest is a request that is not answered.
type inflightRequest struct {
	op       model.Operation
	began    time.Time
	bytes    int  // of its body
	held     bool // a GETMANY: it counts as unanswered, and keeps its budget, until its answer is sent
	reserved int  // bytes of the budget
}

// weight returns the bytes of the window that a request with a body of this size takes.
func weight(bytes int) int { return max(bytes, maxConnBodies/MaxInFlight) }

// cost returns about how many bytes a request holds until it is answered.
func cost(q *wire.Request) int {
	n := requestCost + q.BodyLen()
	if q.Op == model.OpBatch {
		n += writeCost * min(wire.MaxBatch, q.BodyLen()/batchOpSize)
	}
	if q.Op == model.OpGetMany {
		n += wantedCost * min(wire.MaxGetMany, q.BodyLen()/wantedSize)
	}
	return n
}

// writeTimeout returns the time from the begin of a transfer to its deadline, when n bytes of it are
// done. Each byte extends the deadline, at leastRate. So a client that makes no progress, or is
// slower than leastRate, can't keep its byte budget for ever.
func writeTimeout(timeout time.Duration, n int) time.Duration {
	return timeout + time.Duration(n)*time.Second/leastRate
}

// accept takes connections until the listener is closed, and waits for them.
func (s *server) accept() {
	var all sync.WaitGroup
	defer all.Wait()
	handshakes := make(chan struct{}, maxHandshakes)
	for {
		raw, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			time.Sleep(tickEvery) // for example, no descriptor is free: this passes
			continue
		}
		handshakes <- struct{}{}
		timeout := handshakeTime
		if len(handshakes) > maxHandshakes/2 {
			timeout = handshakeHurry // slow handshakes must not use up maxHandshakes
		}
		all.Go(func() {
			defer raw.Close()
			_ = raw.SetDeadline(time.Now().Add(timeout)) // each read sets its own afterwards
			under := newSocket(raw)
			secure, p, err := s.listener.Handshake(under)
			under.established()
			<-handshakes
			if err != nil {
				s.stats.refused.Add(1)
				return
			}
			s.serveConn(newConn(s, secure, under, p))
		})
	}
}

// serveConn serves a connection until it ends. A refused connection gets one frame with the
// code: its principal is not known, or there are too many connections.
func (s *server) serveConn(c *conn) {
	refused := model.OK
	s.runOnEngine(func(e *engine.Engine) { refused = s.admit(e, c) })
	go c.write()
	if refused == model.OK {
		c.read()
	} else {
		s.stats.refused.Add(1)
		c.refuse(0, refused)
	}
	c.readAll.Store(true)
	c.out.signal()
	<-c.written
	c.abandon()
	s.events.put(func(e *engine.Engine) {
		for _, r := range c.out.take() {
			e.Sent(c.principal, r.Unsent) // these answers are not sent any more
		}
		c.ended = true
		s.forget(c)
	})
}

// admit counts a connection, or returns the code that refuses it.
func (s *server) admit(e *engine.Engine, c *conn) model.Code {
	if !e.Knows(c.principal) {
		return model.UnknownPrincipal
	}
	if s.connsOf[c.principal] >= MaxConnections-len(s.conns) {
		return model.TooManyConnections
	}
	if s.stopping.Load() {
		c.stopReading()
	}
	s.last++
	c.id = s.last
	s.conns[c.id] = c
	s.connsOf[c.principal]++
	return model.OK
}

// forget stops counting a connection that has ended, when the engine holds no request of it
// any more. So a client that connects again and again leaves no more requests behind than
// fit MaxConnections. A principal that was removed can't connect again, so its requests do
// not matter here.
func (s *server) forget(c *conn) {
	over := c.ended && (c.unanswered.Load() <= 0 || !s.engine.Knows(c.principal))
	if !over || s.conns[c.id] != c {
		return
	}
	delete(s.conns, c.id)
	s.connsOf[c.principal]--
	if s.connsOf[c.principal] <= 0 {
		delete(s.connsOf, c.principal)
	}
}

// deliver hands an answer to its connection, if that still exists, and returns the
// connection if its writer must be woken. It releases the byte budget of the request, since
// neither the engine nor the log keeps the request.
func (s *server) deliver(r engine.Reply) (waits *conn) {
	s.budgetFor(r.Reserved).release(r.Principal, r.Reserved)
	c := s.conns[r.Conn]
	if c != nil {
		c.answered() // before the client can have the answer, and ask the next
	}
	if c == nil || c.ended {
		s.engine.Sent(r.Principal, r.Unsent)
	} else {
		c.out.add(r)
		waits = c
	}
	if c != nil {
		s.forget(c)
	}
	return waits
}

// shut ends a connection at once.
func (c *conn) shut() {
	c.end()
	c.raw.Close()
}

// read takes requests until the connection ends. It also ends after a request whose body it
// does not read, since it can't find the next request then.
func (c *conn) read() {
	defer c.handOver()
	header := make([]byte, wire.RequestHeaderSize)
	for {
		if c.in.Buffered() < wire.RequestHeaderSize {
			c.handOver() // the next read may block: hand over the complete requests
			_ = c.net.SetReadDeadline(time.Now().Add(idleTime))
		}
		if c.reading.Err() != nil { // after the deadline, since stop sets its own last
			return
		}
		if _, err := io.ReadFull(c.in, header); err != nil {
			return
		}
		q, code := wire.DecodeHeader(header)
		if code != model.OK { // the body is not read, so no later request can be read
			c.refuse(q.Number, code)
			return
		}
		if !c.begin(&q) {
			if c.reading.Err() == nil {
				c.refuse(0, model.InvalidRequest)
			}
			return
		}
		reserved, ok := 0, true
		if q.Op != model.OpGet || q.BodyLen() > model.MaxName { // answerGets bounds the other GETs
			reserved, ok = c.reserve(&q)
		}
		if !ok { // the body is not read
			c.refuse(q.Number, model.Overloaded)
			return
		}
		if code = c.readBody(q, reserved); code != model.OK {
			c.s.budgetFor(reserved).release(c.principal, reserved)
		}
		switch code {
		case model.OK:
		case model.Malformed: // the connection ends
			c.finish(q.Number, code) // the engine does not get it
			return
		default:
			c.refuse(q.Number, code)
		}
	}
}

// reserve takes the bytes of a request from the byte budget, and returns their number. It waits
// until they are free. It takes 0 bytes for a request of at most ownRequest bytes that is the only
// unanswered request of its connection. So no client keeps others from asking.
func (c *conn) reserve(q *wire.Request) (reserved int, ok bool) {
	n := cost(q)
	if n > ownRequest {
		return n, c.s.budgetFor(n).acquire(c.reading, c.principal, n, c.handOver, nil)
	}
	for began := time.Now(); ; {
		select {
		case <-c.idle: // left from an earlier request
		default:
		}
		if c.unanswered.Load() <= 0 {
			return 0, true
		}
		if c.s.smallBudget.acquire(c.reading, c.principal, n, c.handOver, c.idle) {
			return n, true
		}
		// The request is alone now, or was when the token was made, or has waited enough.
		if c.reading.Err() != nil || c.unanswered.Load() > 0 && time.Since(began) >= budgetTimeout {
			return 0, false
		}
	}
}

// readBody reads the body of a request, and adds the request to the batch. It returns Malformed if
// the body does not arrive, and InvalidRequest if its parts do not fit its operation.
func (c *conn) readBody(q wire.Request, reserved int) model.Code {
	p := make([]byte, engine.RecordFront+q.BodyLen())
	body := p[engine.RecordFront:]
	began := time.Now()
	for got := 0; got < len(body); {
		part := body[got:min(got+bodyPart, len(body))]
		if c.in.Buffered() < len(part) {
			c.handOver() // complete requests must not wait for this body
			_ = c.net.SetReadDeadline(began.Add(writeTimeout(bodyTime, got)))
		}
		if c.reading.Err() != nil {
			return model.Malformed
		}
		if _, err := io.ReadFull(c.in, part); err != nil {
			return model.Malformed
		}
		got += len(part)
	}
	r, code := engine.PrepareBody(q, p)
	if code != model.OK {
		return code
	}
	r.Conn, r.Principal, r.Reserved = c.id, c.principal, reserved
	if r.Op == model.OpGet {
		c.addGet(r, 1)
		return model.OK
	}
	c.unanswered.Add(1)
	if r.Op == model.OpGetMany {
		c.holdGetMany(r.Number, reserved)
		c.addGet(r, len(r.Wanted))
		return model.OK
	}
	c.batch = append(c.batch, func(e *engine.Engine) { e.Request(r) })
	return model.OK
}

// addGet adds a GET or GETMANY to those that are decided together.
func (c *conn) addGet(r *engine.Request, wanted int) {
	c.gets = append(c.gets, r)
	if c.wanted += wanted; c.wanted >= maxGets {
		c.handOver()
	}
}

// handOver hands the complete requests to the engine, all at once, and answers the GETs.
func (c *conn) handOver() {
	c.s.submit(c.batch...)
	c.batch = nil
	c.answerGets()
}

// answerGets decides the collected GETs together, and sends the answers with small objects
// in one write. It leaves large objects to the writer, since the client may have to wait for
// them. If the writer is at work, answerGets leaves all answers to it, since the writer may
// wait for the client. But at most maxGets answers may wait there, since small GETs take no
// byte budget.
func (c *conn) answerGets() {
	if len(c.gets) == 0 {
		return
	}
	replies := make([]engine.Reply, len(c.gets))
	c.s.state.RLock()
	for i, q := range c.gets {
		replies[i] = c.s.engine.Get(c.getMaker, q)
	}
	c.s.state.RUnlock()
	clear(c.gets)
	c.gets, c.wanted = c.gets[:0], 0
	select {
	case c.sending <- struct{}{}:
	default:
		if c.out.len()+len(replies) <= maxGets {
			c.out.put(replies...)
			return
		}
		c.sending <- struct{}{}
	}
	defer func() { <-c.sending }()
	for i := range replies {
		r := &replies[i]
		if c.err != nil || large(r) || !c.sendFirst(r) {
			c.out.put(*r)
		}
	}
	c.flush()
	if c.err != nil {
		c.out.signal() // the writer ends the connection
	}
}

// large reports whether an answer has an object for which its sender may have to wait.
func large(r *engine.Reply) bool {
	switch content := r.Content.(type) {
	case engine.Single:
		return content.Loc.Length > bufferSize
	case engine.Objects:
		return slices.ContainsFunc(content, func(o mapping.Entry) bool { return o.Loc.Length > bufferSize })
	}
	return false
}

// sendFirst sends the first parts of an answer to a GET or GETMANY, and reports whether the
// answer is complete. The writer sends the rest.
func (c *conn) sendFirst(r *engine.Reply) (done bool) {
	for range maxFirst {
		if done = c.send(r); done || c.err != nil {
			break
		}
	}
	return done
}

// refuse answers a request with a code alone. Number 0 stands for the connection.
func (c *conn) refuse(number uint64, code model.Code) {
	c.out.put(engine.Reply{Number: number, End: engine.End{Code: code}})
}

// begin adds a request to those in flight, when the window has space for it. It returns false if
// the connection ends, or if another request in flight has the same number.
func (c *conn) begin(q *wire.Request) bool {
	n := weight(q.BodyLen())
	for {
		c.mu.Lock()
		_, twice := c.inflight[q.Number]
		fits := c.window+n <= maxConnBodies
		if fits && !twice {
			c.inflight[q.Number] = inflightRequest{op: q.Op, began: time.Now(), bytes: q.BodyLen()}
			c.window += n
		}
		c.mu.Unlock()
		if fits || twice {
			return !twice
		}
		c.handOver()
		select {
		case <-c.freed:
		case <-c.reading.Done():
			return false
		}
	}
}

// finish removes an answered request from those in flight.
func (c *conn) finish(number uint64, code model.Code) {
	c.mu.Lock()
	f, ok := c.inflight[number]
	if ok {
		delete(c.inflight, number)
		c.window -= weight(f.bytes)
	}
	c.mu.Unlock()
	if !ok {
		return
	}
	if f.held {
		c.releaseGetMany(f.reserved)
	}
	select {
	case c.freed <- struct{}{}:
	default:
	}
	c.s.stats.requests[f.op][code].Add(1)
	c.s.stats.latency[f.op].add(time.Since(f.began))
}

// holdGetMany keeps the byte budget of a GETMANY until its answer is sent, or the connection ends,
// since the answer takes memory as well.
func (c *conn) holdGetMany(number uint64, reserved int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.inflight[number]
	f.reserved, f.held = reserved, true
	c.inflight[number] = f
}

// releaseGetMany releases the byte budget of a GETMANY.
func (c *conn) releaseGetMany(reserved int) {
	c.s.budgetFor(reserved).release(c.principal, reserved)
	c.answered()
}

// answered notes that a request is not unanswered any more.
func (c *conn) answered() {
	if c.unanswered.Add(-1) == 0 {
		select {
		case c.idle <- struct{}{}:
		default:
		}
	}
}

// abandon releases the byte budgets of GETMANYs whose answers were not sent.
func (c *conn) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for number, f := range c.inflight {
		if f.held {
			delete(c.inflight, number)
			c.releaseGetMany(f.reserved)
		}
	}
}

// write sends answers until the reader has ended and all answers are sent, or until a write
// fails.
func (c *conn) write() {
	defer close(c.written)
	defer c.end()
	defer c.net.Close()
	for answers := range c.out.batches(c.life.Done()) {
		if !c.sendAll(answers) {
			return
		}
	}
}

// sendAll sends the next part of each answer. It returns false after the last answer of the
// connection, or after a failed write.
func (c *conn) sendAll(answers []engine.Reply) (more bool) {
	c.sending <- struct{}{}
	defer func() { <-c.sending }()
	for i, r := range answers {
		answers[i] = engine.Reply{} // free its memory
		if c.err != nil || !c.send(&r) {
			c.out.put(r) // the others come first
		}
	}
	last := c.readAll.Load() // then the reader has put its last answer
	if len(c.out.wake) == 0 {
		c.flush()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err == nil && !(last && len(c.out.wake)+len(c.inflight) == 0)
}

// flush writes the buffer, a TLS record at a time, and waits until the client has taken it.
func (c *conn) flush() {
	began := time.Now()
	c.drain(began, 0) // bytes that answerNow left
	for sent := 0; sent < len(c.p) && c.err == nil; {
		var n int
		n, c.err = c.net.Write(c.p[sent:min(sent+recordSize, len(c.p))])
		c.drain(began, sent)
		sent += n
	}
	if c.p = c.p[:0]; c.reserved > 0 {
		c.p, c.record = nil, nil // large objects must not keep their memory
		c.s.answerBudget.release(c.principal, c.reserved)
		c.reserved = 0
	}
}

// drain waits until the client takes the bytes that the socket keeps. The client was sent n
// bytes since the flush began.
func (c *conn) drain(began time.Time, n int) {
	if c.err != nil || !c.raw.keeps() {
		return
	}
	timeout := writeTime
	if c.s.stopping.Load() {
		timeout = drainTime
	}
	c.err = c.raw.drain(began.Add(writeTimeout(timeout, n)))
}
