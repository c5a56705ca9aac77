package anchor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"motte/internal/atomicfile"
)

// file keeps a head in a file. It protects against accidents only: an attacker who rolls back the
// store and reaches this file rolls it back, too.
//
// A write makes a new file that replaces the old one, so a crash leaves one of the two whole. Hence
// a file that is not whole was altered.
type file struct {
	path string
}

// filePace spares the disk's other users: a write takes two syncs.
const filePace = time.Second

func openFile(path string) (Anchor, error) {
	if path == "" {
		return nil, errors.New("anchor file: it has no path")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("anchor file: %w", err)
	}
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("directory of the anchor file: %w", err)
	}
	if !dir.IsDir() {
		return nil, fmt.Errorf("directory of the anchor file: %s is not a directory", filepath.Dir(path))
	}
	return &file{path}, nil
}

func (f *file) String() string { return "file:" + f.path }

func (f *file) Pace() time.Duration { return filePace }

func (f *file) Read(ctx context.Context) (h Head, found bool, err error) {
	if err := ctx.Err(); err != nil {
		return h, false, err
	}
	p, err := f.content()
	if errors.Is(err, fs.ErrNotExist) {
		return h, false, nil
	}
	if err == nil {
		h, err = decode(p)
	}
	if err != nil {
		return h, false, fmt.Errorf("%s: %w", f, err)
	}
	return h, true, nil
}

// content reads the file, up to one byte more than a frame has.
func (f *file) content() ([]byte, error) {
	// A write would replace a link, not its target. A read of a pipe would wait.
	info, err := os.Lstat(f.path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: it is not a regular file", ErrForeign)
	}
	r, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, frameSize+1))
}

func (f *file) Write(ctx context.Context, h Head) error {
	// A file that is not an anchor is not overwritten.
	if _, _, err := f.Read(ctx); err != nil {
		return err
	}
	p := encode(h)
	if err := atomicfile.Replace(f.path, 0o600, p[:]); err != nil {
		return fmt.Errorf("%s: %w", f, err)
	}
	return nil
}
