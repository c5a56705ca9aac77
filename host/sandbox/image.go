package sandbox

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// images keeps the sealed copies of what was started before: every instance of
// one executable runs from one copy.
var images struct {
	sync.Mutex
	sealed map[[32]byte]*os.File
}

// maxImages bounds the copies kept. They are of executables that an
// administrator registered, and few.
const maxImages = 16

// ErrMeasurement says that an executable is not the one that was registered.
var ErrMeasurement = errors.New("the executable's SHA-256 is not the registered one")

// measured returns an executable with this measurement, in memory that nobody
// can change any more. The descriptor is the caller's own, to close: the copy may
// go from the list while others start.
func measured(path string, measurement [32]byte) (*os.File, error) {
	images.Lock()
	defer images.Unlock()
	f, err := kept(path, measurement)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), "task"), nil
}

// kept is the sealed copy, made if it is not there.
func kept(path string, measurement [32]byte) (*os.File, error) {
	if f := images.sealed[measurement]; f != nil {
		return f, nil
	}
	f, err := sealedCopy(path, measurement)
	if err != nil {
		return nil, err
	}
	if len(images.sealed) >= maxImages {
		for _, old := range images.sealed {
			old.Close()
		}
		clear(images.sealed)
	}
	if images.sealed == nil {
		images.sealed = make(map[[32]byte]*os.File)
	}
	images.sealed[measurement] = f
	return f, nil
}

func sealedCopy(path string, measurement [32]byte) (*os.File, error) {
	from, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	fd, err := unix.MemfdCreate("task", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // a kernel before 6.3
		fd, err = unix.MemfdCreate("task", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "task")
	d := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, d), from)
	if err == nil && [32]byte(d.Sum(nil)) != measurement {
		err = ErrMeasurement
	}
	// A process whose executable it can't read itself is not dumpable: it
	// leaves no core, and other users, and Tasks, can't look into its memory.
	if err == nil {
		err = unix.Fchmod(fd, 0o111)
	}
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
