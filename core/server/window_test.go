package server

import (
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"motte/client/frames"
	"motte/core/hostwire"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/core/wire"
	"motte/host/hostframes"
	"motte/internal/testutil"
)

// silent makes an index whose Task confirms only its configuration. So no PUT is answered before
// the time limit.
func (s *testServer) silent() (admin net.Conn) {
	s.t.Helper()
	c := s.dial(key(1))
	row := frames.AppendRow(nil, &model.Row{Operations: frames.TaskSearch, MaxInput: model.MaxObject, MaxResults: 1, Deadline: model.MaxDeadline, Memory: 1})
	do(s.t, c, model.OK, request(1, model.OpCreateCollection, "c", "", ""),
		&wire.Request{Op: model.OpRegisterTask, Number: 2, Name: []byte("t"), Query: row},
		&wire.Request{Op: model.OpCreateIndex, Number: 3, Collection: "c", Index: "x", Type: model.TypeText, Name: []byte("t")})
	m := next[hostwire.StartTask](s)
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	message := hostframes.Append(nil, hostwire.HostMessage{Type: hostwire.TypeTaskStarted, Instance: m.Instance})
	if _, _, err := s.host.WriteMsgUnix(message, syscall.UnixRights(fds[1]), nil); err != nil {
		s.t.Fatal(err)
	}
	syscall.Close(fds[1])
	f := os.NewFile(uintptr(fds[0]), "task")
	s.t.Cleanup(func() { f.Close() })
	if _, err := io.ReadFull(f, make([]byte, taskwire.HeaderSize+14)); err != nil {
		s.t.Fatal(err)
	}
	if _, err := f.Write(taskwire.AppendHeader(nil, taskwire.Header{Type: taskwire.Applied, Seq: 1})); err != nil {
		s.t.Fatal(err)
	}
	go io.Copy(io.Discard, f)
	for number := uint64(100); ; number++ { // until the index serves
		if _, err := c.Write(frames.AppendRequest(nil, request(number, model.OpStatus, "", "", ""))); err != nil {
			s.t.Fatal(err)
		}
		var status frames.Status
		for h, body := reply(s.t, c); h.Kind == wire.KindStatus; h, body = reply(s.t, c) {
			if err := status.Add(body); err != nil {
				s.t.Fatal(err)
			}
		}
		if x := status.Index("c", "x"); x != nil && x.State == model.IndexServing {
			return c
		}
	}
}

// tooMany returns more PUTs than a connection's window holds, numbered from 10: small or large
// ones.
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

// TestNoTaskHoldsUpAStop, even if a connection's reader waits for answers that wait for the
// Task. If the Core does not end, the test times out.
func TestNoTaskHoldsUpAStop(t *testing.T) {
	for name, large := range map[string]bool{"small": false, "large": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, t.TempDir())
			s.silent()
			c := s.dial(key(1))
			go c.Write(tooMany(large))
			go io.Copy(io.Discard, c)
			time.Sleep(time.Second) // gives the Core time to read as much as it accepts
			if _, err := s.host.Write(hostframes.Append(nil, hostwire.HostMessage{Type: hostwire.TypeStop})); err != nil {
				t.Fatal(err)
			}
			go io.Copy(io.Discard, s.host)
			select {
			case err := <-s.ended:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(testutil.Patience):
				t.Fatal("the Core does not end")
			}
		})
	}
}

// TestWhoIsRemovedKeepsNoPlace, even if its connection's reader waits for answers that wait for
// a Task.
func TestWhoIsRemovedKeepsNoPlace(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	admin := s.silent()
	p := identity.ID(principalOf(key(5)))
	do(t, admin, model.OK, &wire.Request{Op: model.OpAddPrincipal, Number: 1, Identity: p, Name: []byte("eve")},
		&wire.Request{Op: model.OpGrant, Number: 2, Collection: "c", Identity: p, Rights: model.RightWrite})
	c := s.dial(key(5))
	go c.Write(tooMany(false))
	for next[hostwire.Counters](s).Server.Connections != 2 {
	}
	time.Sleep(time.Second) // gives the Core time to read as much as it accepts
	do(t, admin, model.OK, &wire.Request{Op: model.OpRemovePrincipal, Number: 3, Identity: p})
	for began := time.Now(); next[hostwire.Counters](s).Server.Connections != 1; {
		if time.Since(began) > testutil.Patience {
			t.Fatal("the removed principal's connection is still counted")
		}
	}
}
