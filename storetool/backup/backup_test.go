package backup

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"motte/core/seal"
	"motte/core/seglog"
	"motte/internal/testutil"
)

// store is a data directory to which the test writes.
type store struct {
	t   *testing.T
	dir string
	log *seglog.Log
	lsn uint64
}

func newStore(t *testing.T) *store {
	t.Helper()
	s := &store{t: t, dir: filepath.Join(t.TempDir(), "data")}
	d, err := seglog.OpenDir(s.dir)
	testutil.Must(t, err)
	t.Cleanup(func() { d.Close() })
	s.log, err = seglog.Open(d, seal.Root{1}, rand.Read, nil)
	testutil.Must(t, err)
	testutil.Must(t, s.log.Restore(0, nil))
	testutil.Must(t, s.log.Replay(nil))
	return s
}

// write appends a group of n records.
func (s *store) write(n int) {
	s.t.Helper()
	var g seglog.Group
	for range n {
		s.lsn++
		g = append(g, seglog.Record{LSN: s.lsn, Kind: seglog.KindBarrier, Body: bytes.Repeat([]byte{byte(s.lsn)}, int(s.lsn%50))})
	}
	_, _, err := s.log.Append([]seglog.Group{g})
	testutil.Must(s.t, err)
}

func (s *store) checkpoint() {
	s.t.Helper()
	pieces := [][]byte{[]byte("state"), nil}
	testutil.Must(s.t, s.log.Checkpoint(s.log.Position(), func() (p []byte, err error) {
		p, pieces = pieces[0], pieces[1:]
		return p, nil
	}))
}

func (s *store) backup(to string, o Options) (*Report, error) {
	o.Now = time.Now()
	return ToDirectory(context.Background(), s.dir, to, o)
}

// records counts the records of a complete backup.
func records(t *testing.T, m *Manifest, dir string, s *store) (n uint64) {
	t.Helper()
	keys, err := os.ReadFile(filepath.Join(s.dir, seglog.KeysNames[0]))
	testutil.Must(t, err)
	testutil.Must(t, os.WriteFile(filepath.Join(dir, seglog.KeysNames[0]), keys, 0o600))
	d, err := seglog.OpenDir(dir)
	testutil.Must(t, err)
	defer d.Close()
	l, err := seglog.Open(d, seal.Root{1}, rand.Read, nil)
	testutil.Must(t, err)
	testutil.Must(t, l.Restore(l.Checkpoints()[0], func(int, []byte) error { return nil }))
	testutil.Must(t, l.Replay(func(seglog.Record, seglog.Location) error { return nil }))
	if l.Position().LSN != m.LSN {
		t.Errorf("the manifest has record %d as the last one; the backup ends with %d", m.LSN, l.Position().LSN)
	}
	return l.Position().LSN
}

// restore unpacks a backup, and counts its records.
func (s *store) restore(from string) uint64 {
	s.t.Helper()
	dir := s.t.TempDir()
	m, err := FromDirectory(context.Background(), from, dir, nil)
	testutil.Must(s.t, err)
	return records(s.t, m, dir, s)
}

// TestOnlyWhatChangedIsCopied: a backup copies only new files, and removes unneeded files.
func TestOnlyWhatChangedIsCopied(t *testing.T) {
	s, to := newStore(t), filepath.Join(t.TempDir(), "deep", "backup")
	for i, step := range []struct {
		do              func()
		copied, removed int
		files           int
	}{
		{func() { s.write(3) }, 1, 0, 1},
		{func() {}, 1, 0, 1}, // the newest segment may have grown
		{func() { s.write(2) }, 1, 1, 1},
		{func() { s.log.Rotate(); s.write(1) }, 2, 0, 2}, // the first has the same bytes
		{func() { s.write(1) }, 1, 1, 2},                 // the first is unchanged
		{func() { s.checkpoint() }, 2, 0, 3},
		{func() { s.checkpoint() }, 2, 0, 4},
		{func() { s.checkpoint() }, 2, 1, 4}, // a backup keeps two checkpoints
		{func() { testutil.Must(t, s.log.Remove(1)) }, 1, 1, 3},
	} {
		step.do()
		r, err := s.backup(to, Options{})
		testutil.Must(t, err)
		if r.Copied != step.copied || r.Removed != step.removed || r.Files != step.files || r.Unclear {
			t.Errorf("step %d: the report is %+v; want other numbers of files", i, r)
		}
		entries, err := os.ReadDir(to)
		testutil.Must(t, err)
		if len(entries) != step.files+2 {
			t.Errorf("step %d: the directory of the backup has unneeded files: %v", i, entries)
		}
		if n := s.restore(to); n != s.lsn {
			t.Errorf("step %d: the backup has %d of %d records; want all", i, n, s.lsn)
		}
	}
}

// TestInterruptedBackupChangesNothing interrupts a backup at each step.
func TestInterruptedBackupChangesNothing(t *testing.T) {
	s, to := newStore(t), filepath.Join(t.TempDir(), "backup")
	s.write(5)
	_, err := s.backup(to, Options{})
	testutil.Must(t, err)
	before := s.lsn
	s.write(5)
	s.log.Rotate()
	s.write(5)
	s.checkpoint()
	for n := 1; ; n++ {
		ctx, cancel := context.WithCancel(context.Background())
		calls := 0
		_, err := ToDirectory(ctx, s.dir, to, Options{Now: time.Now(), Progress: func(int64, int64) {
			if calls++; calls == n {
				cancel()
			}
		}})
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if got := s.restore(to); got != before {
			t.Fatalf("interrupted after %d steps, the backup has %d records; want %d, as the backup before", n, got, before)
		}
	}
	if got := s.restore(to); got != s.lsn {
		t.Errorf("the backup has %d of %d records; want all", got, s.lsn)
	}
}

// TestBehindTheLastRecord: a backup never copies a record after a hole. It copies unrecognised
// bytes if they do not change.
func TestBehindTheLastRecord(t *testing.T) {
	s := newStore(t)
	s.write(4)
	path := filepath.Join(s.dir, "00000001.seg")
	p, err := os.ReadFile(path)
	testutil.Must(t, err)
	end := int(s.log.Position().End)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	testutil.Must(t, err)
	defer f.Close()
	h, err := readSegmentHeader(f, path)
	testutil.Must(t, err)
	for cut := headerSize; cut < end; cut += 8 {
		got, lsn, behind, err := walk(bytes.NewReader(append(p[:cut:cut], make([]byte, 4096)...)), 1<<20, h)
		testutil.Must(t, err)
		if got > int64(end) || got < int64(cut)-1024 || behind != nil && got >= int64(cut) || lsn > 4 {
			t.Errorf("cut at %d of %d: the backup ends at %d with record %d, followed by %x", cut, end, got, lsn, behind)
		}
	}
	_, err = f.WriteAt([]byte("something"), int64(end))
	testutil.Must(t, err)
	r, err := s.backup(filepath.Join(t.TempDir(), "backup"), Options{})
	testutil.Must(t, err)
	if !r.Unclear || r.Manifest.LSN != 4 || r.Manifest.Files[0].Size <= int64(end) {
		t.Errorf("%+v", r.Manifest)
	}
}

// TestAlteredBackupIsNoticed: with Recheck, a backup copies an altered file again.
func TestAlteredBackupIsNoticed(t *testing.T) {
	s, to := newStore(t), filepath.Join(t.TempDir(), "backup")
	s.write(3)
	s.log.Rotate()
	s.write(3)
	r, err := s.backup(to, Options{})
	testutil.Must(t, err)
	path := filepath.Join(to, r.Manifest.Files[0].File)
	p, err := os.ReadFile(path)
	testutil.Must(t, err)
	p[200] ^= 1
	testutil.Must(t, os.WriteFile(path, p, 0o600))
	_, err = s.backup(to, Options{})
	testutil.Must(t, err)
	if _, err := FromDirectory(context.Background(), to, t.TempDir(), nil); !errors.Is(err, ErrAltered) {
		t.Errorf("altered: %v", err)
	}
	if r, err = s.backup(to, Options{Recheck: true}); err != nil || r.Copied != 2 {
		t.Errorf("a backup with Recheck reports %+v, %v; want 2 copied files", r, err)
	}
	if n := s.restore(to); n != 6 {
		t.Errorf("after Recheck the backup has %d records; want all", n)
	}
}

// TestNewerBackupIsNotReplaced: a store that was rolled back replaces its newer backup only with
// AcceptOlder. Another store never does.
func TestNewerBackupIsNotReplaced(t *testing.T) {
	s, to := newStore(t), filepath.Join(t.TempDir(), "backup")
	s.write(3)
	old := filepath.Join(t.TempDir(), "old")
	testutil.Must(t, os.CopyFS(old, os.DirFS(s.dir)))
	s.write(3)
	_, err := s.backup(to, Options{})
	testutil.Must(t, err)
	back := &store{t: t, dir: old}
	if _, err := back.backup(to, Options{}); !errors.Is(err, ErrOlder) {
		t.Errorf("a backup of an older store returns %v; want ErrOlder", err)
	}
	if n := s.restore(to); n != 6 {
		t.Errorf("with AcceptOlder the backup has %d records; want those of the older store", n)
	}
	_, err = back.backup(to, Options{AcceptOlder: true})
	testutil.Must(t, err)
	other := newStore(t)
	other.write(9)
	if _, err := other.backup(to, Options{AcceptOlder: true}); err == nil {
		t.Error("a backup of another store replaces this backup; want an error")
	}
}

// TestArchiveIsWholeOrNothing: a tar archive that ends early is not restored.
func TestArchiveIsWholeOrNothing(t *testing.T) {
	s := newStore(t)
	s.write(3)
	s.checkpoint()
	var b bytes.Buffer
	m, err := ToTar(context.Background(), s.dir, &b, Options{Now: time.Now()})
	testutil.Must(t, err)
	for _, n := range []int{0, 1, 512, 1000, b.Len() / 2, b.Len() - 3000} {
		if _, err := FromTar(context.Background(), io.LimitReader(bytes.NewReader(b.Bytes()), int64(n)), t.TempDir(), nil); err == nil {
			t.Errorf("an archive cut to %d of %d bytes was restored; want an error", n, b.Len())
		}
	}
	dir := t.TempDir()
	_, err = FromTar(context.Background(), &b, dir, nil)
	testutil.Must(t, err)
	if n := records(t, m.Manifest, dir, s); n != 3 {
		t.Errorf("the restored archive has %d records; want all", n)
	}
}

// TestAManifestSaysEachThingOnce: a manifest with a member given twice, or unknown, is refused.
func TestAManifestSaysEachThingOnce(t *testing.T) {
	good := Manifest{Format: manifestFormat, Version: manifestVersion, Made: time.Now(), LSN: 7, Files: []Entry{
		{Name: "00000001.seg", File: "00000001.seg.0123456789abcdef", Size: 1, SHA256: strings.Repeat("00", 32)}}}
	text, err := good.encode()
	testutil.Must(t, err)
	if m, err := decodeManifest(text); err != nil || m.LSN != 7 || !m.Made.Equal(good.Made) {
		t.Fatalf("%+v, %v", m, err)
	}
	for what, change := range map[string][2]string{
		"a member twice":         {`"lsn": 7`, `"lsn": 7, "lsn": 8`},
		"in another case, too":   {`"lsn": 7`, `"lsn": 7, "LSN": 8`},
		"only in another case":   {`"lsn": 7`, `"LSN": 7`},
		"one of a file twice":    {`"size": 1`, `"size": 1, "size": 2`},
		"one that is not known":  {`"lsn": 7`, `"lsn": 7, "more": 1`},
		"a byte order mark":      {"{\n  \"format", "\ufeff{\n  \"format"},
		"another value after it": {`"lsn": 7`, `"lsn": 7}{"x":1`},
		"nothing":                {string(text), ""},
	} {
		bad := strings.Replace(string(text), change[0], change[1], 1)
		if m, err := decodeManifest([]byte(bad)); !errors.Is(err, ErrManifest) {
			t.Errorf("%s: %+v, %v", what, m, err)
		}
	}
}

// FuzzManifest: the names of any accepted manifest stay in the directory, and are names of a
// store's files.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"format":"motte-backup","version":1,"files":[{"name":"00000001.seg","file":"00000001.seg.0123456789abcdef","size":1,"sha256":"` + strings.Repeat("00", 32) + `"}]}`))
	f.Add([]byte(`{"format":"motte-backup","version":1,"files":[{"name":"../x","file":"/etc/passwd"}]}`))
	f.Fuzz(func(t *testing.T, p []byte) {
		m, err := decodeManifest(p)
		if err != nil {
			if !errors.Is(err, ErrManifest) {
				t.Error(err)
			}
			return
		}
		for _, e := range m.Files {
			if !filepath.IsLocal(e.File) || strings.ContainsAny(e.File+e.Name, "/\\") || slices.Contains(seglog.KeysNames[:], e.Name) || e.Size < 0 {
				t.Errorf("%+v", e)
			}
		}
	})
}
