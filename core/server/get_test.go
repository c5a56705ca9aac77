package server

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"motte/client/frames"
	"motte/core/access"
	"motte/core/engine"
	"motte/core/model"
	"motte/core/wire"
)

// TestAGetThatIsTooLargeTakesRoom: a GET with a body larger than a name is invalid. Until its
// body is read and the GET is refused, it counts in the budget like other requests.
func TestAGetThatIsTooLargeTakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.largeBudget.free = 0
		end, ended := r.join(1)
		q := frames.AppendRequest(nil, &wire.Request{Op: model.OpGet, Number: 1, Collection: "c", Name: []byte("one"), Object: make([]byte, 1<<20)})
		go end.Write(q)
		synctest.Wait()
		r.largeBudget.mu.Lock()
		if n := len(r.largeBudget.waiting); n != 1 {
			t.Errorf("%d requests wait for the budget, want 1", n)
		}
		r.largeBudget.mu.Unlock()
		end.Close()
		<-ended
	})
}

// closing is a connection that reports when it is closed.
type closing struct {
	net.Conn
	closed func()
}

func (c closing) Close() error {
	c.closed()
	return nil
}

// TestConnectionsEndBeforeALostRightIsTold: once a REVOKE is answered, no answer that was
// decided by this right may leave.
func TestConnectionsEndBeforeALostRightIsTold(t *testing.T) {
	s := newServer(Config{})
	admin, other := access.Principal{1}, access.Principal{2}
	teller := &conn{s: s, id: 1, principal: admin, out: newQueue[engine.Reply]()}
	ended := false
	loser := &conn{s: s, id: 2, principal: other, end: func() {}, raw: newSocket(closing{closed: func() {
		ended = true
		if len(teller.out.take()) > 0 {
			t.Error("the REVOKE was answered before the connection ended")
		}
	}})}
	s.conns[1], s.conns[2] = teller, loser
	s.dispatch(engine.Output{Replies: []engine.Reply{{Conn: 1, Principal: admin}}, Ended: []access.Principal{other}})
	if told := len(teller.out.take()); !ended || told != 1 {
		t.Errorf("ended: %v; %d answers", ended, told)
	}
}

// TestAClientThatTakesNothingHoldsFewDecidedGets: these answers count in no budget. While the
// writer waits for the client, the reader decides at most one more batch of GETs.
func TestAClientThatTakesNothingHoldsFewDecidedGets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.must(model.OK, request(0, model.OpPut, "c", "large", strings.Repeat("x", 2*bufferSize)))
		end, ended := r.join(5)
		go end.Write(frames.AppendRequest(nil, request(1, model.OpGet, "c", "large", "")))
		synctest.Wait() // the writer has the first answer
		var p []byte
		for n := range uint64(MaxInFlight - 1) {
			p = frames.AppendRequest(p, request(2+n, model.OpGet, "c", "one", ""))
		}
		go end.Write(p)
		synctest.Wait()
		r.runOnEngine(func(*engine.Engine) {
			for _, c := range r.conns {
				c.out.mu.Lock()
				if n := len(c.out.items); n > maxGets {
					t.Errorf("%d decided answers wait for the client; want one batch at most", n)
				}
				c.out.mu.Unlock()
			}
		})
		end.Close()
		<-ended
	})
}
