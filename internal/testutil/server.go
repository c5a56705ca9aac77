package testutil

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"motte/internal/procfs"
)

// Server is "motte serve" as a process of its own.
type Server struct {
	Process *exec.Cmd
	Ended   <-chan struct{} // closed when the host and its output have ended

	t     testing.TB
	ready chan string // addresses, one each time that clients can connect; closed before Ended
	mu    sync.Mutex
	log   strings.Builder
}

// Serve starts "motte serve" with further arguments, and waits for nothing. The test
// kills the server at its end, if it still runs.
func Serve(t testing.TB, args ...string) *Server {
	t.Helper()
	args = append([]string{"serve", "--json", "--listen", "127.0.0.1:0"}, args...)
	return ServeCommand(t, exec.Command(filepath.Join(Executables(t), "motte"), args...))
}

// ServeCommand does as [Serve] with a command of the caller's, which has the option
// --json. If the command has a writer for the log, that gets the log, too.
func ServeCommand(t testing.TB, command *exec.Cmd) *Server {
	t.Helper()
	ended := make(chan struct{})
	s := &Server{Process: command, Ended: ended, t: t, ready: make(chan string, 16)}
	out, in, err := os.Pipe()
	Must(t, err)
	command.Stdout = in
	if command.Stderr == nil {
		command.Stderr = logWriter{s}
	} else {
		command.Stderr = io.MultiWriter(command.Stderr, logWriter{s})
	}
	command.WaitDelay = Patience // a Core whose host was killed may keep the log open
	err = command.Start()
	in.Close()
	if err != nil {
		out.Close()
		t.Fatal(err)
	}
	go func() {
		defer close(ended)
		s.readAddresses(out)
		_ = command.Wait() // ProcessState tells how it ended
	}()
	t.Cleanup(s.Kill)
	return s
}

// readAddresses reads what the server prints until its end.
func (s *Server) readAddresses(out *os.File) {
	defer close(s.ready)
	defer out.Close()
	var line struct{ Address string }
	for d := json.NewDecoder(out); d.Decode(&line) == nil; {
		select {
		case s.ready <- line.Address:
		default: // a Core that was started again, for which no test waits
		}
	}
}

type logWriter struct{ s *Server }

func (w logWriter) Write(p []byte) (int, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.s.log.Write(p)
}

// Log is what the server has logged.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// Serves waits until clients can connect, and returns the address, or until the server
// has ended. After another call it waits for the next Core of this host.
func (s *Server) Serves() (address string, ok bool) {
	s.t.Helper()
	select {
	case address, ok = <-s.ready:
		if !ok {
			<-s.Ended
		}
		return address, ok
	case <-time.After(Patience):
		s.t.Fatalf("the server neither serves nor ends:\n%s", s.Log())
		return "", false
	}
}

// Ready waits until clients can connect, and returns the address. If the server ends
// instead, the test does.
func (s *Server) Ready() (address string) {
	s.t.Helper()
	address, ok := s.Serves()
	if !ok {
		s.t.Fatalf("the server ended with %v:\n%s", s.Process.ProcessState, s.Log())
	}
	return address
}

// End sends the host a signal and waits for its end.
func (s *Server) End(signal os.Signal) {
	s.t.Helper()
	_ = s.Process.Process.Signal(signal) // or it has ended
	select {
	case <-s.Ended:
	case <-time.After(Patience):
		_ = s.Process.Process.Kill()
		<-s.Ended
		s.t.Errorf("%v does not end the server:\n%s", signal, s.Log())
	}
}

// Stop stops the server in order.
func (s *Server) Stop() {
	s.t.Helper()
	s.End(syscall.SIGTERM)
	if s.Process.ProcessState.ExitCode() != 0 {
		s.t.Errorf("the server ended with %v:\n%s", s.Process.ProcessState, s.Log())
	}
}

// Kill kills the host, and its Core with it.
func (s *Server) Kill() {
	core := s.Core()
	s.End(syscall.SIGKILL)
	if core != 0 {
		_ = syscall.Kill(core, syscall.SIGKILL) // or it has ended
	}
}

// Core is the process number of the host's Core, or 0.
func (s *Server) Core() int {
	for _, p := range procfs.Children(s.Process.Process.Pid) {
		if p.Name == "motte-core" {
			return p.PID
		}
	}
	return 0
}

// SignalCore sends a signal to the host's Core.
func (s *Server) SignalCore(signal syscall.Signal) {
	s.t.Helper()
	pid := s.Core()
	if pid == 0 {
		s.t.Fatal("this host has no Core")
	}
	Must(s.t, syscall.Kill(pid, signal))
}

// Loopback returns an address of this machine that no other process has. A port of
// 127.0.0.1 could be taken by others while nothing listens on it.
func Loopback() string {
	return fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(255), 1+rand.IntN(254))
}

// LogFile makes a file for the log of processes. A test that fails shows its end.
func LogFile(t testing.TB) *os.File {
	t.Helper()
	const shown = 8 << 10 // bytes
	f, err := os.Create(filepath.Join(t.TempDir(), "server.log"))
	Must(t, err)
	t.Cleanup(func() {
		f.Close()
		if text, _ := os.ReadFile(f.Name()); t.Failed() {
			t.Logf("the end of the server's log:\n%s", text[max(0, len(text)-shown):])
		}
	})
	return f
}
