package log

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

	current uint32   // the segment being appended to, if this Dir made it
	file    *os.File // of it
	end     int64    // of its durable data
	filled  int64    // length of its file

	mu    sync.Mutex
	files map[uint32]*os.File
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
	return &Dir{path: path, lock: lock, zeros: make([]byte, zeroAhead), files: make(map[uint32]*os.File)}, nil
}

// Close ends the use of the directory.
func (d *Dir) Close() error {
	err := d.cut()
	for _, f := range d.files {
		err = errors.Join(err, f.Close())
	}
	return errors.Join(err, d.lock.Close())
}

func (d *Dir) name(segment uint32) string {
	return filepath.Join(d.path, fmt.Sprintf("%08d.seg", segment))
}

// Segments lists the segments in ascending order. Only the newest can have
// been left in memory: the others were durable before a newer one was made.
func (d *Dir) Segments() ([]SegmentInfo, error) {
	entries, err := os.ReadDir(d.path) // sorted by name
	if err != nil {
		return nil, err
	}
	var list []SegmentInfo
	for _, e := range entries {
		var id uint32
		_, err := fmt.Sscanf(e.Name(), "%d.seg", &id)
		if err != nil || d.name(id) != filepath.Join(d.path, e.Name()) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		list = append(list, SegmentInfo{id, info.Size()})
	}
	if len(list) == 0 {
		return nil, nil
	}
	return list, SyncPath(d.name(list[len(list)-1].ID))
}

// Append adds to a segment and returns when that is durable. After a failure
// every further Append fails: what a failed sync left on the disk can't be
// known, and a second sync would not tell.
func (d *Dir) Append(segment uint32, p []byte) error {
	if d.failed == nil && segment != d.current {
		d.failed = d.create(segment, p)
	} else if d.failed == nil {
		d.failed = d.extend(p)
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
	err = d.cut() // the segment before
	d.current, d.file, d.end, d.filled = segment, f, 0, 0
	d.mu.Lock()
	d.files[segment] = f
	d.mu.Unlock()
	if err == nil {
		err = d.extend(p)
	}
	if err == nil {
		err = os.Rename(temporary, d.name(segment))
	}
	if err == nil {
		err = SyncPath(d.path)
	}
	return err
}

// extend writes p behind the data of the current segment.
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

// cut takes off what lies behind the durable data of the current segment: zeros,
// or a write that failed. If a crash undoes it, that is no loss.
func (d *Dir) cut() error {
	if d.file == nil {
		return nil
	}
	return d.file.Truncate(d.end)
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

// ReadAt fills p from an offset of a segment.
func (d *Dir) ReadAt(segment uint32, p []byte, offset int64) (err error) {
	d.mu.Lock()
	f := d.files[segment]
	if f == nil {
		if f, err = os.Open(d.name(segment)); err == nil {
			d.files[segment] = f
		}
	}
	d.mu.Unlock()
	if err == nil {
		_, err = f.ReadAt(p, offset)
	}
	return err
}
