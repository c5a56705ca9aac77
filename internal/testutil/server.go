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

// Server is a process of "motte serve".
type Server struct {
	Process *exec.Cmd
	Ended   <-chan struct{} // closed when the host and its output have ended

	t     testing.TB
	ready chan string // an address for each start of the Core; closed before Ended
	mu    sync.Mutex
	log   strings.Builder
}

// Serve starts "motte serve" with additional arguments, and returns immediately. If the server
// still runs at the end of the test, Serve kills it.
func Serve(t testing.TB, args ...string) *Server {
	t.Helper()
	args = append([]string{"serve", "--json", "--listen", "127.0.0.1:0"}, args...)
	return ServeCommand(t, exec.Command(filepath.Join(Executables(t), "motte"), args...))
}

// ServeCommand is [Serve] for a command of the caller, which must have the option --json. If the
// command has a writer for standard error, the log also goes there.
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
	command.WaitDelay = Patience // a Core may keep the log open after its host was killed
	err = command.Start()
	in.Close()
	if err != nil {
		out.Close()
		t.Fatal(err)
	}
	go func() {
		defer close(ended)
		s.readAddresses(out)
		_ = command.Wait() // ProcessState says how it ended
	}()
	t.Cleanup(s.Kill)
	return s
}

// readAddresses reads the server's standard output until its end.
func (s *Server) readAddresses(out *os.File) {
	defer close(s.ready)
	defer out.Close()
	var line struct{ Address string }
	for d := json.NewDecoder(out); d.Decode(&line) == nil; {
		select {
		case s.ready <- line.Address:
		default: // a restarted Core, for which the test does not wait
		}
	}
}

type logWriter struct{ s *Server }

func (w logWriter) Write(p []byte) (int, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.s.log.Write(p)
}

// Log returns the log of the server so far.
func (s *Server) Log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// Serves waits until clients can connect, and returns the address. It returns false if the
// server ends instead. Another call waits for the next start of the Core.
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

// Ready waits until clients can connect, and returns the address. If the server ends instead,
// Ready ends the test.
func (s *Server) Ready() (address string) {
	s.t.Helper()
	address, ok := s.Serves()
	if !ok {
		s.t.Fatalf("the server ended with %v:\n%s", s.Process.ProcessState, s.Log())
	}
	return address
}

// End sends a signal to the host, and waits until the host has ended.
func (s *Server) End(signal os.Signal) {
	s.t.Helper()
	_ = s.Process.Process.Signal(signal) // an error means that the process has ended
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
		_ = syscall.Kill(core, syscall.SIGKILL) // an error means that the process has ended
	}
}

// Core returns the process number of the host's Core, or 0.
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

// Loopback returns a loopback address that no other process uses. On 127.0.0.1, another process
// could take a port while the test does not listen on it.
func Loopback() string {
	return fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(255), 1+rand.IntN(254))
}

// LogFile makes a file for the log of processes. If the test fails, it prints the end of the
// log.
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
