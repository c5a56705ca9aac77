package server

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"motte/core/seal"
	"motte/core/seglog"
)

// only checks that a directory holds exactly these files.
func only(t *testing.T, dir string, names ...string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != len(names) {
		t.Fatalf("the directory has %v, %v; want %v", list, err, names)
	}
	for i, e := range list {
		if e.Name() != names[i] {
			t.Fatalf("the directory has %v, want %v", list, names)
		}
	}
}

// TestRootKeyIsMadeWholeAndOnce: no other file is left, and an existing key is not replaced.
func TestRootKeyIsMadeWholeAndOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "root.key")
	made := seal.Root{1, 2, 3}
	if err := WriteRootKey(path, made); err != nil {
		t.Fatal(err)
	}
	if err := WriteRootKey(path, seal.Root{4}); !errors.Is(err, os.ErrExist) {
		t.Errorf("making a second key returns %v; want os.ErrExist", err)
	}
	if read, err := ReadRootKey(path); err != nil || read != made {
		t.Errorf("%x was made, %x is read, %v", made, read, err)
	}
	only(t, dir, "root.key")
}

// TestARootKeyThatCantBeWrittenIsNotThere: if the disk takes only a part of it, no file is left,
// and no data is sealed under the key. The test uses another process, since the size limit
// affects all writes of a process, also those of the test framework.
func TestARootKeyThatCantBeWrittenIsNotThere(t *testing.T) {
	if os.Getenv("MOTTE_TEST_LIMIT") == "" {
		limited := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
		limited.Env = append(os.Environ(), "MOTTE_TEST_LIMIT=1")
		if out, err := limited.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	dir := t.TempDir()
	path := filepath.Join(dir, "root.key")
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 30, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	err := WriteRootKey(path, seal.Root{1})
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, syscall.EFBIG) {
		t.Errorf("a key of which only 30 bytes could be written: %v", err)
	}
	only(t, dir)
	if err := WriteRootKey(path, seal.Root{1}); err != nil {
		t.Errorf("making the key after space was freed returns %v", err)
	}
}

// TestWhatHasTheNameOfAKeyInTheMakingStays: a file with the temporary name may be the key of
// another store, or a link to another user's file. Only in the data directory, it must be left by
// a crash.
func TestWhatHasTheNameOfAKeyInTheMakingStays(t *testing.T) {
	dir := t.TempDir()
	path, making, other := filepath.Join(dir, "root.key"), filepath.Join(dir, "new-root.key"), filepath.Join(t.TempDir(), "other")
	begin := func(path string) error {
		s := server{Config: Config{Dir: filepath.Join(dir, "data"), RootKey: path, Admin: principalOf(key(1))}}
		d, err := seglog.OpenDir(s.Dir)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		return s.open(d)
	}
	for name, leave := range map[string]func() error{
		"a key":           func() error { return WriteRootKey(making, seal.Root{1}) },
		"an empty file":   func() error { return os.WriteFile(making, nil, 0o666) },
		"a way to others": func() error { return os.Symlink(other, making) },
	} {
		if err := leave(); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadFile(making)
		if err := begin(path); !errors.Is(err, os.ErrExist) || !errors.Is(err, ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
		if after, _ := os.ReadFile(making); string(after) != string(before) {
			t.Errorf("%s: the file was changed to %q", name, after)
		}
		only(t, dir, "data", "new-root.key")
		if err := os.Remove(making); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(other); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the key was written to another place: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "data", "new-root.key"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := begin(filepath.Join(dir, "data", "root.key")); err != nil {
		t.Errorf("an incomplete key in the data directory returns %v; want that it is replaced", err)
	}
}

// TestOfManyWhoMakeARootKeyOneIsTheFirst: one process makes the key, and it is not replaced.
func TestOfManyWhoMakeARootKeyOneIsTheFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	made := make(chan seal.Root, 16)
	var all sync.WaitGroup
	for i := range byte(16) {
		all.Go(func() {
			if err := WriteRootKey(path, seal.Root{i}); err == nil {
				made <- seal.Root{i}
			} else if !errors.Is(err, os.ErrExist) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if root, err := ReadRootKey(path); err != nil || len(made) != 1 || root != <-made {
		t.Errorf("%d processes made the key, which is %x, %v; want one", len(made), root, err)
	}
}
