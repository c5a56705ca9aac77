package server

import (
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"motte/client/frames"
	"motte/core/access"
	"motte/core/engine"
	"motte/core/hostwire"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/core/wire"
	"motte/internal/faketask"
	"motte/internal/testutil"
)

var crowdSeeds = flag.Uint64("crowd.seeds", 3, "how many crowds of hostile clients to run")

const (
	crowdTime  = 8 * time.Minute // duration of a crowd
	crowdBound = time.Minute     // time limit for answers to honest clients
	crowdRoom  = 1 << 20         // bytes of each budget, so that few connections fill it
)

// crowd is a Core without TLS, in simulated time, with clients that try everything to delay
// others. They leave bodies unfinished, take no answers, fill their windows, send single bytes,
// and disconnect with and without a close. The Tasks lag, the disk is slow, and principals lose
// their rights. The clients' choices follow from a seed.
type crowd struct {
	*rig
	rng     *rand.Rand
	over    chan struct{} // closed when the clients should end
	clients sync.WaitGroup
	serving atomic.Int64 // number of the Core's connections
	mu      sync.Mutex
	open    map[net.Conn]bool // the clients' ends of connections
	asked   int               // number of requests of honest clients
}

// TestACrowdHoldsUpNobody: an honest client's HEAD, STATUS, GET, PUT and COUNT are answered in
// time, whatever others do. After the others are gone, the Core holds no resources for them.
func TestACrowdHoldsUpNobody(t *testing.T) {
	quiet(t)
	for seed := range testutil.Repeats(*crowdSeeds, 1) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runCrowd(t, seed) })
		})
	}
}

func runCrowd(t *testing.T, seed uint64) {
	r := filledRig(t)
	defer r.close()
	c := &crowd{rig: r, rng: rand.New(rand.NewPCG(seed, 1)), over: make(chan struct{}), open: make(map[net.Conn]bool)}
	r.largeBudget, r.smallBudget, r.server.answerBudget = newByteBudget(crowdRoom), newByteBudget(crowdRoom), newByteBudget(crowdRoom)
	r.server.producers.Go(func() { r.readFetches(r.ctx) })
	r.all.Go(c.host)
	c.setUp()
	r.disk.delay(300 * time.Millisecond)
	hostile := 1 + c.rng.IntN(3)
	for i := range hostile * 12 {
		c.clients.Go(func() { c.hostile(byte(10+i%hostile), rand.New(rand.NewPCG(seed, uint64(100+i)))) })
	}
	for i := range uint64(2) {
		c.clients.Go(func() { c.honest(5, rand.New(rand.NewPCG(seed, 10+i))) })
	}
	for began := time.Now(); time.Since(began) < crowdTime; {
		time.Sleep(time.Duration(c.rng.IntN(40)) * time.Second)
		c.revoke(byte(10 + c.rng.IntN(hostile)))
	}
	close(c.over)
	c.mu.Lock()
	for end := range c.open {
		end.Close()
	}
	c.mu.Unlock()
	c.clients.Wait()
	time.Sleep(10 * crowdBound) // by then the engine has answered all requests, since Tasks have a deadline
	if n := c.serving.Load(); n > 0 {
		t.Errorf("%d connections are left after their clients have gone; want 0", n)
		r.runOnEngine(func(*engine.Engine) {
			for _, k := range r.server.conns {
				k.end()
			}
		})
	}
	for name, room := range map[string]*byteBudget{"bodies": r.largeBudget, "small": r.smallBudget, "answers": r.server.answerBudget} {
		if room.free != crowdRoom || len(room.taken) > 0 || len(room.waiting) > 0 {
			t.Errorf("without clients %d bytes of the budget for %s are free, and %d requests wait; want the whole budget", room.free, name, len(room.waiting))
		}
	}
	r.runOnEngine(func(*engine.Engine) {
		for _, k := range r.tasks {
			k.close()
		}
		if len(r.server.conns) != 1 { // the connection of the rig
			t.Errorf("%d connections are still counted; want 0", len(r.server.conns)-1)
		}
	})
	r.cancel()
	r.server.producers.Wait()
	t.Logf("%d requests of honest clients were answered", c.asked)
}

// setUp makes the principals, and two collections with an index each.
func (c *crowd) setUp() {
	row := frames.AppendRow(nil, &model.Row{Operations: frames.TaskSearch | frames.TaskCount, MaxInput: 1 << 20, MaxResults: 100, Deadline: 10_000, Memory: 1})
	c.must(model.OK, &wire.Request{Op: model.OpRegisterTask, Name: []byte("t"), Query: row})
	c.must(model.OK, request(0, model.OpCreateCollection, "quiet", "", ""))
	for _, collection := range []string{"c", "quiet"} {
		c.must(model.OK, &wire.Request{Op: model.OpCreateIndex, Collection: collection, Index: "x", Type: model.TypeText, Name: []byte("t")})
	}
	c.must(model.OK, &wire.Request{Op: model.OpGrant, Collection: "quiet", Identity: identity.ID(principalOf(key(5))), Rights: model.RightWrite | model.RightRead})
	for k := byte(10); k < 13; k++ {
		c.must(model.OK, &wire.Request{Op: model.OpAddPrincipal, Identity: identity.ID(principalOf(key(k))), Name: fmt.Append(nil, "eve", k)})
		c.grant(k)
	}
	for i := range 8 {
		c.must(model.OK, request(0, model.OpPut, "c", fmt.Sprint("large", i), strings.Repeat("x", 100<<10)))
	}
}

func (c *crowd) grant(k byte) {
	c.must(model.OK, &wire.Request{Op: model.OpGrant, Collection: "c", Identity: identity.ID(principalOf(key(k))), Rights: model.RightWrite | model.RightRead})
}

// revoke revokes a hostile principal's rights, or removes it, and restores that.
func (c *crowd) revoke(k byte) {
	p := identity.ID(principalOf(key(k)))
	if c.rng.IntN(2) == 0 {
		c.must(model.OK, &wire.Request{Op: model.OpRevoke, Collection: "c", Identity: p, Rights: model.RightRead})
	} else {
		c.must(model.OK, &wire.Request{Op: model.OpRemovePrincipal, Identity: p})
		c.must(model.OK, &wire.Request{Op: model.OpAddPrincipal, Identity: p, Name: fmt.Append(nil, "eve", k)})
	}
	c.grant(k)
}

// host starts Tasks.
func (c *crowd) host() {
	for messages := range c.toHost.batches(c.ctx.Done()) {
		for _, message := range messages {
			if m, starts := message.(hostwire.StartTask); starts {
				core, own := net.Pipe()
				c.events.put(func(*engine.Engine) { c.startTask(m.Instance, taskPipe{core}) })
				c.all.Go(func() { work(own) })
			}
		}
	}
}

// taskPipe is a Task's channel in memory. It can't close only its reading side.
type taskPipe struct{ net.Conn }

func (p taskPipe) CloseRead() error { return p.Close() }

// work is a Task that handles each frame after a delay.
func work(end net.Conn) {
	defer end.Close()
	k, header := &simTask{Keeper: faketask.NewKeeper(rand.New(rand.NewPCG(1, 1)))}, make([]byte, taskwire.HeaderSize)
	for {
		if _, err := io.ReadFull(end, header); err != nil {
			return
		}
		h, err := taskwire.DecodeHeader(header)
		if err != nil {
			panic(err)
		}
		p := make([]byte, h.Len)
		if _, err = io.ReadFull(end, p); err == nil {
			time.Sleep(50 * time.Millisecond)
			_, err = end.Write(k.handle(h, p))
		}
		if err != nil {
			return
		}
	}
}

// dial connects.
func (c *crowd) dial(who access.Principal) net.Conn {
	core, own := net.Pipe()
	c.serving.Add(1)
	go func() {
		defer c.serving.Add(-1)
		defer core.Close() // like accept
		under := newSocket(core)
		under.established()
		c.serveConn(newConn(c.server, under, under, who))
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[own] = true
	return own
}

func (c *crowd) hangUp(end net.Conn) {
	end.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, end)
}

func (c *crowd) isOver() bool {
	select {
	case <-c.over:
		return true
	default:
		return false
	}
}

// pause waits, but not longer than the crowd lasts.
func (c *crowd) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-c.over:
	}
}

// hostile connects again and again, and behaves differently each time.
func (c *crowd) hostile(k byte, rng *rand.Rand) {
	for number := uint64(1); !c.isOver(); number += 1000 {
		end := c.dial(principalOf(key(k)))
		_ = end.SetDeadline(time.Now().Add(time.Duration(1+rng.IntN(300)) * time.Second))
		size := []int{100, 2000, 50 << 10, 100 << 10, 200 << 10}[rng.IntN(5)]
		put := frames.AppendRequest(nil, request(number, model.OpPut, "c", "", strings.Repeat("b", size)))
		switch rng.IntN(6) {
		case 0: // send half of a body
			_, _ = end.Write(put[:wire.RequestHeaderSize+rng.IntN(size)])
		case 1: // send a body that never ends
			sent := wire.RequestHeaderSize
			_, err := end.Write(put[:sent])
			for ; err == nil && sent < len(put) && !c.isOver(); sent++ {
				c.pause(29 * time.Second)
				_, err = end.Write(put[sent : sent+1])
			}
		case 2: // fill the window
			for i := range uint64(MaxInFlight + 10) {
				p := frames.AppendRequest(nil, request(number+i, model.OpPut, "c", fmt.Sprint(i%20), strings.Repeat("w", min(size, 2000))))
				if _, err := end.Write(p); err != nil {
					break
				}
			}
		case 3, 4: // take no answers
			var p []byte
			for i := range uint64(40) {
				p = frames.AppendRequest(p, request(number+i, model.OpGet, "c", fmt.Sprint("large", i%8), ""))
			}
			_, _ = end.Write(p)
		case 5: // or take single bytes with pauses
			_, err := end.Write(frames.AppendRequest(nil, request(number, model.OpGet, "c", "large0", "")))
			for p := make([]byte, 1); err == nil && !c.isOver(); _, err = end.Read(p) {
				c.pause(time.Second)
			}
		}
		c.pause(time.Duration(rng.IntN(90)) * time.Second)
		if rng.IntN(3) > 0 { // otherwise the client disconnects without a close
			c.hangUp(end)
		}
	}
}

// honest sends one request at a time, sometimes on a new connection.
func (c *crowd) honest(k byte, rng *rand.Rand) {
	who := principalOf(key(k))
	end := c.dial(who)
	for number := uint64(1); !c.isOver(); number++ {
		if rng.IntN(8) == 0 {
			c.hangUp(end)
			end = c.dial(who)
		}
		q := []*wire.Request{
			request(number, model.OpHead, "", "", ""),
			request(number, model.OpStatus, "", "", ""),
			request(number, model.OpGet, "c", "one", ""),
			request(number, model.OpGet, "c", "large1", ""),
			request(number, model.OpPut, "quiet", "mine", "small"),
			request(number, model.OpPut, "quiet", "mine", strings.Repeat("x", 100<<10)),
			{Op: model.OpCount, Number: number, Collection: "quiet", Index: "x", Query: []byte("x")},
		}[rng.IntN(7)]
		began := time.Now()
		code, err := ask(end, q)
		switch {
		case c.isOver():
		case err != nil:
			c.t.Errorf("operation %d of %d bytes is not answered after %v: %v", q.Op, len(q.Object), time.Since(began), err)
			return
		case code != model.OK && !(q.Op == model.OpCount && code == model.IndexUnavailable):
			c.t.Errorf("operation %d of %d bytes is answered with code %d after %v", q.Op, len(q.Object), code, time.Since(began))
			return
		}
		c.mu.Lock()
		c.asked++
		c.mu.Unlock()
		c.pause(time.Duration(rng.IntN(3000)) * time.Millisecond)
	}
}

// ask sends a request, and waits for its whole answer within the time limit.
func ask(end net.Conn, q *wire.Request) (model.Code, error) {
	_ = end.SetDeadline(time.Now().Add(crowdBound))
	if _, err := end.Write(frames.AppendRequest(nil, q)); err != nil {
		return 0, err
	}
	for header := make([]byte, wire.ReplyHeaderSize); ; {
		if _, err := io.ReadFull(end, header); err != nil {
			return 0, err
		}
		h, code := frames.DecodeReplyHeader(header)
		if code != model.OK || h.Number != q.Number {
			return h.Code, fmt.Errorf("the frame is not a valid answer: %d, %+v, %x", code, h, header)
		}
		if _, err := io.CopyN(io.Discard, end, int64(h.BodyLen)); err != nil {
			return 0, err
		}
		if h.Flags&wire.ReplyLast != 0 {
			return h.Code, nil
		}
	}
}
