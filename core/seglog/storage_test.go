package seglog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"motte/core/codec"
	"motte/core/identity"
	"motte/core/seal"
	"motte/internal/testutil"
)

// disk is a Storage in memory that a test can tear, alter, roll back, and let
// fail.
type disk struct {
	mu      sync.Mutex
	files   map[string][]byte
	current string            // the file that Append made last
	removed map[string][]byte // that a crash may bring back
	unsure  map[string]bool   // files that an Append has left that failed: the next one replaces them
	calls   []string          // all that changed something, or failed to

	fail error                           // of every Append and Create, until it is nil again
	only func(name string) bool          // limits fail to some files; nil: all
	left func(at int64, p []byte) []byte // what a failing Append leaves of p; nil: nothing

	marks map[uint64]bool // LSNs of records that change nothing, which record does not tell
}

func newDisk() *disk {
	return &disk{files: make(map[string][]byte), removed: make(map[string][]byte), marks: make(map[uint64]bool)}
}

func (d *disk) Files() (list []File, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		list = append(list, File{name, int64(len(d.files[name]))})
	}
	return list, nil
}

func (d *disk) fails(name string) bool { return d.fail != nil && (d.only == nil || d.only(name)) }

func (d *disk) Append(name string, p []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, "append "+name)
	var old []byte
	if name == d.current {
		old = d.files[name]
	} else if d.files[name] != nil && !d.unsure[name] {
		return fs.ErrExist
	}
	if d.fails(name) {
		if name == d.current && d.left != nil {
			d.files[name] = append(old, d.left(int64(len(old)), p)...)
		}
		return d.fail // a new file is there whole or not at all: not at all
	}
	d.current, d.files[name] = name, append(old, p...)
	return nil
}

func (d *disk) Create(name string, write func(io.Writer) error) error {
	d.mu.Lock()
	there := d.files[name] != nil
	d.mu.Unlock()
	if there {
		return fs.ErrExist
	}
	return d.Replace(name, write)
}

func (d *disk) Replace(name string, write func(io.Writer) error) error {
	var b bytes.Buffer
	err := write(&b) // which may read, and others append meanwhile
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, "create "+name)
	if err == nil && d.fails(name) {
		err = d.fail
	}
	if err == nil {
		d.files[name] = b.Bytes()
	}
	return err
}

func (d *disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, "remove "+name)
	p, there := d.files[name]
	if !there {
		return fs.ErrNotExist
	}
	d.removed[name] = p
	delete(d.files, name)
	return nil
}

func (d *disk) Cut(name string, size int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, "cut "+name)
	d.files[name] = d.files[name][:size]
	return nil
}

func (d *disk) Watch() ([]File, int64, error) {
	list, err := d.Files()
	return list, 0, err
}

func (d *disk) Reserve(int64) error { return nil }

func (d *disk) Rescue(string) error { return fs.ErrNotExist }

func (d *disk) Sync(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.calls = append(d.calls, "sync "+name)
	return nil
}

func (d *disk) ReadAt(name string, p []byte, offset int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	data, there := d.files[name]
	if !there {
		return fs.ErrNotExist
	}
	if len(p) > 0 && (offset > int64(len(data)) || copy(p, data[offset:]) < len(p)) {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// clone copies what is stored; nothing of the copy fails.
func (d *disk) clone() *disk {
	c := newDisk()
	for name, p := range d.files {
		c.files[name] = bytes.Clone(p)
	}
	maps.Copy(c.removed, d.removed)
	maps.Copy(c.marks, d.marks)
	return c
}

// names lists the files with a suffix.
func (d *disk) names(suffix string) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		if _, ok := number(name, suffix); ok {
			list = append(list, name)
		}
	}
	return list
}

// sectors returns what is left of p, written at an offset, when of its 512-byte
// sectors only those in a set reached the disk: the others are the zeros that were
// there before.
func sectors(set uint64) func(at int64, p []byte) []byte {
	return func(at int64, p []byte) []byte {
		p = bytes.Clone(p)
		for i := range p {
			if set>>((at+int64(i))/512-at/512)&1 == 0 {
				p[i] = 0
			}
		}
		return p
	}
}

// first returns what is left of p when only n bytes reached the disk.
func first(n int) func(at int64, p []byte) []byte {
	return func(_ int64, p []byte) []byte { return p[:min(n, len(p))] }
}

type random struct{ r *rand.Rand }

func (r random) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.r.Uint32())
	}
	return len(p), nil
}

var root = seal.Root{1, 2, 3}

// The owners of records, by turns.
const alice, bob = 7, 8

// record says what the record with this LSN is, save marks: a principal, and then objects that are put, put again, and deleted.
func record(lsn uint64) Record {
	id := func(lsn uint64) identity.ID { return identity.ID{byte(lsn%11 + 1)} }
	switch {
	case lsn == 1:
		return Record{LSN: 1, Kind: KindAddPrincipal, Body: []byte("alice")}
	case lsn%5 == 0:
		return Record{LSN: lsn, Kind: KindDelete, Collection: 3, ID: id(lsn - 2)}
	}
	put := id(lsn)
	put[identity.ValueSize], put[identity.ValueSize+1] = byte(lsn), byte(lsn>>8)
	return Record{LSN: lsn, Kind: KindPut, Collection: 3, Owner: alice + uint32(lsn)%2, ID: put,
		Body: bytes.Repeat([]byte{byte(lsn)}, int(lsn*5%40))}
}

// group says which records follow on, as one group: every other one has two.
func group(lsn uint64) Group {
	if lsn%3 == 2 {
		return Group{record(lsn), record(lsn + 1)}
	}
	return Group{record(lsn)}
}

// equal reports whether a is what was written as b.
func equal(a, b Record) bool {
	return a.LSN == b.LSN && a.Kind == b.Kind && a.Collection == b.Collection && a.Owner == b.Owner && a.ID == b.ID &&
		bytes.Equal(a.Body, b.Body)
}

// world is a log with what the Core makes of it, as simple as it can be.
type world struct {
	disk     *disk // which of the records are marks; and the storage, save in openOn
	l        *Log
	replayed []Record
	objects  map[identity.Value]object
	damage   []*DamageError // that was accepted
	pieces   int            // that were restored
	restored uint32         // the checkpoint from which it began
	refused  []error        // by the checkpoints before that one
}

type object struct {
	lsn uint64
	at  Location
}

// open opens a log from the best checkpoint that can be read.
func open(d *disk, seed uint64) (*world, error) { return openWith(d, seed, false) }

func openWith(d *disk, seed uint64, accept bool) (*world, error) {
	return restart(d, d, seed, accept)
}

// openOn opens a log on any storage; which records are marks is noted in a disk.
func openOn(s Storage, marks *disk, seed uint64) (*world, error) {
	return restart(s, marks, seed, false)
}

func restart(s Storage, d *disk, seed uint64, accept bool) (*world, error) {
	list := []uint32{0}
	w, err := newWorld(s, d, seed, accept)
	if err == nil {
		list = w.l.Checkpoints()
	}
	for _, n := range list {
		if err == nil {
			w.objects, w.pieces = make(map[identity.Value]object), 0
			if err := w.l.Restore(n, w.restore); err == nil {
				w.restored = n
				return w, w.l.Replay(w.apply)
			} else if errors.Is(err, ErrLost) {
				return w, err
			} else {
				w.refused = append(w.refused, err)
			}
		}
	}
	return w, err
}

// openFrom opens a log from one checkpoint.
func openFrom(d *disk, seed uint64, n uint32) (*world, error) {
	w, err := newWorld(d, d, seed, false)
	if err == nil {
		err = w.l.Restore(n, w.restore)
	}
	if err == nil {
		err = w.l.Replay(w.apply)
	}
	return w, err
}

func newWorld(s Storage, d *disk, seed uint64, accept bool) (w *world, err error) {
	w = &world{disk: d, objects: make(map[identity.Value]object)}
	var damaged func(*DamageError) error
	if accept {
		damaged = func(e *DamageError) error {
			w.damage = append(w.damage, e)
			return nil
		}
	}
	w.l, err = Open(s, root, random{rand.New(rand.NewPCG(seed, 0))}.Read, damaged)
	return w, err
}

// mustOpen opens a log that nothing is wrong with, and holds it against what was
// written.
func mustOpen(t testing.TB, d *disk, seed uint64) *world {
	t.Helper()
	w, err := open(d, seed)
	testutil.Must(t, append(w.refused, err)...)
	w.check(t)
	return w
}

func (w *world) apply(r Record, at Location) error {
	w.replayed = append(w.replayed, r)
	if r.Sealed != nil {
		if o := w.objects[r.ID.Value()]; o.lsn == r.LSN {
			w.objects[r.ID.Value()] = object{o.lsn, at}
		}
		return nil
	}
	w.disk.marks[r.LSN] = r.Kind == KindBarrier
	switch r.Kind {
	case KindPut:
		w.objects[r.ID.Value()] = object{r.LSN, at}
	case KindDelete:
		delete(w.objects, r.ID.Value())
	}
	return nil
}

func readLocation(r *codec.Reader) Location { return Location{r.U32(), r.U32(), r.U32()} }

func writeLocation(w codec.Writer, at Location) codec.Writer {
	return w.U32(at.Segment).U32(at.Offset).U32(at.Length)
}

// write appends groups that follow on, in one write.
func (w *world) write(groups int) error {
	var list []Group
	lsn := w.l.Position().LSN
	for range groups {
		g := group(lsn + 1)
		list, lsn = append(list, g), lsn+uint64(len(g))
	}
	return w.append(list...)
}

func (w *world) append(groups ...Group) error {
	at, _, err := w.l.Append(groups)
	for i, r := range slices.Concat(groups...) {
		if err == nil {
			err = w.apply(r, at[i])
		}
	}
	return err
}

// carry appends what is alive in a segment once more, behind a mark.
func (w *world) carry(segment uint32) error {
	g := Group{w.mark()}
	err := w.l.Walk(segment, func(r Record, at Location) error {
		if r.Kind == KindPut && w.objects[r.ID.Value()].at == at {
			r.Sealed = bytes.Clone(r.Sealed)
			g = append(g, r)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return w.append(g)
}

// mark makes a record that changes nothing.
func (w *world) mark() Record { return Record{LSN: w.l.Position().LSN + 1, Kind: KindBarrier} }

// compact carries segments over, and removes them.
func (w *world) compact(segments ...uint32) error {
	for _, id := range segments {
		if err := w.carry(id); err != nil {
			return err
		}
		if err := w.l.Remove(id); err != nil {
			return err
		}
	}
	return nil
}

// checkpoint writes a checkpoint of what is there now.
func (w *world) checkpoint() error {
	return w.l.Checkpoint(w.l.Position(), inPieces(w.piece))
}

const pieces = 3 // of a checkpoint, by the objects' values

// inPieces yields the pieces that there are, and then nothing.
func inPieces(piece func(i int) ([]byte, error)) func() ([]byte, error) {
	i := 0
	return func() ([]byte, error) {
		if i++; i > pieces {
			return nil, nil
		}
		return piece(i - 1)
	}
}

func (w *world) piece(i int) ([]byte, error) {
	p := codec.Writer{byte(i)}
	for _, v := range slices.SortedFunc(maps.Keys(w.objects), func(a, b identity.Value) int { return bytes.Compare(a[:], b[:]) }) {
		if o := w.objects[v]; int(v[0])%pieces == i {
			p = writeLocation(p.Bytes(v[:]).U64(o.lsn), o.at)
		}
	}
	return p, nil
}

func (w *world) restore(i int, piece []byte) error {
	r := codec.NewReader(piece)
	if i != w.pieces || int(r.U8()) != w.pieces || w.pieces >= pieces {
		return errors.New("it is not the piece that follows on")
	}
	for w.pieces++; r.Len() > 0; {
		v := identity.Value(r.Take(identity.ValueSize))
		w.objects[v] = object{r.U64(), readLocation(r)}
	}
	return r.Done()
}

// expected says what objects there are behind the record with an LSN.
func (w *world) expected(lsn uint64) map[identity.Value]uint64 {
	want := make(map[identity.Value]uint64)
	for n := range lsn {
		switch r := record(n + 1); {
		case w.disk.marks[n+1]:
		case r.Kind == KindPut:
			want[r.ID.Value()] = r.LSN
		case r.Kind == KindDelete:
			delete(want, r.ID.Value())
		}
	}
	return want
}

// whole reports whether a group ends with the record with an LSN.
func (w *world) whole(lsn uint64) bool { return lsn%3 != 2 || w.disk.marks[lsn] }

// authentic reports whether what was replayed is nothing but what was written, in
// order, from a start on; all of it, unless damage was accepted.
func (w *world) authentic() bool {
	next := uint64(0)
	for _, r := range w.replayed {
		want := record(r.LSN)
		switch {
		case w.disk.marks[r.LSN]:
			want = Record{LSN: r.LSN, Kind: KindBarrier}
		case r.Sealed != nil:
			want.Body = r.Body
		}
		if r.Sealed == nil {
			if next == 0 {
				next = r.LSN
			}
			if r.LSN < next || r.LSN > next && len(w.damage) == 0 {
				return false
			}
			next = r.LSN + 1
		}
		if !equal(r, want) {
			return false
		}
	}
	return true
}

// verify says what of the world is not as it was written up to its position.
func (w *world) verify() error {
	lsn := w.l.Position().LSN
	want := w.expected(lsn)
	if !w.authentic() || !w.whole(lsn) || len(want) != len(w.objects) {
		return fmt.Errorf("record %d: %d objects, want %d; authentic: %v, whole: %v", lsn, len(w.objects), len(want), w.authentic(), w.whole(lsn))
	}
	var buf []byte
	for v, o := range w.objects {
		var r Record
		var err error
		if r, buf, err = w.l.Read(buf, o.at); err != nil || o.lsn != want[v] || !equal(r, record(want[v])) {
			return fmt.Errorf("object %d is record %d, %v, want record %d: %w", v[0], r.LSN, o, want[v], err)
		}
	}
	return nil
}

func (w *world) check(t testing.TB) {
	t.Helper()
	if err := w.verify(); err != nil {
		t.Fatal(err)
	}
}

// store writes a store of three log segments, 24 records in groups of one and two,
// one to three groups a write.
func store(t testing.TB) *disk {
	t.Helper()
	d := newDisk()
	for start := range 3 {
		w := mustOpen(t, d, uint64(start))
		testutil.Must(t, w.write(1), w.write(2), w.write(3))
		w.check(t)
	}
	return d
}

const storeRecords = 27
