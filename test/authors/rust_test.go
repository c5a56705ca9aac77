package authors

import (
	"os"
	"path/filepath"
	"testing"
)

// TestTheKitForRust runs the tests of sdk/rust, without a registry of crates.
func TestTheKitForRust(t *testing.T) {
	needs(t, "cargo", "rustc")
	run(t, "sdk/rust", []string{"CARGO_TARGET_DIR=" + t.TempDir()}, "cargo", "test", "--offline", "--locked", "--workspace")
}

// rustExact builds the example of sdk/rust as motte-task-exact in a directory. It leaves out the
// optimisation that takes longest.
func rustExact(t testing.TB, dir string) {
	needs(t, "cargo", "rustc")
	target := t.TempDir()
	run(t, "sdk/rust", []string{"CARGO_TARGET_DIR=" + target, "CARGO_PROFILE_RELEASE_LTO=off"}, "cargo", "build", "--offline", "--locked", "--release", "--workspace")
	if err := os.Rename(filepath.Join(target, "release/motte-task-exact"), filepath.Join(dir, "motte-task-exact")); err != nil {
		t.Fatal(err)
	}
}
