package losedata

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"motte/internal/procfs"
)

// server is a running 'motte serve'.
type server struct {
	w    *world
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	said chan string   // the address, when clients can connect
}

// begin starts a server on a store, and waits for nothing.
func (w *world) begin(dir string, args ...string) *server {
	w.t.Helper()
	args = append([]string{"serve", "--dir", dir, "--listen", "127.0.0.1:0", "--json"}, args...)
	s := &server{w: w, cmd: w.command("motte", args...), done: make(chan struct{}), said: make(chan string, 1)}
	out, in, err := os.Pipe()
	w.must(err)
	s.cmd.Stdout, s.cmd.Stderr = in, w
	s.cmd.WaitDelay = patience
	fmt.Fprintf(w, "$ motte %s &\n", strings.Join(args, " "))
	w.must(s.cmd.Start())
	in.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer out.Close()
		var ready struct{ Address string }
		d := json.NewDecoder(out)
		for d.Decode(&ready) == nil {
			select {
			case s.said <- ready.Address:
			default: // a Core that was started again
			}
		}
	}()
	go func() {
		defer close(s.done)
		_ = s.cmd.Wait()
		<-read
	}()
	w.t.Cleanup(s.kill)
	return s
}

// serve starts a server on a store, and waits until clients can connect.
func (w *world) serve(dir string, args ...string) *server {
	w.t.Helper()
	s := w.begin(dir, args...)
	s.ready()
	return s
}

// ready waits until clients can connect.
func (s *server) ready() {
	s.w.t.Helper()
	if !s.serves() {
		s.w.t.Fatalf("the server ended:\n%s", s.w.text())
	}
}

// serves waits until clients can connect, to whom it leads the profiles, or until the
// server has ended.
func (s *server) serves() bool {
	s.w.t.Helper()
	select {
	case address := <-s.said:
		for _, profile := range []string{"admin.profile", "alice.profile"} {
			if _, err := os.Stat(s.w.path(profile)); err == nil {
				s.w.motte("--quiet", "profile", "set", profile, "--address", address)
			}
		}
		return true
	case <-s.done:
		return false
	case <-time.After(patience):
		s.w.t.Fatalf("the server neither serves nor ends:\n%s", s.w.text())
		return false
	}
}

// refuses starts a server on a store, which must end by itself.
func (w *world) refuses(dir string, args ...string) {
	w.t.Helper()
	s := w.begin(dir, args...)
	if s.serves() {
		w.t.Fatalf("the store in %s is served:\n%s", dir, w.text())
	}
	if s.cmd.ProcessState.ExitCode() == 0 {
		w.t.Fatalf("the server of %s ended in order:\n%s", dir, w.text())
	}
}

func (s *server) end(signal syscall.Signal) {
	_ = s.cmd.Process.Signal(signal) // or it has ended
	select {
	case <-s.done:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.done
		s.w.t.Errorf("the server did not end:\n%s", s.w.text())
	}
}

// stop stops the server in order.
func (s *server) stop() { s.end(syscall.SIGTERM) }

// kill kills it, and its Core with it.
func (s *server) kill() {
	list := procfs.Children(s.cmd.Process.Pid)
	s.end(syscall.SIGKILL)
	for _, p := range list {
		if p.Name == "motte-core" {
			_ = syscall.Kill(p.PID, syscall.SIGKILL)
		}
	}
}

// signalCore sends a signal to the server's Core.
func (s *server) signalCore(signal syscall.Signal) {
	s.w.t.Helper()
	for _, p := range procfs.Children(s.cmd.Process.Pid) {
		if p.Name == "motte-core" {
			s.w.must(syscall.Kill(p.PID, signal))
			return
		}
	}
	s.w.t.Fatal("the server has no Core")
}
