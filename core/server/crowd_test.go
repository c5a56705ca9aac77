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
	"motte/internal/testutil"
)

var crowdSeeds = flag.Uint64("crowd.seeds", 3, "how many crowds of hostile clients to run")

const (
	crowdTime  = 8 * time.Minute // that a crowd lasts
	crowdBound = time.Minute     // within which an honest client is answered
	crowdRoom  = 1 << 20         // bytes of each room: so few connections fill it
)

// crowd is a Core, but for TLS, with clients that do all that a client can do to hold up
// others, in simulated time: they leave bodies unfinished, take no answers, fill their
// windows, send a byte now and then, and vanish, with and without a word. The Tasks lag,
// the disk is slow, and principals lose their rights. The clients' choices follow from
// a seed.
type crowd struct {
	*rig
	rng     *rand.Rand
	over    chan struct{} // closed when the clients are to end
	clients sync.WaitGroup
	serving atomic.Int64 // connections that the Core has
	mu      sync.Mutex
	open    map[net.Conn]bool // the clients' ends
	asked   int               // by honest clients
}

// TestACrowdHoldsUpNobody: whatever others do, an honest client's HEAD, STATUS, GET, PUT
// and COUNT are answered in time. When the others are gone nothing of them is left.
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
	time.Sleep(10 * crowdBound) // all that the engine has is answered: the Tasks have a deadline
	if n := c.serving.Load(); n > 0 {
		t.Errorf("the clients of %d connections are gone, and the connections are not", n)
		r.runOnEngine(func(*engine.Engine) {
			for _, k := range r.server.conns {
				k.end()
			}
		})
	}
	for name, room := range map[string]*byteBudget{"bodies": r.largeBudget, "small": r.smallBudget, "answers": r.server.answerBudget} {
		if room.free != crowdRoom || len(room.taken) > 0 || len(room.waiting) > 0 {
			t.Errorf("nobody is there, and %d bytes of room for %s are free; %d wait", room.free, name, len(room.waiting))
		}
	}
	r.runOnEngine(func(*engine.Engine) {
		for _, k := range r.tasks {
			k.close()
		}
		if len(r.server.conns) != 1 { // the rig's own
			t.Errorf("%d connections are counted still", len(r.server.conns)-1)
		}
	})
	r.cancel()
	r.server.producers.Wait()
	t.Logf("%d requests of honest clients were answered", c.asked)
}

// setUp makes two collections with an index each, and the principals.
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

// revoke takes a hostile principal's rights, or all of it, and gives it back.
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

// taskPipe is a Task's channel in memory. It has no end of its own for reading.
type taskPipe struct{ net.Conn }

func (p taskPipe) CloseRead() error { return p.Close() }

// work is a Task that takes its time for each frame.
func work(end net.Conn) {
	defer end.Close()
	k, header := &simTask{held: make(map[identity.Value]simHeld)}, make([]byte, taskwire.HeaderSize)
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
		defer core.Close() // as accept does
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

// pause waits, at most until the crowd is over.
func (c *crowd) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-c.over:
	}
}

// hostile connects again and again, and each time does something else.
func (c *crowd) hostile(k byte, rng *rand.Rand) {
	for number := uint64(1); !c.isOver(); number += 1000 {
		end := c.dial(principalOf(key(k)))
		_ = end.SetDeadline(time.Now().Add(time.Duration(1+rng.IntN(300)) * time.Second))
		size := []int{100, 2000, 50 << 10, 100 << 10, 200 << 10}[rng.IntN(5)]
		put := frames.AppendRequest(nil, request(number, model.OpPut, "c", "", strings.Repeat("b", size)))
		switch rng.IntN(6) {
		case 0: // half a body
			_, _ = end.Write(put[:wire.RequestHeaderSize+rng.IntN(size)])
		case 1: // a body that takes for ever
			sent := wire.RequestHeaderSize
			_, err := end.Write(put[:sent])
			for ; err == nil && sent < len(put) && !c.isOver(); sent++ {
				c.pause(29 * time.Second)
				_, err = end.Write(put[sent : sent+1])
			}
		case 2: // a full window
			for i := range uint64(MaxInFlight + 10) {
				p := frames.AppendRequest(nil, request(number+i, model.OpPut, "c", fmt.Sprint(i%20), strings.Repeat("w", min(size, 2000))))
				if _, err := end.Write(p); err != nil {
					break
				}
			}
		case 3, 4: // answers that nobody takes
			var p []byte
			for i := range uint64(40) {
				p = frames.AppendRequest(p, request(number+i, model.OpGet, "c", fmt.Sprint("large", i%8), ""))
			}
			_, _ = end.Write(p)
		case 5: // or only a byte now and then
			_, err := end.Write(frames.AppendRequest(nil, request(number, model.OpGet, "c", "large0", "")))
			for p := make([]byte, 1); err == nil && !c.isOver(); _, err = end.Read(p) {
				c.pause(time.Second)
			}
		}
		c.pause(time.Duration(rng.IntN(90)) * time.Second)
		if rng.IntN(3) > 0 { // else it goes without a word
			c.hangUp(end)
		}
	}
}

// honest asks one thing after another, sometimes on a connection of its own.
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

// ask sends a request and waits for its whole answer, as long as the bound says.
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
			return h.Code, fmt.Errorf("this is no answer: %d, %+v, %x", code, h, header)
		}
		if _, err := io.CopyN(io.Discard, end, int64(h.BodyLen)); err != nil {
			return 0, err
		}
		if h.Flags&wire.ReplyLast != 0 {
			return h.Code, nil
		}
	}
}
