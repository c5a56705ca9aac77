package log

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// ErrLocked says that another process has the directory open.
var ErrLocked = errors.New("another Core has this data directory open")

// zeroAhead is how much of a segment is filled with zeros before it is needed:
// a sync of data that does not change the length of its file takes about half
// the time. A file that is written whole is synced as often, so that what is
// appended meanwhile need not wait for all of it.
const zeroAhead = 4 << 20 // bytes

// temporary begins the name of a file that is being made. Files removes those that a
// crash left.
const temporary = "new-"

// Dir is a Storage in a directory. A *os.File that is nil is no file: all its
// methods do is to return os.ErrInvalid.
type Dir struct {
	path  string
	lock  *os.File
	zeros []byte

	current string // the file being appended to, if this Dir made it
	file    *os.File
	failed  error // of the last write to it
	end     int64 // of its durable data
	filled  int64 // length of its file

	mu   sync.Mutex
	open map[string]*os.File // for reading
}

// OpenDir opens or makes a data directory, and locks it.
func OpenDir(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	// A new directory must outlive a crash as the segments in it do. A parent
	// that may not be read was there before.
	if err := SyncPath(filepath.Join(path, "..")); err != nil && !errors.Is(err, os.ErrPermission) {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, "LOCK"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, ErrLocked
	}
	return &Dir{path: path, lock: lock, zeros: make([]byte, zeroAhead), open: make(map[string]*os.File)}, nil
}

// Close ends the use of the directory.
func (d *Dir) Close() error {
	d.cut()
	for _, f := range d.open {
		f.Close()
	}
	return d.lock.Close()
}

func (d *Dir) name(file string) string { return filepath.Join(d.path, file) }

// Files lists the files in the order of their names; what a crash left half made
// is removed.
func (d *Dir) Files() (list []File, err error) {
	entries, err := os.ReadDir(d.path)
	for _, e := range entries {
		info, errInfo := e.Info()
		if strings.HasPrefix(e.Name(), temporary) {
			errInfo = os.Remove(d.name(e.Name()))
		} else if errInfo == nil && info.Mode().IsRegular() {
			list = append(list, File{e.Name(), info.Size()})
		}
		err = errors.Join(err, errInfo)
	}
	return list, err
}

// Append adds to a file and returns when that is durable. After a failure every
// further Append to it fails: what a failed sync left on the disk can't be known,
// and a second sync would not tell. A new file needs room for as much as is filled
// with zeros: a disk that is full would only be found so again at once.
func (d *Dir) Append(name string, p []byte) error {
	if name == d.current {
		if d.failed == nil {
			d.failed = d.extend(p)
		}
		return d.failed
	}
	d.cut()                                 // the file before
	_ = os.Remove(d.name(temporary + name)) // if that failed before
	f, err := create(d.name(name), func(w io.Writer) error { _, err := w.Write(slices.Concat(p, d.zeros)); return err })
	d.forget(name)
	if err == nil {
		d.current, d.file, d.failed = name, f, nil
		d.end, d.filled = int64(len(p)), int64(len(p)+len(d.zeros))
	}
	return err
}

// extend writes p behind the data of the current file.
func (d *Dir) extend(p []byte) error {
	if _, err := d.file.WriteAt(p, d.end); err != nil {
		return err
	}
	end := d.end + int64(len(p))
	if end > d.filled {
		// This only saves time: what can't be filled now is written, or
		// refused, when there is data for it.
		n, _ := d.file.WriteAt(d.zeros, end)
		d.filled = end + int64(n)
	}
	if err := syscall.Fdatasync(int(d.file.Fd())); err != nil {
		return err
	}
	d.end = end
	return nil
}

// cut takes off what lies behind the durable data of the current file, if there is
// one: zeros, or a write that failed. It only saves space.
func (d *Dir) cut() {
	_ = d.file.Truncate(d.end)
	_ = d.file.Close()
}

// Create makes or replaces a file.
func (d *Dir) Create(name string, write func(io.Writer) error) error {
	defer d.forget(name)
	_ = os.Remove(d.name(temporary + name)) // if that failed before
	return WriteFile(d.name(name), write)
}

// WriteFile makes or replaces a file, as Create of a Storage does; but it is an os.ErrExist
// if it is in the making already.
func WriteFile(path string, write func(io.Writer) error) error {
	f, err := create(path, write)
	_ = f.Close()
	return err
}

// create makes a file under another name first, which nobody else has, so that it is
// there whole or not at all.
func create(path string, write func(io.Writer) error) (*os.File, error) {
	dir, name := filepath.Split(path)
	f, err := os.OpenFile(dir+temporary+name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	w := bufio.NewWriterSize(syncing{f}, zeroAhead)
	if err = cmp.Or(write(w), w.Flush(), f.Sync()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = SyncPath(filepath.Dir(path))
	}
	if err != nil {
		f.Close()
		_ = os.Remove(f.Name())
		return nil, err
	}
	return f, nil
}

// syncing is a file of which each write is durable.
type syncing struct{ *os.File }

func (s syncing) Write(p []byte) (int, error) {
	n, err := s.File.Write(p)
	return n, cmp.Or(err, syscall.Fdatasync(int(s.Fd())))
}

// Remove removes a file.
func (d *Dir) Remove(name string) error {
	err := os.Remove(d.name(name))
	d.forget(name)
	return err
}

// forget closes what was opened under a name that means no file any more, or
// another one.
func (d *Dir) forget(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open[name].Close()
	delete(d.open, name)
}

// Sync makes durable what a file holds, and its name. A sync that failed before may
// have left what is not on the disk, and counts as if it were: so it is written again.
func (d *Dir) Sync(name string) error {
	f, err := os.OpenFile(d.name(name), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	p := make([]byte, 1<<20)
	for n, at := len(p), int64(0); err == nil && n == len(p); at += int64(n) {
		n, _ = f.ReadAt(p, at) // less: the end, or what can't be read, which is found when it is needed
		_, err = f.WriteAt(p[:n], at)
	}
	return errors.Join(err, f.Sync(), SyncPath(d.path))
}

// SyncPath makes a file, or the names in a directory, durable.
func SyncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// ReadAt fills p from an offset of a file.
func (d *Dir) ReadAt(name string, p []byte, offset int64) (err error) {
	d.mu.Lock()
	f := d.open[name]
	if f == nil {
		if f, err = os.Open(d.name(name)); err == nil {
			d.open[name] = f
		}
	}
	d.mu.Unlock()
	if err == nil {
		_, err = f.ReadAt(p, offset)
	}
	return err
}
