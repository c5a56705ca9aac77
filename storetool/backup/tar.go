package backup

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// ToTar writes a whole backup to w, as a tar archive with the manifest last. An archive without the
// manifest is not whole, and is not restored. Unpacked in an empty directory, it is a backup like
// those of ToDirectory.
func ToTar(ctx context.Context, dir string, w io.Writer, o Options) (*Report, error) {
	taken, err := take(ctx, dir, func(Entry) (Entry, bool) { return Entry{}, false })
	if err != nil {
		return nil, err
	}
	defer taken.close()
	p := &progress{ctx: ctx, tell: o.Progress}
	for _, f := range taken.files {
		p.total += f.Size
	}
	archive := tar.NewWriter(w)
	for _, f := range taken.files {
		size := f.Size
		if err := archive.WriteHeader(&tar.Header{Name: f.Name, Mode: 0o600, Size: size, ModTime: o.Now}); err != nil {
			return nil, err
		}
		if err := f.copy(archive, p); err != nil {
			return nil, err
		}
		if f.Size < size { // the file became shorter: the archive must have the announced size
			if _, err := io.CopyN(archive, zeros{}, size-f.Size); err != nil {
				return nil, err
			}
		}
	}
	m := taken.manifest(o.Now)
	text, err := m.encode()
	if err == nil {
		err = archive.WriteHeader(&tar.Header{Name: ManifestName, Mode: 0o600, Size: int64(len(text)), ModTime: o.Now})
	}
	if err == nil {
		_, err = io.Copy(archive, bytes.NewReader(text))
	}
	if err = errors.Join(err, archive.Close()); err != nil {
		return nil, fmt.Errorf("write the archive: %w", err)
	}
	r := taken.report(m)
	r.Copied, r.CopiedBytes = r.Files, r.Bytes
	return r, nil
}

// zeros is an endless number of zero bytes.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
