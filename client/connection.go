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

// connection is one connection, on which any number of calls are in flight. Its
// reader hands frames to calls, its writer sends all that waits in one write.
type connection struct {
	net  net.Conn
	key  ed25519.PublicKey // that the Core has proved
	wake chan struct{}
	seen func(model.Head) error // takes the head of an answer; an error ends the link
	all  sync.WaitGroup

	// These are the reader's alone.
	head  model.Head // the last that seen took
	woken []*call    // by the frames of one read

	mu      sync.Mutex
	out     []byte // requests that nobody has written
	spare   []byte // the buffer that was written last
	writing bool   // somebody is in net.Write
	calls   map[uint64]*call
	retired bool          // it ends when nobody waits for a call any more
	err     error         // why it ended
	ended   chan struct{} // closed with err
}

// part is one reply frame.
type part struct {
	wire.ReplyHeader
	body []byte
}

// call is a request in flight, and the frames of its answer that were not taken yet.
// Whoever waits for a call on a shared link is woken once, when the answer is whole.
// On a link of its own a call hands out each frame as it comes.
type call struct {
	slots *slots // that the request takes; nil: none
	large int64  // bytes of them
	ready chan struct{}

	mu      sync.Mutex
	parts   []part
	bytes   int // of the parts; on a shared link of all that have come
	err     error
	dropped bool          // nobody reads any more
	blocks  chan struct{} // of a link of its own: the link waits here for a slow reader
}

// Limits of what a link keeps of an answer.
const (
	maxShared    = 64 << 20 // bytes of one answer on a shared link; then the call fails
	maxDedicated = 4 << 20  // bytes for the call of a link of its own; then the link waits
	maxSpare     = 1 << 20  // bytes of a buffer for writing that is kept
)

// idleCalls holds calls that have ended, on shared links, to be used again.
var idleCalls = sync.Pool{New: func() any { return &call{ready: make(chan struct{}, 1)} }}

// newCall returns a call for a shared link. The caller that got the whole answer, and has
// read it, may give the call back with reuse.
func newCall() *call { return idleCalls.Get().(*call) }

// newStream returns a call for a link of its own.
func newStream() *call {
	return &call{ready: make(chan struct{}, 1), blocks: make(chan struct{}, 1)}
}

// maxIdleParts bounds the frames that an idle call has room for.
const maxIdleParts = 64

// reuse takes a call that the link has ended and nobody waits for.
func (c *call) reuse() {
	clear(c.parts)
	if cap(c.parts) > maxIdleParts {
		c.parts = nil
	}
	c.parts, c.bytes = c.parts[:0], 0
	c.slots, c.large = nil, 0
	idleCalls.Put(c)
}

// release gives back what the request took of the client's slots.
func (c *call) release() {
	if c.slots != nil {
		c.slots.release(c.large)
	}
}

// tlsConfig pins the keys that fit, and shows ours.
func tlsConfig(p *Profile, fit func(ed25519.PublicKey) bool) (*tls.Config, error) {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1<<37, 0)}
	der, err := x509.CreateCertificate(nil, template, template, p.Key.Public(), p.Key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: p.Key}},
		// There is no certificate authority: what counts is the Core's key, and
		// VerifyConnection compares all of it. TLS 1.3 proves that the peer
		// holds it.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			if k := shown(s); k != nil && fit(k) {
				return nil
			}
			return ErrWrongCore
		},
	}, nil
}

// shown returns the key that a Core shows; nil: none that it may.
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

// close ends the link and waits for its goroutines.
func (l *connection) close() {
	l.fail(ErrClosed)
	l.all.Wait()
}

// fail ends the link: every call in flight gets err.
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

// endIfSpent ends a retired link when only calls that were given up are left:
// nobody wants the rest of their answers.
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

// smallWrite bounds what is written without the writer: the socket of a connection on
// which nothing is under way takes that many bytes at once. A Core that has answered all
// requests has read them, since it can't guess their numbers.
const smallWrite = 4 << 10

// start sends a request; its frames come to c. Nothing else sends one, so
// what does not fit a frame is stopped here.
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
	p := l.takeOut() // without what others add from now on, for which the socket may have no room
	l.mu.Unlock()
	l.send(p) // a lone request need not wait until the writer runs
	return nil
}

// newNumber returns a number for a request that nobody can guess, whose caller holds the
// lock.
func (l *connection) newNumber() uint64 {
	for {
		// The numbers of this source are those of a cipher, ChaCha8, with a secret key.
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

// flush writes all that waits, unless somebody else does.
func (l *connection) flush() {
	l.mu.Lock()
	if l.writing {
		l.mu.Unlock()
		return // who writes looks again
	}
	p := l.takeOut()
	l.mu.Unlock()
	l.send(p)
}

// takeOut returns all that waits, for a caller that holds the lock and then sends it.
func (l *connection) takeOut() []byte {
	p := l.out
	l.writing, l.out = true, l.spare[:0]
	return p
}

// send writes what takeOut returned.
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
		// The reader wakes many callers at once, and each of them is about to
		// send its next request: let them, and one write takes them all.
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

// readParts waits for a frame, and appends it and all others that have come whole.
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
		_, _ = in.Discard(wire.ReplyHeaderSize) // it was peeked at
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

// admit returns how many of the frames may be handed to calls, and why the next one
// ends the link.
func (l *connection) admit(batch []part) (good int, err error) {
	for i := range batch {
		p := &batch[i]
		if p.Number == 0 {
			return i, failure(p.Code) // the connection as a whole is refused
		}
		if p.Code == model.HistoryDiffers || p.Head == l.head {
			continue // a head of a history that is not ours, or one that was looked at
		}
		if err := l.seen(p.Head); err != nil {
			return i, err
		}
		l.head = p.Head
	}
	return len(batch), nil
}

// deliver hands frames to their calls, and wakes whoever waits for them when all are
// handed out.
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
			full = c // it is the only call of the link
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

// push adds a frame. On a shared link a call whose answer grows too large
// fails, since its caller gathers all of it. On a link of its own the call makes the
// link wait for its reader, and so, in the end, the Core. wake: who waits for the call
// has something to do; full: so has the link, to wait.
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

// whole waits until all frames of an answer on a shared link are in parts.
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

// next waits for the next frame of an answer on a link of its own.
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

// drop says that nobody reads any more: what still comes is discarded.
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
