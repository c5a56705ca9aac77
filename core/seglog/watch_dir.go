package seglog

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// Watch lists the files as Files does, and returns their disk space in bytes. It omits a file that
// replaced a file of this Dir. It also omits a removed file that this Dir made again, until Rescue
// is called, so that the caller always notices the removal. Watch returns ErrAdrift if the
// directory was replaced. It also returns ErrAdrift if there is a segment that this Dir neither
// made nor listed: another Core writes here in spite of the lock.
func (d *Dir) Watch() (list []File, disk int64, err error) {
	d.naming.Lock()
	defer d.naming.Unlock()
	now, err := os.Stat(d.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, 0, err
	}
	if locked, errLocked := d.lock.Stat(); errLocked != nil || err != nil || !os.SameFile(now, locked) {
		return nil, 0, ErrAdrift
	}
	list, err = d.list(func(info os.FileInfo) (bool, error) {
		if s, ok := info.Sys().(*syscall.Stat_t); ok {
			disk += s.Blocks * blockSize
		}
		known, ok := d.known[info.Name()]
		if _, segment := number(info.Name(), segmentSuffix); segment && !ok {
			return false, fmt.Errorf("%w: %s", ErrAdrift, info.Name())
		}
		its := !ok || known == identify(info)
		return info.Mode().IsRegular() && its && !d.remade[info.Name()], nil
	})
	return list, disk, err
}

const blockSize = 512 // bytes: the unit of the disk space of a file

// Rescue makes a removed file again, if this Dir still has it open.
func (d *Dir) Rescue(name string) error {
	d.naming.Lock()
	appended := d.current == name // endCurrent makes it again before the next file
	remade := d.remade[name]
	delete(d.remade, name)
	d.naming.Unlock()
	if appended || remade {
		return nil
	}
	d.mu.RLock()
	r := d.open[name]
	d.mu.RUnlock()
	if r == nil {
		return os.ErrNotExist
	}
	f, err := r.opened(d.root, name)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	// Another file may have the name: it is not replaced.
	if _, err := d.root.Lstat(name); !errors.Is(err, os.ErrNotExist) {
		return cmp.Or(err, os.ErrExist)
	}
	return d.putBack(name, io.NewSectionReader(f, 0, info.Size()))
}

// putBack makes a removed file again, with the content of an open file.
func (d *Dir) putBack(name string, from io.Reader) error {
	return d.Create(name, func(w io.Writer) error {
		_, err := io.Copy(w, from)
		return err
	})
}

// inPlace reports whether the right file has a name.
func (d *Dir) inPlace(name string) bool {
	d.naming.Lock()
	defer d.naming.Unlock()
	info, err := d.root.Lstat(name)
	return err == nil && identify(info) == d.known[name]
}

// Cut truncates a file to a size. It leaves a file with several hard links alone: a copy of the
// directory may be in use and need the rest of the file.
func (d *Dir) Cut(name string, size int64) error {
	f, err := d.root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var now syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &now); err != nil || now.Nlink > 1 || now.Size <= size {
		return err // Truncate would make a shorter file longer
	}
	return f.Truncate(size)
}
