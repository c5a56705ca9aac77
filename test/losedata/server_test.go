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

// begin starts a server on a store, and returns immediately.
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

// serves waits until clients can connect, and puts the server's address into the profiles. It
// returns false if the server ends instead.
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

// refuses starts a server on a store that it must refuse: the server must end with an error.
func (w *world) refuses(dir string, args ...string) {
	w.t.Helper()
	s := w.begin(dir, args...)
	if s.serves() {
		w.t.Fatalf("the store in %s is served; want it refused:\n%s", dir, w.text())
	}
	if s.Process.ProcessState.ExitCode() == 0 {
		w.t.Fatalf("the server of %s ended without an error; want it to refuse the store:\n%s", dir, w.text())
	}
}

// stop stops the server in order, unless it has ended.
func (s *server) stop() { s.End(syscall.SIGTERM) }
