package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"motte/core/seglog"
	"motte/internal/atomicfile"
)

// ErrBusy says that another backup into the directory is under way.
var ErrBusy = errors.New("another backup into this directory is under way")

const lockName = "LOCK"

// ToDirectory updates the backup in a directory to the store's current state. It copies missing
// files. It never changes a file that the manifest names. It removes such a file only after a newer
// manifest without that name is in place.
func ToDirectory(ctx context.Context, dir, to string, o Options) (*Report, error) {
	lock, had, err := openTarget(dir, to)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	dest := target{path: to, had: make(map[string]Entry), recheck: o.Recheck}
	if had != nil {
		for _, e := range had.Files {
			dest.had[e.Name] = e
		}
	}
	taken, err := take(ctx, dir, dest.known)
	if err != nil {
		return nil, err
	}
	defer taken.close()
	if had != nil && had.Store != taken.store {
		return nil, fmt.Errorf("%s holds a backup of another store", to)
	}
	if err := older(had, taken, o); err != nil {
		return nil, err
	}
	p := &progress{ctx: ctx, tell: o.Progress}
	var fresh []*source
	for _, f := range taken.files {
		if f.file != nil {
			fresh = append(fresh, f)
			p.total += f.Size
		}
	}
	var copied int64
	for _, f := range fresh {
		if err := dest.copy(f, p); err != nil {
			return nil, err
		}
		copied += f.Size
	}
	m := taken.manifest(o.Now)
	if err := dest.finish(m); err != nil {
		return nil, err
	}
	r := taken.report(m)
	r.Copied, r.CopiedBytes = len(fresh), copied
	r.Removed, err = dest.clean(m)
	return r, err
}

// openTarget makes or locks the directory of a backup, and reads its manifest. It refuses a
// directory with other files, because clean could remove them.
func openTarget(dir, to string) (lock *os.File, had *Manifest, err error) {
	if err := apart(dir, to); err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return nil, nil, err
	}
	entries, err := os.ReadDir(to)
	if err != nil {
		return nil, nil, err
	}
	had, err = ReadManifest(to)
	if errors.Is(err, os.ErrNotExist) {
		for _, e := range entries {
			if n := e.Name(); n != lockName && !ours(n) {
				return nil, nil, fmt.Errorf("%s is no backup, and not empty: it has %s", to, n)
			}
		}
	} else if err != nil {
		return nil, nil, err
	}
	lock, err = os.OpenFile(filepath.Join(to, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, nil, fmt.Errorf("%s: %w", to, ErrBusy)
	}
	return lock, had, nil
}

// apart makes sure that the backup and the data directory do not contain each other.
func apart(dir, to string) error {
	dir, err := filepath.EvalSymlinks(dir)
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		return err
	}
	if real, err := filepath.EvalSymlinks(to); err == nil {
		to = real
	}
	if to, err = filepath.Abs(to); err != nil {
		return err
	}
	if rel, err := filepath.Rel(dir, to); err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("a backup in the data directory itself is none: %s", to)
	}
	return nil
}

// ours reports whether a name is that of a file or temporary file of a backup. A crash leaves
// temporary files. Earlier versions named them new-NAME.
func ours(name string) bool {
	final := strings.TrimPrefix(name, "new-")
	if begun, ok := atomicfile.Begun(name); ok {
		final = begun
	}
	return inBackup.MatchString(final) || final == ManifestName
}

// target is the directory of a backup.
type target struct {
	path    string
	had     map[string]Entry // the files of the existing backup, by their names in the store
	recheck bool
}

func (t *target) name(file string) string { return filepath.Join(t.path, file) }

// known finds a file in the existing backup. The copy of a growing segment may lack a part of its
// last write. All other files are written once.
func (t *target) known(e Entry) (Entry, bool) {
	had, ok := t.had[e.Name]
	if !ok || had.Growing || had.Size != e.Size || had.Header != e.Header {
		return Entry{}, false
	}
	info, err := os.Stat(t.name(had.File))
	ok = err == nil && info.Size() == had.Size
	if ok && t.recheck {
		got, err := hashFile(t.name(had.File))
		ok = err == nil && got == had.SHA256
	}
	return had, ok
}

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
}

// copy makes a durable file whose name tells its content.
func (t *target) copy(f *source, p *progress) error {
	out, err := atomicfile.Begin(t.name(f.Name), 0o600)
	if err != nil {
		return err
	}
	if err = f.copy(out, p); err == nil {
		f.File = f.Name + "." + f.SHA256[:16]
		// A file of that name and content may be there, perhaps altered. In both cases the new file
		// replaces it whole.
		err = out.ReplaceAt(t.name(f.File))
	}
	return errors.Join(err, out.Close())
}

// finish writes the manifest, which makes the new backup valid.
func (t *target) finish(m *Manifest) error {
	p, err := m.encode()
	if err != nil {
		return err
	}
	if err := atomicfile.Replace(t.name(ManifestName), 0o600, p); err != nil {
		return err
	}
	err = seglog.SyncPath(filepath.Join(t.path, ".."))
	if errors.Is(err, os.ErrPermission) { // the parent existed before if it may not be read
		err = nil
	}
	return err
}

// clean removes files that the manifest does not name.
func (t *target) clean(m *Manifest) (n int, err error) {
	named := map[string]bool{ManifestName: true}
	for _, e := range m.Files {
		named[e.File] = true
	}
	entries, err := os.ReadDir(t.path)
	for _, e := range entries {
		if ours(e.Name()) && !named[e.Name()] {
			errRemove := os.Remove(t.name(e.Name()))
			if err = errors.Join(err, errRemove); errRemove == nil {
				n++
			}
		}
	}
	return n, err
}
