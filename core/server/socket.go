package server

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// maxKept bounds the bytes that a socket keeps: a short answer or a TLS record, and messages
// of TLS itself. A client can ask for any number of these, such as answers to key updates.
const maxKept = 128 << 10

var errTakesNothing = errors.New("the client takes nothing")

// socket is the TCP connection of a client, under TLS. After the handshake a write never
// waits for the client: bytes that the kernel does not take at once are kept until drain
// sends them. So no goroutine waits for a client while it holds a lock of TLS, and a
// goroutine that works for all clients may write to each of them.
type socket struct {
	net.Conn
	raw  syscall.RawConn // nil: all bytes are kept until drain
	open bool            // the handshake is over

	mu       sync.Mutex
	kept     []byte // bytes for drain, in order
	draining bool   // bytes before those kept are being written
}

func newSocket(c net.Conn) *socket { return &socket{Conn: c, raw: rawOf(c)} }

// established notes that the handshake is over. Its deadline for writes ends.
func (s *socket) established() {
	s.open = true
	_ = s.SetWriteDeadline(time.Time{})
}

// rawOf returns the descriptor of a connection, or nil if the connection has no descriptor.
func rawOf(c net.Conn) syscall.RawConn {
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}

// tryWrite writes the bytes that the kernel takes at once, and returns their number. It
// drops an error, which the next waiting write returns.
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

// Write writes p, and keeps the bytes that the kernel does not take at once.
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

// keeps reports whether there are bytes to drain.
func (s *socket) keeps() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.kept) > 0
}

// drain writes the kept bytes, and waits until the client has taken them or the deadline has
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
	_ = s.SetWriteDeadline(time.Time{}) // a deadline that has passed would fail all later writes
	return err
}
