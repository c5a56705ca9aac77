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
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/wire"
)

// Limits of connections.
const (
	MaxConnections = 16384    // a principal may have no more of them than it leaves to the others
	MaxInFlight    = 512      // requests of one connection that are not answered: then no more is read
	maxConnBodies  = 35 << 20 // bytes of their bodies: two of the largest, or MaxInFlight small ones
	maxHandshakes  = 64       // at a time: they are the work that strangers can cause
	handshakeTime  = 10 * time.Second
	handshakeHurry = 2 * time.Second  // instead, while half of the handshakes are under way
	idleTime       = 10 * time.Minute // without a request
	bodyTime       = 30 * time.Second // to send a body, and what leastRate allows for the bytes that came
	writeTime      = 30 * time.Second // to take a part of an answer, likewise
	drainTime      = 2 * time.Second  // instead, when the Core stops
	leastRate      = 64 << 10         // bytes a second that a client has to send or take, at least
	pieceSize      = 256 << 10        // bytes that are read with one deadline
	recordSize     = 16 << 10         // bytes of a TLS record
	bufferSize     = 64 << 10
	inputSize      = 16 << 10 // what a TLS record brings: each connection has a buffer for it
	maxGets        = 64       // objects of GETs that are decided together, with those of one GETMANY
	maxFirst       = 4        // parts of an answer that the reader sends: 256 objects of 1 KiB
)

// The memory of a request beside its body, in bytes.
const (
	requestCost = 1 << 10 // for itself
	writeCost   = 512     // for each write of a batch
	batchOpSize = 44      // bytes of a batch for each of its writes, at least
	wantedCost  = 128     // for each object of a GETMANY, also in its answer
	wantedSize  = 3       // bytes of a GETMANY for each of its objects, at least
)

// conn is one client's connection: a reader and a writer.
type conn struct {
	s         *server
	id        engine.Conn
	net       net.Conn
	raw       *socket // under it
	principal access.Principal
	in        *bufio.Reader     // the reader's
	batch     []event           // the reader's: complete requests, not handed over
	gets      []*engine.Request // the reader's: complete GETs and GETMANYs, not answered
	wanted    int               // the reader's: objects that they ask for
	finder    *identity.Maker   // the reader's
	out       *queue[engine.Reply]
	written   chan struct{} // closed when the writer has ended
	readAll   atomic.Bool   // the reader has ended
	freed     chan struct{} // holds a token when the window has got room

	life        context.Context    // the connection's: none of its requests waits for room longer
	end         context.CancelFunc // of the life
	reading     context.Context    // the reader's, which ends earlier when the Core stops
	stopReading context.CancelFunc

	unanswered atomic.Int64  // requests that the engine has, or is about to get, and has not answered
	idle       chan struct{} // holds a token when no request is unanswered any more
	ended      bool          // guarded by the server's state: reader and writer are gone

	mu       sync.Mutex
	inflight map[uint64]inflightRequest // requests of which the client has no answer yet
	window   int                        // bytes that they take of maxConnBodies

	// Whoever encodes and writes answers holds the token of sending: the writer, or the
	// reader for small answers to GETs. Answers are encoded into a buffer that is flushed when
	// it is full or nothing else is to be sent: many small ones leave in one write.
	sending  chan struct{}
	maker    *identity.Maker
	p        []byte
	record   []byte            // the last one read
	places   []seglog.Location // of the records that are read together
	reserved int               // bytes of room for a large object
	err      error             // the client takes no more
}

func newConn(s *server, secure net.Conn, raw *socket, p access.Principal) *conn {
	c := &conn{s: s, net: secure, raw: raw, principal: p, in: bufio.NewReaderSize(secure, inputSize),
		out: newQueue[engine.Reply](), written: make(chan struct{}), freed: make(chan struct{}, 1),
		idle: make(chan struct{}, 1), inflight: make(map[uint64]inflightRequest), maker: s.newMaker(),
		finder: s.newMaker(), sending: make(chan struct{}, 1)}
	c.life, c.end = context.WithCancel(context.Background())
	c.reading, c.stopReading = context.WithCancel(c.life)
	return c
}

// inflightRequest is a request that is not answered.
type inflightRequest struct {
	op    model.Operation
	began time.Time
	bytes int  // of its body
	held  bool // it is a GETMANY, which is unanswered and holds room until its answer is sent
	room  int  // bytes
}

// weight is what a request with a body of so many bytes takes of its connection's
// window.
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

// writeTimeout returns how long a client may take for n bytes and for the rest behind them.
// So progress renews a deadline, but no slow client holds its room for ever.
func writeTimeout(patience time.Duration, n int) time.Duration {
	return patience + time.Duration(n)*time.Second/leastRate
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
			time.Sleep(tickEvery) // out of descriptors, for one: it passes
			continue
		}
		handshakes <- struct{}{}
		patience := handshakeTime
		if len(handshakes) > maxHandshakes/2 {
			patience = handshakeHurry // slow handshakes must not take all places
		}
		all.Go(func() {
			defer raw.Close()
			_ = raw.SetDeadline(time.Now().Add(patience)) // each read sets its own afterwards
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

// serveConn serves a connection until it ends. One whose principal is not known,
// or that is one too many, is told so in one frame.
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
			e.Sent(c.principal, r.Unsent) // nobody reads them any more
		}
		c.ended = true
		s.forget(c)
	})
}

// admit counts a connection, unless that is refused.
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

// forget stops counting a connection that has ended, when the engine holds no request of
// it any more: a client that comes again and again leaves no more behind than fits
// MaxConnections. A principal that was removed can't come again.
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

// deliver hands an answer to its connection, if that is still there, and returns the
// connection if it has to be woken. What the request held is free: neither the engine nor the
// log keeps it.
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

// read takes requests until the connection ends, or one comes behind which there
// can be none.
func (c *conn) read() {
	defer c.handOver()
	header := make([]byte, wire.RequestHeaderSize)
	for {
		if c.in.Buffered() < wire.RequestHeaderSize {
			c.handOver() // the next read may block: hand over what is complete
			_ = c.net.SetReadDeadline(time.Now().Add(idleTime))
		}
		if c.reading.Err() != nil { // checked behind the deadline, which the end sets after it
			return
		}
		if _, err := io.ReadFull(c.in, header); err != nil {
			return
		}
		q, code := wire.DecodeHeader(header)
		if code != model.OK { // the body is not read, so nothing after it can be
			c.refuse(q.Number, code)
			return
		}
		if !c.begin(&q) {
			if c.reading.Err() == nil {
				c.refuse(0, model.InvalidRequest)
			}
			return
		}
		room, ok := 0, true
		if q.Op != model.OpGet || q.BodyLen() > model.MaxName { // of other GETs few wait: see answerGets
			room, ok = c.reserve(&q)
		}
		if !ok { // likewise
			c.refuse(q.Number, model.Overloaded)
			return
		}
		if code = c.readBody(q, room); code != model.OK {
			c.s.budgetFor(room).release(c.principal, room)
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

// reserve waits until there is room for a request, and returns its bytes: 0 if the
// request has ownRequest bytes at most and is the only one of its connection that is not
// answered. There is always room for such a request, so no client keeps others from asking.
func (c *conn) reserve(q *wire.Request) (room int, ok bool) {
	n := cost(q)
	if n > ownRequest {
		return n, c.s.budgetFor(n).acquire(c.reading, c.principal, n, c.handOver, nil)
	}
	for began := time.Now(); ; {
		select {
		case <-c.idle: // from before
		default:
		}
		if c.unanswered.Load() <= 0 {
			return 0, true
		}
		if c.s.smallBudget.acquire(c.reading, c.principal, n, c.handOver, c.idle) {
			return n, true
		}
		// It is alone now, or was when the token was made, or it has waited long enough.
		if c.reading.Err() != nil || c.unanswered.Load() > 0 && time.Since(began) >= budgetTimeout {
			return 0, false
		}
	}
}

// readBody reads the body of a request, and adds the request to the batch. It returns
// Malformed if the body does not come, and another code if its parts do not fit it.
func (c *conn) readBody(q wire.Request, room int) model.Code {
	p := make([]byte, engine.RecordFront+q.BodyLen())
	body := p[engine.RecordFront:]
	began := time.Now()
	for got := 0; got < len(body); {
		piece := body[got:min(got+pieceSize, len(body))]
		if c.in.Buffered() < len(piece) {
			c.handOver() // requests that are held back must not wait for this body
			_ = c.net.SetReadDeadline(began.Add(writeTimeout(bodyTime, got)))
		}
		if c.reading.Err() != nil {
			return model.Malformed
		}
		if _, err := io.ReadFull(c.in, piece); err != nil {
			return model.Malformed
		}
		got += len(piece)
	}
	r, code := engine.PrepareBody(q, p)
	if code != model.OK {
		return code
	}
	r.Conn, r.Principal, r.Reserved = c.id, c.principal, room
	if r.Op == model.OpGet {
		c.addGet(r, 1)
		return model.OK
	}
	c.unanswered.Add(1)
	if r.Op == model.OpGetMany {
		c.hold(r.Number, room)
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

// answerGets decides the GETs that have come, together, and answers them if their objects
// are small, in one write. Large objects, for which the client may have to wait, are left
// to the writer. So is all if the writer is at work: it may wait for the client. But of
// answers that count in no room only so many may wait.
func (c *conn) answerGets() {
	if len(c.gets) == 0 {
		return
	}
	replies := make([]engine.Reply, len(c.gets))
	c.s.state.RLock()
	for i, q := range c.gets {
		replies[i] = c.s.engine.Get(c.finder, q)
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
	case engine.Many:
		return slices.ContainsFunc(content, func(f engine.Found) bool { return f.Loc.Length > bufferSize })
	}
	return false
}

// sendFirst sends the first parts of an answer to a GET or GETMANY, and reports whether
// that was all. The writer sends the rest.
func (c *conn) sendFirst(r *engine.Reply) (done bool) {
	for range maxFirst {
		if done = c.send(r); done || c.err != nil {
			break
		}
	}
	return done
}

// refuse answers a request, or with number 0 the connection, with a code alone.
func (c *conn) refuse(number uint64, code model.Code) {
	c.out.put(engine.Reply{Number: number, End: engine.End{Code: code}})
}

// begin notes a request as in flight, when the window has room for it; false: its
// number is in flight, and would be answered twice, or the connection ends.
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

// finish notes a request as answered.
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
		c.letGo(f.room)
	}
	select {
	case c.freed <- struct{}{}:
	default:
	}
	c.s.stats.requests[f.op][code].Add(1)
	c.s.stats.latency[f.op].add(time.Since(f.began))
}

// hold notes the room of a GETMANY. It is given back when the answer is sent, since the
// answer takes memory as well; or when the connection ends.
func (c *conn) hold(number uint64, room int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.inflight[number]
	f.room, f.held = room, true
	c.inflight[number] = f
}

// letGo gives back the room of a GETMANY.
func (c *conn) letGo(room int) {
	c.s.budgetFor(room).release(c.principal, room)
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

// abandon gives back what GETMANYs hold that are not answered.
func (c *conn) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for number, f := range c.inflight {
		if f.held {
			delete(c.inflight, number)
			c.letGo(f.room)
		}
	}
}

// write sends answers until the reader has ended and all are sent, or the client
// takes no more.
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

// sendAll sends the next part of each answer; false: it was the last of the connection.
func (c *conn) sendAll(answers []engine.Reply) (more bool) {
	c.sending <- struct{}{}
	defer func() { <-c.sending }()
	for i, r := range answers {
		answers[i] = engine.Reply{} // not even what it held
		if c.err != nil || !c.send(&r) {
			c.out.put(r) // the others come first
		}
	}
	last := c.readAll.Load() // then the reader has put its last
	if len(c.out.wake) == 0 {
		c.flush()
	}
	return c.err == nil && !(last && len(c.out.wake)+len(c.inflight) == 0)
}

// flush writes the buffer, a TLS record at a time, and waits until the client has taken it.
func (c *conn) flush() {
	began := time.Now()
	c.drain(began, 0) // what answerNow left
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

// drain waits for a client that was sent n bytes since a flush began.
func (c *conn) drain(began time.Time, n int) {
	if c.err != nil || !c.raw.keeps() {
		return
	}
	patience := writeTime
	if c.s.stopping.Load() {
		patience = drainTime
	}
	c.err = c.raw.drain(began.Add(writeTimeout(patience, n)))
}
