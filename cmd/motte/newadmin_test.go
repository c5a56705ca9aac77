package main

import (
	"os"
	"path/filepath"
	"testing"

	"motte/client"
)

// TestNoKeyOfAnotherUserBecomesTheAdministrators: an interrupted run leaves its key, and the
// next run uses it. The next run must not use a key that another user put there.
func TestNoKeyOfAnotherUserBecomesTheAdministrators(t *testing.T) {
	out := newAdminFile{path: filepath.Join(t.TempDir(), "admin.profile")}
	made, _, err := out.make(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var again *client.Profile
	if again, _, err = out.make(t.TempDir()); err != nil || again.Principal() != made.Principal() {
		t.Errorf("a run refuses the key that an interrupted run of the same user left: %v", err)
	}
	if os.Geteuid() != 0 {
		return // only root can give a file away
	}
	if err := os.Chown(out.making(), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, _, err := out.make(t.TempDir()); err == nil {
		t.Error("a run uses a key that another user put there")
	}
}
