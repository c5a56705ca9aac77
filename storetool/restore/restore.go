// Package restore makes a data directory of a backup and an export of the keys. A Core serves the
// store from it again, with the same objects, principals, grants and Core key.
//
// Guarantees:
//
//  1. A directory that is not empty is left alone. After a failed restore the directory is empty.
//  2. The file of the data keys comes last, when all other files are durable and were opened with
//     the
//     keys. Without that file no Core opens the directory. A crash before leaves files that the
//     operator has to remove.
//  3. An erasure before the export stays an erasure. The Core takes owners without a key for
//     erased,
//     even if the backup is older.
package restore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"motte/core/seglog"
	"motte/core/server"
	"motte/storetool/backup"
	"motte/storetool/fsck"
	"motte/storetool/keyexport"
)

// ErrNotEmpty says that the directory for the restored store is not empty.
var ErrNotEmpty = errors.New("it is not empty")

// Config describes the restore.
type Config struct {
	From     string    // directory of the backup, unless
	Archive  io.Reader // is not nil: a backup as backup.ToTar writes it
	Keys     *keyexport.Keys
	Dir      string                  // data directory: to be made, or empty
	RootKey  string                  // file that the root key is put into, unless it is there already
	Damaged  bool                    // restore a store that no Core opens before it is salvaged
	Progress func(done, total int64) // of bytes; a total of -1 is not known
}

// Report describes the restored store.
type Report struct {
	Manifest *backup.Manifest
	LSN      uint64 // of the last record
	Erased   bool   // owners were erased since the backup was made: their objects are missing
	Damage   error  // if the store has to be salvaged
}

// Run restores a store.
func Run(ctx context.Context, c Config) (r *Report, err error) {
	if err := prepare(c.Dir); err != nil {
		return nil, err
	}
	var made bool
	defer func() {
		if err == nil {
			return
		}
		if made {
			err = errors.Join(err, os.Remove(c.RootKey))
		}
		err = errors.Join(err, clear(c.Dir))
	}()
	r = new(Report)
	if r.Manifest, err = unpack(ctx, c); err != nil {
		return nil, err
	}
	if store := c.Keys.Store(); r.Manifest.Store != hex.EncodeToString(store[:]) {
		return nil, errors.New("the backup and the export of the keys are of two different stores")
	}
	if made, err = putRootKey(c); err != nil {
		return nil, err
	}
	if err := r.open(ctx, c); err != nil {
		return nil, fmt.Errorf("open what was restored: %w", err)
	}
	return r, putKeys(c)
}

// prepare makes the directory, or makes sure that it is empty.
func prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s: %w: it has %s", dir, ErrNotEmpty, entries[0].Name())
	}
	return err
}

// clear empties the directory, which was empty before.
func clear(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
	}
	return err
}

func unpack(ctx context.Context, c Config) (*backup.Manifest, error) {
	if c.Archive != nil {
		return backup.FromTar(ctx, c.Archive, c.Dir, c.Progress)
	}
	return backup.FromDirectory(ctx, c.From, c.Dir, c.Progress)
}

// putRootKey makes the file of the root key, whole or not at all, unless it is there.
func putRootKey(c Config) (made bool, err error) {
	if had, err := server.ReadRootKey(c.RootKey); err == nil && had == c.Keys.Root {
		return false, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return false, errors.Join(fmt.Errorf("%s is there, and is not the root key of this store", c.RootKey), err)
	}
	err = server.WriteRootKey(c.RootKey, c.Keys.Root)
	return err == nil, err
}

// open starts as a Core would.
func (r *Report) open(ctx context.Context, c Config) error {
	s, err := fsck.OpenWith(c.Dir, c.Keys.Root, c.Keys.Data)
	if err != nil {
		return err
	}
	if err = s.Load(ctx); err == nil {
		r.Damage, r.LSN = s.Damage(), s.LSN()
	}
	switch {
	case err != nil:
	case r.Damage == nil:
		r.Erased = s.Erased()
	case !c.Damaged:
		err = r.Damage
	}
	return errors.Join(err, s.Close())
}

// putKeys puts both copies of the data keys into their place, which makes the directory a
// store.
func putKeys(c Config) error {
	for _, name := range seglog.KeysNames {
		path := filepath.Join(c.Dir, name)
		if _, err := os.Stat(path); err == nil {
			continue // an erasure that the log speaks of was finished
		}
		if err := seglog.WriteFile(path, func(w io.Writer) error { _, err := w.Write(c.Keys.Data); return err }); err != nil {
			return err
		}
	}
	return syncParent(c.Dir)
}

// syncParent makes the name of the directory durable; a parent that may not be
// read was there before.
func syncParent(dir string) error {
	err := seglog.SyncPath(filepath.Join(dir, ".."))
	if errors.Is(err, os.ErrPermission) {
		return nil
	}
	return err
}
