package seglog

import (
	"errors"
	"os"
	"syscall"
)

// reserveName is the file that reserves disk space. It is removed when the disk is full. Its space
// is for writes that free more space in the end: deletions, relocated records, checkpoints and
// keys. Its content has no meaning.
const reserveName = "reserve"

// Sizes of the reserve, in bytes.
const (
	reserveLeast = segmentTarget // for the live records of one segment, and deletions
	reserveSlack = 16 << 20      // free beside a new reserve: with less, it would be used at once
)

// Reserve makes or enlarges the reserve: space for a segment and two checkpoints. After an error,
// the reserve is missing or too small. Full tells whether the disk is the cause.
func (l *Log) Reserve() error { return l.storage.Reserve(reserveLeast + 2*l.CheckpointBytes()) }

// Release removes the reserve, so that its space is free for writes.
func (l *Log) Release() error { return l.storage.Reserve(0) }

// Full reports whether an error says that the disk is full, or that the user's disk quota is used
// up.
func Full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// Reserve reserves this many bytes of disk space; with 0 it frees them. Without a reserve, no zeros
// are written ahead, so that all space is for data.
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

// diskHasRoom returns ENOSPC if the disk has no space for this many bytes. Without this check, an
// attempt to allocate them would use up the disk for a moment, and other writes would fail.
func diskHasRoom(f *os.File, bytes int64) error {
	var disk syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &disk); err != nil || disk.Blocks == 0 {
		return nil // the file system does not know its free space
	}
	free := disk.Bavail
	if os.Geteuid() == 0 {
		free = disk.Bfree // includes the blocks that are reserved for root
	}
	if uint64(bytes)/uint64(disk.Bsize) >= free {
		return syscall.ENOSPC
	}
	return nil
}

// allocate allocates disk space for a file. If the file system can't, it writes zeros.
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

// ahead returns how many zeros are written after the data, in bytes.
func (d *Dir) ahead() int64 {
	if d.noReserve.Load() {
		return 0
	}
	return zeroAhead
}
