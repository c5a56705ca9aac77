package log

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// ErrLocked says that another process has the directory open.
var ErrLocked = errors.New("another Core has this data directory open")

// zeroAhead is how much of a segment is filled with zeros before it is needed:
// a sync of data that does not change the length of its file takes about half
// the time.
const zeroAhead = 4 << 20 // bytes

// Dir is a Storage in a directory: one file a segment.
type Dir struct {
	path   string
	lock   *os.File
	zeros  []byte
	failed error

	current uint32 // the segment being appended to, if made by this Dir
	end     int64  // of its data
	filled  int64  // length of its file

	mu    sync.RWMutex
	files map[uint32]*os.File
}

// OpenDir opens or makes a data directory, and locks it.
func OpenDir(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
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
	return &Dir{path: path, lock: lock, zeros: make([]byte, zeroAhead), files: make(map[uint32]*os.File)}, nil
}

// Close ends the use of the directory.
func (d *Dir) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	if f := d.files[d.current]; f != nil && d.failed == nil {
		errs = append(errs, f.Truncate(d.end))
	}
	for _, f := range d.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(append(errs, d.lock.Close())...)
}

func (d *Dir) name(segment uint32) string {
	return filepath.Join(d.path, fmt.Sprintf("%08d.seg", segment))
}

// Segments lists the segments in ascending order.
func (d *Dir) Segments() ([]SegmentInfo, error) {
	entries, err := os.ReadDir(d.path) // sorted by name
	if err != nil {
		return nil, err
	}
	var list []SegmentInfo
	for _, e := range entries {
		number, ok := strings.CutSuffix(e.Name(), ".seg")
		id, err := strconv.ParseUint(number, 10, 32)
		if !ok || err != nil {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		list = append(list, SegmentInfo{uint32(id), info.Size()})
	}
	return list, nil
}

// Append adds to a segment and returns when that is durable. After a failure
// every further Append fails: what a failed sync left on the disk can't be
// known, and a second sync would not tell.
func (d *Dir) Append(segment uint32, p []byte) error {
	if d.failed != nil {
		return d.failed
	}
	if segment != d.current {
		d.failed = d.create(segment, p)
	} else {
		d.failed = d.extend(d.files[segment], p)
	}
	return d.failed
}

// create makes a segment under another name first, so that it is there with its
// first bytes or not at all.
func (d *Dir) create(segment uint32, p []byte) error {
	temporary := filepath.Join(d.path, "new-segment")
	f, err := os.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = f.Write(p); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(temporary, d.name(segment))
	}
	if err == nil {
		err = d.syncDir()
	}
	if err != nil {
		f.Close()
		return err
	}
	if old := d.files[d.current]; old != nil {
		// Behind the data there are only zeros; losing them needs no sync.
		if err := old.Truncate(d.end); err != nil {
			f.Close()
			return err
		}
	}
	d.current, d.end, d.filled = segment, int64(len(p)), int64(len(p))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[segment] = f
	return nil
}

func (d *Dir) extend(f *os.File, p []byte) error {
	for d.end+int64(len(p)) > d.filled {
		n, err := f.WriteAt(d.zeros, d.filled)
		if err != nil {
			return err
		}
		d.filled += int64(n)
	}
	if _, err := f.WriteAt(p, d.end); err != nil {
		return err
	}
	d.end += int64(len(p))
	return syscall.Fdatasync(int(f.Fd()))
}

func (d *Dir) syncDir() error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// ReadAt fills p from an offset of a segment.
func (d *Dir) ReadAt(segment uint32, p []byte, offset int64) error {
	f, err := d.file(segment)
	if err != nil {
		return err
	}
	_, err = f.ReadAt(p, offset)
	return err
}

func (d *Dir) file(segment uint32) (*os.File, error) {
	d.mu.RLock()
	f := d.files[segment]
	d.mu.RUnlock()
	if f != nil {
		return f, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.files[segment]; f != nil {
		return f, nil
	}
	f, err := os.Open(d.name(segment))
	if err == nil {
		d.files[segment] = f
	}
	return f, err
}
