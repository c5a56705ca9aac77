package log

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"motte/core/identity"
	"motte/core/seal"
)

var update = flag.Bool("update", false, "write the golden files anew")

// memory is a Storage that a test can tear, alter and roll back.
type memory struct {
	segments [][]byte
	fail     error // of the next Append
	keep     int   // bytes that a failing Append leaves behind
}

func (m *memory) Segments() (list []SegmentInfo, err error) {
	for i, s := range m.segments {
		list = append(list, SegmentInfo{uint32(i) + 1, int64(len(s))})
	}
	return list, nil
}

func (m *memory) Append(id uint32, p []byte) error {
	if m.fail != nil {
		if int(id) == len(m.segments) {
			m.segments[id-1] = append(m.segments[id-1], p[:min(m.keep, len(p))]...)
		}
		return m.fail
	}
	if int(id) == len(m.segments)+1 {
		m.segments = append(m.segments, nil)
	}
	m.segments[id-1] = append(m.segments[id-1], p...)
	return nil
}

func (m *memory) ReadAt(id uint32, p []byte, offset int64) error {
	if int(id) > len(m.segments) || copy(p, m.segments[id-1][offset:]) < len(p) {
		return errors.New("short read")
	}
	return nil
}

func (m *memory) clone() *memory {
	c := &memory{}
	for _, s := range m.segments {
		c.segments = append(c.segments, bytes.Clone(s))
	}
	return c
}

type random struct{ r *rand.Rand }

func (r random) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.r.Uint32())
	}
	return len(p), nil
}

var root = seal.Root{1, 2, 3}

// open opens a log and returns its records.
func open(s Storage, seed uint64) (l *Log, records []Record, err error) {
	l, err = Open(s, root, random{rand.New(rand.NewPCG(seed, 0))})
	if err != nil {
		return nil, nil, err
	}
	err = l.Replay(func(r Record, at Location) error {
		if r.Kind == KindAddPrincipal {
			l.Ring().Set(uint32(r.Body[0]), [32]byte(r.Body[1:]))
		}
		records = append(records, r)
		return nil
	})
	return l, records, err
}

// record makes a record; the number decides all of it.
func record(lsn uint64) Record {
	if lsn == 1 {
		return Record{LSN: 1, Kind: KindAddPrincipal, Body: append([]byte{7}, make([]byte, 32)...)}
	}
	r := Record{LSN: lsn, Kind: KindPut, Collection: uint32(lsn), Owner: 7, ID: identity.ID{byte(lsn)},
		Body: bytes.Repeat([]byte{byte(lsn)}, int(lsn*5%40))}
	if lsn%4 == 0 {
		r.Kind, r.Owner = KindDelete, CoreOwner
	}
	return r
}

// store writes a store of three segments, with groups of one and two records,
// several groups a write.
func store(t testing.TB) *memory {
	m := &memory{}
	lsn := uint64(0)
	for start := range 3 {
		l, _, err := open(m, uint64(start))
		if err != nil {
			t.Fatal(err)
		}
		for write := range 2 {
			var groups []Group
			for g := range 1 + write {
				var group Group
				for range 1 + g {
					lsn++
					group = append(group, record(lsn))
					if lsn == 1 {
						l.Ring().Set(7, [32]byte{})
					}
				}
				groups = append(groups, group)
			}
			at, err := l.Append(groups)
			if err != nil {
				t.Fatal(err)
			}
			for i, a := range at {
				want := record(lsn - uint64(len(at)) + uint64(i) + 1)
				if got, _, err := l.Read(nil, a); err != nil || !equal(got, want) {
					t.Fatalf("read back %v: %v", got, err)
				}
			}
		}
	}
	return m
}

func equal(a, b Record) bool {
	return a.LSN == b.LSN && a.Kind == b.Kind && a.Collection == b.Collection && a.Owner == b.Owner && a.ID == b.ID && bytes.Equal(a.Body, b.Body)
}

const storeRecords = 12

func isPrefix(records []Record) bool {
	for i, r := range records {
		if !equal(r, record(uint64(i)+1)) {
			return false
		}
	}
	return true
}

func TestReplayBringsWhatWasAppended(t *testing.T) {
	l, records, err := open(store(t), 9)
	if err != nil || len(records) != storeRecords || !isPrefix(records) {
		t.Fatalf("%d records, %v", len(records), err)
	}
	if lsn, _ := l.Head(); lsn != storeRecords {
		t.Fatalf("head at %d", lsn)
	}
}

// TestEveryAlteredByteIsNoticed flips each byte of a store, one at a time: the
// log is refused with the place named, save in the last write of the newest
// segment, where an altered record can't be told from a torn one and is cut
// off. What is read is never anything but what was written.
func TestEveryAlteredByteIsNoticed(t *testing.T) {
	good := store(t)
	lastWrite := lastWriteAt(good)
	for seg := range good.segments {
		for i := range good.segments[seg] {
			for _, flip := range []byte{0x01, 0x80} {
				m := good.clone()
				m.segments[seg][i] ^= flip
				_, records, err := open(m, 9)
				var damage *DamageError
				switch {
				case !isPrefix(records):
					t.Fatalf("segment %d byte %d: a record that nobody wrote", seg+1, i)
				case err == nil && (seg < len(good.segments)-1 || i < lastWrite):
					t.Fatalf("segment %d byte %d: not noticed; %d records", seg+1, i, len(records))
				case err != nil && errors.As(err, &damage) && damage.Segment != uint32(seg)+1:
					t.Fatalf("segment %d byte %d: reported as %v", seg+1, i, err)
				case err != nil && !errors.Is(err, ErrDamaged) && !strings.Contains(err.Error(), "version"):
					t.Fatalf("segment %d byte %d: %v", seg+1, i, err)
				}
			}
		}
	}
}

// lengthAt is the length of the record at an offset.
func lengthAt(segment []byte, at int) int { return int(binary.BigEndian.Uint32(segment[at+4:])) }

// lastWriteAt is the offset of the last write in the newest segment.
func lastWriteAt(m *memory) int {
	data, at := m.segments[len(m.segments)-1], headerSize
	last := 0
	for at < len(data) {
		if data[at+3]&flagFirst != 0 {
			last = at
		}
		at += lengthAt(data, at)
	}
	return last
}

// TestCutSegments cuts each segment at each length. Only a cut of the newest
// one, behind its header, can pass for a crash; it loses whole groups.
func TestCutSegments(t *testing.T) {
	good := store(t)
	for seg := range good.segments {
		for n := range good.segments[seg] {
			m := good.clone()
			m.segments[seg] = m.segments[seg][:n]
			_, records, err := open(m, 9)
			newest := seg == len(good.segments)-1
			if !isPrefix(records) || (err == nil) != (newest && n >= headerSize) {
				t.Fatalf("segment %d cut to %d bytes: %d records, %v", seg+1, n, len(records), err)
			}
			if len(records) == 11 {
				t.Fatal("half a group came back")
			}
		}
	}
}

func TestMovedPiecesAreNoticed(t *testing.T) {
	good := store(t)
	record2 := func(m *memory, seg int) (a, b, c int) { // bounds of the first two records
		b = headerSize + lengthAt(m.segments[seg], headerSize)
		return headerSize, b, b + lengthAt(m.segments[seg], b)
	}
	for name, alter := range map[string]func(m *memory){
		"segments swapped":      func(m *memory) { m.segments[0], m.segments[1] = m.segments[1], m.segments[0] },
		"segment repeated":      func(m *memory) { m.segments = append(m.segments, m.segments[2]) },
		"segment missing":       func(m *memory) { m.segments = slices.Delete(m.segments, 1, 2) },
		"first segment missing": func(m *memory) { m.segments = m.segments[1:] },
		"records swapped": func(m *memory) {
			a, b, c := record2(m, 0)
			s := m.segments[0]
			m.segments[0] = slices.Concat(s[:a], s[b:c], s[a:b], s[c:])
		},
		"record repeated": func(m *memory) {
			a, b, _ := record2(m, 1)
			s := m.segments[1]
			m.segments[1] = slices.Concat(s[:b], s[a:b], s[b:])
		},
		"record of another segment": func(m *memory) {
			a, b, _ := record2(m, 0)
			a2, b2, _ := record2(m, 1)
			m.segments[1] = slices.Concat(m.segments[1][:a2], m.segments[0][a:b], m.segments[1][b2:])
		},
		"record missing in the newest segment": func(m *memory) {
			a, b, _ := record2(m, 2)
			m.segments[2] = slices.Concat(m.segments[2][:a], m.segments[2][b:])
		},
	} {
		m := good.clone()
		alter(m)
		if _, records, err := open(m, 9); !errors.Is(err, ErrDamaged) || !isPrefix(records) {
			t.Errorf("%s: %d records, %v", name, len(records), err)
		}
	}
	other := seal.Root{9}
	l, err := Open(good, other, random{rand.New(rand.NewPCG(1, 0))})
	if err == nil {
		err = l.Replay(func(Record, Location) error { return nil })
	}
	if !errors.Is(err, ErrDamaged) {
		t.Errorf("another root key: %v", err)
	}
}

// TestCrashKeepsWhatWasAcknowledged tears the last write at every byte: what
// was acknowledged before comes back, and of the write whole groups in order.
func TestCrashKeepsWhatWasAcknowledged(t *testing.T) {
	for keep := range 420 {
		m := store(t)
		l, before, err := open(m, 9)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append([]Group{{record(13)}}); err != nil {
			t.Fatal(err)
		}
		m.fail, m.keep = errors.New("power cut"), keep
		if _, err := l.Append([]Group{{record(14)}, {record(15), record(16)}}); err == nil {
			t.Fatal("a failed write was acknowledged")
		}
		m.fail = nil
		if _, err := l.Append([]Group{{record(14)}}); !errors.Is(err, ErrFailed) {
			t.Fatalf("append after a failure: %v", err)
		}
		l, after, err := open(m, 10)
		if err != nil || !isPrefix(after) || len(after) < len(before)+1 || len(after) == 15 {
			t.Fatalf("%d bytes of the torn write: %d records, %v", keep, len(after), err)
		}
		lsn := uint64(len(after)) + 1
		if _, err := l.Append([]Group{{record(lsn)}}); err != nil {
			t.Fatal(err)
		}
		if _, again, err := open(m, 11); err != nil || len(again) != len(after)+1 || !isPrefix(again) {
			t.Fatalf("%d bytes of the torn write: second restart: %d records, %v", keep, len(again), err)
		}
	}
}

// TestWhatACrashTookStaysGone: a write that a crash took was not there when the
// next segment was made. If its bytes come back behind the end that this segment
// names, they are no records, and no damage.
func TestWhatACrashTookStaysGone(t *testing.T) {
	for _, where := range []string{"behind all", "behind a torn half"} {
		m := store(t)
		l, _, err := open(m, 9)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append([]Group{{record(13)}}); err != nil {
			t.Fatal(err)
		}
		before := m.clone()
		if _, err := l.Append([]Group{{record(14)}, {record(15), record(16)}}); err != nil {
			t.Fatal(err)
		}
		taken := m.segments[3]
		m = before
		if where == "behind a torn half" {
			m.segments[3] = taken[:len(m.segments[3])+100]
		}
		l, records, err := open(m, 10)
		if err != nil || len(records) != 13 {
			t.Fatalf("%s: %d records, %v", where, len(records), err)
		}
		if _, err := l.Append([]Group{{record(14)}}); err != nil {
			t.Fatal(err)
		}
		m.segments[3] = taken
		if _, records, err := open(m, 11); err != nil || len(records) != 14 || !isPrefix(records) {
			t.Errorf("%s: %d records, %v", where, len(records), err)
		}
	}
}

// TestNoSaltServesTwoStarts: also from a disk that was set back, a start seals
// under keys that no other start used, whatever numbers it finds.
func TestNoSaltServesTwoStarts(t *testing.T) {
	m, seen := store(t), map[seal.Salt]bool{}
	for start := range 5 {
		rolledBack := m.clone()
		l, _, err := open(rolledBack, uint64(100+start))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append([]Group{{record(13)}}); err != nil {
			t.Fatal(err)
		}
		if seen[l.last.salt] || l.last.id != 4 {
			t.Fatal("a salt was used twice, or an old segment was appended to")
		}
		seen[l.last.salt] = true
	}
}

func TestSegmentsRotate(t *testing.T) {
	m := &memory{}
	l, _, err := open(m, 1)
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 15<<20)
	for lsn := uint64(1); lsn <= 9; lsn++ {
		r := Record{LSN: lsn, Kind: KindAlert, Body: body}
		if _, err := l.Append([]Group{{r}}); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.segments) != 3 {
		t.Fatalf("%d segments", len(m.segments))
	}
	if _, records, err := open(m, 2); err != nil || len(records) != 9 {
		t.Fatalf("%d records, %v", len(records), err)
	}
}

func TestAppendRefusesGapsAndGiants(t *testing.T) {
	for name, g := range map[string]Group{
		"gap":      {record(1), record(3)},
		"no owner": {{LSN: 1, Kind: KindPut, Owner: 99}},
		"giant":    {{LSN: 1, Kind: KindAlert, Body: make([]byte, segmentMax/3)}},
	} {
		l, _, err := open(&memory{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append([]Group{g}); err == nil {
			t.Errorf("%s: appended", name)
		}
	}
}

func TestReadRefusesWhatIsNoRecord(t *testing.T) {
	m := store(t)
	l, _, err := open(m, 9)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []Location{{9, 0, 200}, {1, 0, 0}, {1, 0, headerSize}, {1, headerSize + 8, 96}, {1, 1 << 31, 1 << 31}} {
		if _, _, err := l.Read(nil, at); !errors.Is(err, ErrDamaged) {
			t.Errorf("%v: %v", at, err)
		}
	}
}

// TestGoldenStore reads a store of the first version, byte for byte as it was
// written.
func TestGoldenStore(t *testing.T) {
	path := filepath.Join("testdata", "store-v1.hex")
	if *update {
		var b strings.Builder
		for _, s := range store(t).segments {
			fmt.Fprintln(&b, hex.EncodeToString(s))
		}
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m := &memory{}
	for line := range strings.Lines(string(text)) {
		s, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil {
			t.Fatal(err)
		}
		m.segments = append(m.segments, s)
	}
	if _, records, err := open(m, 9); err != nil || len(records) != storeRecords || !isPrefix(records) {
		t.Fatalf("%d records, %v", len(records), err)
	}
	for i, s := range store(t).segments {
		if !bytes.Equal(s, m.segments[i]) {
			t.Errorf("segment %d is written differently now", i+1)
		}
	}
}

func FuzzReplay(f *testing.F) {
	for _, s := range store(f).segments {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		m := &memory{segments: [][]byte{p}}
		if _, records, err := open(m, 9); err == nil && !isPrefix(records) {
			t.Fatal("a record that nobody wrote")
		}
	})
}

func TestDirKeepsSegments(t *testing.T) {
	path := t.TempDir()
	d, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDir(path); !errors.Is(err, ErrLocked) {
		t.Fatalf("opened twice: %v", err)
	}
	var want []byte
	if err := d.Append(1, []byte("header")); err != nil {
		t.Fatal(err)
	}
	want = append(want, "header"...)
	for i := range 20 {
		p := bytes.Repeat([]byte{byte(i + 1)}, 300_000)
		if err := d.Append(1, p); err != nil {
			t.Fatal(err)
		}
		want = append(want, p...)
	}
	if err := d.Append(2, []byte("second")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(want))
	if err := d.ReadAt(1, got, 0); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read back: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d, err = OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	list, err := d.Segments()
	if err != nil || !slices.Equal(list, []SegmentInfo{{1, int64(len(want))}, {2, 6}}) {
		t.Fatalf("%v, %v", list, err)
	}
}

// TestDirTakesNoOtherNames: only a name that Dir gives is a segment.
func TestDirTakesNoOtherNames(t *testing.T) {
	path := t.TempDir()
	for _, name := range []string{"1.seg", "00000002.segment", "+0000003.seg", "4294967297.seg", "new-segment", "x.seg", "00000007.seg"} {
		if err := os.WriteFile(filepath.Join(path, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := OpenDir(path + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if list, err := d.Segments(); err != nil || !slices.Equal(list, []SegmentInfo{{7, 12}}) {
		t.Errorf("%v, %v", list, err)
	}
}

// TestDirReadsWhileItWrites: old segments are opened when they are read first,
// which must not meet an Append.
func TestDirReadsWhileItWrites(t *testing.T) {
	const old = 40
	path := t.TempDir()
	d, err := OpenDir(path)
	for id := uint32(1); id <= old && err == nil; id++ {
		err = d.Append(id, []byte("old"))
	}
	if err = errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	if d, err = OpenDir(path); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for id := uint32(1); id <= old; id++ {
				if p := make([]byte, 3); d.ReadAt(id, p, 0) != nil || string(p) != "old" {
					t.Errorf("segment %d holds %q", id, p)
				}
			}
		})
	}
	for range 20 {
		if err := d.Append(old+1, []byte("new")); err != nil {
			t.Error(err)
		}
	}
	readers.Wait()
}

// limitFiles lets no file of this process grow over size bytes: a write is cut
// short there, and refused beyond, as by a disk that is full.
func limitFiles(t *testing.T, size uint64) (undo func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDirOnAFullDisk: the space that is left is used to its end, though it is
// not enough to fill ahead; then nothing more is taken, also when there is
// space again; and of the write that was cut short nothing stays.
func TestDirOnAFullDisk(t *testing.T) {
	path := t.TempDir()
	d, err := OpenDir(path)
	if err != nil {
		t.Fatal(err)
	}
	undo := limitFiles(t, 1000)
	defer undo()
	want := bytes.Repeat([]byte("0123456789"), 99)
	for i := 0; i < len(want) && err == nil; i += 90 {
		err = d.Append(1, want[i:i+90])
	}
	if err != nil {
		t.Fatalf("the disk is not full: %v", err)
	}
	if err := d.Append(1, want[:90]); err == nil {
		t.Fatal("written to a full disk")
	}
	undo()
	for _, id := range []uint32{1, 2} {
		if err := d.Append(id, want[:90]); err == nil {
			t.Fatalf("segment %d takes data after a write that failed", id)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(filepath.Join(path, "00000001.seg")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes are left, want %d; %v", len(got), len(want), err)
	}
}

// TestDirNeverRetriesAFailedWrite: after one failure every Append fails.
func TestDirNeverRetriesAFailedWrite(t *testing.T) {
	d, err := OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Append(1, []byte("header")); err != nil {
		t.Fatal(err)
	}
	d.files[1].Close() // as good as a disk that is gone
	for range 2 {
		if err := d.Append(1, []byte("more")); err == nil {
			t.Fatal("written to a disk that is gone")
		}
	}
	if err := d.Append(2, []byte("header")); err == nil {
		t.Fatal("a failed storage makes a new segment")
	}
}

func BenchmarkRead1KiB(b *testing.B) {
	d, err := OpenDir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	l, _, err := open(d, 1)
	if err != nil {
		b.Fatal(err)
	}
	at, err := l.Append([]Group{{{LSN: 1, Kind: KindAlert, Body: make([]byte, 1024)}}})
	if err != nil {
		b.Fatal(err)
	}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		if _, buf, err = l.Read(buf, at[0]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend1KiB(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d, err := OpenDir(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			l, _, err := open(d, 1)
			if err != nil {
				b.Fatal(err)
			}
			lsn := uint64(0)
			for b.Loop() {
				var groups []Group
				for range n {
					lsn++
					groups = append(groups, Group{{LSN: lsn, Kind: KindAlert, Body: make([]byte, 1024)}})
				}
				if _, err := l.Append(groups); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
