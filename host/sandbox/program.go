package sandbox

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// ownProgram is the file of this program.
const ownProgram = "/proc/self/exe"

// programs opens this program for the re-executed init.
type programs struct {
	mu   sync.Mutex
	copy *os.File // in sealed memory; nil: no start needed a copy yet
}

var initPrograms programs

// open returns this program's file for execution. An init with its own user needs a file that every
// user may execute. If this program's file is not executable for all, as after umask 077, open
// returns a copy in memory.
func (p *programs) open(path string, ownUser bool) (*os.File, error) {
	f, err := openPath(path)
	if err != nil || !ownUser {
		return f, err
	}
	info, err := f.Stat()
	if err == nil && info.Mode().Perm()&0o001 != 0 {
		return f, nil
	}
	f.Close()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.copy == nil {
		if p.copy, err = copyProgram(path); err != nil {
			return nil, fmt.Errorf("copy this program: %w", err)
		}
	}
	return openPath(fmt.Sprintf("/proc/self/fd/%d", p.copy.Fd()))
}

// openPath opens a file for execution, not for reading.
func openPath(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// copyProgram copies a program into sealed memory. Every user may execute the copy.
func copyProgram(path string) (*os.File, error) {
	from, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	f, err := newMemory("motte")
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(f, from)
	if err == nil {
		err = seal(f, 0o555)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
