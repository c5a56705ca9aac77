package seglog

import (
	"errors"
	"os"
	"syscall"
)

// reserveName is the file that keeps space of the disk for work that gives space back:
// deletions, the records that compaction carries over, checkpoints, the keys. Its
// content has no meaning.
const reserveName = "reserve"

// Sizes of the reserve, in bytes.
const (
	reserveLeast = segmentTarget // live records of a segment that is given back, and deletions
	reserveSlack = 16 << 20      // that must be free beside it when it is made, or it would be needed at once
)

// Reserve makes the reserve, unless it is there: room for two checkpoints beside that
// for a segment. An error says that there is none, or that it is too small.
func (l *Log) Reserve() error { return l.storage.Reserve(reserveLeast + 2*l.CheckpointBytes()) }

// Release gives the reserve to those that write now.
func (l *Log) Release() error { return l.storage.Reserve(0) }

// Full reports whether an error says that the disk, or what its user may have of it, is full.
func Full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// Reserve keeps so many bytes of the disk, or gives them back. Without a reserve no
// zeros are written ahead: the space is for data.
func (d *Dir) Reserve(size int64) error {
	d.reserving.Lock()
	defer d.reserving.Unlock()
	if size == 0 {
		d.noReserve.Store(true)
		err := d.root.Remove(reserveName)
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		return err
	}
	f, err := d.root.OpenFile(reserveName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	had := info.Size()
	if had < size {
		if err = diskHasRoom(f, size+reserveSlack-had); err == nil {
			err = d.allocate(f, size+reserveSlack)
		}
		if err != nil {
			_ = f.Truncate(had)
			return err
		}
		err = errors.Join(f.Truncate(size), f.Sync())
	}
	d.noReserve.Store(err != nil)
	return err
}

// diskHasRoom is an error if a disk has no room for so many bytes. To try would take for a moment
// all that there is from those that write now.
func diskHasRoom(f *os.File, bytes int64) error {
	var disk syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &disk); err != nil || disk.Blocks == 0 {
		return nil // it does not say
	}
	free := disk.Bavail
	if os.Geteuid() == 0 {
		free = disk.Bfree // also the blocks that are kept for root
	}
	if uint64(bytes)/uint64(disk.Bsize) >= free {
		return syscall.ENOSPC
	}
	return nil
}

// allocate gives a file space of the disk. Where a file system can't, zeros are written.
func (d *Dir) allocate(f *os.File, size int64) error {
	err := syscall.Fallocate(int(f.Fd()), 0, 0, size)
	if !errors.Is(err, syscall.EOPNOTSUPP) && !errors.Is(err, syscall.ENOSYS) {
		return err
	}
	for at := int64(0); at < size; at += int64(len(d.zeros)) {
		if _, err := f.WriteAt(d.zeros, at); err != nil {
			return err
		}
	}
	return nil
}

// ahead returns how many zeros are written behind the data, so that the space is there
// before it is needed.
func (d *Dir) ahead() int64 {
	if d.noReserve.Load() {
		return 0
	}
	return zeroAhead
}
