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

// errUnlinked says that another program removed the file that Append writes to.
var errUnlinked = errors.New("the file was removed while it was written")

// errCutOff says that another program truncated the file that Append writes to.
var errCutOff = errors.New("the file was cut off while it was written")

// Sizes of writes, in bytes.
const (
	// zeroAhead is the number of zeros after the data of a segment. A sync of data that does not
	// change the length of the file takes about half the time.
	zeroAhead = 1 << 20
	// largeWrite is the size of a write that is not followed by zeros. The disk writes each byte
	// on zeros twice, which costs more than it saves in a large write.
	largeWrite = 64 << 10
	// writeSize is the size of one system call for zeros, and of the buffer for small writes. The
	// kernel may keep the bytes of one call as one unit, and each later small write and its sync
	// scan this unit.
	writeSize = 64 << 10
	// syncEvery is the number of bytes after which a new file is synced while it is written. So a
	// sync of an append never waits for a large file.
	syncEvery = 4 << 20
)

// maxOpen bounds the files that are open for reading.
const maxOpen = 256

// temporary is the prefix of the name of an unfinished file. Files removes the unfinished files
// that a crash left.
const temporary = "new-"

// Dir is a Storage in a directory. Some methods call a method of an *os.File that is nil, which
// returns os.ErrInvalid.
type Dir struct {
	path  string
	root  *os.Root // the directory itself, whatever path leads to now
	lock  *os.File // the directory, locked: a separate lock file could be removed
	zeros []byte

	file   *os.File // the current file, which Append writes to; nil: Append made no file yet
	failed error    // error of the last write to it
	end    int64    // end of its durable data
	filled int64    // length of it, with zeros

	reserving sync.Mutex  // held while the reserve is made or removed
	noReserve atomic.Bool // there is no reserve: no zeros are written ahead

	naming  sync.Mutex        // held while a file is made, removed or renamed
	current string            // name of the current file
	known   map[string]fileID // the right file of each name: this Dir made it, or listed it first
	unsure  map[string]fileID // files that were made, but may not be durable
	remade  map[string]bool   // files that endCurrent made again, until Rescue is called

	reads atomic.Uint64 // see reading

	mu   sync.RWMutex
	open map[string]*reading
}

// reading is a file for reading. Its first reader opens it without a lock of the Dir. So a slow
// open of a file does not delay readers of other files.
type reading struct {
	last atomic.Uint64 // number of the last read that used the file
	once sync.Once
	file *os.File // nil: the open failed, or the file was closed before it was opened
	err  error
}

// opened returns the open file. The first caller opens it.
func (r *reading) opened(root *os.Root, name string) (*os.File, error) {
	r.once.Do(func() {
		// The file may be a pipe: its open must not wait for a writer.
		r.file, r.err = root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	})
	return r.file, r.err
}

// close closes the file for all readers. Later reads return os.ErrClosed.
func (r *reading) close() {
	r.once.Do(func() { r.err = os.ErrClosed })
	if r.file != nil {
		r.file.Close()
	}
}

// fileID identifies a file, whatever its name is.
type fileID struct{ device, inode uint64 }

func identify(info os.FileInfo) fileID {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fileID{uint64(s.Dev), s.Ino} // the type of Dev depends on the platform
	}
	return fileID{}
}

// OpenDir opens or makes a data directory, and locks it.
func OpenDir(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	// A new directory must be durable, as the segments in it are. If the parent can't be read,
	// the directory was not made now.
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

// lockDir locks a directory for writing. Programs that only read it may use LOCK_SH.
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

// Close closes all files, and unlocks the directory.
func (d *Dir) Close() error {
	err := d.endCurrent()
	for name := range d.open {
		d.closeReading(name)
	}
	return errors.Join(err, d.lock.Close(), d.root.Close())
}

// Files lists the files in the order of their names. It removes unfinished files that a crash left.
// It returns an error if a name of the log's files is no regular file: without this file, the log
// would look shorter than it is.
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

// Irregular returns an error if name is a name of the log's files, and nil otherwise. The caller
// has found that there is no regular file with this name.
func Irregular(name string) error {
	_, segment := number(name, segmentSuffix)
	_, checkpoint := number(name, checkpointSuffix)
	if !segment && !checkpoint && !slices.Contains(KeysNames[:], name) {
		return nil
	}
	return fmt.Errorf("%s is no regular file, as the log's must be: put the file itself there", name)
}

// list lists the files for which take returns true.
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

// Append appends p to a file, and returns when p is durable. After a failure every further Append
// to this file fails: a failed sync leaves the state on the disk unknown, and a second sync would
// not report it. A new file gets its zeros at once, and Append fails if the disk has no space for
// them: the next appends would need this space.
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

// content returns a function that writes p as the content of a file.
func content(p []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(p)
		return err
	}
}

// extend writes p after the data of the current file.
func (d *Dir) extend(p []byte) error {
	if err := d.intact(d.filled); err != nil { // first: the write would hide a truncation
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

// fill writes zeros at the end of the current file, up to a length. This only saves time, so fill
// ignores errors: a later write of data reports them.
func (d *Dir) fill(length int64) {
	for d.filled < length {
		n, err := d.file.WriteAt(d.zeros, d.filled)
		if d.filled += int64(n); err != nil {
			return
		}
	}
}

// intact returns an error if another program removed the current file, or truncated it to fewer
// than size bytes. A restart would not find the data then. Watch detects that another file has
// the name. intact does not call fstat, which reads the file's times: since Linux 6.13, a write
// after such a call changes the times, and its sync then also writes the inode.
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

// endCurrent ends the use of the current file, if there is one. It truncates the file after its
// durable data, which only saves space. If the file was removed, endCurrent makes it again, since
// later segments need it.
func (d *Dir) endCurrent() error {
	if d.file == nil {
		return nil
	}
	if d.intact(d.end) == nil { // Truncate would make a file longer that was cut off
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

// make makes a file in the directory. It replaces a file only if replace is set, or if an earlier
// call that failed left this file.
func (d *Dir) make(name string, replace bool, write func(io.Writer) error) (*os.File, error) {
	defer d.closeReading(name)
	_ = d.root.Remove(temporary + name) // an earlier call may have left it
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
		now, errNow := d.root.Lstat(to) // a call may succeed, and still return an error
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

// placeNew renames a file to a name that is not in use. On a file system without hard links, only
// the lock of the directory prevents that another Core uses the name meanwhile.
func placeNew(root *os.Root, from, to string) error {
	err := root.Link(from, to)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		if _, err := root.Lstat(to); !errors.Is(err, os.ErrNotExist) {
			return cmp.Or(err, os.ErrExist)
		}
		return root.Rename(from, to)
	}
	if err == nil {
		_ = root.Remove(from) // after a failure, the next start does
	}
	return err
}

// WriteFile makes or replaces a file, whole and durable. It returns os.ErrExist if another program
// is making it, or if a crash left an unfinished file.
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

// create makes a file under a temporary name. When it is durable, place renames it. So the file
// exists completely or not at all.
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

// syncing is a file that is synced after each syncEvery bytes.
type syncing struct {
	*os.File
	dirty int // bytes written since the last sync
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
	d.closeReading(name)
	return err
}

// closeReading closes the file that was opened for reading under a name. The name is no longer used, or
// another file has it now.
func (d *Dir) closeReading(name string) {
	d.closeReadingIf(name, nil)
}

// closeReadingIf closes the file that is open for reading under a name. If r is not nil, it does so only if
// this file is r.
func (d *Dir) closeReadingIf(name string, r *reading) {
	d.mu.Lock()
	f := d.open[name]
	if f != nil && (r == nil || f == r) {
		delete(d.open, name)
	}
	d.mu.Unlock()
	if f != nil && (r == nil || f == r) {
		f.close() // without the lock: close may wait for a slow open
	}
}

// Sync makes the content and the name of a file durable. It writes the content again: after a
// failed sync, the kernel may take bytes for durable that are not on the disk.
func (d *Dir) Sync(name string) error {
	f, err := d.root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	p := make([]byte, 1<<20)
	for n, at := len(p), int64(0); err == nil && n == len(p); at += int64(n) {
		n, _ = f.ReadAt(p, at) // a later read of the same bytes reports the error
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
			d.closeReadingIf(name, r) // the next reader tries again
		}
		if !errors.Is(err, os.ErrClosed) { // another goroutine closed it: open it again
			return err
		}
	}
}

// reading returns a file for reading. Other goroutines may close it at any time.
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

// addReading adds a file for reading. If maxOpen files are open, it closes the file that was unused
// for the longest time.
func (d *Dir) addReading(name string, now uint64) *reading {
	d.mu.Lock()
	if r := d.open[name]; r != nil { // another reader has added it
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

// takeOldest removes, from the open files, the file that was unused for the longest time. The
// caller holds the lock.
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
