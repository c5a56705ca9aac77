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

// disk is a Storage in memory. A test can tear its writes, alter it, roll it back, and let it
// fail.
type disk struct {
	mu      sync.Mutex
	files   map[string][]byte
	current string            // the last file that Append made
	removed map[string][]byte // files that a crash may bring back
	unsure  map[string]bool   // files of failed Appends, which the next Append replaces
	calls   []string          // all calls that changed the disk, or tried to

	fail error                           // error of every Append and Create while it is not nil
	only func(name string) bool          // the files for which fail applies; nil: all
	left func(at int64, p []byte) []byte // the part of p that a failing Append leaves; nil: no part

	marks map[uint64]bool // LSNs of barriers, which record can't derive
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
		return d.fail // a failed Create leaves no file
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
	err := write(&b) // write may read, and others may append meanwhile
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

// clone copies the content of the disk, without its faults.
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

// sectors returns the part of p that is left at an offset, if only the 512-byte sectors in a set
// reached the disk. The other sectors have the zeros from before.
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

// first returns the part of p that is left if only n bytes reached the disk.
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

// The owners of the records, alternating.
const alice, bob = 7, 8

// record returns the record with this LSN, unless it is a barrier: first a principal, and then
// objects that are put, replaced, and deleted.
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

// group returns the next records as one group. Every other group has two records.
func group(lsn uint64) Group {
	if lsn%3 == 2 {
		return Group{record(lsn), record(lsn + 1)}
	}
	return Group{record(lsn)}
}

// equal reports whether the record a equals b as it was written.
func equal(a, b Record) bool {
	return a.LSN == b.LSN && a.Kind == b.Kind && a.Collection == b.Collection && a.Owner == b.Owner && a.ID == b.ID &&
		bytes.Equal(a.Body, b.Body)
}

// world is a log together with a minimal state of the Core.
type world struct {
	disk     *disk // knows the barriers, and is the storage, except in openOn
	l        *Log
	replayed []Record
	objects  map[identity.Value]object
	damage   []*DamageError // accepted damage
	pieces   int            // number of restored sections
	restored uint32         // number of the checkpoint from which it started
	refused  []error        // errors of newer checkpoints, which were refused
}

type object struct {
	lsn uint64
	at  Location
}

// open opens a log from the newest readable checkpoint.
func open(d *disk, seed uint64) (*world, error) { return openWith(d, seed, false) }

func openWith(d *disk, seed uint64, accept bool) (*world, error) {
	return restart(d, d, seed, accept)
}

// openOn opens a log on any storage. A disk records which records are barriers.
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

// openFrom opens a log from a given checkpoint.
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

// mustOpen opens an undamaged log, and compares it with the written records.
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

// write appends the next groups in one write.
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

// carry relocates the live records of a segment, after a barrier.
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

// mark returns a barrier.
func (w *world) mark() Record { return Record{LSN: w.l.Position().LSN + 1, Kind: KindBarrier} }

// compact relocates the live records of segments, and removes the segments.
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

// checkpoint writes a checkpoint of the present state.
func (w *world) checkpoint() error {
	return w.l.Checkpoint(w.l.Position(), inPieces(w.piece))
}

const pieces = 3 // number of sections of a checkpoint, by the objects' values

// inPieces yields the sections, and then nil.
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
		return errors.New("the section is out of order")
	}
	for w.pieces++; r.Len() > 0; {
		v := identity.Value(r.Take(identity.ValueSize))
		w.objects[v] = object{r.U64(), readLocation(r)}
	}
	return r.Done()
}

// expected returns the objects after the record with an LSN.
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

// authentic reports whether the replayed records equal the written ones, in order. They must be
// complete, unless damage was accepted.
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

// verify compares the world with the written records up to its position.
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

// store writes a store of three segments: 24 records in groups of one and two, with one to three
// groups in each write.
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
