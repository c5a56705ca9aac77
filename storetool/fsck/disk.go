package fsck

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"motte/core/seglog"
)

var errReadOnly = errors.New("nothing is changed here")

// directory is a log.Storage that refuses changes.
type directory struct {
	path string
	lock *os.File
	open map[string]*os.File
}

// openDirectory opens a data directory that no Core has open. No Core can open it until it is
// closed.
func openDirectory(path string) (*directory, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s is no directory", path)
	}
	d := &directory{path: path, open: make(map[string]*os.File)}
	lock, err := lockDirectory(path)
	if err != nil {
		return nil, err
	}
	d.lock = lock
	return d, nil
}

// lockDirectory locks a data directory against Cores. Other readers may share the lock. The lock
// lasts until the returned file is closed.
func lockDirectory(path string) (*os.File, error) {
	lock, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if err == nil {
		return lock, nil
	}
	lock.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, seglog.ErrLocked
	}
	return nil, fmt.Errorf("lock %s (some network file systems can't): %w", path, err)
}

func (d *directory) Close() (err error) {
	for _, f := range d.open {
		err = errors.Join(err, f.Close())
	}
	return errors.Join(err, d.lock.Close())
}

func (d *directory) Files() (list []seglog.File, err error) {
	entries, err := os.ReadDir(d.path)
	for _, e := range entries {
		info, errInfo := e.Info()
		if errInfo == nil && !info.Mode().IsRegular() {
			errInfo = seglog.Irregular(e.Name())
		} else if errInfo == nil && !strings.HasPrefix(e.Name(), leftover) {
			list = append(list, seglog.File{Name: e.Name(), Size: info.Size()})
		}
		err = errors.Join(err, errInfo)
	}
	return list, err
}

func (d *directory) ReadAt(name string, p []byte, offset int64) (err error) {
	f := d.open[name]
	if f == nil {
		if f, err = os.Open(filepath.Join(d.path, name)); err != nil {
			return err
		}
		d.open[name] = f
	}
	_, err = f.ReadAt(p, offset)
	return err
}

func (d *directory) Sync(string) error                           { return nil }
func (d *directory) Append(string, []byte) error                 { return errReadOnly }
func (d *directory) Create(string, func(io.Writer) error) error  { return errReadOnly }
func (d *directory) Replace(string, func(io.Writer) error) error { return errReadOnly }
func (d *directory) Remove(string) error                         { return errReadOnly }
func (d *directory) Cut(string, int64) error                     { return errReadOnly }
func (d *directory) Reserve(int64) error                         { return errReadOnly }
func (d *directory) Rescue(string) error                         { return errReadOnly }
func (d *directory) Watch() ([]seglog.File, int64, error)        { return nil, 0, errReadOnly }

// patient is a Storage that reads as much as it can. Unreadable sectors, and the missing end of a
// file that was cut off, read as zeros. No check accepts zeros, so exactly the data there counts as
// lost.
type patient struct {
	seglog.Storage
	whole   map[string]int64  // bytes that a file had before it was cut off, or more
	sizes   map[string]int64  // sizes of the files, in bytes
	memory  map[string][]byte // files that are not on the disk yet
	refused func(name string, offset int64, err error)
}

const (
	sector = 4096
)

func newPatient(s seglog.Storage, refused func(string, int64, error)) *patient {
	return &patient{s, make(map[string]int64), make(map[string]int64), make(map[string][]byte), refused}
}

func (d *patient) Files() ([]seglog.File, error) {
	list, err := d.Storage.Files()
	for i, f := range list {
		d.sizes[f.Name] = f.Size
		list[i].Size = max(f.Size, d.whole[f.Name])
	}
	for _, name := range slices.Sorted(maps.Keys(d.memory)) {
		p := d.memory[name]
		list = append(list, seglog.File{Name: name, Size: int64(len(p))})
	}
	return list, err
}

func (d *patient) Replace(name string, write func(io.Writer) error) error {
	err := d.Storage.Replace(name, write)
	if err == nil {
		delete(d.memory, name)
	}
	return err
}

func (d *patient) ReadAt(name string, p []byte, offset int64) error {
	if m, ok := d.memory[name]; ok {
		_, err := bytes.NewReader(m).ReadAt(p, offset)
		return err
	}
	if _, isCut := d.whole[name]; isCut {
		there := max(0, min(int64(len(p)), d.sizes[name]-offset))
		clear(p[there:])
		if p = p[:there]; there == 0 {
			return nil
		}
	}
	err := d.Storage.ReadAt(name, p, offset)
	if !errors.Is(err, syscall.EIO) {
		return err
	}
	for len(p) > 0 {
		n := min(len(p), int(sector-offset%sector))
		if err := d.Storage.ReadAt(name, p[:n], offset); errors.Is(err, syscall.EIO) {
			clear(p[:n])
			d.refused(name, offset, err)
		} else if err != nil {
			return err
		}
		p, offset = p[n:], offset+int64(n)
	}
	return nil
}
