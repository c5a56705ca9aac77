package crashfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"motte/client"
	"motte/internal/testutil"
)

// fault is a way in which a medium fails.
type fault struct {
	name    string
	on      func(t *testing.T) medium
	inflict func(t *testing.T, m medium)
	heal    func(t *testing.T, m medium)
	ends    []string
}

var faultKinds = []fault{
	{"full", media["file system"], func(_ *testing.T, m medium) { m.volume().Fill(1 << 20) }, heal,
		[]string{"heals", "the power is cut", "the server is started, then heals"}},
	{"writes fail", media["file system"], func(_ *testing.T, m medium) { m.volume().FailWrites() }, heal,
		[]string{"heals", "the power is cut"}},
	{"syncs fail", media["file system"], func(_ *testing.T, m medium) { m.volume().FailSyncs() }, heal,
		[]string{"heals", "the power is cut"}},
	{"full ext4", media["ext4"], func(t *testing.T, m medium) { fill(t, ballast(m)) },
		func(t *testing.T, m medium) { testutil.Must(t, os.RemoveAll(ballast(m))) }, // a cut may have done it
		[]string{"heals", "the server is started, then heals"}},
	// Such an ext4 takes no writes until it is mounted again.
	{"ext4 on a failing disk", media["ext4"], func(_ *testing.T, m medium) { m.volume().FailWrites() }, heal,
		[]string{"the power is cut"}},
}

func heal(_ *testing.T, m medium) { m.volume().Heal() }

func ballast(m medium) string { return filepath.Join(m.dir(), "ballast") }

// fill makes a file that takes all the space that there is.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	testutil.Must(t, err)
	defer f.Close()
	end := int64(0)
	for size := int64(diskSize); size >= pageSize; {
		switch err := syscall.Fallocate(int(f.Fd()), 0, end, size); {
		case err == nil:
			end += size
		case errors.Is(err, syscall.ENOSPC):
			size /= 2
		default:
			t.Fatal(err)
		}
	}
}

// ends are ways in which a fault ends. After each the store is whole.
var ends = map[string]func(t *testing.T, f fault, s *server){
	"heals": func(t *testing.T, f fault, s *server) { f.heal(t, s.medium) },
	"the power is cut": func(t *testing.T, f fault, s *server) {
		s.cut(random(t))
		f.heal(t, s.medium)
	},
	"the server is started, then heals": func(t *testing.T, f fault, s *server) {
		s.kill()
		s.start()
		if c, err := s.ready(); err == nil {
			testutil.Must(t, c.Close())
		}
		s.kill()
		f.heal(t, s.medium)
	},
}

// TestDiskFaults: writes are refused with the error for that, the server says that it is not
// ready, reads go on, and however the fault ends, everything that was acknowledged is there, and the
// server takes writes again. What was refused is not there, if the Core went on.
func TestDiskFaults(t *testing.T) {
	for _, f := range faultKinds {
		for _, end := range f.ends {
			t.Run(f.name+", "+end, func(t *testing.T) {
				s, b := newServer(t, f.on(t)), newBooks()
				defer b.balance(t)
				c := s.mustReady()
				s.create(c)
				b.loadUntil(s, 50)
				f.inflict(t, s.medium)
				b.load(t.Context(), s)() // until each writer is refused
				b.account(t.Context(), c)
				s.takesWrites(false)
				ends[end](t, f, s)
				if s.host == nil {
					// The Core ended before it could give up what it refused.
					b.doubts = b.refusals
					c = s.mustReady()
				}
				writes(t, c)
				s.takesWrites(true)
				b.account(t.Context(), c)
				if end == "heals" { // and what it writes then is there
					b.loadUntil(s, 50)
					s.cut(random(t))
					b.account(t.Context(), s.mustReady())
				}
			})
		}
	}
}

// writes waits until a write succeeds.
func writes(t *testing.T, c *client.Client) {
	t.Helper()
	testutil.Eventually(t, "a write", func() error {
		_, err := c.Put(t.Context(), collection, []byte("data"), client.Name("another"))
		return err
	})
	testutil.Must(t, c.Delete(t.Context(), collection, "another"))
}

// TestAFullDiskCanBeEmptied: on a disk that is full, the file system's own, and a real ext4,
// what grows is refused, deletions and COMPACT are done, and then there is room again.
func TestAFullDiskCanBeEmptied(t *testing.T) {
	for _, f := range []fault{faultKinds[0], faultKinds[3]} {
		t.Run(f.name, func(t *testing.T) {
			s := newServer(t, f.on(t))
			c := s.mustReady()
			s.create(c)
			data := make([]byte, 1<<20)
			for n := range 60 {
				_, err := c.Put(t.Context(), collection, data, client.Name(fmt.Sprint("large ", n)))
				testutil.Must(t, err)
			}
			testutil.Eventually(t, "a reserve", func() error {
				_, err := os.Stat(filepath.Join(s.medium.dir(), "store", "reserve"))
				return err
			})
			f.inflict(t, s.medium)
			testutil.Eventually(t, "a full disk", func() error {
				_, err := c.Put(t.Context(), collection, data, client.Name("more"))
				if !errors.Is(err, client.ErrDiskFull) {
					return fmt.Errorf("a PUT is answered %v", err)
				}
				return nil
			})
			for n := range 60 {
				testutil.Must(t, c.Delete(t.Context(), collection, fmt.Sprint("large ", n)))
			}
			testutil.Must(t, c.Compact(t.Context()))
			testutil.Eventually(t, "room", func() error {
				_, err := c.Put(t.Context(), collection, data, client.Name("more"))
				return err
			})
		})
	}
}
