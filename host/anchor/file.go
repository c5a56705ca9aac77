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

// file keeps a head in a file, against accidents only: whoever can set back the
// store on purpose, and reaches this file, sets it back as well.
//
// A write makes a new file and puts it in the old one's place, so that a crash
// leaves the one or the other. Hence a file that is not whole was altered.
type file struct {
	path string
}

// filePace is for the disk's other users: a write is two syncs.
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

// content reads the file, up to a byte more than it should have.
func (f *file) content() ([]byte, error) {
	// A link would be replaced, not what it points to; a pipe would be waited for.
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
	// What is no anchor is not overwritten.
	if _, _, err := f.Read(ctx); err != nil {
		return err
	}
	p := encode(h)
	if err := atomicfile.Replace(f.path, 0o600, p[:]); err != nil {
		return fmt.Errorf("%s: %w", f, err)
	}
	return nil
}
