// Package binaries builds what tests with real processes start: the executables
// of the product as users get them, and Tasks that only tests have.
package binaries

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// product names the executables, and the packages that they are built from.
var product = map[string]string{
	"motte":              "motte/cmd/motte",
	"motte-core":         "motte/cmd/motte-core",
	"motte-task-ordered": "motte/tasks/ordered",
	"motte-task-text":    "motte/tasks/text",
}

// Main is the TestMain of a package whose tests start real processes: it builds
// the product, and more, into a new directory, says in bin which that is, runs
// the tests and ends the process.
func Main(m *testing.M, bin *string, more map[string]string) {
	dir, err := os.MkdirTemp("", "motte-binaries-")
	if err != nil {
		panic(err)
	}
	*bin = dir
	code := 1
	if err := build(dir, product, more); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// LookAtSources makes "go test" run a test again when the sources of what it started
// have changed: none of them is imported there, but a test's result depends on the
// directories that it read. It is called from a package two directories below the root.
func LookAtSources(t *testing.T) {
	t.Helper()
	for _, dir := range []string{"client", "cmd", "core", "host", "internal", "mottetest", "sdk", "storetool", "tasks"} {
		look := func(_ string, _ fs.DirEntry, err error) error { return err }
		if err := filepath.WalkDir(filepath.Join("..", "..", dir), look); err != nil {
			t.Fatal(err)
		}
	}
}

func build(dir string, lists ...map[string]string) error {
	for _, list := range lists {
		for name, pkg := range list {
			cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(dir, name), pkg)
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
			}
		}
	}
	return nil
}
