package client

import (
	"context"
	"crypto/ed25519"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"motte/core/model"
	"motte/core/wire"
)

// history is a Core that only has a log. Each answer, except to HEAD, comes after another
// record.
type history struct {
	mu    sync.Mutex
	heads []Head // heads[n] has the LSN n+1
	ops   []model.Operation
	conns []conn
}

// grow adds records, in a segment that no other fork has.
func (h *history) grow(segment byte, records int) *history {
	for range records {
		n := len(h.heads) + 1
		h.heads = append(h.heads, Head{LSN: uint64(n), Segment: [16]byte{segment}, Chain: [16]byte{segment, byte(n)}})
	}
	return h
}

// change edits the log while no client is connected. All connections end, as when a server is
// stopped and started again.
func (h *history) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		c.Close()
	}
	h.conns = nil
	f()
}

func (h *history) last() (head Head) {
	if n := len(h.heads); n > 0 {
		head = h.heads[n-1]
	}
	return head
}

func (h *history) serve(c conn) {
	h.mu.Lock()
	h.conns = append(h.conns, c)
	h.mu.Unlock()
	for r, ok := c.request(); ok; r, ok = c.request() {
		reply := wire.ReplyHeader{Kind: wire.KindEnd, Flags: wire.ReplyLast, Number: r.Number}
		h.mu.Lock()
		h.ops = append(h.ops, r.Op)
		if asked, err := model.DecodeHead(r.Query); err == nil && !slices.Contains(h.heads, asked) {
			reply.Code = model.HistoryDiffers
		}
		if r.Op != model.OpHead {
			h.grow(h.last().Segment[0], 1)
		}
		reply.Head = h.last()
		h.mu.Unlock()
		if !c.send(reply, nil) {
			return
		}
	}
}

// write makes an acknowledged change. Only its head matters.
func write(t *testing.T, c *Client) error {
	t.Helper()
	return c.CreateCollection(t.Context(), "c")
}

// until repeats a call while it fails because its connection was lost.
func until(t *testing.T, call func() error) error {
	t.Helper()
	for {
		if err := call(); !errors.Is(err, ErrConnectionLost) {
			return err
		}
	}
}

func TestRolledBackStoreIsRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		found func(h *history) // changes the log to the one served instead
		says  string
	}{
		{"rolled back", func(h *history) { h.heads = h.heads[:5] }, "was rolled back"},
		{"rolled back to an empty log", func(h *history) { h.heads = nil }, "was rolled back"},
		{"a shorter fork", func(h *history) { h.heads = h.heads[:5]; h.grow(2, 3) }, "was rolled back, or is a fork"},
		{"a fork of the same length", func(h *history) { h.heads = h.heads[:5]; h.grow(2, 6) }, "is a fork"},
		{"a longer fork", func(h *history) { h.heads = h.heads[:5]; h.grow(2, 20) }, "is a fork"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := (&history{}).grow(1, 10)
			client := connect(t, fake(t, h.serve))
			if err := write(t, client); err != nil {
				t.Fatal(err)
			}
			good := slices.Clone(h.heads)
			h.change(func() { c.found(h); h.ops = nil })
			found := h.last()
			for name, call := range map[string]func() error{
				"a write": func() error { return write(t, client) },
				"a read":  func() error { _, err := client.Get(t.Context(), "c", "n"); return err },
				"a stream": func() (err error) {
					for _, err = range client.List(t.Context(), "c") {
					}
					return err
				},
			} {
				err := until(t, call)
				var back *RolledBackError
				if !errors.As(err, &back) || back.Remembered != good[10] || back.Found != found || !errors.Is(err, ErrHistoryDiffers) {
					t.Errorf("%s: %v; want it refused", name, err)
				} else if !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "motte head accept") {
					t.Errorf("the error is %q; want that it names the rollback or fork, and the command to accept it", err)
				}
			}
			if slices.ContainsFunc(h.ops, func(o model.Operation) bool { return o != model.OpHead }) {
				t.Errorf("operations %v were sent to a store with another history; want only HEAD", h.ops)
			}
			if client.Head() != good[10] {
				t.Errorf("the client now remembers the head %+v; want the older one kept", client.Head())
			}
			h.change(func() { h.heads = good; h.grow(3, 1) }) // each start opens a new segment
			if err := until(t, func() error { return write(t, client) }); err != nil {
				t.Errorf("the right store is back, but a write returns %v", err)
			}
		})
	}
}

// TestOtherHeadWithTheSameNumberEndsTheConnection: a record is in one segment, and has one chain
// value.
func TestOtherHeadWithTheSameNumberEndsTheConnection(t *testing.T) {
	head := Head{LSN: 7, Segment: [16]byte{1}, Chain: [16]byte{1}}
	for _, other := range []struct {
		name   string
		change func(*Head)
		parted bool
	}{
		{"segment", func(h *Head) { h.Segment[15]++ }, true},
		{"segment and chain", func(h *Head) { h.Segment[0]++; h.Chain[15]++ }, true},
		{"chain", func(h *Head) { h.Chain[15]++ }, true},
	} {
		c := connect(t, fake(t, func(c conn) {
			for n := 0; ; n++ {
				r, ok := c.request()
				if !ok {
					return
				}
				h := head
				if n == 1 {
					other.change(&h)
				}
				c.send(wire.ReplyHeader{Kind: wire.KindEnd, Flags: wire.ReplyLast, Number: r.Number, Head: h}, nil)
			}
		}))
		l := c.link
		var back *RolledBackError
		err := write(t, c)
		if is := errors.As(err, &back) && back.Remembered == head; is != other.parted || !is && err != nil {
			t.Errorf("a head with the same LSN and another %s: a call returns %v", other.name, err)
		}
		if l.over() != other.parted {
			t.Errorf("a head with the same LSN and another %s: the connection has ended: %v", other.name, l.over())
		}
	}
}

// TestAnswersMayOvertakeOneAnother: the client ignores an older head in an answer, and accepts
// an answer without a head.
func TestAnswersMayOvertakeOneAnother(t *testing.T) {
	heads := []Head{{LSN: 5}, {LSN: 7}, {LSN: 6}, {}, {LSN: 7}}
	c := connect(t, fake(t, func(c conn) {
		for _, h := range heads {
			r, _ := c.request()
			c.send(wire.ReplyHeader{Kind: wire.KindEnd, Flags: wire.ReplyLast, Number: r.Number, Head: h}, nil)
		}
		c.request()
	}))
	for range heads[1:] {
		if err := write(t, c); err != nil {
			t.Fatal(err)
		}
	}
	if c.Head().LSN != 7 {
		t.Errorf("the client remembers head %d; want the newest", c.Head().LSN)
	}
}

// TestRolledBackStoreIsRefusedByTheNextClient: the remembered head survives the process.
func TestRolledBackStoreIsRefusedByTheNextClient(t *testing.T) {
	h := (&history{}).grow(1, 3)
	p, path := fake(t, h.serve), filepath.Join(t.TempDir(), "p.profile")
	if err := p.Write(path); err != nil {
		t.Fatal(err)
	}
	use := func() error {
		p, err := ReadProfile(path)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Dial(t.Context(), p)
		if err != nil {
			return err
		}
		return errors.Join(write(t, c), c.Close())
	}
	for range 2 {
		if err := use(); err != nil {
			t.Fatal(err)
		}
	}
	kept := h.last()
	if got, err := HeadFileOf(path).LoadHead(p.CoreKey); err != nil || got != kept || kept.LSN != 5 {
		t.Errorf("kept: %+v, %v; want %+v", got, err, kept)
	}
	h.change(func() { h.heads = h.heads[:4] })
	var back *RolledBackError
	if err := use(); !errors.As(err, &back) || back.Remembered != kept || back.Found.LSN != 4 {
		t.Fatalf("the next client gets %v from the rolled back store; want ErrHistoryDiffers", err)
	}
	if err := HeadFileOf(path).Replace(p.CoreKey, back.Found); err != nil {
		t.Fatal(err)
	}
	if err := use(); err != nil {
		t.Errorf("after the rollback was accepted a client gets %v; want no error", err)
	}
}

// TestAcceptedLossIsAcceptedByClientsThatRun, since they also read the file.
func TestAcceptedLossIsAcceptedByClientsThatRun(t *testing.T) {
	h := (&history{}).grow(1, 10)
	p := fake(t, h.serve)
	file := HeadFile(filepath.Join(t.TempDir(), "head"))
	p.Heads = file
	c := connect(t, p)
	if err := write(t, c); err != nil {
		t.Fatal(err)
	}
	h.change(func() { h.heads = h.heads[:5]; h.grow(2, 1) })
	if err := until(t, func() error { return write(t, c) }); !errors.Is(err, ErrHistoryDiffers) {
		t.Fatalf("a write to the rolled back store returns %v; want it refused", err)
	}
	if err := file.Replace(p.CoreKey, h.last()); err != nil {
		t.Fatal(err)
	}
	if err := until(t, func() error { return write(t, c) }); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if kept, err := file.LoadHead(p.CoreKey); err != nil || kept != h.last() {
		t.Errorf("kept: %+v, %v; want %+v", kept, err, h.last())
	}
}

// TestHeadThatCannotBeKeptIsRemembered: the client works, remembers the head while it runs, and
// reports the error.
func TestHeadThatCannotBeKeptIsRemembered(t *testing.T) {
	h := (&history{}).grow(1, 10)
	p := fake(t, h.serve)
	p.Heads = HeadFile(filepath.Join(t.TempDir(), "no", "such", "directory"))
	c, err := Dial(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(t, c); err != nil {
		t.Error(err)
	}
	if err := c.SaveHead(); err == nil || !strings.Contains(err.Error(), "keep the head of the log") {
		t.Errorf("kept: %v", err)
	}
	h.change(func() { h.heads = h.heads[:5] })
	if err := until(t, func() error { return write(t, c) }); !errors.Is(err, ErrHistoryDiffers) {
		t.Errorf("a write to the rolled back store returns %v; want it refused", err)
	}
	if err := c.Close(); err == nil {
		t.Error("Close returns no error, though the head could not be saved")
	}
}

// TestDamagedHeadFileIsNoHead: a damaged file is an error, since it may have held the newest
// head.
func TestDamagedHeadFileIsNoHead(t *testing.T) {
	h := (&history{}).grow(1, 10)
	p := fake(t, h.serve)
	path := filepath.Join(t.TempDir(), "head")
	writeFile(t, path, "motte-head-v1 12\n")
	p.Heads = HeadFile(path)
	if c, err := Dial(t.Context(), p); !errors.Is(err, ErrHeadFile) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v, %v; want an error that names the file", c, err)
	}
	if got := readFile(t, path); got != "motte-head-v1 12\n" {
		t.Errorf("the file was changed to %q", got)
	}
}

// kept is a HeadStore in memory. It can be made to fail.
type kept struct {
	Head
	err error
}

func (k *kept) LoadHead(ed25519.PublicKey) (Head, error) { return k.Head, nil }

func (k *kept) StoreHead(_ ed25519.PublicKey, h Head) error {
	switch {
	case k.err != nil:
		return k.err
	case parted(h, k.Head):
		return &RolledBackError{k.Head, h}
	case h.LSN > k.LSN:
		k.Head = h
	}
	return nil
}

// TestRecall: a client asks for the newest head that any client saw, except that an older head
// in the HeadStore has been accepted and counts.
func TestRecall(t *testing.T) {
	at := func(n uint64) Head { return Head{LSN: n} }
	broken := errors.New("broken")
	other := Head{LSN: 7, Segment: [16]byte{1}}
	for _, c := range []struct {
		name              string
		head, saved, kept Head
		fails             error
		want              Head
		err               error
	}{
		{"nothing known", at(0), at(0), at(0), nil, at(0), nil},
		{"from an earlier process", at(0), at(0), at(7), nil, at(7), nil},
		{"not saved yet", at(9), at(7), at(7), nil, at(9), nil},
		{"another process saw more", at(9), at(7), at(12), nil, at(12), nil},
		{"accepted", at(9), at(9), at(5), nil, at(5), nil},
		{"removed", at(9), at(9), at(0), nil, at(9), nil},
		{"can't be saved", at(9), at(7), at(7), broken, at(9), nil},
		{"can't be saved, another saw more", at(9), at(7), at(12), broken, at(12), nil},
		{"another process saw a fork", at(7), at(5), other, nil, at(0), ErrHistoryDiffers},
		{"an accepted fork", at(7), at(7), other, nil, other, nil},
	} {
		m := headTracker{store: &kept{c.kept, c.fails}, head: c.head, saved: c.saved}
		if got, err := m.load(); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: %+v, %v; want %+v, %v", c.name, got, err, c.want, c.err)
		}
	}
}

// TestHeadIsKeptMeanwhile: the client saves the head while it runs, so a killed process loses
// little.
func TestHeadIsKeptMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &kept{}
		m := headTracker{store: store}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { m.saveOften(ctx) })
		for n := range uint64(3) {
			if err := m.seen(Head{LSN: n + 1}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(keepEvery) // of the test's own clock
			synctest.Wait()
			if store.LSN != n+1 {
				t.Errorf("kept: %d, want %d", store.LSN, n+1)
			}
		}
		cancel()
		all.Wait()
	})
}
