package server

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// maxKept bounds the bytes that a socket keeps: a short answer or a TLS record, and what TLS
// itself says, such as its answers to key updates, of which a client can ask for any number.
const maxKept = 128 << 10

var errTakesNothing = errors.New("the client takes nothing")

// socket is a client's TCP connection, under TLS. Behind the handshake a write never waits for
// the client: bytes that the kernel does not take at once are kept until drain sends them. So no goroutine
// waits for a client while it holds a lock of TLS, and a goroutine that works for all clients
// may write to each of them.
type socket struct {
	net.Conn
	raw  syscall.RawConn // nil: the kernel takes nothing at once
	open bool            // the handshake is over

	mu       sync.Mutex
	kept     []byte // in order
	draining bool   // bytes before those kept are being written
}

func newSocket(c net.Conn) *socket { return &socket{Conn: c, raw: rawOf(c)} }

// established says that the handshake is over. Its deadline for writes ends.
func (s *socket) established() {
	s.open = true
	_ = s.SetWriteDeadline(time.Time{})
}

// rawOf returns a connection's descriptor; nil: it has none.
func rawOf(c net.Conn) syscall.RawConn {
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}

// tryWrite writes what the kernel takes at once, and returns the number of these bytes. If it
// is an error that keeps the kernel from taking more, the next write that waits returns it.
func tryWrite(raw syscall.RawConn, p []byte) (n int) {
	if raw == nil {
		return 0
	}
	err := raw.Write(func(descriptor uintptr) (done bool) {
		n, _ = syscall.Write(int(descriptor), p)
		return true
	})
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// Write writes p, or keeps what of it the kernel does not take at once.
func (s *socket) Write(p []byte) (int, error) {
	if !s.open {
		return s.Conn.Write(p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	if len(s.kept) == 0 && !s.draining {
		n = tryWrite(s.raw, p)
	}
	if len(s.kept)+len(p)-n > maxKept {
		return n, errTakesNothing
	}
	s.kept = append(s.kept, p[n:]...)
	return len(p), nil
}

// keeps reports whether there is something to drain.
func (s *socket) keeps() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.kept) > 0
}

// drain writes what is kept, and waits until the client has taken it or the deadline has
// passed. Only one goroutine drains at a time.
func (s *socket) drain(deadline time.Time) (err error) {
	_ = s.SetWriteDeadline(deadline)
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.kept) > 0 && err == nil {
		p := s.kept
		s.kept, s.draining = nil, true
		s.mu.Unlock()
		_, err = s.Conn.Write(p)
		s.mu.Lock()
		s.draining = false
	}
	_ = s.SetWriteDeadline(time.Time{}) // one that has passed would let no later write be tried
	return err
}
