package core

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"motte/core/log"
	"motte/core/seal"
)

// ErrKey says that the root key can't be had: it is missing, readable by
// others, or no root key.
var ErrKey = errors.New("root key")

// keyPrefix begins a root key file, before 64 hexadecimal digits: magic and
// version in one.
const keyPrefix = "motte-root-key-v1 "

// ReadRootKey reads the root key. Others than the owner must not be able to:
// a key that the machine's other users could have read seals nothing.
func ReadRootKey(path string) (root seal.Root, err error) {
	f, err := os.Open(path)
	if err != nil {
		return root, err
	}
	defer f.Close()
	info, err := f.Stat()
	text, errRead := io.ReadAll(io.LimitReader(f, 256))
	if err := errors.Join(err, errRead); err != nil {
		return root, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return root, fmt.Errorf("root key %s can be read by others: its mode must be 0600", path)
	}
	digits, ok := strings.CutPrefix(strings.TrimSpace(string(text)), keyPrefix)
	key, err := hex.DecodeString(digits)
	if !ok || err != nil || len(key) != seal.KeySize {
		return root, fmt.Errorf("%s is no root key of version 1", path)
	}
	return seal.Root(key), nil
}

// makeRootKey makes a root key file: whole, or not at all. It replaces none. Its name is
// not durable yet.
func makeRootKey(path string) (root seal.Root, err error) {
	_, _ = rand.Read(root[:]) // never fails: see crypto/rand
	f, err := os.CreateTemp(halfMade(path))
	if err != nil {
		return root, err
	}
	defer os.Remove(f.Name())
	_, err = fmt.Fprintln(f, keyPrefix+hex.EncodeToString(root[:]))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return root, err
	}
	if err = os.Link(f.Name(), path); err != nil && !errors.Is(err, os.ErrExist) { // not every file system has links
		err = os.Rename(f.Name(), path)
	}
	return root, err
}

// halfMade says where a root key file is made, and how its name begins there.
func halfMade(path string) (dir, name string) {
	return filepath.Dir(path), log.Temporary + filepath.Base(path) + "-"
}

// removeHalfMade removes what a crash left of the making of a root key file: a key that
// nobody uses, or a second name of the one in use.
func removeHalfMade(path string) {
	dir, name := halfMade(path)
	left, _ := os.ReadDir(dir)
	for _, e := range left {
		if strings.HasPrefix(e.Name(), name) {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
