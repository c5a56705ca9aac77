package crashfs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"motte/internal/testutil"
)

// medium is the storage of a store.
type medium interface {
	dir() string
	volume() *Volume             // the mounted volume
	restore(rng *rand.Rand) Loss // mount what a power cut has left; all processes must have ended
}

// media are the media of the tests. Each skips the test if it is not available.
var media = map[string]func(t *testing.T) medium{
	"file system": func(t *testing.T) medium { return onFileSystem(t) },
	"ext4":        func(t *testing.T) medium { return onDisk(t) },
}

// fileSystem is a lossy file system. It promises no more than POSIX.
type fileSystem struct {
	t       *testing.T
	mount   *Mount
	mounted bool
}

func onFileSystem(t *testing.T) *fileSystem {
	t.Helper()
	m, err := NewVolume().MountAt(t.TempDir())
	if err != nil {
		t.Skipf("a file system of one's own can't be mounted here: %v", err)
	}
	f := &fileSystem{t: t, mount: m, mounted: true}
	t.Cleanup(f.close)
	return f
}

func (f *fileSystem) dir() string     { return f.mount.Dir }
func (f *fileSystem) volume() *Volume { return f.mount.Volume }

func (f *fileSystem) restore(rng *rand.Rand) Loss {
	f.t.Helper()
	f.close()
	left, l := f.mount.Left(rng)
	m, err := left.MountAt(f.mount.Dir)
	testutil.Must(f.t, err)
	f.mount, f.mounted = m, true
	return l
}

func (f *fileSystem) close() {
	f.t.Helper()
	if !f.mounted {
		return
	}
	f.mounted = false
	// The kernel closes the files of a killed process a little later.
	testutil.Eventually(f.t, "unmount", f.mount.Unmount)
}

// disk is an ext4 on a disk that is a file of a lossy file system. The kernel's own code decides
// the places and the order of writes to the disk.
type disk struct {
	*fileSystem
	at string // mount point of the ext4
	on bool
}

// diskSize is larger than the tests need, unless they fill the disk.
const diskSize = 512 << 20 // bytes

func onDisk(t *testing.T) *disk {
	t.Helper()
	d := &disk{fileSystem: onFileSystem(t), at: t.TempDir()}
	testutil.Must(t, os.WriteFile(d.image(), nil, 0o600))
	testutil.Must(t, os.Truncate(d.image(), diskSize))
	if out, err := exec.Command("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", d.image()).CombinedOutput(); err != nil {
		t.Skipf("there is no mkfs.ext4 here: %v %s", err, out)
	}
	testutil.Must(t, errors.Join(syncPath(d.image()), syncPath(d.fileSystem.dir())))
	if err := d.attach(modes[0]); err != nil {
		t.Skipf("an ext4 of one's own can't be mounted here: %v", err)
	}
	t.Cleanup(d.close)
	return d
}

func (d *disk) image() string { return filepath.Join(d.fileSystem.dir(), "disk") }
func (d *disk) dir() string   { return d.at }

// modes are mount options of ext4 that change the order of its writes.
var modes = []string{"data=ordered", "data=writeback", "data=journal", "nodelalloc", "noauto_da_alloc", "commit=1"}

func (d *disk) attach(mode string) error {
	if out, err := exec.Command("mount", "-t", "ext4", "-o", "loop,"+mode, d.image(), d.at).CombinedOutput(); err != nil {
		return fmt.Errorf("mount the ext4: %w: %s", err, out)
	}
	d.on = true
	return nil
}

func (d *disk) restore(rng *rand.Rand) Loss {
	d.t.Helper()
	d.detach()
	l := d.fileSystem.restore(rng)
	testutil.Must(d.t, d.attach(modes[rng.IntN(len(modes))]))
	return l
}

func (d *disk) close() {
	d.detach()
	d.fileSystem.close()
}

func (d *disk) detach() {
	d.t.Helper()
	if d.on {
		d.on = false
		testutil.Eventually(d.t, "unmount the ext4", func() error { return unix.Unmount(d.at, 0) })
	}
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
