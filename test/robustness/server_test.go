// Package robustness kills the processes of a server while clients use it, with
// SIGKILL and at random moments: a Task, the Core, the host, or all of them at
// once. What the clients saw is then held against two promises: a write that
// was acknowledged is there, and a read sees every write that was acknowledged
// before the read began.
//
//   - TestHistoriesAreLinearizable records what a few clients do with a few
//     names, and has every history checked against a sequential model.
//   - TestAcknowledgedWritesSurvive loads the server, and accounts for every
//     write afterwards.
//
// The server is "motte serve" as a process of its own. Nothing here is
// reproducible from a seed; the simulation of the engine is.
package robustness

import (
	"context"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"motte/client"
	"motte/core/model"
	"motte/internal/procfs"
	"motte/internal/testutil"
)

var (
	histories = flag.Int("linear.histories", 10, "how many histories to record and check")
	linearFor = flag.Duration("linear.for", 0, "record and check histories for this long instead")
	kills     = flag.Int("kills", 10, "how often the kill test kills")
)

// server is a host process with its Core and Tasks, started again whenever it
// ends. It is always found at the same address.
type server struct {
	t       *testing.T
	bin     string // where the executables are
	dir     string
	address string
	profile *client.Profile
	log     *os.File
	ended   chan struct{} // closed when it has stopped for good

	mu       sync.Mutex
	pid      int // of the host that runs now, or 0
	stopping bool
}

// start starts a server on a new store, and waits until clients can connect.
func start(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, bin: testutil.Executables(t), dir: filepath.Join(t.TempDir(), "store"),
		address: testutil.Loopback() + ":7433", log: testutil.LogFile(t), ended: make(chan struct{})}
	go s.supervise()
	t.Cleanup(s.stop)
	testutil.Eventually(t, "the server", func() (err error) {
		if s.profile, err = client.ReadProfile(filepath.Join(s.dir, "admin.profile")); err != nil {
			return err
		}
		c, err := client.Dial(t.Context(), s.profile)
		if err != nil {
			return err
		}
		return c.Close()
	})
	return s
}

// supervise runs one host after the other, as a service manager would.
func (s *server) supervise() {
	defer close(s.ended)
	// The host shall not outlive the test, however that ends; the kernel sees
	// to it when the thread that started the host is gone.
	runtime.LockOSThread()
	for {
		host, err := s.startHost()
		if err != nil {
			s.t.Errorf("start the host: %v", err)
		}
		if host == nil {
			return
		}
		_ = host.Wait() // it is killed all the time
		s.mu.Lock()
		s.pid = 0
		s.mu.Unlock()
		testutil.Pause()
	}
}

// startHost starts a host, unless the server is to stop.
func (s *server) startHost() (*exec.Cmd, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return nil, nil
	}
	host := exec.Command(filepath.Join(s.bin, "motte"), "serve", "--dir", s.dir, "--listen", s.address)
	host.Stdout, host.Stderr = s.log, s.log
	host.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := host.Start(); err != nil {
		return nil, err
	}
	s.pid = host.Process.Pid
	return host, nil
}

// stop stops the server in order.
func (s *server) stop() {
	s.mu.Lock()
	s.stopping = true
	if s.pid != 0 {
		_ = syscall.Kill(s.pid, syscall.SIGTERM)
	}
	s.mu.Unlock()
	<-s.ended
}

// victim is what is killed.
type victim string

const (
	aTask      victim = "a Task"
	theCore    victim = "the Core"
	theHost    victim = "the host"
	everything victim = "everything"
)

// kill kills a victim as soon as there is one.
func (s *server) kill(v victim) {
	s.t.Helper()
	testutil.Eventually(s.t, "kill "+string(v), func() error {
		s.mu.Lock() // no other process gets the host's number meanwhile
		defer s.mu.Unlock()
		if s.pid == 0 {
			return errors.New("no host runs")
		}
		pids := s.pids(v)
		if len(pids) == 0 {
			return errors.New("it does not run")
		}
		for _, i := range rand.Perm(len(pids)) {
			_ = syscall.Kill(pids[i], syscall.SIGKILL)
		}
		return nil
	})
}

// pids are the processes to kill. Whatever the host started is a Task, or is
// about to become one, if it is not the Core.
func (s *server) pids(v victim) []int {
	var core, tasks []int
	for _, p := range procfs.Children(s.pid) {
		if p.Name == "motte-core" {
			core = append(core, p.PID)
		} else {
			tasks = append(tasks, p.PID)
		}
	}
	switch {
	case v == theCore:
		return core
	case v == theHost:
		return []int{s.pid}
	case v == everything:
		return append(append(tasks, core...), s.pid)
	case len(tasks) > 0:
		return []int{tasks[rand.IntN(len(tasks))]}
	}
	return nil
}

// victims is an endless list of them, in which each comes equally often. One
// host waits longer each time that its Core ends; with this list none sees
// many of its Cores end.
func victims(all ...victim) func() victim {
	var next []victim
	return func() (v victim) {
		if len(next) == 0 {
			for _, i := range rand.Perm(len(all)) {
				next = append(next, all[i])
			}
		}
		v, next = next[0], next[1:]
		return v
	}
}

// dial connects as the administrator. The client finds the server again after
// each start.
func (s *server) dial() (c *client.Client) {
	s.t.Helper()
	testutil.Eventually(s.t, "connect", func() (err error) {
		c, err = client.Dial(s.t.Context(), s.profile)
		return err
	})
	return c
}

// create makes a collection and its indexes of integers, and waits for nothing.
func (s *server) create(c *client.Client, collection string, indexes map[string]client.Index) {
	s.t.Helper()
	s.change("create "+collection, func(ctx context.Context) error { return c.CreateCollection(ctx, collection) })
	for name, x := range indexes {
		x.Task, x.Type = "ordered", model.TypeInt64
		if !x.Attribute {
			x.Config = []byte(`{"path":"/n"}`)
		}
		s.change("create "+name, func(ctx context.Context) error { return c.CreateIndex(ctx, collection, name, x) })
	}
}

// change changes the catalogue, however often the server goes away meanwhile.
func (s *server) change(what string, f func(context.Context) error) {
	s.t.Helper()
	testutil.Eventually(s.t, what, func() error {
		err := f(s.t.Context())
		if errors.Is(err, client.ErrExists) || errors.Is(err, client.ErrNoCollection) {
			return nil // an earlier try took effect
		}
		return err
	})
}

// serving waits until an index answers.
func (s *server) serving(c *client.Client, collection, index string) {
	s.t.Helper()
	testutil.Eventually(s.t, "index "+index, func() error {
		_, err := c.Count(s.t.Context(), client.Query{Collection: collection, Index: index})
		return err
	})
}

// verdict is what an error says about a request.
type verdict int

const (
	answered verdict = iota // with success, or with a code that says what was there
	refused                 // it had no effect and never will
	unknown                 // the connection was lost: it may take effect, or have taken it
	wrong                   // an answer that no client should get
)

// judge sorts the error of a request. What never was sent, and what the Core
// asks to be tried again, had no effect: the tests hold the Core to that.
func judge(err error) verdict {
	var network *net.OpError
	switch {
	case err == nil, errors.Is(err, client.ErrNotFound), errors.Is(err, client.ErrPreconditionFailed):
		return answered
	case errors.Is(err, client.ErrConnectionLost):
		return unknown
	case client.Temporary(err), errors.As(err, &network), errors.Is(err, io.EOF):
		return refused
	}
	return wrong
}

// limited bounds one request.
func limited(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), testutil.Patience)
}
