package anchor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestFileRemembers(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0)) // so that the umask does not set the file's mode
	path := filepath.Join(t.TempDir(), "head")
	a := open(t, "file:"+path)
	holdsNone(t, a)
	// A later head may have a lower LSN. The caller decides what that means.
	for _, lsn := range []byte{1, 2, 200, 3} {
		write(t, a, numbered(lsn))
		holds(t, a, numbered(lsn))
	}
	holds(t, open(t, "file:"+path), numbered(3))
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 || info.Size() != frameSize {
		t.Errorf("mode %v, %d bytes: %v", info.Mode(), info.Size(), err)
	}
}

// TestFileLeavesNoOther checks that a write leaves no other file, and removes the temporary file
// of a crashed write.
func TestFileLeavesNoOther(t *testing.T) {
	dir := t.TempDir()
	a := open(t, "file:"+filepath.Join(dir, "head"))
	write(t, a, numbered(1))
	if err := os.WriteFile(filepath.Join(dir, ".head.motte-new"), []byte("MTA"), 0o400); err != nil {
		t.Fatal(err)
	}
	holds(t, a, numbered(1))
	write(t, a, numbered(2))
	holds(t, a, numbered(2))
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the directory has %v: %v", entries, err)
	}
}

// TestFileIsReplacedWhole: a reader with the open file sees the old head to its end, and never
// parts of two heads.
func TestFileIsReplacedWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "head")
	a := open(t, "file:"+path)
	write(t, a, numbered(1))
	old, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	write(t, a, numbered(2))
	p := make([]byte, frameSize)
	if _, err := old.Read(p); err != nil {
		t.Fatal(err)
	}
	if h, err := decode(p); err != nil || h != numbered(1) {
		t.Errorf("the open old file has changed to %x: %v", p, err)
	}
}

func TestWhatIsNoAnchorIsNeitherReadNorReplaced(t *testing.T) {
	good := encode(numbered(1))
	flipped := good
	flipped[20] ^= 1
	for _, tt := range []struct {
		name    string
		content []byte
		want    error
	}{
		{"empty", nil, ErrForeign},
		{"torn", good[:30], ErrForeign},
		{"longer", append(good[:], '\n'), ErrForeign},
		{"zeros", make([]byte, frameSize), ErrForeign},
		{"text", []byte("my thesis, the only copy, forty-eight bytes long"), ErrForeign},
		{"altered", flipped[:], ErrDamaged},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "head")
			if err := os.WriteFile(path, tt.content, 0o600); err != nil {
				t.Fatal(err)
			}
			a := open(t, "file:"+path)
			if _, found, err := a.Read(context.Background()); !errors.Is(err, tt.want) || found {
				t.Errorf("read: found %v, %v; want %v", found, err, tt.want)
			}
			if err := a.Write(context.Background(), numbered(2)); !errors.Is(err, tt.want) {
				t.Errorf("write: %v; want %v", err, tt.want)
			}
			if now, err := os.ReadFile(path); err != nil || string(now) != string(tt.content) {
				t.Errorf("a write changed a foreign file to %q: %v", now, err)
			}
		})
	}
}

func TestOnlyARegularFileIsAnAnchor(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"pipe":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"link":      func(path string) error { return os.Symlink("elsewhere", path) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "head")
			if err := make(path); err != nil {
				t.Fatal(err)
			}
			a := open(t, "file:"+path)
			if _, found, err := a.Read(context.Background()); !errors.Is(err, ErrForeign) || found {
				t.Errorf("a read of what is not a regular file: found %v, %v; want an error", found, err)
			}
			if err := a.Write(context.Background(), numbered(2)); !errors.Is(err, ErrForeign) {
				t.Errorf("write: %v", err)
			}
			if info, err := os.Lstat(path); err != nil || info.Mode().IsRegular() {
				t.Errorf("a write replaced what is not a regular file: %v, %v", info, err)
			}
		})
	}
}

// TestFailedWriteKeepsTheOldHead, and returns an error.
func TestFailedWriteKeepsTheOldHead(t *testing.T) {
	dir := t.TempDir()
	a := open(t, "file:"+filepath.Join(dir, "head"))
	write(t, a, numbered(1))
	// A directory in the place of the temporary file, which can't be removed.
	if err := os.MkdirAll(filepath.Join(dir, ".head.motte-new", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := a.Write(context.Background(), numbered(2)); err == nil {
		t.Error("a write that fails returns no error")
	}
	holds(t, a, numbered(1))
}

func TestEndedContextTouchesNoFile(t *testing.T) {
	dir := t.TempDir()
	a := open(t, "file:"+filepath.Join(dir, "head"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := a.Read(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("read: %v", err)
	}
	if err := a.Write(ctx, numbered(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("write: %v", err)
	}
	holdsNone(t, a)
}
