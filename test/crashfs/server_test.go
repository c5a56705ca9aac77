package crashfs

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"motte/client"
	"motte/internal/procfs"
	"motte/internal/testutil"
)

// idle is longer than a disk waits for a server that has something to do.
const idle = 300 * time.Millisecond

// server is "motte serve" on a store that lies on a medium.
type server struct {
	t       *testing.T
	bin     string // where the executables are
	medium  medium
	address string // always the same
	pages   string // address of its health
	log     *os.File
	profile *client.Profile // of the administrator, once the server was ready

	host  *exec.Cmd
	ended chan struct{} // closed when the host has
}

func newServer(t *testing.T, m medium) *server {
	t.Helper()
	ip := testutil.Loopback()
	s := &server{t: t, bin: testutil.Executables(t), medium: m, address: ip + ":7433", pages: ip + ":9433", log: testutil.LogFile(t)}
	t.Cleanup(s.kill)
	return s
}

// start starts the host and waits for nothing.
func (s *server) start() {
	s.t.Helper()
	s.host = exec.Command(filepath.Join(s.bin, "motte"), "serve", "--dir", filepath.Join(s.medium.dir(), "store"), "--listen", s.address, "--metrics", s.pages)
	s.host.Stdout, s.host.Stderr = s.log, s.log
	s.host.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	testutil.Must(s.t, s.host.Start())
	s.ended = make(chan struct{})
	go func() { // the host is always killed or stopped, and waited for
		defer close(s.ended)
		_ = s.host.Wait()
	}()
}

// ready waits until the administrator can connect. It does not wait for a host
// that has given up: the store must open by itself.
func (s *server) ready() (*client.Client, error) {
	for end := time.Now().Add(testutil.Patience); ; testutil.Pause() {
		c, err := s.dial()
		if err == nil || errors.Is(err, client.ErrHistoryDiffers) {
			return c, err
		}
		select {
		case <-s.ended:
			return nil, errors.New("the server ended by itself")
		default:
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("no client can connect: %w", err)
		}
	}
}

// mustReady starts the server and waits until it is ready.
func (s *server) mustReady() *client.Client {
	s.t.Helper()
	s.start()
	c, err := s.ready()
	testutil.Must(s.t, err)
	s.t.Cleanup(func() { c.Close() })
	return c
}

// takesWrites waits until the server says whether its log takes writes.
func (s *server) takesWrites(want bool) {
	s.t.Helper()
	testutil.Eventually(s.t, fmt.Sprint("a log that takes writes: ", want), func() error {
		r, err := http.Get("http://" + s.pages + "/readyz")
		if err != nil {
			return err
		}
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		if takes := strings.Contains(string(text), "log: ok\n"); err == nil && (takes != want || !takes && r.StatusCode != http.StatusServiceUnavailable) {
			err = fmt.Errorf("%d %q", r.StatusCode, text)
		}
		return err
	})
}

func (s *server) dial() (*client.Client, error) {
	p := s.profile
	if p == nil {
		var err error
		if p, err = client.ReadProfile(filepath.Join(s.medium.dir(), "store", "admin.profile")); err != nil {
			return nil, err
		}
		// What was acknowledged to one client, all of them remember.
		p.Heads = client.HeadFile(s.log.Name() + ".head")
	}
	c, err := client.Dial(s.t.Context(), p)
	if err == nil {
		s.profile = p // the power cut can't take it from the administrator any more
	}
	return c, err
}

// create makes the collections.
func (s *server) create(c *client.Client) {
	s.t.Helper()
	testutil.Must(s.t, errors.Join(c.CreateCollection(s.t.Context(), collection), c.CreateCollection(s.t.Context(), tenants)))
}

// as connects with another principal's key.
func (s *server) as(key ed25519.PrivateKey) (*client.Client, error) {
	p := *s.profile
	p.Key = key
	return client.Dial(s.t.Context(), &p)
}

// cutAt cuts the power when off says that it is, or when the disk has nothing to
// do any more.
func (s *server) cutAt(off <-chan struct{}, rng *rand.Rand) {
	s.t.Helper()
	s.await(off)
	s.cut(rng)
}

// killAt kills everything then, and the power stays.
func (s *server) killAt(off <-chan struct{}) {
	s.t.Helper()
	s.await(off)
	s.killOnly()
}

func (s *server) await(off <-chan struct{}) {
	select {
	case <-off:
	case <-time.After(idle):
		s.medium.volume().Cut()
	}
}

// after chooses when the power is cut or everything killed: after some steps of
// the disk, or before a directory is synced.
func (s *server) after(steps int, rng *rand.Rand) <-chan struct{} {
	if rng.IntN(3) == 0 {
		return s.medium.volume().CutAfterNames(rng.IntN(1 + steps/nameSyncs))
	}
	return s.medium.volume().CutAfter(rng.IntN(steps))
}

// nameSyncs is how many steps come to one sync of a directory, about.
const nameSyncs = 6

// killOnly kills everything and gives the disk the power again that was cut for
// that, as if it had never been cut.
func (s *server) killOnly() {
	s.t.Helper()
	s.kill()
	s.medium.volume().Revive()
}

// cut cuts the power, if it is not cut already: what happens to the disk from
// then on is not there, and no process does anything any more. Then the power
// is back, and what was left is mounted.
func (s *server) cut(rng *rand.Rand) {
	s.t.Helper()
	s.medium.volume().Cut()
	s.kill()
	l := s.medium.restore(rng)
	s.t.Logf("lost %d of %d sectors, %d of %d lengths, %d of %d names",
		l.LostSectors, l.Sectors, l.LostLengths, l.Lengths, l.LostNames, l.Names)
}

// kill kills everything that was started and waits until it is gone. The dead
// leave what they started to this process. What waits for a disk that has no
// power can't die before the wait fails.
func (s *server) kill() {
	if s.host == nil {
		return
	}
	s.signal()
	s.medium.volume().Fail()
	<-s.ended
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		switch {
		case err != nil: // no more children
			s.host = nil
			return
		case pid == 0:
			s.signal()
			testutil.Pause()
		}
	}
}

// signal kills the host and what it started.
func (s *server) signal() {
	_ = s.host.Process.Kill()
	parents := make(map[int]int)
	for _, p := range procfs.All() {
		parents[p.PID] = p.Parent
	}
	for pid := range parents {
		for up := parents[pid]; up != 0; up = parents[up] {
			if up == os.Getpid() {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
}

// stop stops the server in order.
func (s *server) stop() {
	s.t.Helper()
	_ = s.host.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(testutil.Patience):
		s.t.Error("the server does not stop in order")
	}
	s.kill()
}
