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
	"net"
	"runtime"
	"sync"
	"time"

	"motte/client/frames"
	"motte/core/wire"
)

// link is one connection, on which any number of calls are in flight. Its
// reader hands frames to calls, its writer sends all that waits in one write.
type link struct {
	net  net.Conn
	wake chan struct{}
	seen func(wire.Head) error // takes the head of each answer; an error ends the link
	all  sync.WaitGroup

	mu      sync.Mutex
	out     []byte
	calls   map[uint64]*call
	number  uint64
	retired bool          // it ends when nobody waits for a call any more
	err     error         // why it ended
	ended   chan struct{} // closed with err
}

// part is one reply frame.
type part struct {
	wire.ReplyHeader
	body []byte
}

// call is a request in flight: the frames that have come and were not taken.
type call struct {
	release func() // called once, when the last frame has come or the link has ended

	mu      sync.Mutex
	ready   chan struct{} // holds a token when there is something to take
	parts   []part
	bytes   int // of the parts; on a shared link of all that have come
	err     error
	dropped bool          // nobody reads any more
	blocks  chan struct{} // if not nil: the link waits here for a slow reader
}

// Limits of what a link keeps of an answer.
const (
	maxShared    = 64 << 20 // bytes of one answer on a shared link; then the call fails
	maxDedicated = 4 << 20  // bytes for the call of a link of its own; then the link waits
)

func newCall(dedicated bool, release func()) *call {
	c := &call{release: release, ready: make(chan struct{}, 1)}
	if dedicated {
		c.blocks = make(chan struct{}, 1)
	}
	return c
}

// tlsConfig pins the Core's key, and shows ours.
func tlsConfig(p *Profile) (*tls.Config, error) {
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
			if len(s.PeerCertificates) == 1 {
				if k, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey); ok && k.Equal(p.CoreKey) {
					return nil
				}
			}
			return ErrWrongCore
		},
	}, nil
}

func dial(ctx context.Context, address string, config *tls.Config, seen func(wire.Head) error) (*link, error) {
	d := tls.Dialer{Config: config, NetDialer: &net.Dialer{Timeout: 10 * time.Second}}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	l := &link{net: c, wake: make(chan struct{}, 1), seen: seen, calls: make(map[uint64]*call), ended: make(chan struct{})}
	l.all.Go(l.read)
	l.all.Go(l.write)
	return l, nil
}

// close ends the link and waits for its goroutines.
func (l *link) close() {
	l.fail(ErrClosed)
	l.all.Wait()
}

// fail ends the link: every call in flight gets err.
func (l *link) fail(err error) {
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
func (l *link) endIfSpent() {
	l.mu.Lock()
	spent := l.retired
	for _, c := range l.calls {
		spent = spent && c.givenUp()
	}
	l.mu.Unlock()
	if spent {
		l.fail(ErrConnectionLost)
	}
}

// start sends a request; its frames come to c. Nothing else sends one, so
// what does not fit a frame is stopped here.
func (l *link) start(r *wire.Request, c *call) error {
	if err := check(r); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	l.number++
	r.Number = l.number
	l.calls[r.Number] = c
	l.out = frames.AppendRequest(l.out, r)
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return nil
}

func (l *link) write() {
	var p []byte
	for {
		select {
		case <-l.wake:
		case <-l.ended:
			return
		}
		// The reader wakes many callers at once, and each of them is about to
		// send its next request: let them, and one write takes them all.
		runtime.Gosched()
		l.mu.Lock()
		p, l.out = l.out, p[:0]
		l.mu.Unlock()
		if _, err := l.net.Write(p); err != nil {
			l.fail(errors.Join(ErrConnectionLost, err))
			return
		}
		if cap(p) > 1<<20 {
			p = nil
		}
	}
}

func (l *link) read() {
	in := bufio.NewReaderSize(l.net, 64<<10)
	header := make([]byte, wire.ReplyHeaderSize)
	for {
		p, err := readPart(in, header)
		if err != nil {
			if !errors.Is(err, ErrWrongCore) {
				err = errors.Join(ErrConnectionLost, err)
			}
			l.fail(err)
			return
		}
		if p.Number == 0 {
			l.fail(failure(p.Code)) // the connection as a whole is refused
			return
		}
		if p.Code != wire.HistoryDiffers { // then the head is of a history that is not ours
			if err := l.seen(p.Head); err != nil {
				l.fail(err)
				return
			}
		}
		l.mu.Lock()
		c := l.calls[p.Number]
		last := c != nil && p.Flags&wire.ReplyLast != 0
		if last {
			delete(l.calls, p.Number)
		}
		l.mu.Unlock()
		if last {
			c.release()
			l.endIfSpent()
		}
		if c != nil {
			c.push(p, l.ended)
		}
	}
}

func readPart(in *bufio.Reader, header []byte) (p part, err error) {
	if _, err := io.ReadFull(in, header); err != nil {
		return p, err
	}
	h, code := frames.DecodeReplyHeader(header)
	if code != wire.OK {
		return p, fmt.Errorf("the Core's reply can't be decoded: %w", failure(code))
	}
	p.ReplyHeader = h
	if h.BodyLen > 0 {
		p.body = make([]byte, h.BodyLen)
		_, err = io.ReadFull(in, p.body)
	}
	return p, err
}

// push adds a frame. On a shared link a call whose answer grows too large
// fails, since its caller gathers all of it. On a link of its own the call makes the link wait for its
// reader, and so, in the end, the Core.
func (c *call) push(p part, ended chan struct{}) {
	c.mu.Lock()
	switch {
	case c.dropped || c.err != nil:
	case c.blocks == nil && c.bytes > maxShared:
		c.parts, c.bytes, c.err = nil, 0, ErrSlowReader
	default:
		c.parts = append(c.parts, p)
		c.bytes += len(p.body) + wire.ReplyHeaderSize
	}
	full := c.blocks != nil && c.bytes > maxDedicated && !c.dropped
	c.mu.Unlock()
	c.signal()
	if full {
		select {
		case <-c.blocks:
		case <-ended:
		}
	}
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

// next waits for the next frame.
func (c *call) next(ctx context.Context) (part, error) {
	for {
		c.mu.Lock()
		if len(c.parts) > 0 {
			p := c.parts[0]
			c.parts = c.parts[1:]
			if c.blocks != nil {
				c.bytes -= len(p.body) + wire.ReplyHeaderSize
			}
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
