// Package atomicfile writes files that other programs may read at any moment: keys,
// profiles, anchors, manifests.
//
// Guarantees:
//
//  1. A file has its old or its new content, and never a part, also after a crash or a power
//     cut at any moment. The content is durable before the file gets its name.
//  2. When Replace, ReplaceAt or Create returns nil, the name is durable, too.
//  3. Create never replaces a file.
//  4. Processes that write the same file do so one after the other.
//  5. Only users whom the mode allows can open the new file at any time.
//
// A new file is made in the same directory, under the name that Temporary returns, and under a
// lock. A crash can leave the temporary file behind. The next write of the path removes it. So
// no user should give a file such a name. A symbolic link at the path is replaced, not the file
// that it points to.
//
// The Core does not use this package: core/seglog writes the files of a store.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Limits of waiting for other processes that write the same file. Each write takes some
// milliseconds.
const (
	lockWithin = 10 * time.Second
	lockAgain  = 2 * time.Millisecond
)

// Replace makes the file at path, or replaces it. As usual, the process's umask removes bits
// from the mode.
func Replace(path string, mode fs.FileMode, content []byte) error {
	return whole(path, mode, content, (*File).Replace)
}

// Create makes the file at path. If the file exists, it returns an os.ErrExist.
func Create(path string, mode fs.FileMode, content []byte) error {
	return whole(path, mode, content, (*File).Create)
}

func whole(path string, mode fs.FileMode, content []byte, place func(*File) error) error {
	f, err := Begin(path, mode)
	if err != nil {
		return err
	}
	if _, err = f.Write(content); err == nil {
		err = place(f)
	}
	return errors.Join(err, f.Close())
}

const suffix = ".motte-new"

// Temporary returns the name under which the new file for path is made.
func Temporary(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+suffix)
}

// Begun reports whether a name in a directory is a temporary one, and of which file.
func Begun(name string) (final string, ok bool) {
	final, dot := strings.CutPrefix(name, ".")
	final, end := strings.CutSuffix(final, suffix)
	return final, dot && end
}

// File is a new file under its temporary name. The caller must call Close in the end.
type File struct {
	file *os.File // named Temporary(path), and locked
	path string
}

// Begin makes the new file for path. It waits while another process is writing that file.
func Begin(path string, mode fs.FileMode) (*File, error) {
	name := Temporary(path)
	for began := time.Now(); ; time.Sleep(lockAgain) {
		file, err := try(name, mode, path)
		if err != nil {
			return nil, err
		}
		if file != nil {
			return &File{file, path}, nil
		}
		if time.Since(began) > lockWithin {
			return nil, fmt.Errorf("lock %s: another process has held it for %v", name, lockWithin)
		}
	}
}

// try makes and locks the temporary file for path. It returns nil if another process has locked
// the file, or has just moved or removed it.
func try(name string, mode fs.FileMode, path string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil, sweep(name)
	}
	var refused *fs.PathError
	if errors.As(err, &refused) {
		return nil, &fs.PathError{Op: "create", Path: path, Err: refused.Err} // without the temporary name
	}
	if err != nil {
		return nil, err
	}
	locked, err := lock(file)
	if !locked {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// sweep removes a temporary file that a crash left. It leaves a file that a process is writing.
func sweep(name string) error {
	// Opening a pipe must not wait for a writer.
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is in the way: it is not a regular file", name)
	}
	if locked, err := lock(file); !locked {
		return err
	}
	return os.Remove(name)
}

// lock locks a new file, and reports whether this process owns it. The file must still have its
// name: another process may have removed it, or moved it to its final name.
func lock(file *os.File) (bool, error) {
	switch err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK), errors.Is(err, syscall.EINTR):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return named(file), nil
}

// named reports whether the file still has the name under which it was opened.
func named(file *os.File) bool {
	have, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(file.Name())
	return err == nil && os.SameFile(have, there)
}

// Write appends to the new file.
func (f *File) Write(p []byte) (int, error) { return f.file.Write(p) }

// Replace gives the file its final name, durably. It replaces any file of that name.
func (f *File) Replace() error { return f.ReplaceAt(f.path) }

// ReplaceAt is Replace with another final name in the same directory.
func (f *File) ReplaceAt(path string) error { return f.place(path, os.Rename) }

// Create gives the file its final name, durably. If a file has that name, it returns an
// os.ErrExist.
func (f *File) Create() error { return f.place(f.path, placeNew) }

func (f *File) place(path string, move func(from, to string) error) error {
	if err := f.file.Sync(); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := move(f.file.Name(), path); err != nil {
		return err
	}
	if err := dir.Sync(); !errors.Is(err, syscall.EINVAL) { // a file system that syncs no directory
		return err
	}
	return nil
}

// placeNew renames a file to a name that must not be in use. On a file system without hard
// links, only the lock keeps other processes from taking the name meanwhile.
func placeNew(from, to string) error {
	exists := &fs.PathError{Op: "create", Path: to, Err: fs.ErrExist} // without the temporary name
	err := os.Link(from, to)
	if errors.Is(err, fs.ErrExist) {
		return exists
	}
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		if _, err := os.Lstat(to); err == nil {
			return exists
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return os.Rename(from, to)
	}
	if err == nil {
		err = os.Remove(from)
	}
	return err
}

// Close removes the new file if it is still temporary, and unlocks the path. A second Close does
// nothing.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	file := f.file
	f.file = nil
	var err error
	if named(file) { // while it is locked, no other process moves it
		err = os.Remove(file.Name())
	}
	return errors.Join(err, file.Close())
}
