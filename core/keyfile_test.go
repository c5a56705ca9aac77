package core

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestRootKeyIsMadeWholeAndOnce: nothing else is left beside it, and a key that is
// there is not replaced.
func TestRootKeyIsMadeWholeAndOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "root.key")
	made, err := makeRootKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := makeRootKey(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second key: %v", err)
	}
	if read, err := ReadRootKey(path); err != nil || read != made {
		t.Errorf("%x was made, %x is read, %v", made, read, err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("%d files are there, %v", len(list), err)
	}
}
