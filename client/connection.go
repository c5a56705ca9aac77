package client

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"time"

	"motte/client/frames"
	"motte/core/model"
	"motte/core/wire"
)

// connection carries any number of calls in flight. Its reader hands frames to their calls.
// Its writer sends all waiting requests in one write.
type connection struct {
	net  net.Conn
	key  ed25519.PublicKey      // the key that the Core has proved
	wake chan struct{}          // wakes the writer
	seen func(model.Head) error // takes the head of an answer; an error ends the connection
	all  sync.WaitGroup

	// Only the reader uses these two.
	head  model.Head // the last head that seen accepted
	woken []*call    // calls to wake for the frames of one read

	mu      sync.Mutex
	out     []byte // requests to be written
	spare   []byte // the buffer that was written last
	writing bool   // a goroutine is in net.Write
	calls   map[uint64]*call
	retired bool          // the connection ends when all callers have stopped waiting
	err     error         // why the connection ended
	ended   chan struct{} // closed when err is set
}

// part is one reply frame.
type part struct {
	wire.ReplyHeader
	body []byte
}

// call is a request in flight, with the frames of its answer that the caller has not taken.
// On the shared connection the caller wakes once, when the answer is whole. On a dedicated
// connection the caller takes each frame as it arrives.
type call struct {
	slots *slots // slots that the request takes; nil: it takes no slot
	large int64  // bytes taken of slots.bytes
	ready chan struct{}

	mu      sync.Mutex
	parts   []part
	bytes   int // bytes in parts; on the shared connection bytes of all frames so far
	err     error
	dropped bool          // the caller has stopped reading
	blocks  chan struct{} // only on a dedicated connection, which waits here for a slow reader
}

// Limits of the frames that a connection keeps for a caller.
const (
	maxShared    = 64 << 20 // bytes of one answer on the shared connection; then the call fails
	maxDedicated = 4 << 20  // bytes of frames on a dedicated connection; then it stops reading
	maxSpare     = 1 << 20  // bytes of the write buffer that is kept
)

// idleCalls holds ended calls of shared connections, to be used again.
var idleCalls = sync.Pool{New: func() any { return &call{ready: make(chan struct{}, 1)} }}

// newCall returns a call for the shared connection. After reading the whole answer the caller
// may give the call back with reuse.
func newCall() *call { return idleCalls.Get().(*call) }

// newStream returns a call for a dedicated connection.
func newStream() *call {
	return &call{ready: make(chan struct{}, 1), blocks: make(chan struct{}, 1)}
}

// maxIdleParts bounds the capacity for frames that an idle call keeps.
const maxIdleParts = 64

// reuse takes back a call that the connection has ended and whose caller is done.
func (c *call) reuse() {
	clear(c.parts)
	if cap(c.parts) > maxIdleParts {
		c.parts = nil
	}
	c.parts, c.bytes = c.parts[:0], 0
	c.slots, c.large = nil, 0
	idleCalls.Put(c)
}

// release gives the slots of the request back.
func (c *call) release() {
	if c.slots != nil {
		c.slots.release(c.large)
	}
}

// tlsConfig accepts only a Core whose key fits, and shows the principal's key.
func tlsConfig(p *Profile, fit func(ed25519.PublicKey) bool) (*tls.Config, error) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1<<37, 0)}
	der, err := x509.CreateCertificate(nil, template, template, p.Key.Public(), p.Key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: p.Key}},
		// There is no certificate authority. VerifyConnection compares the Core's
		// whole key instead, and TLS 1.3 proves that the peer holds it.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if k := shown(s); k != nil && fit(k) {
				return nil
			}
			return ErrWrongCore
		},
	}, nil
}

// shown returns the key that a Core shows, or nil if its certificate is not valid here.
func shown(s tls.ConnectionState) ed25519.PublicKey {
	if len(s.PeerCertificates) != 1 {
		return nil
	}
	k, _ := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	return k
}

func dial(ctx context.Context, address string, config *tls.Config, seen func(model.Head) error) (*connection, error) {
	d := tls.Dialer{Config: config, NetDialer: &net.Dialer{Timeout: 10 * time.Second}}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	l := &connection{net: c, key: shown(c.(*tls.Conn).ConnectionState()), wake: make(chan struct{}, 1), seen: seen, calls: make(map[uint64]*call), ended: make(chan struct{})}
	l.all.Go(l.read)
	l.all.Go(l.write)
	return l, nil
}

// close ends the connection and waits for its goroutines.
func (l *connection) close() {
	l.fail(ErrClosed)
	l.all.Wait()
}

// fail ends the connection: every call in flight gets err.
func (l *connection) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return
	}
	l.err = err
	close(l.ended)
	l.net.Close()
	for _, c := range l.calls {
		c.fail(err)
		c.release()
	}
	l.calls = nil
}

// endIfSpent ends a retired connection when no caller waits for one of its calls.
func (l *connection) endIfSpent() {
	l.mu.Lock()
	spent := l.retired
	if spent {
		for _, c := range l.calls {
			spent = spent && c.givenUp()
		}
	}
	l.mu.Unlock()
	if spent {
		l.fail(ErrConnectionLost)
	}
}

// smallWrite bounds in bytes the requests that a caller writes itself. The write must not
// block, and the socket of an idle connection takes that many bytes at once. A connection is
// idle if the Core has answered all requests: then it has read them, since it can't guess
// their numbers.
const smallWrite = 4 << 10

// start sends a request, whose answer goes to c. All requests pass here, so start checks that
// they fit a frame.
func (l *connection) start(r *wire.Request, c *call) error {
	if err := check(r); err != nil {
		return err
	}
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return l.err
	}
	alone := len(l.calls) == 0 && len(l.out) == 0 && !l.writing
	r.Number = l.newNumber()
	l.calls[r.Number] = c
	l.out = frames.AppendRequest(l.out, r)
	if !alone || len(l.out) > smallWrite {
		l.mu.Unlock()
		l.wakeWriter()
		return nil
	}
	p := l.takeOut() // only this request: the socket may have no space for later ones
	l.mu.Unlock()
	l.send(p) // a lone request need not wait until the writer runs
	return nil
}

// newNumber returns an unpredictable number for a request. The caller holds the lock.
func (l *connection) newNumber() uint64 {
	for {
		// This source is a cipher, ChaCha8, with a secret key.
		if n := rand.Uint64(); n != 0 && l.calls[n] == nil {
			return n
		}
	}
}

func (l *connection) wakeWriter() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// flush writes all waiting requests, unless another goroutine writes.
func (l *connection) flush() {
	l.mu.Lock()
	if l.writing {
		l.mu.Unlock()
		return // the writing goroutine looks again afterwards
	}
	p := l.takeOut()
	l.mu.Unlock()
	l.send(p)
}

// takeOut returns all waiting requests. The caller holds the lock, and must call send next.
func (l *connection) takeOut() []byte {
	p := l.out
	l.writing, l.out = true, l.spare[:0]
	return p
}

// send writes the requests that takeOut returned.
func (l *connection) send(p []byte) {
	_, err := l.net.Write(p)
	l.mu.Lock()
	l.writing = false
	if l.spare = p; cap(p) > maxSpare {
		l.spare = nil
	}
	more := len(l.out) > 0
	l.mu.Unlock()
	switch {
	case err != nil:
		l.fail(errors.Join(ErrConnectionLost, err))
	case more:
		l.wakeWriter()
	}
}

func (l *connection) write() {
	for {
		select {
		case <-l.wake:
		case <-l.ended:
			return
		}
		// The reader wakes many callers at once, and each may send its next request.
		// Let them run first, so that one write sends all of these requests.
		runtime.Gosched()
		l.flush()
	}
}

func (l *connection) read() {
	in := bufio.NewReaderSize(l.net, 64<<10)
	var batch []part
	for {
		var err error
		batch, err = readParts(in, batch[:0])
		good, refused := l.admit(batch)
		l.deliver(batch[:good])
		clear(batch)
		switch {
		case refused != nil:
			l.fail(refused)
			return
		case errors.Is(err, ErrWrongCore):
			l.fail(err)
			return
		case err != nil:
			l.fail(errors.Join(ErrConnectionLost, err))
			return
		}
	}
}

// readParts waits for a frame. It appends this frame, and all others that have arrived whole.
func readParts(in *bufio.Reader, batch []part) ([]part, error) {
	for {
		head, err := in.Peek(wire.ReplyHeaderSize)
		if err != nil {
			return batch, err
		}
		h, code := frames.DecodeReplyHeader(head)
		if code != model.OK {
			return batch, fmt.Errorf("the Core's reply can't be decoded: %w", failure(code))
		}
		if len(batch) > 0 && in.Buffered() < wire.ReplyHeaderSize+h.BodyLen {
			return batch, nil
		}
		_, _ = in.Discard(wire.ReplyHeaderSize) // can't fail: Peek has buffered these bytes
		p := part{ReplyHeader: h}
		if h.BodyLen > 0 {
			p.body = make([]byte, h.BodyLen)
			if _, err := io.ReadFull(in, p.body); err != nil {
				return batch, err
			}
		}
		batch = append(batch, p)
		if in.Buffered() < wire.ReplyHeaderSize {
			return batch, nil
		}
	}
}

// admit returns how many of the frames may be handed to calls. The error says why the next
// frame ends the connection.
func (l *connection) admit(batch []part) (good int, err error) {
	for i := range batch {
		p := &batch[i]
		if p.Number == 0 {
			return i, failure(p.Code) // the Core refuses the whole connection
		}
		if p.Code == model.HistoryDiffers || p.Head == l.head {
			continue // a head of another history, or the head that was just accepted
		}
		if err := l.seen(p.Head); err != nil {
			return i, err
		}
		l.head = p.Head
	}
	return len(batch), nil
}

// deliver hands all frames to their calls, and then wakes the callers.
func (l *connection) deliver(batch []part) {
	var full *call
	l.woken = l.woken[:0]
	l.mu.Lock()
	retired := l.retired
	for i := range batch {
		p := &batch[i]
		c := l.calls[p.Number]
		if c == nil {
			continue
		}
		last := p.Flags&wire.ReplyLast != 0
		if last {
			delete(l.calls, p.Number)
			c.release()
		}
		wake, waits := c.push(p, last)
		if wake {
			l.woken = append(l.woken, c)
		}
		if waits {
			full = c // a dedicated connection has only this call
		}
	}
	l.mu.Unlock()
	for _, c := range l.woken {
		c.signal()
	}
	clear(l.woken)
	if retired {
		l.endIfSpent()
	}
	if full != nil {
		select {
		case <-full.blocks:
		case <-l.ended:
		}
	}
}

// push adds a frame. On the shared connection a call fails if its answer grows too large,
// since its caller gathers the whole answer. On a dedicated connection push returns full, and
// the connection waits for its reader. So the Core waits, too. If wake is true, the caller
// must be woken.
func (c *call) push(p *part, last bool) (wake, full bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.dropped || c.err != nil:
		return false, false
	case c.blocks == nil && c.bytes > maxShared:
		c.parts, c.bytes, c.err = nil, 0, ErrSlowReader
		return true, false
	}
	c.parts = append(c.parts, *p)
	c.bytes += len(p.body) + wire.ReplyHeaderSize
	if c.blocks == nil {
		return last, false
	}
	return true, c.bytes > maxDedicated
}

func (c *call) signal() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

func (c *call) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	c.signal()
}

// whole waits until all frames of an answer on the shared connection are in parts.
func (c *call) whole(ctx context.Context) error {
	select {
	case <-c.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// next waits for the next frame of an answer on a dedicated connection.
func (c *call) next(ctx context.Context) (part, error) {
	for {
		c.mu.Lock()
		if len(c.parts) > 0 {
			p := c.parts[0]
			c.parts = c.parts[1:]
			c.bytes -= len(p.body) + wire.ReplyHeaderSize
			c.mu.Unlock()
			c.unblock()
			return p, nil
		}
		err := c.err
		c.mu.Unlock()
		if err != nil {
			return part{}, err
		}
		select {
		case <-c.ready:
		case <-ctx.Done():
			return part{}, ctx.Err()
		}
	}
}

func (c *call) unblock() {
	if c.blocks != nil {
		select {
		case c.blocks <- struct{}{}:
		default:
		}
	}
}

// drop says that the caller has stopped reading. Further frames are discarded.
func (c *call) drop() {
	c.mu.Lock()
	c.dropped, c.parts, c.bytes = true, nil, 0
	c.mu.Unlock()
	c.unblock()
}

func (c *call) givenUp() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dropped
}
