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
		func(t *testing.T, m medium) { testutil.Must(t, os.RemoveAll(ballast(m))) }, // a power cut may have removed the file already
		[]string{"heals", "the server is started, then heals"}},
	// After an error of its disk, such an ext4 takes no writes until it is mounted again.
	{"ext4 on a failing disk", media["ext4"], func(_ *testing.T, m medium) { m.volume().FailWrites() }, heal,
		[]string{"the power is cut"}},
}

func heal(_ *testing.T, m medium) { m.volume().Heal() }

func ballast(m medium) string { return filepath.Join(m.dir(), "ballast") }

// fill makes a file that takes all free space.
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

// ends are the ways in which a fault ends. After each of them the store must be whole.
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

// TestDiskFaults: during a fault the Core refuses writes with the matching error and serves
// reads, and the server is not ready. After the fault, all acknowledged writes are there, and
// the server takes writes again. If the Core ran on, no refused write is there.
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
				b.load(t.Context(), s)() // the load ends when each writer is refused
				b.account(t.Context(), c)
				s.takesWrites(false)
				ends[end](t, f, s)
				if s.host == nil {
					// The Core ended before it could undo the refused writes.
					b.doubts = b.refusals
					c = s.mustReady()
				}
				writes(t, c)
				s.takesWrites(true)
				b.account(t.Context(), c)
				if end == "heals" { // later writes are kept, too
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

// TestAFullDiskCanBeEmptied fills the disk, both of this file system and of a real ext4. Writes
// that need space are refused. Deletions and COMPACT succeed, and then writes succeed again.
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
					return fmt.Errorf("a PUT returns %v; want that the disk is full", err)
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
