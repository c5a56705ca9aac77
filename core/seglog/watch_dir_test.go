package seglog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"motte/internal/testutil"
)

// TestNobodyTakesTheLockAway: whatever file is removed from an open directory, no other Core can
// open it.
func TestNobodyTakesTheLockAway(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	defer d.Close()
	testutil.Must(t, d.Append("1", []byte("data")))
	entries, err := os.ReadDir(path)
	testutil.Must(t, err)
	for _, e := range entries {
		testutil.Must(t, os.Remove(filepath.Join(path, e.Name())))
	}
	_ = os.Remove(filepath.Join(path, "LOCK"))
	if _, err := OpenDir(path); !errors.Is(err, ErrLocked) {
		t.Errorf("a second Dir opens the directory: %v; want ErrLocked", err)
	}
}

// unlocked opens a directory without a working lock.
func unlocked(t *testing.T, path string) *Dir {
	t.Helper()
	root, err := os.OpenRoot(path)
	testutil.Must(t, err)
	lock, err := root.Open(".")
	testutil.Must(t, err)
	return newDir(path, root, lock)
}

// TestTwoDirsReplaceNothing: even if two Cores had the same directory open, neither would
// replace the other's files.
func TestTwoDirsReplaceNothing(t *testing.T) {
	path := t.TempDir()
	a, b := unlocked(t, path), unlocked(t, path)
	defer a.Close()
	defer b.Close()
	testutil.Must(t, a.Append("1.seg", []byte("of a")), a.Create("1.ckp", contents([]byte("of a"))))
	if err := b.Append("1.seg", []byte("of b")); !errors.Is(err, os.ErrExist) {
		t.Errorf("a segment of the same name is made: %v", err)
	}
	if err := b.Create("1.ckp", contents([]byte("of b"))); !errors.Is(err, os.ErrExist) {
		t.Errorf("a checkpoint of the same name is made: %v", err)
	}
	testutil.Must(t, a.Append("1.seg", []byte(", more")), b.Append("2.seg", []byte("of b")), a.Close(), b.Close())
	for name, want := range map[string]string{"1.seg": "of a, more", "1.ckp": "of a", "2.seg": "of b"} {
		if got, err := os.ReadFile(filepath.Join(path, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, want %q; %v", name, got, want, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(path, temporary+"*")); err != nil || len(left) > 0 {
		t.Errorf("the directory has %v left, %v", left, err)
	}
}

// TestAFileWithoutANameTakesNothing: an append to a removed file is not acknowledged. Before the
// next file is made, the removed one is written again, with all its data.
func TestAFileWithoutANameTakesNothing(t *testing.T) {
	for what, lose := range map[string]func(path string) error{
		"removed": os.Remove,
		"moved":   func(path string) error { return os.Rename(path, filepath.Dir(path)+"/../away") },
	} {
		path := filepath.Join(t.TempDir(), "data")
		d := openDir(t, path)
		testutil.Must(t, d.Append("1", []byte("acknowledged")), lose(filepath.Join(path, "1")))
		if err := d.Append("1", []byte(", not this")); err == nil && what == "removed" {
			t.Errorf("%s: an append to a file without a name succeeds; want an error", what)
		}
		want := string(mustRead(t, d))
		testutil.Must(t, d.Append("2", []byte("two")))
		if got, err := os.ReadFile(filepath.Join(path, "1")); err != nil || string(got) != want {
			t.Errorf("%s: the file has %q, %v; want %q", what, got, err, want)
		}
		// Watch must not miss the removal because the file is back already.
		if list, _, err := d.Watch(); err != nil || len(list) != 1 || list[0].Name != "2" {
			t.Errorf("%s: before Rescue, Watch lists %v, %v, want file 2 alone", what, list, err)
		}
		testutil.Must(t, d.Rescue("1"))
		if list, _, err := d.Watch(); err != nil || len(list) != 2 {
			t.Errorf("%s: after Rescue, Watch lists %v, %v, want both files", what, list, err)
		}
		testutil.Must(t, d.Close())
	}
}

// mustRead reads the durable data of the current file.
func mustRead(t *testing.T, d *Dir) []byte {
	t.Helper()
	p := make([]byte, d.end)
	_, err := d.file.ReadAt(p, 0)
	testutil.Must(t, err)
	return p
}

// TestAFileThatIsCutOffTakesNothing, also if the write would make the file as long as before, or
// longer. The file stays short, so that the loss is noticed.
func TestAFileThatIsCutOffTakesNothing(t *testing.T) {
	for what, lean := range map[string]bool{"filled ahead": false, "without a reserve": true} {
		for _, more := range []int{10, zeroAhead + 10} {
			path := t.TempDir()
			d := openDir(t, path)
			if lean {
				testutil.Must(t, d.Reserve(0))
			}
			testutil.Must(t, d.Append("1", []byte("acknowledged")), os.Truncate(filepath.Join(path, "1"), 3))
			if err := d.Append("1", make([]byte, more)); !errors.Is(err, errCutOff) {
				t.Errorf("%s, %d bytes: %v", what, more, err)
			}
			testutil.Must(t, d.Append("2", []byte("two")))
			if list, _, err := d.Watch(); err != nil || list[0] != (File{"1", 3}) {
				t.Errorf("%s, %d bytes: what is lost looks like %v, %v", what, more, list[0], err)
			}
			testutil.Must(t, d.Close())
		}
	}
}

// TestRescueMakesNoCopyInVain: it does not replace a file that was cut short or replaced.
func TestRescueMakesNoCopyInVain(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	defer d.Close()
	testutil.Must(t, d.Append("1", []byte("one")), d.Append("2", []byte("two")), d.ReadAt("1", make([]byte, 3), 0))
	testutil.Must(t, os.Truncate(filepath.Join(path, "1"), 2))
	undo := limitFiles(t, 0)
	err := d.Rescue("1")
	undo()
	if !errors.Is(err, os.ErrExist) {
		t.Errorf("%v", err)
	}
}

// TestAReplacedFileIsNotWrittenOver: if another file has the name of the current one, Watch
// notices it. No next file is made until the other file is removed. No acknowledged data of that
// time is lost.
func TestAReplacedFileIsNotWrittenOver(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	defer d.Close()
	testutil.Must(t, d.Append("1", []byte("acknowledged")), os.WriteFile(filepath.Join(path, "other"), []byte("other"), 0o600),
		os.Rename(filepath.Join(path, "other"), filepath.Join(path, "1")))
	testutil.Must(t, d.Append("1", []byte(", and this")))
	if list, _, err := d.Watch(); err != nil || len(list) > 0 {
		t.Errorf("Watch lists the other file as the current one: %v, %v", list, err)
	}
	if err := d.Append("2", []byte("more")); err == nil {
		t.Error("file 2 is made, though another file has the name of 1")
	}
	if got, err := os.ReadFile(filepath.Join(path, "1")); err != nil || string(got) != "other" {
		t.Errorf("the other file holds %q, %v", got, err)
	}
	testutil.Must(t, os.Remove(filepath.Join(path, "1")), d.Append("2", []byte("more")))
	if got, err := os.ReadFile(filepath.Join(path, "1")); err != nil || string(got) != "acknowledged, and this" {
		t.Errorf("the file has %q, %v; want all acknowledged data", got, err)
	}
}

// TestADirectoryThatIsAnotherOne is noticed, and no data is written into it.
func TestADirectoryThatIsAnotherOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	d := openDir(t, path)
	defer d.Close()
	testutil.Must(t, d.Append("1", []byte("data")))
	if list, _, err := d.Watch(); err != nil || len(list) != 1 {
		t.Fatalf("%v, %v", list, err)
	}
	testutil.Must(t, os.Rename(path, path+".old"))
	for _, what := range []string{"moved", "replaced"} {
		if _, _, err := d.Watch(); !errors.Is(err, ErrAdrift) {
			t.Errorf("%s: %v", what, err)
		}
		testutil.Must(t, os.MkdirAll(path, 0o700))
	}
	testutil.Must(t, d.Append("2", []byte("data")), d.Create("made", contents(nil)), d.Replace("made", contents(nil)))
	if entries, err := os.ReadDir(path); err != nil || len(entries) > 0 {
		t.Errorf("a file is written into another directory: %v, %v", entries, err)
	}
	testutil.Must(t, os.Remove(path), os.Rename(path+".old", path))
	if list, _, err := d.Watch(); err != nil || len(list) != 3 {
		t.Errorf("the right directory is back, but Watch lists %v, %v", list, err)
	}
}

// TestASegmentOfAnotherCore: the lock may fail, as on some network file systems. A segment that
// another Core makes must be noticed, and nothing may be appended until it is removed.
func TestASegmentOfAnotherCore(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	defer d.Close()
	_, err := d.Files()
	testutil.Must(t, err, d.Append(segmentName(1), []byte("its own")))
	foreign := filepath.Join(path, segmentName(2))
	testutil.Must(t, os.WriteFile(foreign, []byte("of another one"), 0o600))
	if _, _, err := d.Watch(); !errors.Is(err, ErrAdrift) || !strings.Contains(err.Error(), segmentName(2)) {
		t.Errorf("%v", err)
	}
	testutil.Must(t, os.Remove(foreign), d.Append(segmentName(2), []byte("its own")), d.Remove(segmentName(1)))
	if list, _, err := d.Watch(); err != nil || len(list) != 1 {
		t.Errorf("without the foreign segment Watch lists %v, %v; want its own", list, err)
	}
}

// TestWatchKnowsTheFiles: it does not list missing or replaced files. A file that was removed
// while it was open is made again.
func TestWatchKnowsTheFiles(t *testing.T) {
	path := t.TempDir()
	testutil.Must(t, os.WriteFile(filepath.Join(path, "old"), []byte("of an earlier start"), 0o600))
	d := openDir(t, path)
	defer d.Close()
	_, err := d.Files()
	testutil.Must(t, err, d.Append("1", []byte("one")), d.Append("2", []byte("two")), d.Create("made", contents([]byte("made"))),
		d.Replace("made", contents([]byte("again"))))
	listed := func() (names string) {
		list, disk, err := d.Watch()
		testutil.Must(t, err)
		if disk < zeroAhead {
			t.Errorf("the files take %d bytes of the disk", disk)
		}
		for _, f := range list {
			names += f.Name + " "
		}
		return names
	}
	if got := listed(); got != "1 2 made old " {
		t.Errorf("listed %q", got)
	}
	p := make([]byte, 3)
	testutil.Must(t, d.ReadAt("1", p, 0))
	for _, name := range []string{"1", "made"} {
		testutil.Must(t, os.Remove(filepath.Join(path, name)))
	}
	testutil.Must(t, os.WriteFile(filepath.Join(path, "x"), nil, 0o600), os.Rename(filepath.Join(path, "x"), filepath.Join(path, "old")))
	if got := listed(); got != "2 " {
		t.Errorf("listed %q", got)
	}
	testutil.Must(t, d.Rescue("1"))
	if err := d.Rescue("made"); err == nil {
		t.Error("a file that was never open is made again")
	}
	if got, err := os.ReadFile(filepath.Join(path, "1")); err != nil || string(got) != "one" || listed() != "1 2 " {
		t.Errorf("the file that was made again has %q, %v; want its content", got, err)
	}
}

// TestALinkIsNoSegment: if a name of the log is not a regular file, the error says so, and does
// not report a missing file.
func TestALinkIsNoSegment(t *testing.T) {
	for _, name := range []string{segmentName(1), checkpointName(1), KeysNames[0], KeysNames[1]} {
		path := t.TempDir()
		testutil.Must(t, os.WriteFile(filepath.Join(path, "elsewhere"), nil, 0o600), os.Symlink("elsewhere", filepath.Join(path, name)),
			os.Symlink("elsewhere", filepath.Join(path, "unknown")), os.Mkdir(filepath.Join(path, "lost+found"), 0o700))
		d := openDir(t, path)
		if list, err := d.Files(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, %v", name, list, err)
		}
		testutil.Must(t, d.Close())
	}
}

// TestFewFilesAreOpen, however many exist, while many readers use them.
func TestFewFilesAreOpen(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	defer d.Close()
	const files = 2*maxOpen + 10
	name := func(n int) string { return fmt.Sprint("file ", n) }
	for n := range files {
		testutil.Must(t, os.WriteFile(filepath.Join(path, name(n)), []byte(name(n)), 0o600))
	}
	var readers sync.WaitGroup
	for r := range 4 {
		readers.Go(func() {
			for i := range 2 * files {
				want := name((i*(r+1) + r) % files)
				p := make([]byte, len(want))
				if err := d.ReadAt(want, p, 0); err != nil || string(p) != want {
					t.Errorf("%s holds %q, %v", want, p, err)
					return
				}
			}
		})
	}
	readers.Wait()
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil || len(d.open) > maxOpen || len(descriptors) > maxOpen+100 {
		t.Errorf("%d files are open, %d descriptors, %v", len(d.open), len(descriptors), err)
	}
}

// TestDirMakesWhatFailedAgain: a file whose name could not be made durable is made again under
// this name, even if it exists.
func TestDirMakesWhatFailedAgain(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	defer d.Close()
	broken := errors.New("the directory can't be synced")
	testutil.Must(t, d.Create("1", contents([]byte("first"))))
	d.unsure["1"] = d.known["1"] // the state after a failure
	if _, err := d.make("1", false, func(w io.Writer) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	testutil.Must(t, d.Create("1", contents([]byte("second"))))
	if err := d.Create("1", contents([]byte("third"))); !errors.Is(err, os.ErrExist) {
		t.Errorf("a durable file is replaced: %v; want an error", err)
	}
	if got, err := os.ReadFile(filepath.Join(path, "1")); err != nil || !bytes.Equal(got, []byte("second")) {
		t.Errorf("the file has %q, %v; want the second content", got, err)
	}
}

// TestAPipeHoldsNobodyUp: a pipe replaces a file. Opening it could wait for a writer, and block
// others.
func TestAPipeHoldsNobodyUp(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	defer d.Close()
	pipe := filepath.Join(path, KeysNames[0])
	testutil.Must(t, d.Append("1", []byte("one")), syscall.Mkfifo(pipe, 0o600))
	done := make(chan error, 1)
	go func() { done <- d.ReadAt(KeysNames[0], nil, 0) }()
	select {
	case <-done:
		testutil.Must(t, d.ReadAt("1", make([]byte, 3), 0))
	case <-time.After(testutil.Patience):
		t.Error("opening a pipe waits for a writer")
		f, err := os.OpenFile(pipe, os.O_RDWR, 0) // ends the wait
		testutil.Must(t, err)
		defer f.Close()
		<-done
	}
	if err := d.ReadAt(KeysNames[0], make([]byte, 1), 0); err == nil {
		t.Error("a pipe can be opened as a file of the log; want an error")
	}
}

// TestCutSparesACopy: a copy of the directory was made by hard links. Its Core may still append
// to the file.
func TestCutSparesACopy(t *testing.T) {
	path := t.TempDir()
	a := openDir(t, filepath.Join(path, "a"))
	defer a.Close()
	testutil.Must(t, a.Append("1", []byte("one")))
	b := openDir(t, filepath.Join(path, "b"))
	defer b.Close()
	testutil.Must(t, os.Link(filepath.Join(path, "a", "1"), filepath.Join(path, "b", "1")), a.Append("1", []byte(", two")))
	testutil.Must(t, b.Cut("1", 3), a.Append("1", []byte(", three")))
	if got := string(mustRead(t, a)); got != "one, two, three" {
		t.Errorf("the copy has %q; want its whole content", got)
	}
	testutil.Must(t, os.Remove(filepath.Join(path, "a", "1")), b.Cut("1", 3))
	if got, err := os.ReadFile(filepath.Join(path, "b", "1")); err != nil || string(got) != "one" {
		t.Errorf("after a cut the file has %q, %v", got, err)
	}
	testutil.Must(t, b.Cut("1", 5)) // the file is shorter than that already
	if got, err := os.ReadFile(filepath.Join(path, "b", "1")); err != nil || string(got) != "one" {
		t.Errorf("after a cut to more bytes than it has, the file has %q, %v", got, err)
	}
}
