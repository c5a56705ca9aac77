package log

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
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

// temporary begins the name of a file that is being made.
const temporary = "new-"

// Dir is a Storage in a directory.
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
	open map[string]*os.File
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
	err := d.cut()
	for _, f := range d.open {
		err = errors.Join(err, f.Close())
	}
	return errors.Join(err, d.lock.Close())
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
// and a second sync would not tell.
func (d *Dir) Append(name string, p []byte) error {
	if name != d.current {
		return d.begin(name, p)
	}
	if d.failed == nil {
		d.failed = d.extend(p)
	}
	return d.failed
}

// begin makes a file under another name first, so that it is there with its
// first bytes or not at all. There must be room for as much as is filled with
// zeros: a disk that is full would only be found so again at once.
func (d *Dir) begin(name string, p []byte) error {
	_ = d.cut() // the file before
	f, err := os.OpenFile(d.name(temporary+name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(append(p[:len(p):len(p)], d.zeros...)); err == nil {
		err = f.Sync()
	}
	if err = d.keep(name, f, err); err != nil {
		return err
	}
	d.current, d.file, d.failed, d.end, d.filled = name, f, nil, int64(len(p)), int64(len(p)+len(d.zeros))
	return nil
}

// keep gives a new file, which is durable unless there was an error, its name.
func (d *Dir) keep(name string, f *os.File, err error) error {
	if err == nil {
		err = os.Rename(f.Name(), d.name(name))
	}
	if err == nil {
		err = SyncPath(d.path)
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if old := d.open[name]; old != nil {
		old.Close()
	}
	d.open[name] = f
	return nil
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
	err := syscall.Fdatasync(int(d.file.Fd()))
	if err == nil {
		d.end = end
	}
	return err
}

// cut takes off what lies behind the durable data of the current file: zeros, or
// a write that failed. If a crash undoes it, that is no loss.
func (d *Dir) cut() error {
	if d.file == nil {
		return nil
	}
	return d.file.Truncate(d.end)
}

// Create makes or replaces a file, whole and durable.
func (d *Dir) Create(name string, write func(io.Writer) error) error {
	f, err := os.OpenFile(d.name(temporary+name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(syncing{f}, zeroAhead)
	if err = write(w); err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return d.keep(name, f, err)
}

// syncing is a file of which each write is durable.
type syncing struct{ *os.File }

func (s syncing) Write(p []byte) (int, error) {
	n, err := s.File.Write(p)
	if err == nil {
		err = syscall.Fdatasync(int(s.Fd()))
	}
	return n, err
}

// Remove removes a file.
func (d *Dir) Remove(name string) error {
	d.mu.Lock()
	f := d.open[name]
	delete(d.open, name)
	d.mu.Unlock()
	if f != nil {
		f.Close()
	}
	return os.Remove(d.name(name))
}

// Sync makes durable what a file holds.
func (d *Dir) Sync(name string) error { return SyncPath(d.name(name)) }

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
