package server

import (
	"crypto/tls"
	"io"
	"maps"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"motte/client/frames"
	"motte/core/engine"
	"motte/core/model"
	"motte/core/wire"
)

// join connects a client, like accept after the handshake. ended is closed when the Core has
// finished the connection.
func (r *rig) join(who byte) (end net.Conn, ended chan struct{}) {
	core, own := net.Pipe()
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		defer core.Close()
		under := newSocket(core)
		under.established()
		r.serveConn(newConn(r.server, under, under, principalOf(key(who))))
	}()
	return own, ended
}

// TestProgressRenewsADeadline: a client that sends or takes enough bytes each second may be slow
// with a large object. A slower client is disconnected, and its budget released.
func TestProgressRenewsADeadline(t *testing.T) {
	const size = 10 << 20
	object := strings.Repeat("x", size)
	put := frames.AppendRequest(nil, request(1, model.OpPut, "c", "new", object))
	get := frames.AppendRequest(nil, request(1, model.OpGet, "c", "large", ""))
	for _, c := range []struct {
		name  string
		sends bool
		piece int
		every time.Duration
		ends  time.Duration // 0: the client gets its answer
	}{
		{"takes 75 KiB a second", false, 75 << 10, time.Second, 0},
		{"takes 1.5 MiB every 20 seconds", false, 3 << 19, 20 * time.Second, 0},
		{"takes a byte every 29 seconds", false, 1, 29 * time.Second, writeTime},
		{"takes 30 KiB a second", false, 30 << 10, time.Second, 2 * writeTime},
		{"sends 75 KiB a second", true, 75 << 10, time.Second, 0},
		{"sends a byte every 29 seconds", true, 1, 29 * time.Second, bodyTime},
		{"sends 30 KiB a second", true, 30 << 10, time.Second, 2 * bodyTime},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := filledRig(t)
				defer r.close()
				r.must(model.OK, request(0, model.OpPut, "c", "large", object))
				end, ended := r.join(5)
				var took time.Duration // time until the Core ended the connection
				began := time.Now()
				go func() {
					<-ended
					took = time.Since(began)
				}()
				var err error
				if c.sends {
					_, err = end.Write(put[:wire.RequestHeaderSize])
					for rest := put[wire.RequestHeaderSize:]; len(rest) > 0 && err == nil; time.Sleep(c.every) {
						var n int
						n, err = end.Write(rest[:min(c.piece, len(rest))])
						rest = rest[n:]
					}
				} else if _, err = end.Write(get); err == nil {
					for taken := 0; taken < size && err == nil; time.Sleep(c.every) {
						var n int
						n, err = io.ReadFull(end, make([]byte, min(c.piece, size-taken)))
						taken += n
					}
				}
				if c.ends == 0 && (err != nil || c.sends && !okay(end)) {
					t.Errorf("a client with enough progress is disconnected after %v: %v", time.Since(began), err)
				}
				end.Close()
				<-ended
				synctest.Wait()
				if c.ends > 0 && (err == nil || took > c.ends) {
					t.Errorf("the connection ends after %v, want %v: %v", took, c.ends, err)
				}
				if r.largeBudget.free != largeBudget || r.server.answerBudget.free != answerBudget {
					t.Errorf("%d and %d bytes of the budgets are still held; want 0", largeBudget-r.largeBudget.free, answerBudget-r.server.answerBudget.free)
				}
			})
		})
	}
}

// okay reports whether the next answer is valid, and successful.
func okay(end net.Conn) bool {
	header := make([]byte, wire.ReplyHeaderSize)
	_, err := io.ReadFull(end, header)
	h, code := frames.DecodeReplyHeader(header)
	return err == nil && code == model.OK && h.Code == model.OK
}

// crowd counts n more idle connections.
func (r *rig) crowd(n int) {
	r.runOnEngine(func(*engine.Engine) {
		for i := range n {
			r.server.conns[crowdStart+engine.Conn(i)] = &conn{}
		}
	})
}

const crowdStart = 1 << 32

// disperse removes these connections. The caller owns the engine.
func (r *rig) disperse() {
	maps.DeleteFunc(r.server.conns, func(id engine.Conn, _ *conn) bool { return id >= crowdStart })
}

// TestWhoComesAgainHoldsNoMore: while the disk is stuck, a client repeatedly connects, sends a
// request and disconnects. The requests left behind stay within the budgets, and the connections
// within the client's share.
func TestWhoComesAgainHoldsNoMore(t *testing.T) {
	for name, size := range map[string]int{"large": 100 << 10, "small": 2000, "of no length": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := filledRig(t)
				defer r.close()
				const room = 1 << 20
				r.largeBudget, r.smallBudget = newByteBudget(room), newByteBudget(room)
				r.disk.delay(24 * time.Hour)
				r.crowd(MaxConnections - 1024)
				p := frames.AppendRequest(nil, request(1, model.OpPut, "c", "", strings.Repeat("x", size)))
				clients := 600 // more than half of the maximum of connections
				if size > smallRequest {
					clients = 60 // far more than the budget covers
				}
				for i := range clients {
					end, _ := r.join(5)
					_ = end.SetDeadline(time.Now().Add(100 * time.Millisecond))
					_, _ = end.Write(p)
					_ = end.Close()
					if i == 0 {
						synctest.Wait() // the disk has the first request, and the others wait
					}
				}
				synctest.Wait()
				n, bytes := 0, 0
				r.appends.mu.Lock()
				for _, group := range r.appends.items {
					for i := range group {
						n++
						bytes += len(group[i].Body)
					}
				}
				r.appends.mu.Unlock()
				held := room - r.largeBudget.free + room - r.smallBudget.free
				if n == 0 || bytes > held+MaxConnections*ownRequest || size > smallRequest && bytes > room/2+2*size {
					t.Errorf("%d requests of %d bytes wait for the disk, and %d bytes are counted", n, bytes, held)
				}
				r.runOnEngine(func(*engine.Engine) {
					r.disperse()
					for _, c := range r.server.conns {
						c.end()
					}
					if len(r.server.conns) > 512+1 || n > len(r.server.conns) {
						t.Errorf("%d requests of %d connections that are counted wait for the disk", n, len(r.server.conns))
					}
				})
			})
		})
	}
}

// TestSilentHandshakesGiveWay: strangers that connect and stay silent occupy all places. A new
// connection must get a place before their time is up.
func TestSilentHandshakesGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		queue := &pipes{make(chan net.Conn), make(chan struct{})}
		r.listener.Listener = queue
		accepted := make(chan struct{})
		go func() {
			defer close(accepted)
			r.accept()
		}()
		began := time.Now()
		for range maxHandshakes {
			core, own := net.Pipe()
			defer own.Close()
			queue.next <- core
		}
		core, own := net.Pipe()
		queue.next <- core
		c := tls.Client(own, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{certificate(t, key(5).Public(), key(5))}})
		if err := c.Handshake(); err != nil || time.Since(began) > handshakeTime/2 {
			t.Errorf("the handshake took %v: %v", time.Since(began), err)
		}
		own.Close()
		queue.Close()
		<-accepted
	})
}

// pipes is a listener for the ends of in-memory connections.
type pipes struct {
	next   chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.next:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	close(p.closed)
	return nil
}

func (p *pipes) Addr() net.Addr { return nil }
