package server

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"

	"motte/core/seglog"
)

// simDisk is the content of a machine's disk, and the part that a power failure may still
// remove: the last write of each file, and the changes of the directory since its last sync.
type simDisk struct {
	files map[string]*simFile
	undo  []simUndo
}

type simFile struct {
	data  []byte
	patch *simPatch // the last write, unless it is synced
}

// simPatch records the bytes that a write replaced.
type simPatch struct {
	at, n int
	old   []byte // shorter than n if the file was shorter
}

// simUndo is a file that was removed or replaced; nil: there was no file.
type simUndo struct {
	name string
	old  *simFile
}

const sector = 512 // bytes: a disk writes a whole sector or no part of it

func newSimDisk() *simDisk { return &simDisk{files: make(map[string]*simFile)} }

// clone copies the content that the host can see now.
func (d *simDisk) clone() *simDisk {
	c := newSimDisk()
	for name, f := range d.files {
		c.files[name] = &simFile{data: bytes.Clone(f.data)}
	}
	return c
}

// write writes p into a file, unsynced.
func (f *simFile) write(at int, p []byte) {
	f.patch = &simPatch{at, len(p), bytes.Clone(f.data[min(at, len(f.data)):min(at+len(p), len(f.data))])}
	if n := at + len(p) - len(f.data); n > 0 {
		f.data = append(f.data, make([]byte, n)...)
	}
	copy(f.data[at:], p)
}

// tear decides what survives of the last write: no part, all of it, its beginning, or any set of
// its sectors.
func (f *simFile) tear(r *rand.Rand) {
	p := f.patch
	if f.patch = nil; p == nil {
		return
	}
	front, mode := r.IntN(p.n+1), r.IntN(4)
	keep := make(map[int]bool)
	for i := range min(p.n, len(f.data)-p.at) {
		s := (p.at + i) / sector
		if _, ok := keep[s]; !ok {
			keep[s] = r.IntN(2) == 0
		}
		if mode == 1 || mode == 2 && i < front || mode == 3 && keep[s] {
			continue
		}
		if f.data[p.at+i] = 0; i < len(p.old) {
			f.data[p.at+i] = p.old[i]
		}
	}
	if end := p.at + len(p.old); mode == 0 && end < len(f.data) && len(p.old) < p.n && r.IntN(2) == 0 {
		f.data = f.data[:end] // the length of the file did not survive, either
	}
}

// lose simulates a power failure.
func (d *simDisk) lose(r *rand.Rand) {
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		d.files[name].tear(r)
	}
	for _, u := range slices.Backward(d.undo) {
		if r.IntN(2) == 0 {
			continue
		}
		if delete(d.files, u.name); u.old != nil {
			d.files[u.name] = u.old
		}
	}
	d.undo = nil
}

// set gives a name to a new file, without syncing the directory.
func (d *simDisk) set(name string, data []byte) {
	d.undo = append(d.undo, simUndo{name, d.files[name]})
	d.files[name] = &simFile{data: data}
}

var (
	errSimDead = errors.New("simulated: the process was killed")
	errSimFull = errors.New("simulated: no space left on device")
)

// simOp is a call of the Core that waits until the simulator releases it.
type simOp struct {
	kind, name string
	p          []byte
	do         func()        // the whole effect
	part       func()        // a possible effect if it fails or the machine stops: any part of the whole
	failed     func(r error) // tells the process about the failure
	done       chan error
}

// simStorage is a seglog.Storage of one process. Each call waits for the simulator, which
// carries it out, lets it fail, or ends the process. While a store is being opened, calls are
// carried out immediately, up to the one at which the process dies.
type simStorage struct {
	rng     *rand.Rand
	disk    *simDisk
	current string // as in seglog.Dir
	file    *simFile
	known   map[string]*simFile // as in seglog.Dir: the file of a name when it was made or listed
	end     int
	failed  error
	unsure  map[string]bool // files that may exist though making them failed
	direct  bool
	left    int // number of calls before the process dies

	mu      sync.Mutex
	waiting []*simOp
	dead    bool
}

var _ seglog.Storage = (*simStorage)(nil)

// wait waits until the simulator has decided about a call.
func (st *simStorage) wait(o *simOp) error {
	st.mu.Lock()
	if st.direct && !st.dead {
		st.left--
		if st.dead = st.left < 0; !st.dead {
			defer st.mu.Unlock()
			o.do()
			return nil
		}
		o.part()
	}
	if st.dead {
		st.mu.Unlock()
		return errSimDead
	}
	o.done = make(chan error)
	st.waiting = append(st.waiting, o)
	st.mu.Unlock()
	return <-o.done
}

// calls counts the waiting calls.
func (st *simStorage) calls() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.waiting)
}

// kind names the kind of the i-th call.
func (st *simStorage) kind(i int) string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.waiting[i].kind
}

// take removes the i-th waiting call.
func (st *simStorage) take(i int) *simOp {
	st.mu.Lock()
	defer st.mu.Unlock()
	o := st.waiting[i]
	st.waiting = slices.Delete(st.waiting, i, i+1)
	return o
}

// kill ends the process. Each waiting call may have had any part of its effect.
func (st *simStorage) kill() {
	st.mu.Lock()
	st.dead = true
	waiting := st.waiting
	st.waiting = nil
	st.mu.Unlock()
	for _, o := range waiting {
		o.part()
		o.done <- errSimDead
	}
}

// Files implements log.Storage.
func (st *simStorage) Files() (list []seglog.File, err error) {
	for _, name := range slices.Sorted(maps.Keys(st.disk.files)) {
		list = append(list, seglog.File{Name: name, Size: int64(len(st.disk.files[name].data))})
	}
	st.known = maps.Clone(st.disk.files)
	return list, nil
}

// Append implements log.Storage.
func (st *simStorage) Append(name string, p []byte) error {
	p = bytes.Clone(p)
	if name != st.current {
		return st.begin(name, p)
	}
	if st.failed != nil {
		return st.failed
	}
	f := st.file // the open file, even if its name belongs to another file now
	return st.wait(&simOp{kind: "append", name: name, p: p,
		do: func() {
			f.write(st.end, p)
			f.patch = nil
			if st.end += len(p); st.end > len(f.data)-sector/4 && st.rng.IntN(2) == 0 {
				f.data = append(f.data, make([]byte, st.rng.IntN(4*sector))...) // preallocated
			}
		},
		part: func() {
			if n := st.rng.IntN(len(p) + 1); st.rng.IntN(3) > 0 {
				f.write(st.end, p[:n])
			} else {
				f.write(st.end, p)
			}
		},
		failed: func(err error) { st.failed = err }})
}

// begin makes a file with its first bytes, or makes no file.
func (st *simStorage) begin(name string, p []byte) error {
	exists := false
	set := func() {
		st.mayHave(name)
		st.disk.set(name, append(p[:len(p):len(p)], make([]byte, st.rng.IntN(4*sector))...))
	}
	cut := func() {
		if f := st.disk.files[st.current]; f != nil && st.rng.IntN(4) > 0 {
			f.data = f.data[:min(st.end, len(f.data))]
		}
	}
	err := st.wait(&simOp{kind: "begin", name: name, p: p,
		do: func() {
			if exists = st.taken(name); exists {
				return
			}
			cut()
			set()
			st.disk.undo = nil
			st.known[name] = st.disk.files[name]
			st.current, st.file, st.end, st.failed = name, st.disk.files[name], len(p), nil
		},
		part: func() {
			if st.rng.IntN(2) == 0 && !st.taken(name) {
				cut()
				set()
				st.known[name] = st.disk.files[name]
			}
		}})
	if err == nil && exists {
		err = os.ErrExist
	}
	return err
}

// taken reports whether a name belongs to a file that must not be replaced. Only an operation
// may call it, since no other goroutine may read the files meanwhile.
func (st *simStorage) taken(name string) bool {
	return st.disk.files[name] != nil && !st.unsure[name]
}

// Create implements log.Storage.
func (st *simStorage) Create(name string, write func(io.Writer) error) error {
	return st.makeFile(name, write, func() bool { return st.taken(name) })
}

// makeFile makes a file. Some of its writes wait for the simulator. In the end the file gets its
// name, unless the name is taken at the beginning.
func (st *simStorage) makeFile(name string, write func(io.Writer) error, taken func() bool) error {
	var w simWriter
	exists := false
	begin := func() {
		w = simWriter{st: st, name: name, gap: 1 + st.rng.IntN(300)}
		exists = taken()
	}
	err := st.wait(&simOp{kind: "create", name: name, do: begin, part: func() {}})
	if err == nil && exists {
		err = os.ErrExist
	}
	if err != nil {
		return err
	}
	if err := write(&w); err != nil {
		return err
	}
	return st.wait(&simOp{kind: "rename", name: name,
		do: func() {
			st.disk.set(name, w.data)
			st.known[name] = st.disk.files[name]
			st.disk.undo = nil
		},
		part: func() {
			if st.rng.IntN(2) == 0 {
				st.mayHave(name)
				st.disk.set(name, w.data)
			}
		}})
}

// mayHave notes that a file may exist though making it failed. It can be made again.
func (st *simStorage) mayHave(name string) {
	if st.unsure == nil {
		st.unsure = make(map[string]bool)
	}
	st.unsure[name] = true
}

// Replace implements log.Storage.
func (st *simStorage) Replace(name string, write func(io.Writer) error) error {
	return st.makeFile(name, write, func() bool { return false })
}

// Cut implements log.Storage.
func (st *simStorage) Cut(name string, size int64) error {
	var missing error
	do := func() {
		f := st.disk.files[name]
		if f == nil {
			missing = os.ErrNotExist
			return
		}
		f.data = f.data[:min(size, int64(len(f.data)))]
	}
	err := st.wait(&simOp{kind: "cut", name: name, do: do, part: func() {
		if st.rng.IntN(2) == 0 {
			do()
		}
	}})
	return cmp.Or(err, missing)
}

// Watch implements log.Storage.
func (st *simStorage) Watch() (list []seglog.File, disk int64, err error) {
	var foreign error
	look := func() {
		for _, name := range slices.Sorted(maps.Keys(st.disk.files)) {
			f := st.disk.files[name]
			if st.known[name] == nil && strings.HasSuffix(name, ".seg") {
				foreign = seglog.ErrAdrift
			}
			if known := st.known[name]; known == nil || known == f {
				list = append(list, seglog.File{Name: name, Size: int64(len(f.data))})
			}
		}
	}
	err = st.wait(&simOp{kind: "watch", do: look, part: func() {}})
	return list, 0, cmp.Or(err, foreign)
}

// Reserve implements log.Storage.
func (st *simStorage) Reserve(int64) error { return nil }

// Rescue implements log.Storage.
func (st *simStorage) Rescue(string) error { return os.ErrNotExist }

// simWriter collects the bytes of a file that has no name yet.
type simWriter struct {
	st   *simStorage
	name string
	data []byte
	gap  int // number of writes that do not wait
	n    int
}

func (w *simWriter) Write(p []byte) (int, error) {
	w.data = append(w.data, p...)
	if w.n++; w.n%w.gap != 0 {
		return len(p), nil
	}
	return len(p), w.st.wait(&simOp{kind: "write", name: w.name, do: func() {}, part: func() {}})
}

// Remove implements log.Storage.
func (st *simStorage) Remove(name string) error {
	do := func() {
		if f := st.disk.files[name]; f != nil {
			st.disk.undo = append(st.disk.undo, simUndo{name, f})
			delete(st.disk.files, name)
		}
	}
	return st.wait(&simOp{kind: "remove", name: name, do: do, part: func() {
		if st.rng.IntN(2) == 0 {
			do()
		}
	}})
}

// Sync implements log.Storage.
func (st *simStorage) Sync(name string) error {
	return st.wait(&simOp{kind: "sync", name: name, do: func() { st.disk.files[name].patch, st.disk.undo = nil, nil }, part: func() {}})
}

// ReadAt implements log.Storage.
func (st *simStorage) ReadAt(name string, p []byte, offset int64) error {
	n := -1
	err := st.wait(&simOp{kind: "read", name: name, part: func() {}, do: func() {
		if f := st.disk.files[name]; f != nil && offset <= int64(len(f.data)) {
			n = copy(p, f.data[offset:])
		}
	}})
	switch {
	case err != nil:
		return err
	case n < 0:
		return errors.New("simulated: no such file")
	case n < len(p):
		return io.ErrUnexpectedEOF
	}
	return nil
}
