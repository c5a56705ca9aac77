package server

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"motte/client/frames"
	"motte/core/engine"
	"motte/core/hostwire"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/wire"
	"motte/host/hostframes"
	"motte/internal/testutil"
)

// Each of these attacks once worked against the Core; see engine/hold_test.go.

// filled returns a server with a collection "c" that is larger than the kernel's socket buffers.
// The principal of key(5) may read it.
func filled(t *testing.T) (s *testServer, admin *tls.Conn) {
	t.Helper()
	s = start(t, t.TempDir())
	admin = s.dial(key(1))
	do(t, admin, model.OK, request(1, model.OpCreateCollection, "c", "", ""))
	var puts []*wire.Request
	for i := range uint64(24) {
		puts = append(puts, request(10+i, model.OpPut, "c", string(rune('a'+i)), strings.Repeat("x", 1<<20)))
	}
	do(t, admin, model.OK, puts...)
	s.add(admin)
	return s, admin
}

// add registers the principal of key(5), with the right to read.
func (s *testServer) add(admin net.Conn) {
	s.t.Helper()
	p := identity.ID(principalOf(key(5)))
	do(s.t, admin, model.OK, &wire.Request{Op: model.OpAddPrincipal, Number: 1, Identity: p, Name: []byte("alice")},
		&wire.Request{Op: model.OpGrant, Number: 2, Collection: "c", Identity: p, Rights: model.RightRead})
}

// list returns a LIST request for all objects of filled.
func list() []byte { return frames.AppendRequest(nil, request(100, model.OpList, "c", "", "")) }

// send writes p, and waits for the first frame of an answer.
func (s *testServer) send(c *tls.Conn, p []byte) {
	s.t.Helper()
	if _, err := c.Write(p); err != nil {
		s.t.Fatal(err)
	}
	reply(s.t, c)
}

// TestNoClientHoldsUpAStop, whatever unfinished requests it has: the Core ends when its time is
// up. If it does not, the test times out.
func TestNoClientHoldsUpAStop(t *testing.T) {
	if testing.Short() {
		t.Skip("the Core waits for its clients up to its time limit")
	}
	t.Parallel()
	s, _ := filled(t)
	head := frames.AppendRequest(nil, request(7, model.OpHead, "", "", ""))
	large := frames.AppendRequest(nil, request(8, model.OpPut, "c", "", strings.Repeat("b", model.MaxObject)))

	reads := s.dial(key(5)) // reads as slowly as allowed, and does not finish in time
	s.send(reads, list())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for p := make([]byte, 64<<10); ; time.Sleep(200 * time.Millisecond) {
			if _, err := io.ReadFull(reads, p); err != nil {
				return
			}
		}
	}()
	s.send(s.dial(key(5)), list())                       // then the client reads no more
	s.send(s.dial(key(5)), append(head, large[:200]...)) // the client is in the middle of a body
	s.send(s.dial(key(5)), append(head, large[:100]...)) // the client is in the middle of a header
	for range largeBudget/model.MaxObject + 2 {          // some wait for the budget, and get it when others end
		s.send(s.dial(key(5)), append(head, large[:wire.RequestHeaderSize]...))
	}
	floods := s.dial(key(5)) // a client that always sends the next header, but never its body
	go io.Copy(io.Discard, floods)
	go func() {
		next := func(number uint64) []byte {
			return frames.AppendRequest(nil, request(number, model.OpPut, "d", "", "body"))
		}
		const cut = wire.RequestHeaderSize + 2
		_, err := floods.Write(next(1)[:cut])
		for number := uint64(1); err == nil; number++ {
			_, err = floods.Write(append(next(number)[cut:], next(number + 1)[:cut]...))
		}
	}()

	if _, err := s.host.Write(hostframes.Append(nil, hostwire.HostMessage{Type: hostwire.TypeStop})); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-s.ended:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(testutil.Patience):
		t.Fatal("the Core does not end within its time limit")
	}
	reads.Close()
	<-ended
}

// TestWhoLosesARightLosesItsConnections, with all answers that are not sent yet. The client must
// request again what it may still read.
func TestWhoLosesARightLosesItsConnections(t *testing.T) {
	s, admin := filled(t)
	defer s.stop()
	p := identity.ID(principalOf(key(5)))
	next := principalOf(key(6))
	for name, change := range map[string]*wire.Request{
		"rotated": {Op: model.OpRotatePrincipal, Number: 3, Identity: p, Query: next[:]},
		"removed": {Op: model.OpRemovePrincipal, Number: 3, Identity: p},
		"revoked": {Op: model.OpRevoke, Number: 3, Collection: "c", Identity: p, Rights: model.RightRead},
	} {
		busy, idle := s.dial(key(5)), s.dial(key(5))
		s.send(busy, list())
		do(t, idle, model.OK, request(1, model.OpHead, "", "", ""))
		do(t, admin, model.OK, change)
		if _, err := idle.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: an idle connection does not end: %v", name, err)
		}
		// Only bytes that were already in the kernel's buffers may still arrive.
		if n, err := io.Copy(io.Discard, busy); errors.Is(err, os.ErrDeadlineExceeded) || n >= 23<<20 {
			t.Errorf("%s: %d bytes of answers of 24 MiB arrived, %v", name, n, err)
		}
		again := s.dial(key(5))
		if name == "removed" {
			if h, _ := reply(t, again); h.Code != model.UnknownPrincipal {
				t.Errorf("code %d", h.Code)
			}
			s.add(admin)
			continue
		}
		if name == "rotated" {
			if h, _ := reply(t, again); h.Code != model.UnknownPrincipal {
				t.Errorf("code %d", h.Code)
			}
			do(t, s.dial(key(6)), model.OK, request(1, model.OpHead, "", "", ""))
			do(t, admin, model.OK, &wire.Request{Op: model.OpRotatePrincipal, Number: 4, Identity: identity.ID(next), Query: p[:]})
			continue
		}
		do(t, again, model.NoCollection, request(1, model.OpGet, "c", "a", ""))
		do(t, admin, model.OK, &wire.Request{Op: model.OpGrant, Number: 3, Collection: "c", Identity: p, Rights: model.RightRead})
	}
}

// TestASmallBodyDoesNotWaitForLargeOnes that occupy their whole budget and never arrive.
func TestASmallBodyDoesNotWaitForLargeOnes(t *testing.T) {
	s := &server{events: newQueue[event](), largeBudget: newByteBudget(largeBudget), smallBudget: newByteBudget(smallBudget)}
	s.largeBudget.free = 0
	client, server := net.Pipe()
	_ = client.SetDeadline(time.Now().Add(testutil.Patience)) // bounds a failing test
	c := &conn{s: s, net: server, in: bufio.NewReader(server), out: newQueue[engine.Reply](), written: make(chan struct{}),
		freed: make(chan struct{}, 1), inflight: make(map[uint64]inflightRequest), life: t.Context(), reading: t.Context()}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.read()
	}()
	p := frames.AppendRequest(nil, request(1, model.OpPut, "c", "name", strings.Repeat("x", 64<<10)))
	if _, err := client.Write(frames.AppendRequest(p, request(2, model.OpDelete, "c", "name", ""))); err != nil {
		t.Fatalf("a small body waits for large ones: %v", err)
	}
	client.Close()
	<-ended
	if len(c.inflight) != 2 || len(s.events.take()) == 0 {
		t.Fatalf("%d requests are in flight", len(c.inflight))
	}
	if want := smallBudget - 2*(requestCost+len("name")) - 64<<10; s.largeBudget.free != 0 || s.smallBudget.free != want {
		t.Fatalf("room is left for %d bytes of large requests, and %d of small ones, want %d", s.largeBudget.free, s.smallBudget.free, want)
	}
}
