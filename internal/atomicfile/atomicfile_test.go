package atomicfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"motte/internal/testutil"
)

var (
	before = bytes.Repeat([]byte("old\n"), 1000)
	after  = bytes.Repeat([]byte("new\n"), 5000)
)

// only checks that the directory holds a single file, "file", with this content.
func only(t *testing.T, dir string, content []byte) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(dir, "file"))
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("the file has %d bytes, %v; want %d", len(got), err, len(content))
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 1 {
		t.Errorf("the directory has %v, %v; want one file", list, err)
	}
}

func TestReplaceAndCreate(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	testutil.Must(t, Create(path, 0o600, before))
	only(t, dir, before)
	if err := Create(path, 0o600, after); !errors.Is(err, os.ErrExist) || strings.Contains(err.Error(), suffix) {
		t.Errorf("Create of an existing file returns %v; want os.ErrExist", err)
	}
	only(t, dir, before)
	testutil.Must(t, Replace(path, 0o400, after))
	only(t, dir, after)
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o400 {
		t.Errorf("mode %v, %v; want 0400", info.Mode(), err)
	}
}

// TestModeHoldsFromTheFirstByte: before its mode is set, no other user can open the new file.
func TestModeHoldsFromTheFirstByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	testutil.Must(t, os.WriteFile(Temporary(path), []byte("anybody may read this"), 0o666))
	reader, err := os.Open(Temporary(path))
	testutil.Must(t, err)
	defer reader.Close()
	f, err := Begin(path, 0o600)
	testutil.Must(t, err)
	defer f.Close()
	if _, err := f.Write([]byte("a secret")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(Temporary(path)); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	p := make([]byte, 100)
	if n, _ := reader.Read(p); strings.Contains(string(p[:n]), "secret") {
		t.Error("the secret was written into an older temporary file, which another process had open")
	}
}

// TestAWriteThatIsGivenUpLeavesTheOldFile, whichever step is the last.
func TestAWriteThatIsGivenUpLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	testutil.Must(t, Replace(path, 0o600, before))
	for written := 0; written <= len(after); written += 1000 {
		f, err := Begin(path, 0o600)
		testutil.Must(t, err)
		if _, err := f.Write(after[:written]); err != nil {
			t.Fatal(err)
		}
		testutil.Must(t, f.Close())
		testutil.Must(t, f.Close())
		only(t, dir, before)
	}
}

// TestWhatIsInTheWayStays: a directory, a link or a pipe under the temporary name is not
// removed.
func TestWhatIsInTheWayStays(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"link":      func(path string) error { return os.Symlink("elsewhere", path) },
		"pipe":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
	} {
		path := filepath.Join(t.TempDir(), "file")
		testutil.Must(t, make(Temporary(path)))
		if err := Replace(path, 0o600, after); err == nil || !strings.Contains(err.Error(), Temporary(path)) {
			t.Errorf("%s: %v; want an error that names the file", name, err)
		}
		if _, err := os.Lstat(Temporary(path)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFilesOfOthersStay: files with similar names are not treated as temporary files.
func TestFilesOfOthersStay(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	mine := []string{".file", ".file.new", "file.new", "file.tmp", "file~", "new-file", "file.motte-new"}
	if name, ok := Begun(filepath.Base(Temporary(path))); !ok || name != "file" {
		t.Errorf("the temporary name is that of %q, %v", name, ok)
	}
	for _, name := range mine {
		if _, ok := Begun(name); ok {
			t.Errorf("%s is taken for a temporary name", name)
		}
		testutil.Must(t, os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o600))
	}
	testutil.Must(t, Create(path, 0o600, before))
	testutil.Must(t, Replace(path, 0o600, after))
	for _, name := range mine {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != "mine" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// TestErrorsNameThePath, and not the temporary name, which the user does not know.
func TestErrorsNameThePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "a")
	for name, write := range map[string]func(string, fs.FileMode, []byte) error{"Replace": Replace, "Create": Create} {
		err := write(path, 0o600, nil)
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), suffix) {
			t.Errorf("%s: %v; want an error that names %s alone", name, err, path)
		}
	}
}

// TestReplaceAt: a caller may choose the final name after it has written the content.
func TestReplaceAt(t *testing.T) {
	dir := t.TempDir()
	f, err := Begin(filepath.Join(dir, "unknown"), 0o600)
	testutil.Must(t, err)
	_, err = f.Write(after)
	testutil.Must(t, err)
	testutil.Must(t, f.ReplaceAt(filepath.Join(dir, "file")))
	testutil.Must(t, f.Close())
	only(t, dir, after)
}

// The processes of the tests below run the test binary again.
func TestMain(m *testing.M) {
	path := os.Getenv("ATOMICFILE_PATH")
	switch os.Getenv("ATOMICFILE_DO") {
	case "":
		os.Exit(m.Run())
	case "limit": // the size of a file is limited, so the write ends early
		signal.Ignore(syscall.SIGXFSZ)
		limit := syscall.Rlimit{Cur: 100, Max: 100}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			os.Exit(2)
		}
		if err := Replace(path, 0o600, after); !errors.Is(err, syscall.EFBIG) {
			os.Exit(3)
		}
	case "kill": // the process is killed in the middle of a write
		f, err := Begin(path, 0o600)
		if err != nil {
			os.Exit(2)
		}
		f.Write(after[:len(after)/2])
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "many": // many processes replace the file, which is always whole
		for range 50 {
			if err := Replace(path, 0o600, after); err != nil {
				os.Exit(2)
			}
		}
	case "first": // of several processes, one makes the file
		err := Create(path, 0o600, after)
		if errors.Is(err, fs.ErrExist) {
			os.Exit(1)
		} else if err != nil {
			os.Exit(2)
		}
	}
	os.Exit(0)
}

func process(do, path string) *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), "ATOMICFILE_DO="+do, "ATOMICFILE_PATH="+path)
	c.Stderr = os.Stderr
	return c
}

func TestAWriteThatIsCutShortLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	testutil.Must(t, Replace(path, 0o600, before))
	if err := process("limit", path).Run(); err != nil {
		t.Fatal(err)
	}
	only(t, dir, before)
}

func TestAKilledWriteLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	testutil.Must(t, Replace(path, 0o600, before))
	c := process("kill", path)
	if err := c.Run(); err == nil || c.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the process was not killed: %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, before) {
		t.Errorf("the file has %d bytes, %v", len(got), err)
	}
	if _, err := os.Stat(Temporary(path)); err != nil {
		t.Fatalf("the process was killed before its write: %v", err)
	}
	testutil.Must(t, Replace(path, 0o600, after)) // also removes the temporary file of the killed process
	only(t, dir, after)
}

func TestProcessesWriteOneAfterTheOther(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	var all []*exec.Cmd
	for range 4 {
		c := process("many", path)
		testutil.Must(t, c.Start())
		all = append(all, c)
	}
	testutil.Must(t, Replace(path, 0o600, after))
	for range 200 {
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, after) {
			t.Fatalf("the file has %d bytes, %v", len(got), err)
		}
	}
	for _, c := range all {
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
	only(t, dir, after)
}

func TestOneOfManyCreates(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	var all []*exec.Cmd
	for range 8 {
		c := process("first", path)
		testutil.Must(t, c.Start())
		all = append(all, c)
	}
	made := 0
	for _, c := range all {
		_ = c.Wait()
		switch code := c.ProcessState.ExitCode(); code {
		case 0:
			made++
		case 1:
		default:
			t.Errorf("exit status %d", code)
		}
	}
	if made != 1 {
		t.Errorf("%d processes made the file; want 1", made)
	}
	only(t, dir, after)
}
