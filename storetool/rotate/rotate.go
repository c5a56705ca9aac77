// Package rotate replaces the root key of a store, or the Core's own key, while no Core has
// the store open.
//
// Both are in the file of the data keys, of which there are two copies: it is sealed under
// the root key, and holds the seed of the Core's own key. So a rotation writes that file
// again, and nothing else: no segment, no checkpoint, no backup.
//
// Guarantees:
//
//  1. Nobody else has the store open meanwhile.
//  2. A crash at any moment leaves a store that opens: with the root key before, the next
//     one, or for a moment with both; with the Core's key before, or the next one. The same
//     call, again, finishes what was begun.
//  3. A data key that was destroyed stays destroyed.
package rotate

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"motte/core/seal"
	"motte/core/seglog"
	"motte/core/server"
	"motte/internal/owner"
)

// Errors that callers can tell apart.
var (
	ErrNoStore  = errors.New("there is no store")
	ErrKeys     = errors.New("the root key does not open the store's keys")
	ErrDone     = errors.New("the store has this root key already")
	ErrBegun    = errors.New("a rotation of the Core's key has begun already")
	ErrNotBegun = errors.New("no rotation of the Core's key has begun")
)

// Root replaces the root key in one file by the root key in another. It makes a missing file of the
// next key. It returns ErrDone if the rotation was done before. remains is true in stores whose
// keys had version 2: there the old root key is the store's own secret. That key still opens all
// data but the data sealed for a principal.
func Root(dir, rootKey, nextKey string) (remains bool, err error) {
	d, err := open(dir)
	if err != nil {
		return false, err
	}
	defer d.Close()
	var next seal.Root
	if err = owner.Check(nextKey, dir); err == nil {
		next, err = server.ReadRootKey(nextKey)
	}
	made := errors.Is(err, fs.ErrNotExist)
	if err != nil && !made {
		return false, fmt.Errorf("read the next root key: %w", err)
	}
	var roots []seal.Root
	before, err := server.ReadRootKey(rootKey)
	if err == nil {
		roots = append(roots, before)
	} else if made { // else the rotation may be done, and the key before be gone
		return false, fmt.Errorf("read the root key: %w", err)
	}
	if made {
		_, _ = rand.Read(next[:]) // never fails: see crypto/rand
	} else if next == before {
		return false, fmt.Errorf("%s and %s hold the same key", rootKey, nextKey)
	}
	k, err := read(d, append(roots, next)...)
	if err != nil {
		return false, err
	}
	remains = len(roots) > 0 && k.secrets.Own == before
	if k.under[next] == len(seglog.KeysNames) {
		return remains, ErrDone
	}
	if made { // only for a store that will be opened with it
		if err := server.WriteRootKey(nextKey, next); err != nil {
			return false, fmt.Errorf("make the next root key: %w", err)
		}
	}
	if err := k.write(d, next); err != nil {
		return remains, fmt.Errorf("%w; the store opens with the key in %s or in %s: do this again", err, rootKey, nextKey)
	}
	return remains, nil
}

// CoreKeys are those by which clients know a Core.
type CoreKeys struct {
	Now  ed25519.PublicKey
	Next ed25519.PublicKey // nil: no next key
}

// Begin makes the next key of the Core. The Core announces it to each client that connects, until
// Finish.
func Begin(dir, rootKey string) (CoreKeys, error) {
	return rotateCore(dir, rootKey, func(s *seal.Secrets) error {
		if s.Next != [seal.KeySize]byte{} {
			return ErrBegun
		}
		_, _ = rand.Read(s.Next[:])
		return nil
	})
}

// Finish replaces the Core's key by the key that Begin made, and destroys the old key.
func Finish(dir, rootKey string) (CoreKeys, error) {
	return rotateCore(dir, rootKey, func(s *seal.Secrets) error {
		if s.Next == [seal.KeySize]byte{} {
			return ErrNotBegun
		}
		s.Core, s.Next = s.Next, [seal.KeySize]byte{}
		return nil
	})
}

// Replace makes a new key of the Core at once. No client knows the new key.
func Replace(dir, rootKey string) (CoreKeys, error) {
	return rotateCore(dir, rootKey, func(s *seal.Secrets) error {
		s.Next = [seal.KeySize]byte{}
		_, _ = rand.Read(s.Core[:])
		return nil
	})
}

func rotateCore(dir, rootKey string, change func(*seal.Secrets) error) (c CoreKeys, err error) {
	d, err := open(dir)
	if err != nil {
		return c, err
	}
	defer d.Close()
	root, err := server.ReadRootKey(rootKey)
	if err != nil {
		return c, fmt.Errorf("read the root key: %w", err)
	}
	k, err := read(d, root)
	if err != nil {
		return c, err
	}
	if err = change(&k.secrets); err == nil || k.torn { // else a call that was cut short has changed them
		err = k.write(d, root)
	}
	c.Now = public(k.secrets.Core)
	if k.secrets.Next != [seal.KeySize]byte{} {
		c.Next = public(k.secrets.Next)
	}
	return c, err
}

func public(seed [seal.KeySize]byte) ed25519.PublicKey {
	return ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
}

// open opens and locks the directory of a store.
func open(dir string) (*seglog.Dir, error) {
	if _, err := os.Stat(dir); err != nil { // OpenDir would make it
		return nil, err
	}
	d, err := seglog.OpenDir(dir)
	if errors.Is(err, seglog.ErrLocked) {
		return nil, fmt.Errorf("%w: stop the server", err)
	}
	return d, err
}

// keys are those of a store, as both copies of their file give them.
type keys struct {
	store      seal.StoreID
	secrets    seal.Secrets
	data       seal.DataKeys
	generation uint64
	torn       bool              // the copies have different secrets
	under      map[seal.Root]int // how many copies a root key opens
}

// read reads the keys by one of the root keys, as package seglog does: only data keys that both
// copies give count, and the newer secrets.
func read(d *seglog.Dir, roots ...seal.Root) (*keys, error) {
	files, err := d.Files()
	if err != nil {
		return nil, err
	}
	result := &keys{under: make(map[seal.Root]int)}
	found, there := false, 0
	for _, f := range files {
		if f.Name != seglog.KeysNames[0] && f.Name != seglog.KeysNames[1] {
			continue
		}
		there++
		p := make([]byte, f.Size)
		if err := d.ReadAt(f.Name, p, 0); err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Name, err)
		}
		for _, root := range roots {
			opened, generation, err := seglog.OpenKeys(root, p)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.Name, err)
			}
			if opened == nil {
				continue
			}
			if found && opened.Store() != result.store {
				return nil, fmt.Errorf("%s and %s are of two different stores", seglog.KeysNames[0], seglog.KeysNames[1])
			}
			result.take(opened, generation, found)
			result.under[root]++
			found = true
		}
	}
	switch {
	case there == 0:
		return nil, ErrNoStore
	case !found:
		return nil, ErrKeys
	}
	return result, nil
}

// take adds what a copy gives.
func (k *keys) take(opened *seal.Keys, generation uint64, second bool) {
	data := opened.Data()
	if second {
		data = k.data.Common(data)
		k.torn = opened.Secrets != k.secrets
	}
	k.data = data
	if !second || generation > k.generation {
		k.store, k.secrets, k.generation = opened.Store(), opened.Secrets, generation
	}
}

// write writes both copies under a root key, and looks whether they open.
func (k *keys) write(d *seglog.Dir, root seal.Root) error {
	next := seal.Derive(root, k.store)
	next.Secrets = k.secrets
	var salt seal.Salt
	_, _ = rand.Read(salt[:])
	p := seglog.SealKeys(next, salt, k.generation+1, k.data)
	for _, name := range seglog.KeysNames {
		if err := d.Replace(name, func(w io.Writer) error { _, err := w.Write(p); return err }); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	again, err := read(d, root)
	if err == nil && (again.under[root] != len(seglog.KeysNames) || again.secrets != k.secrets) {
		err = errors.New("the keys do not open as they were written")
	}
	return err
}
