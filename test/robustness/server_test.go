// Package robustness kills processes of a server while clients use it, with SIGKILL and at
// random moments: a Task, the Core, the host, or all of them together. Between the kills it upgrades
// the Task. Then it checks two promises. An acknowledged write is there. A read sees every write that was acknowledged before
// the read began.
//
//   - TestHistoriesAreLinearizable records the requests of a few clients on a few names, and
//     checks every history against a sequential model.
//   - TestAcknowledgedWritesSurvive loads the server, and afterwards accounts for every
//     write.
//
// The server is a process of "motte serve". No test here can be reproduced from a seed; the
// simulation of the engine can.
package robustness

import (
	"context"
	"crypto/sha256"
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

// server is a host process with its Core and Tasks. It is started again whenever it ends, always
// at the same address.
type server struct {
	t       *testing.T
	bin     string // directory of the executables
	dir     string
	tasks   string     // directory of more executables
	builds  [][32]byte // SHA-256 of executables of the Task "ordered" that behave alike
	address string
	profile *client.Profile
	log     *os.File
	ended   chan struct{} // closed when the server has finally stopped

	mu       sync.Mutex
	pid      int // process number of the running host, or 0
	stopping bool
}

// start starts a server on a new store, and waits until clients can connect.
func start(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, bin: testutil.Executables(t), dir: filepath.Join(t.TempDir(), "store"),
		address: testutil.Loopback() + ":7433", log: testutil.LogFile(t), ended: make(chan struct{})}
	s.tasks = t.TempDir()
	s.builds = [][32]byte{s.build("1"), s.build("2")}
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

// build makes another executable of the Task "ordered", which behaves alike.
func (s *server) build(number string) (measurement [32]byte) {
	s.t.Helper()
	program, err := os.ReadFile(filepath.Join(s.bin, "motte-task-ordered"))
	testutil.Must(s.t, err)
	program = append(program, number...) // no segment has these bytes
	testutil.Must(s.t, os.WriteFile(filepath.Join(s.tasks, "motte-task-ordered."+number), program, 0o755))
	return sha256.Sum256(program)
}

// upgrade registers the other executable of the Task "ordered". It returns at once.
func (s *server) upgrade(c *client.Client) {
	s.t.Helper()
	s.change("register the Task", func(ctx context.Context) error {
		status, err := c.Status(ctx)
		if err != nil {
			return err
		}
		for i := range status.Tasks {
			if row := status.Tasks[i].Row; status.Tasks[i].Task == "ordered" {
				other := s.builds[0]
				if row.Measurement == other {
					other = s.builds[1]
				}
				row.Measurement = other
				return c.RegisterTask(ctx, "ordered", row)
			}
		}
		return errors.New("the Task is not registered")
	})
}

// supervise starts a host whenever the last one has ended, like a service manager.
func (s *server) supervise() {
	defer close(s.ended)
	// The host must not outlive the test, however the test ends. The kernel kills the host when the
	// thread that started it has ended.
	runtime.LockOSThread()
	for {
		host, err := s.startHost()
		if err != nil {
			s.t.Errorf("start the host: %v", err)
		}
		if host == nil {
			return
		}
		_ = host.Wait() // an error is expected, since tests kill the host
		s.mu.Lock()
		s.pid = 0
		s.mu.Unlock()
		testutil.Pause()
	}
}

// startHost starts a host, unless the server is stopping.
func (s *server) startHost() (*exec.Cmd, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping {
		return nil, nil
	}
	host := exec.Command(filepath.Join(s.bin, "motte"), "serve", "--dir", s.dir, "--listen", s.address, "--task-dir", s.tasks)
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

// victim names the processes to kill.
type victim string

const (
	aTask      victim = "a Task"
	theCore    victim = "the Core"
	theHost    victim = "the host"
	everything victim = "everything"
	nothing    victim = "nothing, but the Task is upgraded"
)

// disturb kills a victim once it runs, or upgrades the Task.
func (s *server) disturb(v victim, admin *client.Client) {
	s.t.Helper()
	if v == nothing {
		s.upgrade(admin)
		return
	}
	s.kill(v)
}

// kill kills a victim once it runs.
func (s *server) kill(v victim) {
	s.t.Helper()
	testutil.Eventually(s.t, "kill "+string(v), func() error {
		s.mu.Lock() // meanwhile no other process can get the host's number
		defer s.mu.Unlock()
		if s.pid == 0 {
			return errors.New("no host runs")
		}
		pids := s.pids(v)
		if len(pids) == 0 {
			return errors.New("the victim does not run")
		}
		for _, i := range rand.Perm(len(pids)) {
			_ = syscall.Kill(pids[i], syscall.SIGKILL)
		}
		return nil
	})
}

// pids returns the processes to kill. Every child of the host except the Core is a Task, or will
// become one.
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

// victims returns an endless sequence in which each victim is equally frequent. A host waits
// longer after each end of its Core. In this sequence no host sees many ends of its Core.
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

// dial connects as the administrator. The client finds the server again after each start.
func (s *server) dial() (c *client.Client) {
	s.t.Helper()
	testutil.Eventually(s.t, "connect", func() (err error) {
		c, err = client.Dial(s.t.Context(), s.profile)
		return err
	})
	return c
}

// create makes a collection and its indexes of integers, and returns immediately.
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

// change changes the catalogue. It tries again while the server is unavailable.
func (s *server) change(what string, f func(context.Context) error) {
	s.t.Helper()
	testutil.Eventually(s.t, what, func() error {
		err := f(s.t.Context())
		if errors.Is(err, client.ErrExists) || errors.Is(err, client.ErrNoCollection) {
			return nil // an earlier attempt took effect
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

// verdict classifies the error of a request.
type verdict int

const (
	answered verdict = iota // success, or a code that depends on the stored objects
	refused                 // the request has no effect, now or later
	unknown                 // the connection was lost: the request may take effect, or has done so
	wrong                   // an answer that a client must never get
)

// judge classifies the error of a request. A request that was not sent, or that the Core asks to
// repeat, must have no effect. The tests check that.
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

// limited returns a context that bounds one request.
func limited(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), testutil.Patience)
}
