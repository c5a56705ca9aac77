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

// idle is longer than the disk is idle while a server works.
const idle = 300 * time.Millisecond

// server is "motte serve" with a store on a medium.
type server struct {
	t       *testing.T
	bin     string // directory of the executables
	medium  medium
	address string // the same for all starts
	pages   string // address of its health pages
	log     *os.File
	profile *client.Profile // the administrator's profile, once the server has been ready

	host  *exec.Cmd
	ended chan struct{} // closed when the host has ended
}

func newServer(t *testing.T, m medium) *server {
	t.Helper()
	ip := testutil.Loopback()
	s := &server{t: t, bin: testutil.Executables(t), medium: m, address: ip + ":7433", pages: ip + ":9433", log: testutil.LogFile(t)}
	t.Cleanup(s.kill)
	return s
}

// start starts the host, and returns immediately.
func (s *server) start() {
	s.t.Helper()
	s.host = exec.Command(filepath.Join(s.bin, "motte"), "serve", "--dir", filepath.Join(s.medium.dir(), "store"), "--listen", s.address, "--metrics", s.pages)
	s.host.Stdout, s.host.Stderr = s.log, s.log
	s.host.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	testutil.Must(s.t, s.host.Start())
	s.ended = make(chan struct{})
	go func() { // kill and stop wait for its end
		defer close(s.ended)
		_ = s.host.Wait()
	}()
}

// ready waits until the administrator can connect. It fails if the host ends, since the store
// must open without repair.
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

// takesWrites waits until the server reports that its log takes writes, or does not.
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
		// All clients share the remembered head of the log.
		p.Heads = client.HeadFile(s.log.Name() + ".head")
	}
	c, err := client.Dial(s.t.Context(), p)
	if err == nil {
		s.profile = p // kept in memory, so that no power cut removes it
	}
	return c, err
}

// create makes the collections.
func (s *server) create(c *client.Client) {
	s.t.Helper()
	testutil.Must(s.t, errors.Join(c.CreateCollection(s.t.Context(), collection), c.CreateCollection(s.t.Context(), tenants)))
}

// as connects with the key of another principal.
func (s *server) as(key ed25519.PrivateKey) (*client.Client, error) {
	p := *s.profile
	p.Key = key
	return client.Dial(s.t.Context(), &p)
}

// cutAt cuts the power when off is closed, or when the disk becomes idle.
func (s *server) cutAt(off <-chan struct{}, rng *rand.Rand) {
	s.t.Helper()
	s.await(off)
	s.cut(rng)
}

// killAt kills all processes at that moment, without losing writes.
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

// after chooses the moment of a power cut or a kill: after some steps of the disk, or before a
// directory is synced.
func (s *server) after(steps int, rng *rand.Rand) <-chan struct{} {
	if rng.IntN(3) == 0 {
		return s.medium.volume().CutAfterNames(rng.IntN(1 + steps/nameSyncs))
	}
	return s.medium.volume().CutAfter(rng.IntN(steps))
}

// nameSyncs is the approximate number of steps for each sync of a directory.
const nameSyncs = 6

// killOnly kills all processes. Then it undoes the power cut that stopped the disk for that.
func (s *server) killOnly() {
	s.t.Helper()
	s.kill()
	s.medium.volume().Revive()
}

// cut cuts the power, unless it is cut already, and kills all processes. The disk does not
// change after the cut. Then cut mounts what is left.
func (s *server) cut(rng *rand.Rand) {
	s.t.Helper()
	s.medium.volume().Cut()
	s.kill()
	l := s.medium.restore(rng)
	s.t.Logf("lost %d of %d sectors, %d of %d lengths, %d of %d names",
		l.LostSectors, l.Sectors, l.LostLengths, l.Lengths, l.LostNames, l.Names)
}

// kill kills all processes that were started, and waits for their end. Orphans become children
// of this process. A process that waits for the disk can't end before its request fails.
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
		case err != nil: // no children are left
			s.host = nil
			return
		case pid == 0:
			s.signal()
			testutil.Pause()
		}
	}
}

// signal kills the host and its children.
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
