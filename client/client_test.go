package client

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"motte/core/hostwire"
	"motte/core/model"
	"motte/core/server"
	"motte/core/wire"
	"motte/host/hostframes"
	"motte/internal/testutil"
)

// serve runs a Core in this process, without a host, so no index ever serves. It returns the
// administrator's profile.
func serve(t *testing.T) *Profile {
	t.Helper()
	return serveAt(t, t.TempDir(), "127.0.0.1:0", make(chan func(), 1))
}

// serveAt does the same in a given directory, on a given address. It sends a function that stops
// the Core to the channel stop.
func serveAt(t *testing.T, dir, address string, stop chan func()) *Profile {
	t.Helper()
	p := &Profile{Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	ends := testutil.Control(t)
	ended := make(chan error, 1)
	go func() {
		ended <- server.Run(server.Config{Dir: dir, RootKey: filepath.Join(dir, "root.key"), Listen: address, Admin: p.Principal(), Control: ends[1]})
	}()
	end := sync.OnceFunc(func() {
		ends[0].Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	stop <- end
	buf := make([]byte, hostwire.MaxMessage)
	for p.Address == "" { // on a slow machine, counters come before the address
		n, err := ends[0].Read(buf)
		if err != nil {
			t.Fatalf("%v, %v", err, <-ended)
		}
		message, err := hostframes.Decode(buf[:n])
		if err != nil {
			t.Fatal(err)
		}
		if ready, is := message.(hostwire.Ready); is {
			p.Address, p.CoreKey = ready.Address, ready.Key[:]
		}
	}
	go func() { // a host that ignores all messages
		for {
			if _, err := ends[0].Read(buf); err != nil {
				return
			}
		}
	}()
	return p
}

func connect(t *testing.T, p *Profile) *Client {
	t.Helper()
	c, err := Dial(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestObjectsComeBack(t *testing.T) {
	c, ctx := connect(t, serve(t)), t.Context()
	if err := c.CreateCollection(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	put, err := c.Put(ctx, "c", []byte("first"), Name("n"))
	if err != nil {
		t.Fatal(err)
	}
	o, err := c.Get(ctx, "c", "n")
	if err != nil || string(o.Data) != "first" || o.Name != "n" || o.Identity != put.Identity {
		t.Fatalf("%+v, %v", o, err)
	}
	if _, err := c.Put(ctx, "c", []byte("second"), Name("n"), IfAbsent()); !errors.Is(err, ErrPreconditionFailed) {
		t.Fatalf("a PUT with IfAbsent of an existing name returns %v; want ErrPreconditionFailed", err)
	}
	second, err := c.Put(ctx, "c", []byte("second"), Name("n"), IfIdentity(put.Identity))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteIf(ctx, "c", "n", put.Identity); !errors.Is(err, ErrPreconditionFailed) {
		t.Fatalf("a DeleteIf of a replaced identity returns %v; want ErrPreconditionFailed", err)
	}
	if _, err := c.GetIdentity(ctx, "c", put.Identity); !errors.Is(err, ErrNotFound) {
		t.Fatalf("a GET of a replaced identity returns %v; want ErrNotFound", err)
	}
	if err := c.DeleteIdentity(ctx, "c", second.Identity); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(ctx, "c", "n"); !errors.Is(err, ErrNotFound) || errors.Is(err, ErrDenied) {
		t.Fatalf("a GET of a deleted object returns %v; want ErrNotFound", err)
	}
	if head := c.Head(); head.LSN < 5 {
		t.Fatalf("the head is at %d; want more, after several writes", head.LSN)
	}
}

func TestBatchAndList(t *testing.T) {
	c, ctx := connect(t, serve(t)), t.Context()
	if err := c.CreateCollection(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for i := range 3 {
		var b Batch
		for j := range 900 {
			name, data := fmt.Sprint(i, "-", j), strings.Repeat("x", j)
			b.Put([]byte(data), Name(name))
			want[name] = data
		}
		if results, err := c.PutBatch(ctx, "c", &b); err != nil || len(results) != b.Len() {
			t.Fatalf("a batch returns %d results, %v; want one for each operation", len(results), err)
		}
	}
	for o, err := range c.List(ctx, "c") {
		if err != nil || want[o.Name] != string(o.Data) {
			t.Fatalf("%q: %v", o.Name, err)
		}
		// A call in the middle of a stream must not wait for the stream.
		if len(want)%500 == 0 {
			if _, err := c.Get(ctx, "c", o.Name); err != nil {
				t.Fatal(err)
			}
		}
		delete(want, o.Name)
	}
	if len(want) != 0 {
		t.Fatalf("the list lacks %d objects", len(want))
	}
	for range c.List(ctx, "c") {
		break // a caller may leave a stream early
	}
	if _, err := c.Get(ctx, "c", "0-1"); err != nil {
		t.Fatal(err)
	}
}

// TestWritesTellWhatTheyReplaced for single writes, and for each operation of a batch.
func TestWritesTellWhatTheyReplaced(t *testing.T) {
	c, ctx := connect(t, serve(t)), t.Context()
	if err := c.CreateCollection(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true} {
		if r, err := c.Put(ctx, "c", []byte("1"), Name("a")); err != nil || r.Replaced != want {
			t.Errorf("PUT %d: replaced %v, %v", i, r.Replaced, err)
		}
	}
	var b Batch
	b.Put([]byte("2"), Name("new"))
	b.Put([]byte("2"), Name("a"))
	b.Put([]byte("2"))
	b.Delete("a")
	b.Put([]byte("2"), Name("a"))
	b.Put([]byte("3"), Name("new"))
	results, err := c.PutBatch(ctx, "c", &b)
	if err != nil || len(results) != b.Len() {
		t.Fatalf("a batch returns %d results, %v; want one for each operation", len(results), err)
	}
	for i, want := range []bool{false, true, false, false, false, true} {
		if results[i].Replaced != want || results[i].NotIndexed {
			t.Errorf("operation %d: %+v; replaced should be %v", i, results[i], want)
		}
	}
}

// TestABatchTellsWhichOperationsAreNotIndexed also checks that a contradictory reply is refused.
func TestABatchTellsWhichOperationsAreNotIndexed(t *testing.T) {
	const notIndexed = wire.ReplyNotIndexed
	for _, tc := range []struct {
		flags wire.ReplyFlags
		marks []byte
		want  []bool
	}{
		{0, nil, []bool{false, false}},
		{notIndexed, []byte{0, byte(notIndexed)}, []bool{false, true}},
		{notIndexed, []byte{0, 0}, nil},
		{notIndexed, nil, nil},
		{0, []byte{0, byte(notIndexed)}, nil},
		{notIndexed, []byte{0, byte(notIndexed) | 64}, nil},
	} {
		c := connect(t, fake(t, func(s conn) {
			for r, ok := s.request(); ok; r, ok = s.request() {
				h := wire.ReplyHeader{Kind: wire.KindEnd, Flags: wire.ReplyLast, Number: r.Number}
				if r.Op != model.OpBatch {
					s.send(h, nil)
					continue
				}
				h.Count, h.Flags = 2, h.Flags|tc.flags
				s.send(h, append(make([]byte, 2*len(Identity{})), tc.marks...))
			}
		}))
		var b Batch
		b.Put([]byte("1"))
		b.Put([]byte("2"))
		results, err := c.PutBatch(t.Context(), "c", &b)
		if (err != nil) != (tc.want == nil) {
			t.Errorf("flags %d, marks %v: %v", tc.flags, tc.marks, err)
		}
		for i, want := range tc.want {
			if len(results) != len(tc.want) || results[i].NotIndexed != want {
				t.Errorf("flags %d, marks %v: %+v", tc.flags, tc.marks, results)
			}
		}
	}
}

func TestManyGoroutinesShareAClient(t *testing.T) {
	c, ctx := connect(t, serve(t)), t.Context()
	if err := c.CreateCollection(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for g := range 300 {
		all.Go(func() {
			name, data := fmt.Sprint("n", g), bytes.Repeat([]byte{byte(g)}, g*300)
			if _, err := c.Put(ctx, "c", data, Name(name)); err != nil {
				t.Error(err)
			}
			if o, err := c.Get(ctx, "c", name); err != nil || !bytes.Equal(o.Data, data) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	all.Wait()
}

func TestAnotherCoreIsRefused(t *testing.T) {
	p := *serve(t)
	p.CoreKey = bytes.Repeat([]byte{1}, 32)
	if _, err := Dial(t.Context(), &p); !errors.Is(err, ErrWrongCore) {
		t.Fatalf("%v", err)
	}
}

func TestStrangerIsTold(t *testing.T) {
	p := *serve(t)
	p.Key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	if _, err := Dial(t.Context(), &p); !errors.Is(err, ErrUnknownPrincipal) {
		t.Fatalf("%v", err)
	}
}

func TestContextEndsACall(t *testing.T) {
	c := connect(t, serve(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Get(ctx, "c", "n"); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	if _, err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if _, err := c.Ping(t.Context()); !errors.Is(err, ErrClosed) {
		t.Fatalf("%v", err)
	}
}

// TestReconnects checks that a client finds a restarted Core again.
func TestReconnects(t *testing.T) {
	dir, stop := t.TempDir(), make(chan func(), 2)
	p := serveAt(t, dir, "127.0.0.1:0", stop)
	c, ctx := connect(t, p), t.Context()
	if err := c.CreateCollection(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Put(ctx, "c", []byte("data"), Name("n")); err != nil {
		t.Fatal(err)
	}
	(<-stop)()
	if _, err := c.Get(ctx, "c", "n"); err == nil {
		t.Fatal("a call without an answer succeeded; want an error")
	}
	serveAt(t, dir, p.Address, stop)
	deadline := time.Now().Add(10 * time.Second)
	for {
		o, err := c.Get(ctx, "c", "n")
		if err == nil && string(o.Data) == "data" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestStatusShowsWhatConcernsThePrincipal(t *testing.T) {
	c, ctx := connect(t, serve(t)), t.Context()
	if err := c.CreateCollection(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	alice := [32]byte{1}
	if err := c.AddPrincipal(ctx, alice, "alice"); err != nil {
		t.Fatal(err)
	}
	if err := c.Grant(ctx, "c", alice, model.RightRead|model.RightWrite); err != nil {
		t.Fatal(err)
	}
	s, err := c.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	granted := wire.GrantStatus{Collection: "c", Principal: alice, Rights: model.RightRead | model.RightWrite}
	if !slices.Contains(s.Grants, granted) || !slices.Contains(s.Principals, wire.PrincipalStatus{Principal: alice, Label: "alice"}) ||
		s.Server == nil || s.Server.Flags&model.ServerKeyInStore == 0 {
		t.Fatalf("%+v", s)
	}
	if alerts, err := c.Alerts(ctx); err != nil || len(alerts) != 0 {
		t.Fatalf("%v, %v", alerts, err)
	}
}

func TestProfileFile(t *testing.T) {
	p := &Profile{Address: "127.0.0.1:1", CoreKey: bytes.Repeat([]byte{2}, 32), Key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))}
	path := filepath.Join(t.TempDir(), "p.profile")
	if err := p.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := ReadProfile(path)
	if err != nil || got.Address != p.Address || !got.CoreKey.Equal(p.CoreKey) || !got.Key.Equal(p.Key) {
		t.Fatalf("%+v, %v", got, err)
	}
	if err := p.Write(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("overwritten: %v", err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadProfile(path); err == nil {
		t.Error("a profile that other users can read was accepted; want an error")
	}
	good := string(p.Marshal())
	for _, text := range []string{"\ufeff" + good, strings.ReplaceAll(good, "\n", "\r\n"), good + "\n# a comment\n#another\n"} {
		if got, err := ParseProfile([]byte(text)); err != nil || got.Address != p.Address {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{good + "address a:1\n", good + "Address a:1\n", "motte-profile-v1\naddress\n" + strings.TrimPrefix(good, "motte-profile-v1\n"),
		good + "core-key \n", good + strings.Repeat("#", 1<<17),
		"", "motte-profile-v2\n", "motte-profile-v1\n", "motte-profile-v1\nclient-key 12\n", "motte-profile-v1\nwhat is this\n"} {
		if _, err := ParseProfile([]byte(text)); err == nil {
			t.Errorf("the profile %q was accepted; want an error", text)
		}
	}
}
