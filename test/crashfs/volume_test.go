package crashfs

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"motte/internal/testutil"
)

// TestFilesKeepWhatWasSynced makes random changes of a file, with syncs, and cuts the power.
// Each sector must have a content since the last sync, and the length must be one since then. If
// there was no change since then, the file must be unchanged.
func TestFilesKeepWhatWasSynced(t *testing.T) {
	rng := random(t)
	var torn, lost, kept int
	for range 1000 {
		f, states := newFile(), [][]byte{nil} // states since the last sync
		for range rng.IntN(12) {
			now := slices.Clone(states[len(states)-1])
			switch rng.IntN(6) {
			case 0:
				f.sync()
				states = [][]byte{now}
				continue
			case 1:
				size := rng.IntN(3 * pageSize)
				f.truncate(int64(size))
				now = append(now, make([]byte, max(0, size-len(now)))...)[:size]
			default:
				offset, data := rng.IntN(2*pageSize), make([]byte, 1+rng.IntN(2*pageSize))
				for i := range data {
					data[i] = byte(1 + rng.IntN(255))
				}
				f.write(data, int64(offset))
				now = append(now, make([]byte, max(0, offset+len(data)-len(now)))...)
				copy(now[offset:], data)
			}
			states = append(states, now)
		}
		f.drop(rng, new(Loss))
		left := make([]byte, f.durable.size)
		f.durable.readAt(left, 0)
		if err := possible(left, states); err != nil {
			t.Fatal(err)
		}
		switch {
		case bytes.Equal(left, states[0]):
			lost++
		case bytes.Equal(left, states[len(states)-1]):
			kept++
		default:
			torn++
		}
	}
	t.Logf("%d cuts lost all unsynced changes, %d kept all, %d lost a part", lost, kept, torn)
	if lost < 30 || kept < 30 || torn < 30 {
		t.Error("one of these outcomes hardly ever occurs; want all three")
	}
}

// possible returns an error if a power cut can't leave these bytes of a file with these states
// since the last sync. A sector after the end of a state may hold any bytes.
func possible(left []byte, states [][]byte) error {
	if !slices.ContainsFunc(states, func(s []byte) bool { return len(s) == len(left) }) {
		return fmt.Errorf("the file has %d bytes, a length that it never had since the last sync", len(left))
	}
	for at := 0; at < len(left); at += sectorSize {
		sector := left[at:min(len(left), at+sectorSize)]
		as := func(s []byte) bool {
			was := make([]byte, len(sector))
			copy(was, s[min(at, len(s)):])
			return bytes.Equal(was, sector)
		}
		if len(states) == 1 && !as(states[0]) || at/pageSize*pageSize < len(states[0]) && !slices.ContainsFunc(states, as) {
			return fmt.Errorf("the sector at %d of %d bytes has a content that it never had since the last sync, %d changes ago", at, len(left), len(states)-1)
		}
	}
	return nil
}

// TestNamesKeepWhatWasSynced: names in a synced directory survive. Other changes survive or not,
// and a rename survives as a whole.
func TestNamesKeepWhatWasSynced(t *testing.T) {
	rng := random(t)
	a, b, other := entry{root, "a"}, entry{root, "b"}, entry{2, "other"}
	seen, ways := make(map[string]int), make(map[uint64]int)
	for range 500 {
		n := newNames(map[entry]uint64{})
		n.change(move{entry{root, "dir"}: 2})
		n.change(move{a: 3})
		n.change(move{b: 4})
		n.sync(root)
		n.change(move{other: 5})
		n.change(move{a: 0, b: 3})
		n.sync(2)
		n.change(move{a: 6})
		n.change(move{entry{root, "way"}: 7})
		n.change(move{entry{7, "inside"}: 8})
		n.sync(7)
		n.drop(rng, new(Loss))
		if n.durable[entry{root, "dir"}] != 2 || n.durable[other] != 5 || n.durable[entry{7, "inside"}] != 8 {
			t.Fatalf("synced names are lost: %v", n.durable)
		}
		ways[n.durable[entry{root, "way"}]]++
		seen[fmt.Sprint(n.durable[a], n.durable[b])]++
	}
	if got := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, []string{"0 3", "3 4", "6 3"}) {
		t.Errorf("left are %v; want the old names, those after the rename, and those after all", got)
	}
	if ways[0] == 0 || ways[7] == 0 {
		t.Errorf("the name of a synced directory is lost %d times and kept %d times; want both, since its parent was not synced", ways[0], ways[7])
	}
}

// TestSyncOfADirectoryKeepsWhatItsNamesNeed: a file that was moved into a new directory must not
// be lost together with the directory's name.
func TestSyncOfADirectoryKeepsWhatItsNamesNeed(t *testing.T) {
	n := newNames(map[entry]uint64{})
	n.change(move{entry{root, "file"}: 2})
	n.change(move{entry{root, "dir"}: 3})
	n.change(move{entry{root, "unrelated"}: 4})
	n.change(move{entry{root, "file"}: 0, entry{3, "file"}: 2})
	n.sync(3)
	if want := (map[entry]uint64{{root, "dir"}: 3, {3, "file"}: 2}); !maps.Equal(n.durable, want) {
		t.Errorf("durable is %v; want %v", n.durable, want)
	}
}

// TestMountedVolumeIsAFileSystem: the operations that the server uses work through the kernel.
func TestMountedVolumeIsAFileSystem(t *testing.T) {
	m := onFileSystem(t)
	a, b := filepath.Join(m.dir(), "dir", "a"), filepath.Join(m.dir(), "dir", "b")
	testutil.Must(t, os.MkdirAll(filepath.Dir(a), 0o700))
	testutil.Must(t, os.WriteFile(a, bytes.Repeat([]byte("a"), 300_000), 0o600))
	testutil.Must(t, os.WriteFile(b, []byte("b"), 0o640))
	f, err := os.OpenFile(a, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	testutil.Must(t, err)
	defer f.Close()
	g, err := os.Open(a)
	testutil.Must(t, err)
	defer g.Close()
	testutil.Must(t, syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	if err := syscall.Flock(int(g.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("a second lock of a locked file returns %v; want an error", err)
	}
	_, err = f.WriteAt([]byte("end"), 9000)
	testutil.Must(t, err)
	testutil.Must(t, f.Truncate(9002))
	testutil.Must(t, os.Rename(a, b))
	got, err := os.ReadFile(b)
	testutil.Must(t, err)
	if want := append(make([]byte, 9000), "en"...); !bytes.Equal(got, want) {
		t.Errorf("a read returns %d bytes; want the %d that were written", len(got), len(want))
	}
	if _, err := os.Stat(a); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old name of a renamed file: %v; want os.ErrNotExist", err)
	}
	if err := os.Remove(filepath.Dir(b)); !errors.Is(err, syscall.ENOTEMPTY) {
		t.Errorf("removing a directory that is not empty returns %v; want an error", err)
	}
	testutil.Must(t, os.Remove(b))
	testutil.Must(t, os.Remove(filepath.Dir(b)))
	list, err := os.ReadDir(m.dir())
	testutil.Must(t, err)
	if len(list) > 0 {
		t.Errorf("the directory has %v left; want it empty", list)
	}
}

// TestFaultsAreSeen: a failing file system returns errors. A sync that succeeds after a failed
// one does not make the lost changes durable.
func TestFaultsAreSeen(t *testing.T) {
	m := onFileSystem(t)
	f, err := os.Create(filepath.Join(m.dir(), "file"))
	testutil.Must(t, err)
	defer f.Close()
	old, data := bytes.Repeat([]byte("o"), 2*pageSize), bytes.Repeat([]byte("n"), 2*pageSize)
	_, err = f.WriteAt(old, 0)
	testutil.Must(t, err)
	testutil.Must(t, errors.Join(f.Sync(), syncPath(m.dir())))

	m.volume().Fill(pageSize)
	if _, err := f.WriteAt(data, 2*pageSize); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a write of two pages with space for one returns %v; want ENOSPC", err)
	}
	if info, err := f.Stat(); err != nil || info.Size() != 3*pageSize {
		t.Errorf("the file has %d bytes, %v; want the three pages that there was space for", info.Size(), err)
	}
	_, err = f.WriteAt(old, 0)
	testutil.Must(t, err)

	m.volume().FailWrites()
	if _, err := f.WriteAt(data, 0); !errors.Is(err, syscall.EIO) {
		t.Errorf("a write to a failing disk returns %v; want EIO", err)
	}

	m.volume().Heal()
	lost := false
	for range 50 { // a single failed sync may happen to lose no change
		_, err = f.WriteAt(old, 0)
		testutil.Must(t, errors.Join(err, f.Sync()))
		_, err = f.WriteAt(data, 0)
		testutil.Must(t, err)
		m.volume().FailSyncs()
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Errorf("a sync on a failing disk returns %v; want EIO", err)
		}
		m.volume().Heal()
		testutil.Must(t, f.Sync())
		p := make([]byte, len(data))
		if _, err := f.ReadAt(p, 0); err != nil || !bytes.Equal(p, data) {
			t.Errorf("after a failed sync processes do not see their writes: %v", err)
		}
		n := m.volume().nodes[m.volume().names.now[entry{root, "file"}]]
		n.durable.readAt(p, 0)
		lost = lost || !bytes.Equal(p, data)
	}
	if !lost {
		t.Error("50 failed syncs lost no change; want losses, or the tests check too little")
	}
}

// TestPowerCutsTakeWhatWasNotSynced of a file on each medium, and no synced data.
func TestPowerCutsTakeWhatWasNotSynced(t *testing.T) {
	for kind, on := range media {
		t.Run(kind, func(t *testing.T) {
			rng := random(t)
			m := on(t)
			synced, volatile := filepath.Join(m.dir(), "synced"), filepath.Join(m.dir(), "volatile")
			data := make([]byte, 5*pageSize)
			lost := 0
			for i := range 10 {
				fillRandom(rng, data)
				testutil.Must(t, os.WriteFile(synced, data, 0o600))
				testutil.Must(t, errors.Join(syncPath(synced), syncPath(m.dir())))
				testutil.Must(t, os.WriteFile(volatile, data, 0o600))
				m.volume().Cut()
				m.volume().Fail()
				m.restore(rng)
				got, err := os.ReadFile(synced)
				if err != nil || !bytes.Equal(got, data) {
					t.Fatalf("after cut %d a synced file of %d bytes has %d bytes, or other content (%v); want it unchanged", i, len(data), len(got), err)
				}
				if got, err := os.ReadFile(volatile); err != nil || !bytes.Equal(got, data) {
					lost++
				}
				if err := os.Remove(volatile); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Fatal(err)
				}
			}
			t.Logf("%d of 10 unsynced files are lost or altered", lost)
			if lost == 0 {
				t.Error("no power cut lost an unsynced file; want losses, or the tests check too little")
			}
		})
	}
}

func fillRandom(rng *rand.Rand, p []byte) {
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
}
