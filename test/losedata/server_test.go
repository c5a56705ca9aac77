package losedata

import (
	"fmt"
	"os"
	"strings"
	"syscall"

	"motte/internal/testutil"
)

// server is a running 'motte serve'.
type server struct {
	*testutil.Server
	w *world
}

// begin starts a server on a store, and waits for nothing.
func (w *world) begin(dir string, args ...string) *server {
	w.t.Helper()
	args = append([]string{"serve", "--dir", dir, "--listen", "127.0.0.1:0", "--json"}, args...)
	fmt.Fprintf(w, "$ motte %s &\n", strings.Join(args, " "))
	c := w.command("motte", args...)
	c.Stderr = w
	return &server{testutil.ServeCommand(w.t, c), w}
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

// serves waits until clients can connect, and leads the profiles to the server, or until
// the server has ended.
func (s *server) serves() bool {
	s.w.t.Helper()
	address, ok := s.Serves()
	if !ok {
		return false
	}
	for _, profile := range []string{"admin.profile", "alice.profile"} {
		if _, err := os.Stat(s.w.path(profile)); err == nil {
			s.w.motte("--quiet", "profile", "set", profile, "--address", address)
		}
	}
	return true
}

// refuses starts a server on a store, which must end by itself.
func (w *world) refuses(dir string, args ...string) {
	w.t.Helper()
	s := w.begin(dir, args...)
	if s.serves() {
		w.t.Fatalf("the store in %s is served:\n%s", dir, w.text())
	}
	if s.Process.ProcessState.ExitCode() == 0 {
		w.t.Fatalf("the server of %s ended in order:\n%s", dir, w.text())
	}
}

// stop stops the server in order, if it still runs.
func (s *server) stop() { s.End(syscall.SIGTERM) }
