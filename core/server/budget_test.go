package server

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"motte/client/frames"
	"motte/core/access"
	"motte/core/codec"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/wire"
)

// TestAnswersOfLittleContentGiveRoomBack: with long attributes, the Core reads more bytes for an
// answer than it sends. The budget for these bytes must be released early, not only after many
// bytes were sent.
func TestAnswersOfLittleContentGiveRoomBack(t *testing.T) {
	s := start(t, t.TempDir())
	admin := s.dial(key(1))
	row := frames.AppendRow(nil, &model.Row{Operations: frames.TaskSearch, MaxInput: 1, MaxResults: 1, Deadline: model.MaxDeadline, Memory: 1})
	attributes := codec.Writer(nil).Text("x", model.MaxIdentifier).U32(1<<20 - 36).Bytes(make([]byte, 1<<20-36))
	put := request(4, model.OpPut, "c", "one", "")
	put.Query = attributes
	for _, q := range []*wire.Request{
		request(1, model.OpCreateCollection, "c", "", ""),
		{Op: model.OpRegisterTask, Number: 2, Name: []byte("t"), Query: row},
		{Op: model.OpCreateIndex, Number: 3, Collection: "c", Index: "x", Type: model.TypeText, Options: model.OptionAttribute | model.OptionLazy, Name: []byte("t")},
		put,
	} {
		do(t, admin, model.OK, q)
	}
	s.add(admin)
	c := s.dial(key(5))
	const gets = 160 // counted as 2 MiB each: more than the budget
	var p []byte
	for i := range uint64(gets) {
		p = frames.AppendRequest(p, request(100+i, model.OpGet, "c", "one", ""))
	}
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	for range gets {
		reply(t, c)
	}
	s.stop()
}

// fill takes pieces of a budget for a principal until it gets no more. It returns the bytes that
// it got.
func fill(r *byteBudget, p access.Principal, piece int) (got int) {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for r.acquire(over, p, piece, func() {}, nil) {
		got += piece
	}
	return got
}

// TestNobodyUsesUpARoom: each principal leaves as many bytes as it takes.
func TestNobodyUsesUpARoom(t *testing.T) {
	r, left := newByteBudget(1<<20), 1<<20
	for i := range byte(8) {
		got := fill(r, access.Principal{i}, 1<<10)
		if left -= got; got < left || got > left+2<<10 {
			t.Fatalf("principal %d got %d bytes and leaves %d", i, got, left)
		}
	}
	r.release(access.Principal{0}, 1<<19)
	if got := fill(r, access.Principal{0}, 1<<10); got >= 1<<19 || got < 1<<18 {
		t.Errorf("a principal that released all bytes gets %d bytes again, while others hold some", got)
	}
}

// TestRoomGoesToWhoHoldsLeast: of the waiting principals, the one with the fewest bytes is
// served first, and none overtakes. A waiter that gives up does not block others.
func TestRoomGoesToWhoHoldsLeast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newByteBudget(1000)
		rich, poor, other := access.Principal{1}, access.Principal{2}, access.Principal{3}
		ctx, cancel := context.WithCancel(t.Context())
		order := make(chan string, 10)
		wait := func(name string, p access.Principal, n int, ctx context.Context) {
			go func() {
				if !r.acquire(ctx, p, n, func() {}, nil) {
					name += " gives up"
				}
				order <- name
			}()
			synctest.Wait()
		}
		for range 5 {
			wait("", rich, 100, ctx)
			<-order
		}
		wait("rich", rich, 100, ctx)
		wait("vanished", poor, 900, ctx)
		wait("poor", poor, 350, t.Context())
		wait("other", other, 100, t.Context())
		if r.free != 500 || len(r.waiting) != 4 || len(order) > 0 {
			t.Fatalf("%d bytes are free, %d wait", r.free, len(r.waiting))
		}
		cancel()
		synctest.Wait()
		var got []string
		for len(order) > 0 {
			got = append(got, <-order)
		}
		slices.Sort(got)
		if want := []string{"other", "poor", "rich gives up", "vanished gives up"}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		began := time.Now()
		if wait("late", rich, 600, t.Context()); <-order != "late gives up" || time.Since(began) != budgetTimeout {
			t.Errorf("a request waits %v for bytes that are never released, want %v", time.Since(began), budgetTimeout)
		}
		if len(r.waiting) != 0 {
			t.Errorf("%d requests still wait; want 0", len(r.waiting))
		}
	})
}

// TestFullRoomsKeepNobodyFromAsking: a client with no request in flight gets an answer even if
// the budgets are full. Its second request waits, and is finally refused.
func TestFullRoomsKeepNobodyFromAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		for _, full := range []*byteBudget{r.largeBudget, r.smallBudget, r.server.answerBudget} {
			full.free = 0
		}
		end, ended := r.join(5)
		for i, q := range []*wire.Request{
			request(0, model.OpHead, "", "", ""), request(0, model.OpStatus, "", "", ""), request(0, model.OpGet, "c", "one", ""),
			request(0, model.OpList, "c", "", ""), request(0, model.OpPut, "c", "mine", "small"),
		} {
			q.Number = uint64(1 + i)
			if code, err := ask(end, q); code != model.OK || err != nil {
				t.Errorf("operation %d: code %d, %v", q.Op, code, err)
			}
		}
		// Of two requests that arrive together, the second waits until the first is answered.
		q := frames.AppendRequest(nil, request(6, model.OpPut, "c", "mine", "small"))
		go end.Write(frames.AppendRequest(q, request(7, model.OpGet, "c", "one", "")))
		for range 2 {
			if h, _ := reply(t, end); h.Code != model.OK {
				t.Errorf("request %d: code %d", h.Number, h.Code)
			}
		}
		_ = end.SetDeadline(time.Time{})
		began := time.Now()
		go end.Write(frames.AppendRequest(nil, request(9, model.OpPut, "c", "mine", string(make([]byte, 100<<10)))))
		h, _ := reply(t, end)
		if h.Number != 9 || h.Code != model.Overloaded || time.Since(began) != budgetTimeout {
			t.Errorf("a request without budget gets code %d after %v", h.Code, time.Since(began))
		}
		<-ended
	})
}

// TestWhoLosesItsConnectionWaitsForNoRoom: neither its reader nor its writer waits for a budget.
func TestWhoLosesItsConnectionWaitsForNoRoom(t *testing.T) {
	for name, q := range map[string]*wire.Request{
		"reader": request(1, model.OpPut, "c", "mine", string(make([]byte, 100<<10))),
		"writer": request(1, model.OpGet, "c", "large", ""),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := filledRig(t)
				defer r.close()
				r.must(model.OK, request(0, model.OpPut, "c", "large", string(make([]byte, 100<<10))))
				r.largeBudget.free, r.server.answerBudget.free = 0, 0
				end, ended := r.join(5)
				go end.Write(frames.AppendRequest(nil, q))
				synctest.Wait()
				if len(r.largeBudget.waiting)+len(r.server.answerBudget.waiting) != 1 {
					t.Fatal("no goroutine waits for the budget, so the test checks nothing")
				}
				began := time.Now()
				p := identity.ID(principalOf(key(5)))
				r.must(model.OK, &wire.Request{Op: model.OpRevoke, Collection: "c", Identity: p, Rights: model.RightRead})
				<-ended
				end.Close()
				if time.Since(began) > time.Second || len(r.largeBudget.waiting)+len(r.server.answerBudget.waiting) != 0 {
					t.Errorf("the lost connection ends after %v; want immediately", time.Since(began))
				}
			})
		})
	}
}
