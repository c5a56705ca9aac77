package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"motte/host/sandbox"
	"motte/internal/testutil"
)

// TestProcessesAreToldByASocket, also in a directory whose path is too long for a socket's
// address, and in the place of a socket that a killed host left.
func TestProcessesAreToldByASocket(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep", 30))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := LookAt(t.Context(), dir); !errors.Is(err, ErrNoHost) {
		t.Errorf("without a host the call returns %v; want that there is no socket", err)
	}
	s := &session{h: &host{Config: Config{Dir: dir}, log: slog.New(slog.DiscardHandler)}, tasks: make(map[uint64]*task)}
	serve := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			s.tellProcesses(ctx, [32]byte{0xab})
			close(done)
		}()
		return func() {
			cancel()
			<-done
		}
	}
	look := func() (r Running) {
		t.Helper()
		testutil.Eventually(t, "the host's socket", func() (err error) {
			r, err = LookAt(t.Context(), dir)
			return err
		})
		return r
	}
	stop := serve()
	if r := look(); !strings.HasPrefix(r.CoreKey, "ab00") || len(r.Processes) != 0 {
		t.Errorf("%+v", r)
	}
	info, err := os.Stat(filepath.Join(dir, socketName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket has mode %v, %v", info.Mode(), err)
	}
	left := filepath.Join(dir, "left")
	if err := os.Rename(filepath.Join(dir, socketName), left); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := os.Rename(left, filepath.Join(dir, socketName)); err != nil {
		t.Fatal(err)
	}
	if _, err := LookAt(t.Context(), dir); !errors.Is(err, ErrNoHost) {
		t.Errorf("the socket of a killed host returns %v; want a refused connection", err)
	}
	stop = serve()
	look()
	stop()
	if _, err := os.Stat(filepath.Join(dir, socketName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the host has ended, but its socket is still there: %v", err)
	}
}

// TestAnIndexMayHaveTwoProcesses: one serves, and its successor is built. The memory of the index is that
// of both, and the process that serves is listed first.
func TestAnIndexMayHaveTwoProcesses(t *testing.T) {
	executable := filepath.Join(testutil.Executables(t), "motte-task-ordered")
	sum, err := Measure(executable)
	testutil.Must(t, err)
	s := &session{tasks: make(map[uint64]*task)}
	for instance, index := range map[uint64]uint64{3: 7, 4: 8, 5: 7} {
		p, err := sandbox.Start(sandbox.Config{Executable: executable, Measurement: sum, Memory: 1 << 28, Index: index})
		testutil.Must(t, err)
		defer p.Wait()
		defer p.Kill()
		defer p.Channel().Close()
		s.tasks[instance] = &task{Process: p, index: index, limit: instance << 20}
	}
	testutil.Eventually(t, "the memory of both processes", func() error { // they grow while they start
		one, two := resident(s.tasks[3].PID()), resident(s.tasks[5].PID())
		bytes, limit := s.memory(7)
		if limit != 8<<20 || one == 0 || two == 0 || bytes < one+two {
			return fmt.Errorf("%d bytes, and %d bytes are the limit; want those of two processes of %d and %d bytes", bytes, limit, one, two)
		}
		return nil
	})
	if bytes, limit := s.memory(9); bytes+limit != 0 {
		t.Errorf("an index without a process has %d bytes, and %d bytes are its limit", bytes, limit)
	}
	list := s.processes()
	if len(list) != 3 || list[0].PID != s.tasks[3].PID() || list[2].PID != s.tasks[5].PID() {
		t.Errorf("the processes are %+v; want the oldest first", list)
	}
}

// TestOtherUsersAreToldNoProcesses, for any mode of directory and socket.
func TestOtherUsersAreToldNoProcesses(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can connect as another user")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "socket")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o755), os.Chmod(path, 0o777)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user uintptr
		may  bool
	}{{0, true}, {65534, false}} {
		connected := make(chan error)
		go func() {
			runtime.LockOSThread() // never unlocked, so that the thread ends with the goroutine
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), c.user, ^uintptr(0)); e != 0 {
				err = e
			}
			connected <- errors.Join(err, unix.Connect(fd, &unix.SockaddrUnix{Name: path}))
			connected <- unix.Close(fd)
		}()
		if err := <-connected; err != nil {
			t.Fatal(err)
		}
		conn, err := l.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		if got := mayLook(conn); got != c.may {
			t.Errorf("user %d may see the processes: %v, want %v", c.user, got, c.may)
		}
		conn.Close()
		if err := <-connected; err != nil {
			t.Fatal(err)
		}
	}
}
