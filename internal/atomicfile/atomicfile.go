// Package atomicfile writes files that other programs may read at any moment: keys,
// profiles, anchors, manifests.
//
// Guarantees:
//
//  1. A file is there whole or not at all, also after a crash or a power cut at any
//     moment. Its content is durable before it gets its name.
//  2. When Replace, ReplaceAt or Create returns nil, the name is durable, too.
//  3. Create never replaces a file.
//  4. Processes that write the same file do it one after the other.
//  5. The new file is never open to anybody but those whom its mode allows.
//
// A file is made beside its place under the name that Temporary tells, and under a
// lock. A crash can leave that file behind; the next write of the path removes it. So
// the name is one that nobody gives to a file of their own. A symbolic link at the
// path is replaced, not the file that it points to.
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

// How long a process waits for others that write the same file; each needs some
// milliseconds.
const (
	lockWithin = 10 * time.Second
	lockAgain  = 2 * time.Millisecond
)

// Replace makes the file at path, or replaces it. Of the mode, the process's umask
// takes bits away, as always.
func Replace(path string, mode fs.FileMode, content []byte) error {
	return whole(path, mode, content, (*File).Replace)
}

// Create makes the file at path. It returns an os.ErrExist if there is one.
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

// Temporary is the name of the file at path while it is being made.
func Temporary(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+suffix)
}

// Begun tells of which file in a directory a name is the temporary one.
func Begun(name string) (final string, ok bool) {
	final, dot := strings.CutPrefix(name, ".")
	final, end := strings.CutSuffix(final, suffix)
	return final, dot && end
}

// File is a new file that has no place yet. Close must be called in the end.
type File struct {
	file *os.File // named Temporary(path), and locked
	path string
}

// Begin makes the new file for path. It waits while another process has one.
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

// try makes and locks the file of that name, for path. It returns nil if another
// process has it, or had it until now.
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

// sweep removes a file that a crash left, and leaves one alone that is being made.
func sweep(name string) error {
	// An open of a pipe must not wait for a writer.
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

// lock reports whether the file is this process's own, and still has its name:
// another process may have removed it, or moved it to its place.
func lock(file *os.File) (bool, error) {
	switch err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK), errors.Is(err, syscall.EINTR):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return named(file), nil
}

// named reports whether the file still has the name that it was opened under.
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

// Replace puts the file into its place, durably, whatever is there.
func (f *File) Replace() error { return f.ReplaceAt(f.path) }

// ReplaceAt is Replace for a name in the same directory that was not known before.
func (f *File) ReplaceAt(path string) error { return f.place(path, os.Rename) }

// Create puts the file into its place, durably. It returns an os.ErrExist if there
// is one already.
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

// placeNew gives a file its name, which must not be in use. Where a file system has
// no hard links, only the lock keeps another process from taking the name meanwhile.
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

// Close removes the new file if it has no place, and lets others write theirs. A
// second Close does nothing.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	file := f.file
	f.file = nil
	var err error
	if named(file) { // nobody else moves it while it is locked
		err = os.Remove(file.Name())
	}
	return errors.Join(err, file.Close())
}
