package server

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"motte/client/frames"
	"motte/core/engine"
	"motte/core/hostwire"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seal"
	"motte/core/seglog"
	"motte/core/taskwire"
	"motte/core/wire"
	"motte/host/hostframes"
	"motte/internal/testutil"
)

// silent makes an index whose Task confirms its configuration, and then nothing: so no
// PUT is answered as long as it may take.
func (s *testServer) silent() (admin net.Conn) {
	s.t.Helper()
	c := s.dial(key(1))
	row := frames.AppendRow(nil, &model.Row{Operations: frames.TaskSearch, MaxInput: model.MaxObject, MaxResults: 1, Deadline: model.MaxDeadline, Memory: 1})
	do(s.t, c, model.OK, request(1, model.OpCreateCollection, "c", "", ""),
		&wire.Request{Op: model.OpRegisterTask, Number: 2, Name: []byte("t"), Query: row},
		&wire.Request{Op: model.OpCreateIndex, Number: 3, Collection: "c", Index: "x", Type: model.TypeText, Name: []byte("t")})
	m := s.next(hostwire.StartTask)
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	message := hostframes.Append(nil, &hostwire.Message{Type: hostwire.TaskStarted, Instance: m.Instance})
	if _, _, err := s.host.WriteMsgUnix(message, syscall.UnixRights(fds[1]), nil); err != nil {
		s.t.Fatal(err)
	}
	syscall.Close(fds[1])
	f := os.NewFile(uintptr(fds[0]), "task")
	s.t.Cleanup(func() { f.Close() })
	if _, err := io.ReadFull(f, make([]byte, taskwire.HeaderSize+6)); err != nil {
		s.t.Fatal(err)
	}
	if _, err := f.Write(taskwire.AppendHeader(nil, taskwire.Header{Type: taskwire.Applied, Seq: 1})); err != nil {
		s.t.Fatal(err)
	}
	go io.Copy(io.Discard, f)
	for number := uint64(100); ; number++ { // until it serves
		if _, err := c.Write(frames.AppendRequest(nil, request(number, model.OpStatus, "", "", ""))); err != nil {
			s.t.Fatal(err)
		}
		serves := false
		h, body := reply(s.t, c)
		for ; h.Kind == wire.KindStatus; h, body = reply(s.t, c) {
			x, err := frames.DecodeStatus(body)
			serves = serves || err == nil && x.Kind == frames.StatusIndex && x.State == model.IndexServing
		}
		if serves {
			return c
		}
	}
}

// tooMany are more PUTs than a connection's window holds, numbered from 10: small ones,
// or large ones.
func tooMany(large bool) (p []byte) {
	n, object := uint64(MaxInFlight+10), "x"
	if large {
		n, object = 3, strings.Repeat("x", model.MaxObject)
	}
	for i := range n {
		p = frames.AppendRequest(p, request(10+i, model.OpPut, "c", "", object))
	}
	return p
}

// TestNoTaskHoldsUpAStop, though a connection's reader waits for answers that wait for
// the Task. A Core that does not end has this test's time-out.
func TestNoTaskHoldsUpAStop(t *testing.T) {
	for name, large := range map[string]bool{"small": false, "large": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, t.TempDir())
			s.silent()
			c := s.dial(key(1))
			go c.Write(tooMany(large))
			go io.Copy(io.Discard, c)
			time.Sleep(time.Second) // gives the Core the time to read what it takes
			if _, err := s.host.Write(hostframes.Append(nil, &hostwire.Message{Type: hostwire.Stop})); err != nil {
				t.Fatal(err)
			}
			go io.Copy(io.Discard, s.host)
			select {
			case err := <-s.ended:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(testutil.Patience):
				t.Fatal("it does not end")
			}
		})
	}
}

// TestWhoIsRemovedKeepsNoPlace, though its connection's reader waits for answers that
// wait for a Task.
func TestWhoIsRemovedKeepsNoPlace(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	admin := s.silent()
	p := identity.ID(principalOf(key(5)))
	do(t, admin, model.OK, &wire.Request{Op: model.OpAddPrincipal, Number: 1, Identity: p, Name: []byte("eve")},
		&wire.Request{Op: model.OpGrant, Number: 2, Collection: "c", Identity: p, Flags: wire.Flags(model.RightWrite)})
	c := s.dial(key(5))
	go c.Write(tooMany(false))
	for connections(s.next(hostwire.Counters)) != 2 {
	}
	time.Sleep(time.Second) // gives the Core the time to read what it takes
	do(t, admin, model.OK, &wire.Request{Op: model.OpRemovePrincipal, Number: 3, Identity: p})
	for began := time.Now(); connections(s.next(hostwire.Counters)) != 1; {
		if time.Since(began) > testutil.Patience {
			t.Fatal("its connection is counted still")
		}
	}
}

// connections is their number in a message with counters.
func connections(m hostwire.Message) uint64 {
	const inStatus = 1 + 7 // behind the flags
	return m.Values[len(hostwire.Stats{})+inStatus]
}

// lame is a disk on which each read waits until it is told to go on.
type lame struct {
	*memory
	reads  atomic.Int32
	goesOn chan struct{}
}

func (l *lame) ReadAt(name string, p []byte, at int64) error {
	l.reads.Add(1)
	<-l.goesOn
	return l.memory.ReadAt(name, p, at)
}

// TestReadsForTasksEndWithTheCore, however many there are still to be made.
func TestReadsForTasksEndWithTheCore(t *testing.T) {
	disk := &lame{memory: newMemory(), goesOn: make(chan struct{})}
	l, err := seglog.Open(disk, seal.Root{1}, rand.Read, nil)
	if err != nil {
		t.Fatal(err)
	}
	// An object of 94 bytes without a name: one that fails its check is read twice.
	id := identity.NewMaker(l.Keys().Identity()).ID(0, 0, identity.Value{1}, identity.Digest(nil, make([]byte, 94)))
	at, _, err := l.Append([]seglog.Group{{{LSN: 1, Kind: seglog.KindPut, ID: id, Body: make([]byte, 100)}}})
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(Config{})
	s.log, s.engine = l, engine.New(engine.Config{})
	for range 500 {
		s.fetches.put(engine.Fetch{Entry: mapping.Entry{ID: id, LSN: 1, Loc: at[0]}})
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		for disk.reads.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
		close(disk.goesOn)
		s.producers.Wait()
		close(over)
	}()
	s.producers.Go(func() { s.readFetches(ctx) })
	s.loop(over)
	if n := disk.reads.Load(); n != 1 {
		t.Errorf("%d reads, want the one that was under way", n)
	}
}
