package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"motte/core/seglog"
)

// ErrAltered says that a file of a backup differs from its manifest.
var ErrAltered = errors.New("the backup was altered or damaged")

// FromDirectory copies the files of the backup in a directory into a data directory. When it
// returns, they are durable and match the manifest.
func FromDirectory(ctx context.Context, from, dir string, tell func(done, total int64)) (*Manifest, error) {
	m, err := ReadManifest(from)
	if err != nil {
		return nil, err
	}
	p := &progress{ctx: ctx, tell: tell, total: m.Bytes()}
	for _, e := range m.Files {
		in, err := os.Open(filepath.Join(from, e.File))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAltered, err)
		}
		got, n, err := unpack(in, filepath.Join(dir, e.Name), e.Size, p)
		in.Close()
		if err == nil && (n != e.Size || got != e.SHA256) {
			err = fmt.Errorf("%w: %s is not the file that the manifest names", ErrAltered, e.File)
		}
		if err != nil {
			return nil, err
		}
	}
	return m, seglog.SyncPath(dir)
}

// FromTar is FromDirectory for an archive that ToTar wrote. The manifest is at the end, and decides
// which files stay.
func FromTar(ctx context.Context, r io.Reader, dir string, tell func(done, total int64)) (*Manifest, error) {
	t, p := tar.NewReader(r), &progress{ctx: ctx, tell: tell, total: -1}
	type file struct {
		sum  string
		size int64
	}
	got := make(map[string]file)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, fmt.Errorf("%w: the archive ends without its manifest", ErrManifest)
		} else if err != nil {
			return nil, fmt.Errorf("read the archive: %w", err)
		}
		if h.Name == ManifestName {
			break
		}
		if !stored.MatchString(h.Name) || h.Typeflag != tar.TypeReg {
			return nil, fmt.Errorf("%w: the archive holds %q", ErrManifest, h.Name)
		}
		sum, n, err := unpack(t, filepath.Join(dir, h.Name), h.Size, p)
		if err != nil {
			return nil, err
		}
		got[h.Name] = file{sum, n}
	}
	text, err := readManifest(t)
	if err != nil {
		return nil, err
	}
	m, err := decodeManifest(text)
	if err != nil {
		return nil, err
	}
	for _, e := range m.Files {
		f, ok := got[e.Name]
		if ok && f.size > e.Size { // the file became shorter while it was copied
			if f.sum, err = cut(filepath.Join(dir, e.Name), e.Size); err != nil {
				return nil, err
			}
			f.size = e.Size
		}
		if !ok || f != (file{e.SHA256, e.Size}) {
			return nil, fmt.Errorf("%w: %s is not the file that the manifest names", ErrAltered, e.Name)
		}
		delete(got, e.Name)
	}
	for name := range got {
		return nil, fmt.Errorf("%w: the manifest does not name %s", ErrAltered, name)
	}
	return m, seglog.SyncPath(dir)
}

// unpack makes a durable file of r's bytes, and reads at most one byte more than size.
func unpack(r io.Reader, path string, size int64, p *progress) (sum string, n int64, err error) {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", 0, err
	}
	h := sha256.New()
	n, err = io.Copy(io.MultiWriter(out, h, p), io.LimitReader(r, size+1))
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return "", n, fmt.Errorf("restore %s: %w", filepath.Base(path), err)
	}
	return hex.EncodeToString(h.Sum(nil)), n, nil
}

// cut shortens a file, and returns the SHA-256 of its bytes.
func cut(path string, size int64) (string, error) {
	if err := os.Truncate(path, size); err != nil {
		return "", err
	}
	if err := seglog.SyncPath(path); err != nil {
		return "", err
	}
	return hashFile(path)
}
