package seglog

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// Errors of a data directory.
var (
	ErrLocked = errors.New("another Core has this data directory open")
	ErrAdrift = errors.New("the data directory is not this Core's any more: " +
		"it was moved, replaced or unmounted, or another Core writes in it")
)

// errUnlinked says that the file being appended to has lost its name.
var errUnlinked = errors.New("the file was removed while it was written")

// errCutOff says that another program has cut off the file being appended to.
var errCutOff = errors.New("the file was cut off while it was written")

// Sizes of what is written, in bytes.
const (
	// zeroAhead is how much of a segment is filled with zeros before it is needed: a sync of
	// data that does not change the length of its file takes about half the time.
	zeroAhead = 1 << 20
	// largeWrite is the size from which on the zeros behind a write would cost more than they
	// save: the disk writes all that lies on them twice.
	largeWrite = 64 << 10
	// writeSize is the size of one write of zeros, and of small writes together. The kernel may
	// keep what one call wrote as one unit, which a later small write and its sync walk through.
	writeSize = 64 << 10
	// syncEvery is how much of a file that is written whole is synced at once, so that an
	// append need not wait for all of the file.
	syncEvery = 4 << 20
)

// maxOpen bounds the files that are open for reading.
const maxOpen = 256

// temporary begins the name of a file that is being made. Files removes those that a
// crash left.
const temporary = "new-"

// Dir is a Storage in a directory. A *os.File that is nil is no file: all its
// methods do is to return os.ErrInvalid.
type Dir struct {
	path  string
	root  *os.Root // the directory itself, whatever path leads to now
	lock  *os.File // the same: there is no lock file that could be removed
	zeros []byte

	file   *os.File // the one being appended to, if this Dir made it
	failed error    // of the last write to it
	end    int64    // of its durable data
	filled int64    // length of its file

	reserving sync.Mutex  // held while the reserve is made or given back
	noReserve atomic.Bool // there is no reserve: no zeros are written ahead

	naming  sync.Mutex        // held while a name comes to mean another file
	current string            // the name of file
	known   map[string]fileID // what each name means: a file that this Dir made, or listed first
	unsure  map[string]fileID // files that were made, but may not be durable
	remade  map[string]bool   // files that endCurrent made again, and Rescue was not asked for since

	reads atomic.Uint64 // see reading

	mu   sync.RWMutex
	open map[string]*reading
}

// reading is a file for reading. Its first reader opens it, and no lock of the Dir is held
// meanwhile: a disk that is slow to open one file holds up no reader of another.
type reading struct {
	last atomic.Uint64 // read that used it, to close the one that was not used for longest
	once sync.Once
	file *os.File // nil: it could not be opened, or was closed before
	err  error
}

// opened returns the file, which the first caller opens.
func (r *reading) opened(root *os.Root, name string) (*os.File, error) {
	r.once.Do(func() {
		// An open of a pipe must not wait for its writer.
		r.file, r.err = root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	})
	return r.file, r.err
}

// close closes the file for all readers. Those that come later find an os.ErrClosed.
func (r *reading) close() {
	r.once.Do(func() { r.err = os.ErrClosed })
	if r.file != nil {
		r.file.Close()
	}
}

// fileID tells a file from others that have or had its name.
type fileID struct{ device, inode uint64 }

func identify(info os.FileInfo) fileID {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fileID{uint64(s.Dev), s.Ino} // a Dev has other types elsewhere
	}
	return fileID{}
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
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(root)
	if err != nil {
		root.Close()
		return nil, err
	}
	return newDir(path, root, lock), nil
}

func newDir(path string, root *os.Root, lock *os.File) *Dir {
	return &Dir{path: path, root: root, lock: lock, zeros: make([]byte, writeSize),
		known: make(map[string]fileID), unsure: make(map[string]fileID), remade: make(map[string]bool),
		open: make(map[string]*reading)}
}

// lockDir locks a directory, which programs that only read it can lock with LOCK_SH.
func lockDir(root *os.Root) (*os.File, error) {
	lock, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return lock, nil
	}
	lock.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, ErrLocked
	}
	return nil, fmt.Errorf("lock %s (some network file systems can't): %w", root.Name(), err)
}

// Close ends the use of the directory.
func (d *Dir) Close() error {
	err := d.endCurrent()
	for name := range d.open {
		d.forget(name)
	}
	return errors.Join(err, d.lock.Close(), d.root.Close())
}

// Files lists the files in the order of their names; what a crash left half made
// is removed. A name of the log that means something else than a file is an error: it
// must not look as if the log were shorter.
func (d *Dir) Files() (list []File, err error) {
	d.naming.Lock()
	defer d.naming.Unlock()
	return d.list(func(info os.FileInfo) (take bool, err error) {
		name := info.Name()
		if strings.HasPrefix(name, temporary) {
			return false, d.root.Remove(name)
		}
		if !info.Mode().IsRegular() {
			return false, Irregular(name)
		}
		if _, ok := d.known[name]; !ok {
			d.known[name] = identify(info)
		}
		return true, nil
	})
}

// Irregular is the error for a name of the log's files that is no regular file.
func Irregular(name string) error {
	_, segment := number(name, segmentSuffix)
	_, checkpoint := number(name, checkpointSuffix)
	if !segment && !checkpoint && !slices.Contains(KeysNames[:], name) {
		return nil
	}
	return fmt.Errorf("%s is no regular file, as the log's must be: put the file itself there", name)
}

// list lists the files that take accepts.
func (d *Dir) list(take func(os.FileInfo) (bool, error)) (list []File, err error) {
	dir, err := d.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	for _, name := range slices.Sorted(slices.Values(names)) {
		info, errInfo := d.root.Lstat(name)
		if errors.Is(errInfo, os.ErrNotExist) { // removed since
			continue
		}
		taken := false
		if errInfo == nil {
			taken, errInfo = take(info)
		}
		if err = errors.Join(err, errInfo); taken {
			list = append(list, File{name, info.Size()})
		}
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
	if err := d.endCurrent(); err != nil {
		return err
	}
	filled := int64(len(p))
	f, err := d.make(name, false, func(w io.Writer) error {
		_, err := w.Write(p)
		for ; err == nil && filled < int64(len(p))+d.ahead(); filled += writeSize {
			_, err = w.Write(d.zeros)
		}
		return err
	})
	if err != nil {
		return err
	}
	d.naming.Lock()
	defer d.naming.Unlock()
	d.current, d.file, d.failed = name, f, nil
	d.end, d.filled = int64(len(p)), filled
	return nil
}

// content returns a function that writes p, for a file that is made of it.
func content(p []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(p)
		return err
	}
}

// extend writes p behind the data of the current file.
func (d *Dir) extend(p []byte) error {
	if err := d.intact(d.filled); err != nil { // or it would be long again
		return err
	}
	if _, err := d.file.WriteAt(p, d.end); err != nil {
		return err
	}
	end := d.end + int64(len(p))
	if end > d.filled {
		d.filled = end
		if len(p) < largeWrite {
			d.fill(end + d.ahead())
		}
	}
	if err := syscall.Fdatasync(int(d.file.Fd())); err != nil {
		return err
	}
	if err := d.intact(max(d.filled, end)); err != nil {
		return err
	}
	d.end = end
	return nil
}

// fill writes zeros behind the current file, up to a length. This only saves time: what
// can't be filled now is written, or refused, when there is data for it.
func (d *Dir) fill(length int64) {
	for d.filled < length {
		n, err := d.file.WriteAt(d.zeros, d.filled)
		if d.filled += int64(n); err != nil {
			return
		}
	}
}

// intact is an error unless the current file's name is there, and the file has at least so
// many bytes. No restart would find the data of a file without a name; and of one that
// somebody has cut off, data is gone. A name that means another file is found by Watch.
// It does not ask for the file's times, as fstat does: since Linux 6.13 each write behind
// such a question gets a time of its own, and its sync writes the inode as well.
func (d *Dir) intact(size int64) error {
	err := syscall.Faccessat(int(d.lock.Fd()), d.current, 0, 0) // 0: whether it exists
	if errors.Is(err, syscall.ENOENT) {
		return errUnlinked
	}
	if err != nil {
		return err
	}
	now, err := d.file.Seek(0, io.SeekEnd)
	if err == nil && now < size {
		err = errCutOff
	}
	return err
}

// endCurrent ends the use of the current file, if there is one. It takes off what lies
// behind the durable data, zeros or a write that failed, which only saves space. A
// file that has lost its name gets it back: what follows needs it.
func (d *Dir) endCurrent() error {
	if d.file == nil {
		return nil
	}
	if d.intact(d.end) == nil { // what was cut off must not look whole
		_ = d.file.Truncate(d.end)
	}
	d.filled = d.end
	if !d.inPlace(d.current) {
		d.failed = cmp.Or(d.failed, errUnlinked)
		if err := d.putBack(d.current, io.NewSectionReader(d.file, 0, d.end)); err != nil {
			return err
		}
		d.naming.Lock()
		d.remade[d.current] = true
		d.naming.Unlock()
	}
	_ = d.file.Close()
	d.naming.Lock()
	defer d.naming.Unlock()
	d.current, d.file = "", nil
	return nil
}

// Create makes a file.
func (d *Dir) Create(name string, write func(io.Writer) error) error {
	f, err := d.make(name, false, write)
	_ = f.Close()
	return err
}

// Replace makes or replaces a file.
func (d *Dir) Replace(name string, write func(io.Writer) error) error {
	f, err := d.make(name, true, write)
	_ = f.Close()
	return err
}

// make makes a file of the directory. It replaces a file only if replace is set, or if
// an earlier make that failed has left that file.
func (d *Dir) make(name string, replace bool, write func(io.Writer) error) (*os.File, error) {
	defer d.forget(name)
	_ = d.root.Remove(temporary + name) // if that failed before
	placed := false
	f, err := create(d.root, name, write, func(from, to string) error {
		d.naming.Lock()
		defer d.naming.Unlock()
		made, err := d.root.Lstat(from)
		if err != nil {
			return err
		}
		if old, errOld := d.root.Lstat(to); replace || errOld == nil && identify(old) == d.unsure[name] {
			err = d.root.Rename(from, to)
		} else {
			err = placeNew(d.root, from, to)
		}
		now, errNow := d.root.Lstat(to) // a call that failed may have done it
		if placed = err == nil || errNow == nil && identify(now) == identify(made); placed {
			d.known[name] = identify(made)
		}
		return err
	})
	d.naming.Lock()
	defer d.naming.Unlock()
	if err == nil {
		delete(d.unsure, name)
	} else if placed {
		d.unsure[name] = d.known[name]
	}
	return f, err
}

// placeNew gives a file its name, which must not be in use. Where a file system has no hard
// links, only the lock of the directory keeps another Core from taking it meanwhile.
func placeNew(root *os.Root, from, to string) error {
	err := root.Link(from, to)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		if _, err := root.Lstat(to); !errors.Is(err, os.ErrNotExist) {
			return cmp.Or(err, os.ErrExist)
		}
		return root.Rename(from, to)
	}
	if err == nil {
		_ = root.Remove(from) // or the next start does
	}
	return err
}

// WriteFile makes or replaces a file, as Replace of a Storage does; but it is an os.ErrExist
// if it is in the making already.
func WriteFile(path string, write func(io.Writer) error) error {
	dir, name := filepath.Split(path)
	root, err := os.OpenRoot(filepath.Clean(dir))
	if err != nil {
		return err
	}
	defer root.Close()
	f, err := create(root, name, write, root.Rename)
	_ = f.Close()
	return err
}

// create makes a file under another name first, which nobody else has, so that it is
// there whole or not at all; place gives it its name.
func create(root *os.Root, name string, write func(io.Writer) error,
	place func(from, to string) error) (*os.File, error) {
	f, err := root.OpenFile(temporary+name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	w := bufio.NewWriterSize(&syncing{File: f}, writeSize)
	if err = cmp.Or(write(w), w.Flush(), f.Sync()); err == nil {
		err = place(temporary+name, name)
	}
	if err == nil {
		err = syncNames(root)
	}
	if err != nil {
		f.Close()
		_ = root.Remove(temporary + name)
		return nil, err
	}
	return f, nil
}

// syncNames makes the names in a directory durable.
func syncNames(root *os.Root) error {
	f, err := root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// syncing is a file that is synced again and again while it is written.
type syncing struct {
	*os.File
	dirty int // bytes that were written since the last sync
}

func (s *syncing) Write(p []byte) (int, error) {
	n, err := s.File.Write(p)
	if s.dirty += n; err == nil && s.dirty >= syncEvery {
		s.dirty = 0
		err = syscall.Fdatasync(int(s.Fd()))
	}
	return n, err
}

// Remove removes a file.
func (d *Dir) Remove(name string) error {
	d.naming.Lock()
	defer d.naming.Unlock()
	err := d.root.Remove(name)
	if err == nil {
		delete(d.known, name)
	}
	d.forget(name)
	return err
}

// forget closes what was opened under a name that means no file any more, or
// another one.
func (d *Dir) forget(name string) {
	d.drop(name, nil)
}

// drop closes what is open under a name, if that is r, or r is nil.
func (d *Dir) drop(name string, r *reading) {
	d.mu.Lock()
	f := d.open[name]
	if f != nil && (r == nil || f == r) {
		delete(d.open, name)
	}
	d.mu.Unlock()
	if f != nil && (r == nil || f == r) {
		f.close() // without the lock: it may be about to be opened
	}
}

// Sync makes durable what a file holds, and its name. A sync that failed before may
// have left what is not on the disk, and counts as if it were: so it is written again.
func (d *Dir) Sync(name string) error {
	f, err := d.root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	p := make([]byte, 1<<20)
	for n, at := len(p), int64(0); err == nil && n == len(p); at += int64(n) {
		n, _ = f.ReadAt(p, at) // less: the end, or what can't be read, which is found when it is needed
		_, err = f.WriteAt(p[:n], at)
	}
	return errors.Join(err, f.Sync(), syncNames(d.root))
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
func (d *Dir) ReadAt(name string, p []byte, offset int64) error {
	for {
		r := d.reading(name)
		f, err := r.opened(d.root, name)
		if err == nil {
			_, err = f.ReadAt(p, offset)
		} else {
			d.drop(name, r) // the next reader tries again
		}
		if !errors.Is(err, os.ErrClosed) { // by a goroutine that needed room for another file, or removed it
			return err
		}
	}
}

// reading returns a file for reading. Others may close it at any time.
func (d *Dir) reading(name string) *reading {
	now := d.reads.Add(1)
	d.mu.RLock()
	r := d.open[name]
	d.mu.RUnlock()
	if r == nil {
		r = d.addReading(name, now)
	}
	r.last.Store(now)
	return r
}

// addReading notes a file for reading. If maxOpen files are noted, it closes the one that
// was not used for longest.
func (d *Dir) addReading(name string, now uint64) *reading {
	d.mu.Lock()
	if r := d.open[name]; r != nil { // another reader has noted it
		d.mu.Unlock()
		return r
	}
	var oldest *reading
	if len(d.open) >= maxOpen {
		oldest = d.takeOldest()
	}
	r := new(reading)
	r.last.Store(now)
	d.open[name] = r
	d.mu.Unlock()
	if oldest != nil {
		oldest.close()
	}
	return r
}

// takeOldest takes the file that was not used for longest from the open ones. The caller
// holds the lock.
func (d *Dir) takeOldest() *reading {
	oldest := ""
	for name, r := range d.open {
		if oldest == "" || r.last.Load() < d.open[oldest].last.Load() {
			oldest = name
		}
	}
	r := d.open[oldest]
	delete(d.open, oldest)
	return r
}
