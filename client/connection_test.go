package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"motte/core/identity"
	"motte/core/model"
	"motte/core/wire"
	"motte/internal/testutil"
)

// TestGivenUpCallsCountUntilTheyAreAnswered: if a caller gives up, its slot must stay occupied.
// The Core and the connection still hold the body of its request.
func TestGivenUpCallsCountUntilTheyAreAnswered(t *testing.T) {
	answer := make(chan struct{})
	c := connect(t, fake(t, func(c conn) {
		for n := 0; ; n++ {
			r, ok := c.request()
			if !ok {
				return
			}
			if n == 1 {
				<-answer
			}
			ids := uint32(1)
			if r.Op == model.OpHead {
				ids = 0
			}
			c.reply(r.Number, wire.KindEnd, ids, make([]byte, ids*identity.Size))
		}
	}))
	data := make([]byte, maxLarge/2)
	for range 8 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := c.Put(ctx, "c", data); err == nil {
			t.Error("a call without an answer succeeded; want an error")
		}
		cancel()
	}
	c.link.mu.Lock()
	if n := len(c.link.calls); n > 2 {
		t.Errorf("%d calls of half the budget each are in flight; want 2", n)
	}
	c.link.mu.Unlock()
	close(answer)
	if _, err := c.Put(t.Context(), "c", data); err != nil {
		t.Errorf("after the answers a new call returns %v; want that it succeeds", err)
	}
}

// TestLargeAnswerIsNotGathered: a search for a few large objects moves to a dedicated
// connection, where the Core waits for the reader. Other calls must not wait for it.
func TestLargeAnswerIsNotGathered(t *testing.T) {
	const objects = 100
	body := make([]byte, identity.Size+2+1<<20)
	sent := make([]atomic.Int64, 8) // objects sent, by connection
	c := connect(t, fake(t, func(c conn) {
		for r, ok := c.request(); ok; r, ok = c.request() {
			if r.Op == model.OpSearch {
				for range objects {
					if !c.reply(r.Number, wire.KindObject, 0, body) {
						return
					}
					sent[c.number].Add(1)
				}
			}
			c.reply(r.Number, wire.KindEnd, 0, nil)
		}
	}))
	got := 0
	for o, err := range c.Search(t.Context(), Query{Collection: "c", Index: "i", Limit: objects}) {
		if err != nil || len(o.Data) != 1<<20 {
			t.Fatalf("object %d: %d bytes, %v", got, len(o.Data), err)
		}
		if got++; got == 1 {
			if _, err := c.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := sent[1].Load(); n > objects/2 {
				t.Errorf("%d objects were sent to a reader that has read one; want few", n)
			}
		}
	}
	if got != objects {
		t.Errorf("%d objects, want %d", got, objects)
	}
	if n := sent[0].Load(); n == objects {
		t.Error("the whole answer came on the shared connection; want a dedicated one")
	}
}

// TestAnswerWithoutEndFails: the number of frames kept for one call is bounded.
func TestAnswerWithoutEndFails(t *testing.T) {
	body := make([]byte, 1<<20)
	c := connect(t, fake(t, func(c conn) {
		for r, ok := c.request(); ok; r, ok = c.request() {
			for n := 0; r.Op == model.OpGet && n < 100; n++ {
				if !c.reply(r.Number, wire.KindObject, 0, body) {
					return
				}
			}
			c.reply(r.Number, wire.KindEnd, 0, nil)
		}
	}))
	if _, err := c.Get(t.Context(), "c", "n"); !errors.Is(err, ErrSlowReader) {
		t.Errorf("an answer of 100 frames without an end returns %v; want an error", err)
	}
	if _, err := c.Ping(t.Context()); err != nil {
		t.Errorf("the next call returns %v; want that it succeeds on a new connection", err)
	}
}

// TestCloseEndsStreams: Close also ends searches on dedicated connections.
func TestCloseEndsStreams(t *testing.T) {
	c := connect(t, fake(t, func(c conn) {
		for r, ok := c.request(); ok; r, ok = c.request() {
			if r.Op == model.OpHead {
				c.reply(r.Number, wire.KindEnd, 0, nil)
			} else {
				c.reply(r.Number, wire.KindObject, 0, make([]byte, identity.Size+2))
			}
		}
	}))
	ctx, cancel := context.WithTimeout(t.Context(), testutil.Patience) // otherwise the stream would wait forever
	defer cancel()
	var last error
	for _, err := range c.List(ctx, "c") {
		if last = err; err == nil {
			c.Close()
		}
	}
	if !errors.Is(last, ErrClosed) {
		t.Errorf("Close ended the stream with %v; want ErrClosed", last)
	}
	if len(c.links) != 0 {
		t.Errorf("%d connections are left after Close; want 0", len(c.links))
	}
}

// TestLostConnectionIsMadeAnewOnce, however many calls used it.
func TestLostConnectionIsMadeAnewOnce(t *testing.T) {
	var connections atomic.Int64
	c := connect(t, fake(t, func(c conn) {
		connections.Add(1)
		for n := 0; ; n++ {
			r, ok := c.request()
			if !ok || c.number == 0 && n == maxInFlight {
				return
			}
			if c.number > 0 || n == 0 {
				c.reply(r.Number, wire.KindEnd, 0, nil)
			}
		}
	}))
	var all sync.WaitGroup
	for range maxInFlight {
		all.Go(func() {
			if _, err := c.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := connections.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

// TestCallerThatGivesUpDoesNotEndTheDial, since other callers may wait for the connection.
func TestCallerThatGivesUpDoesNotEndTheDial(t *testing.T) {
	lost, listen := make(chan struct{}), make(chan struct{})
	c := connect(t, fake(t, func(c conn) {
		if c.number > 0 {
			<-listen // the handshake waits for the test
		}
		for r, ok := c.request(); ok; r, ok = c.request() {
			c.reply(r.Number, wire.KindEnd, 0, nil)
			if c.number == 0 {
				close(lost)
				return
			}
		}
	}))
	<-lost
	<-c.link.ended
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the caller that waits for the connection gets %v; want an answer", err)
	}
	close(listen)
	if _, err := c.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestNobodyGetsAnothersAnswer: callers give up at any moment, and the client reuses the memory
// of finished calls. No caller may get the answer to another call.
func TestNobodyGetsAnothersAnswer(t *testing.T) {
	k := connect(t, fake(t, func(c conn) {
		rng := rand.New(rand.NewPCG(1, 2))
		var asked []wire.Request
		answer := func(i int) bool {
			r := asked[i]
			asked[i] = asked[len(asked)-1]
			asked = asked[:len(asked)-1]
			body := binary.BigEndian.AppendUint16(make([]byte, 32), 0)
			return c.send(wire.ReplyHeader{Kind: wire.KindObject, Flags: wire.ReplyLast, Number: r.Number}, append(body, r.Name...))
		}
		for {
			r, ok := c.request()
			if !ok {
				return
			}
			if r.Op == model.OpHead {
				if !c.reply(r.Number, wire.KindEnd, 0, nil) {
					return
				}
				continue
			}
			asked = append(asked, r)
			for len(asked) > 4 { // answer some requests late, and out of order
				if !answer(rng.IntN(len(asked))) {
					return
				}
			}
		}
	}))
	var all sync.WaitGroup
	var got atomic.Int64
	for i := range 16 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(3, uint64(i)))
			for n := range 300 {
				ctx, cancel := context.WithCancel(t.Context())
				if rng.IntN(2) == 0 {
					go cancel() // cancel at a random moment
				}
				name := fmt.Sprint(i, " ", n)
				o, err := k.Get(ctx, "c", name)
				cancel()
				if err == nil {
					got.Add(1)
				}
				if err == nil && string(o.Data) != name || err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("asked for %q, got %q, %v", name, o.Data, err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	for n := 0; ; n++ { // further requests bring the last answers
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, _ = k.Get(ctx, "c", "more")
		cancel()
		select {
		case <-done:
			if got.Load() == 0 {
				t.Error("no call got an answer, so the test checks nothing")
			}
			return
		default:
		}
	}
}

// TestACoreThatAnswersWithoutReadingHoldsNobody: a malicious Core guesses the numbers of
// requests, and answers without reading any. Then the socket fills up. A caller must still
// return when its context ends.
func TestACoreThatAnswersWithoutReadingHoldsNobody(t *testing.T) {
	var next atomic.Uint64 // estimate of the next request's number
	next.Store(2)
	c := connect(t, fake(t, func(c conn) {
		if r, ok := c.request(); !ok || !c.reply(r.Number, wire.KindEnd, 0, nil) {
			return
		}
		for c.reply(next.Load(), wire.KindEnd, 1, make([]byte, identity.Size)) {
			time.Sleep(50 * time.Microsecond)
		}
	}))
	ended := make(chan error)
	go func() {
		data := make([]byte, smallWrite-2*wire.RequestHeaderSize)
		for {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_, err := c.Put(ctx, "c", data)
			cancel()
			if err != nil {
				ended <- err
				return
			}
			next.Add(1)
		}
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	case <-time.After(testutil.Patience):
		t.Fatalf("the caller of request %d does not return, though its context has ended", next.Load())
	}
}
