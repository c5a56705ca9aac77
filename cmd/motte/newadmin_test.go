package main

import (
	"os"
	"path/filepath"
	"testing"

	"motte/client"
)

// TestNoKeyOfAnotherUserBecomesTheAdministrators: a run that was cut short leaves its key, with
// which the next one goes on; but not with a key that another user put there.
func TestNoKeyOfAnotherUserBecomesTheAdministrators(t *testing.T) {
	out := newAdminFile{path: filepath.Join(t.TempDir(), "admin.profile")}
	made, _, err := out.make(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var again *client.Profile
	if again, _, err = out.make(t.TempDir()); err != nil || again.Principal() != made.Principal() {
		t.Errorf("its own key is not taken: %v", err)
	}
	if os.Geteuid() != 0 {
		return // only root can give a file away
	}
	if err := os.Chown(out.making(), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, _, err := out.make(t.TempDir()); err == nil {
		t.Error("another user's key is taken")
	}
}
