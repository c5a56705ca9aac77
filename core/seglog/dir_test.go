package seglog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"motte/internal/testutil"
)

func openDir(t testing.TB, path string) *Dir {
	t.Helper()
	d, err := OpenDir(path)
	testutil.Must(t, err)
	return d
}

// contents returns a function that writes p for a Create.
func contents(p []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(p)
		return err
	}
}

func TestDirKeepsFiles(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	if _, err := OpenDir(path); !errors.Is(err, ErrLocked) {
		t.Fatalf("a second open of a directory returns %v; want ErrLocked", err)
	}
	want := []byte("header")
	testutil.Must(t, d.Append("1", want))
	for i := range 20 {
		p := bytes.Repeat([]byte{byte(i + 1)}, 300_000)
		testutil.Must(t, d.Append("1", p))
		want = append(want, p...)
	}
	testutil.Must(t, d.Create("made", contents(want)), d.Replace("made", contents(want[:10])), d.Append("2", []byte("second")), d.Sync("1"))
	for name, want := range map[string][]byte{"1": want, "2": []byte("second"), "made": want[:10]} {
		got := make([]byte, len(want))
		if err := d.ReadAt(name, got, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not as it was written: %v", name, err)
		}
	}
	if err := d.ReadAt("made", make([]byte, 2), 9); !errors.Is(err, io.EOF) {
		t.Errorf("a read after the end returns %v; want an error", err)
	}
	testutil.Must(t, d.Close())
	d = openDir(t, path)
	defer d.Close()
	list, err := d.Files()
	if err != nil || !slices.Equal(list, []File{{"1", int64(len(want))}, {"2", 6}, {"made", 10}}) {
		t.Fatalf("%v, %v", list, err)
	}
}

// TestDirRemovesWhatACrashLeftHalfMade: it removes incomplete files, and no other files.
func TestDirRemovesWhatACrashLeftHalfMade(t *testing.T) {
	path := t.TempDir()
	for _, name := range []string{temporary + "1", temporary + "wrap.key", "anew-1", "other"} {
		testutil.Must(t, os.WriteFile(filepath.Join(path, name), []byte(name), 0o600))
	}
	testutil.Must(t, os.Mkdir(filepath.Join(path, "directory"), 0o700))
	d := openDir(t, path+"/")
	defer d.Close()
	list, err := d.Files()
	if err != nil || !slices.Equal(list, []File{{"anew-1", 6}, {"other", 5}}) {
		t.Errorf("%v, %v", list, err)
	}
	if left, err := filepath.Glob(filepath.Join(path, temporary+"*")); err != nil || len(left) > 0 {
		t.Errorf("the directory has %v left, %v; want only complete files", left, err)
	}
}

// TestNumberTakesNoOtherNames: only a name that the log makes is a segment.
func TestNumberTakesNoOtherNames(t *testing.T) {
	for _, name := range []string{"", ".seg", "1.seg", "00000002.segment", "+0000003.seg", "4294967297.seg", "0000000x.seg", "00000000.seg", "00000004.ckp", "new-00000005.seg"} {
		if n, ok := number(name, segmentSuffix); ok {
			t.Errorf("the name %q is read as segment %d; want none", name, n)
		}
	}
	for _, want := range []uint32{1, 7, maxSegments, 99_999_999} {
		if n, ok := number(segmentName(want), segmentSuffix); !ok || n != want {
			t.Errorf("the name of segment %d is read as %d, %v", want, n, ok)
		}
	}
}

// TestDirReplacesWholeOrNotAtAll: a Create that fails at any point leaves the existing file, and
// no other file.
func TestDirReplacesWholeOrNotAtAll(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	defer d.Close()
	want := []byte("as it was before")
	testutil.Must(t, d.Replace("made", contents(want)))
	broken := errors.New("no more")
	for _, n := range []int{0, 1, syncEvery, 2*syncEvery + 1} {
		err := d.Replace("made", func(w io.Writer) error {
			_, err := w.Write(make([]byte, n))
			return errors.Join(err, broken)
		})
		if !errors.Is(err, broken) {
			t.Errorf("%d bytes and an error: %v", n, err)
		}
	}
	undo := limitFiles(t, fileLimit)
	err := d.Replace("made", contents(make([]byte, 2*fileLimit)))
	undo()
	if !errors.Is(err, syscall.EFBIG) {
		t.Errorf("a Create on a full disk returns %v; want EFBIG", err)
	}
	got := make([]byte, len(want))
	if err := d.ReadAt("made", got, 0); err != nil || !bytes.Equal(got, want) {
		t.Errorf("after failed Creates the file has %q, %v; want its old content", got, err)
	}
	if list, err := d.Files(); err != nil || !slices.Equal(list, []File{{"made", int64(len(want))}}) {
		t.Errorf("%v, %v", list, err)
	}
	if left, err := filepath.Glob(filepath.Join(path, temporary+"*")); err != nil || len(left) > 0 {
		t.Errorf("the directory has %v left, %v; want only the old file", left, err)
	}
}

// TestDirRemoves: a removed file can't be read, even if it was read before, and its name can be
// used again.
func TestDirRemoves(t *testing.T) {
	d := openDir(t, t.TempDir())
	defer d.Close()
	p := make([]byte, 3)
	testutil.Must(t, d.Append("1", []byte("old")), d.ReadAt("1", p, 0), d.Append("2", []byte("two")), d.Remove("1"))
	if err := d.ReadAt("1", p, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a read of a removed file returns %v; want an error", err)
	}
	if err := d.Remove("1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a second Remove returns %v", err)
	}
	testutil.Must(t, d.Append("2", []byte("more")), d.Create("1", contents([]byte("new"))), d.ReadAt("1", p, 0))
	if string(p) != "new" {
		t.Errorf("the new file of the same name has %q; want its own content", p)
	}
}

// TestDirGivesBackWhatItRemoves: no reader may keep a removed file open, and with it its space.
func TestDirGivesBackWhatItRemoves(t *testing.T) {
	d := openDir(t, t.TempDir())
	defer d.Close()
	for range 100 {
		testutil.Must(t, d.Create("1", contents([]byte("old"))))
		var reader sync.WaitGroup
		reader.Go(func() {
			for p := make([]byte, 3); d.ReadAt("1", p, 0) == nil; {
			}
		})
		testutil.Must(t, d.Remove("1"))
		reader.Wait()
		if len(d.open) > 0 {
			t.Fatal("a removed file is still open")
		}
	}
}

// TestDirReadsWhileItWrites: readers open and remove old files, while Append and Create run.
func TestDirReadsWhileItWrites(t *testing.T) {
	d := openDir(t, t.TempDir())
	defer d.Close()
	var others sync.WaitGroup
	done := make(chan struct{})
	for n := range 2 {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				name, p := fmt.Sprint("old", n), make([]byte, 3)
				if err := errors.Join(os.WriteFile(filepath.Join(d.path, name), []byte("old"), 0o600), d.ReadAt(name, p, 0), d.Remove(name)); err != nil || string(p) != "old" {
					t.Errorf("%s holds %q, %v", name, p, err)
				}
			}
		})
	}
	others.Go(func() {
		for range 5 {
			if err := errors.Join(d.Create("made", contents([]byte("made"))), d.Remove("made")); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 20 {
		testutil.Must(t, d.Append(fmt.Sprint("new", i/4), []byte("new")))
	}
	close(done)
	others.Wait()
}

// fileLimit is larger than any file that the test framework itself writes.
const fileLimit = 1 << 20 // bytes

// limitFiles limits the size of files of this process. A write up to the limit is cut short, and
// a write beyond it is refused, as on a full disk.
func limitFiles(t *testing.T, size uint64) (undo func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var old syscall.Rlimit
	testutil.Must(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old), syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: old.Max}))
	return func() { testutil.Must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old)) }
}

// TestDirOnAFullDisk: a file takes the remaining space to its end, even without preallocation.
// After a failed write, the file takes no more data, even if there is space again, and no part
// of the failed write stays. Another file takes data once it can be preallocated.
func TestDirOnAFullDisk(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	const step, steps = 90, 10
	want := bytes.Repeat([]byte("0123456789"), (fileLimit-10)/10)
	first := len(want) - step*steps
	testutil.Must(t, d.Append("1", want[:first]), d.file.Truncate(int64(first)))
	d.filled = int64(first) // as if the disk had been full at this size
	undo := limitFiles(t, fileLimit)
	defer func() { undo() }()
	for i := first; i < len(want); i += step {
		testutil.Must(t, d.Append("1", want[i:i+step]))
	}
	if err := d.Append("1", want[:step]); err == nil {
		t.Fatal("an Append to a full disk succeeds; want an error")
	}
	undo()
	if err := d.Append("1", want[:step]); err == nil {
		t.Fatal("after a failed write the file takes data again; want that it is never written again")
	}
	undo = limitFiles(t, fileLimit)
	if err := d.Append("2", want[:step]); !errors.Is(err, syscall.EFBIG) {
		t.Fatalf("a new file that can't be preallocated returns %v; want EFBIG", err)
	}
	undo()
	if err := d.Append("1", want[:step]); err == nil {
		t.Fatal("the file takes data after a failed write; want an error")
	}
	testutil.Must(t, d.Append("2", want[:step]), d.Append("2", want[step:]), d.Close())
	for _, name := range []string{"1", "2"} {
		if got, err := os.ReadFile(filepath.Join(path, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes are left in %s, want %d; %v", len(got), name, len(want), err)
		}
	}
}

// TestDirNeverRetriesAFailedWrite: after one failure, every Append to that file fails. Another
// file starts fresh.
func TestDirNeverRetriesAFailedWrite(t *testing.T) {
	d := openDir(t, t.TempDir())
	testutil.Must(t, d.Append("1", []byte("header")))
	d.file.Close() // acts like a disk that is gone
	for range 2 {
		if err := d.Append("1", []byte("more")); err == nil {
			t.Fatal("an Append to a disk that is gone succeeds; want an error")
		}
	}
	p := make([]byte, 10)
	testutil.Must(t, d.Append("2", []byte("header")), d.Append("2", []byte("more")), d.ReadAt("2", p, 0))
	if string(p) != "headermore" {
		t.Errorf("the next file has %q; want only its own data", p)
	}
}

// TestLogInADir runs the log on files, like the Core.
func TestLogInADir(t *testing.T) {
	path, marks := t.TempDir(), newDisk()
	for seed := range uint64(4) {
		d := openDir(t, path)
		w, err := openOn(d, marks, seed)
		testutil.Must(t, append(w.refused, err, w.verify(), w.write(2), w.checkpoint(), w.write(3), w.l.Resume(), w.write(1), w.verify())...)
		if seed == 2 {
			testutil.Must(t, w.checkpoint(), w.compact(1, 2), w.verify())
		}
		if seed != 3 { // otherwise as if the process had been killed
			testutil.Must(t, d.Close())
		}
		d.lock.Close()
	}
	d := openDir(t, path)
	defer d.Close()
	w, err := openOn(d, marks, 9)
	testutil.Must(t, append(w.refused, err, w.verify())...)
}

// TestDirNoticesThatItsFileIsCutOff at the next write. That write makes the file long again, so
// its size would no longer show the loss.
func TestDirNoticesThatItsFileIsCutOff(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	for range 3 {
		testutil.Must(t, d.Append("00000001.seg", make([]byte, 1000)))
	}
	testutil.Must(t, os.Truncate(filepath.Join(path, "00000001.seg"), 64))
	if err := d.Append("00000001.seg", make([]byte, 1000)); !errors.Is(err, errCutOff) {
		t.Errorf("a write to a file that was cut short returns %v; want an error", err)
	}
	testutil.Must(t, d.Append("00000002.seg", make([]byte, 1000)))
}
