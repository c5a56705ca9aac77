package core

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"motte/client/frames"
	"motte/core/access"
	"motte/core/frame"
	"motte/core/wire"
)

// TestAnswersOfLittleContentGiveRoomBack: what is read for an answer is more than
// what is sent of it when attributes are long; room for it must not be held until
// much is sent.
func TestAnswersOfLittleContentGiveRoomBack(t *testing.T) {
	s := start(t, t.TempDir())
	admin := s.dial(key(1))
	row := frames.AppendRow(nil, &wire.Row{Operations: frames.TaskSearch, MaxInput: 1, MaxResults: 1, Deadline: wire.MaxDeadline, Memory: 1})
	attributes := frame.Writer(nil).Text("x", wire.MaxIdentifier).U32(1<<20 - 36).Bytes(make([]byte, 1<<20-36))
	put := request(4, wire.OpPut, "c", "one", "")
	put.Query = attributes
	for _, q := range []*wire.Request{
		request(1, wire.OpCreateCollection, "c", "", ""),
		{Op: wire.OpRegisterTask, Number: 2, Name: []byte("t"), Query: row},
		{Op: wire.OpCreateIndex, Number: 3, Collection: "c", Index: "x", Type: wire.TypeText, Flags: wire.FlagAttribute | wire.FlagLazy, Name: []byte("t")},
		put,
	} {
		do(t, admin, wire.OK, q)
	}
	s.add(admin)
	c := s.dial(key(5))
	const gets = 160 // of 2 MiB each, as room is counted: more than there is
	var p []byte
	for i := range uint64(gets) {
		p = frames.AppendRequest(p, request(100+i, wire.OpGet, "c", "one", ""))
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

// fill takes pieces of a room for a principal until it gets no more, and returns the
// bytes that it got.
func fill(r *room, p access.Principal, piece int) (got int) {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for r.acquire(over, p, piece, func() {}) {
		got += piece
	}
	return got
}

// TestNobodyUsesUpARoom: each principal leaves as much as it takes.
func TestNobodyUsesUpARoom(t *testing.T) {
	r, left := newRoom(1<<20), 1<<20
	for i := range byte(8) {
		got := fill(r, access.Principal{i}, 1<<10)
		if left -= got; got < left || got > left+2<<10 {
			t.Fatalf("principal %d got %d bytes and leaves %d", i, got, left)
		}
	}
	r.release(access.Principal{0}, 1<<19)
	if got := fill(r, access.Principal{0}, 1<<10); got >= 1<<19 || got < 1<<18 {
		t.Errorf("who gave all back gets %d bytes again, beside others who hold some", got)
	}
}

// TestRoomGoesToWhoHoldsLeast, of those who wait, and nobody overtakes; who gives up
// holds up nobody.
func TestRoomGoesToWhoHoldsLeast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(1000)
		rich, poor, other := access.Principal{1}, access.Principal{2}, access.Principal{3}
		ctx, cancel := context.WithCancel(t.Context())
		order := make(chan string, 10)
		wait := func(name string, p access.Principal, n int, ctx context.Context) {
			go func() {
				if !r.acquire(ctx, p, n, func() {}) {
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
		if wait("late", rich, 600, t.Context()); <-order != "late gives up" || time.Since(began) != roomTime {
			t.Errorf("who waits for what nobody gives back waits for %v, want %v", time.Since(began), roomTime)
		}
		if len(r.waiting) != 0 {
			t.Errorf("%d wait still", len(r.waiting))
		}
	})
}
