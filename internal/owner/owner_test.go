package owner_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"motte/internal/owner"
)

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := owner.Check(file, dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Symlink(file, link)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link} {
		if err := owner.Check(path, dir); err != nil {
			t.Error(err)
		}
	}
	if os.Geteuid() != 0 {
		return // only root can give a file away
	}
	const nobody = 65534
	store := t.TempDir()
	if err := errors.Join(os.Chown(file, nobody, nobody), os.Chown(store, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link} {
		if err := owner.Check(path, dir); err == nil {
			t.Errorf("a key file of another user is accepted at %s; want an error", path)
		}
	}
	if err := errors.Join(os.Chown(file, 0, 0), os.Lchown(link, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	if err := owner.Check(link, dir); err == nil {
		t.Error("a link of another user is accepted; want an error")
	}
	if err := os.Chown(file, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if err := owner.Check(file, store); err != nil {
		t.Errorf("a file of the store's owner is refused: %v", err)
	}
}
