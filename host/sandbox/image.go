package sandbox

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// MaxExecutable bounds an executable, in bytes, because each instance holds a copy in memory.
const MaxExecutable = 1 << 30

// ErrMeasurement says that an executable's SHA-256 differs from the registered one.
var ErrMeasurement = errors.New("the executable's SHA-256 is not the registered one")

// measured returns a sealed copy in memory of the executable at path. No process can change the
// copy. It has the given measurement and name, and belongs to one instance alone. Processes that
// map the same page can wake each other there with a futex. They also see in its cache lines which
// code the other ran (decision 25).
func measured(path, name string, measurement [32]byte) (*os.File, error) {
	f, err := sealedCopy(path, name, measurement)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", path, err)
	}
	return f, nil
}

func sealedCopy(path, name string, measurement [32]byte) (*os.File, error) {
	from, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	if err := checkSize(from); err != nil {
		return nil, err
	}
	f, err := newMemory(name)
	if err != nil {
		return nil, err
	}
	if err := fill(f, from, measurement); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// fill copies an executable into memory, measures it, and seals it.
func fill(f, from *os.File, measurement [32]byte) error {
	d := sha256.New()
	if _, err := io.Copy(io.MultiWriter(f, d), io.LimitReader(from, MaxExecutable)); err != nil {
		return err
	}
	if [32]byte(d.Sum(nil)) != measurement {
		return ErrMeasurement
	}
	if err := checkExecutable(f); err != nil {
		return err
	}
	// A process that can't read its own executable is not dumpable. It leaves no core dump, and
	// other users and Tasks can't read its memory.
	return seal(f, 0o111)
}

// newMemory returns an empty file in memory, from which a program can be executed.
func newMemory(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // a kernel before 6.3
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// The kernel refuses to seal a file while it uses a page of it itself, as when it moves pages or writes
// them to swap. Such a use ends soon.
const (
	sealTries = 20
	sealPause = 50 * time.Millisecond
)

// seal sets the mode of a file in memory, and then forbids all changes.
func seal(f *os.File, mode os.FileMode) error {
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if err := f.Chmod(mode); err != nil {
		return err
	}
	for try := 1; ; try++ {
		_, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals)
		if !errors.Is(err, unix.EBUSY) || try == sealTries {
			return err
		}
		time.Sleep(sealPause)
	}
}
