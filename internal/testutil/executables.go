package testutil

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// sources are the parts of the tree from which the executables are built.
var sources = []string{"go.mod", "go.sum", "source.go", "client", "cmd", "core", "host", "internal", "mottetest", "sdk",
	"storetool", "taskpkg", "tasks", "test/hostiletask", "test/spinnertask"}

// programs are the packages of the executables, by path below the common directory.
// The built-in Tasks are added to them.
var programs = map[string]string{
	"product/motte":              "motte/cmd/motte",
	"product/motte-core":         "motte/cmd/motte-core",
	"hostile/motte-task-hostile": "motte/test/hostiletask",
	"hostile/motte-task-spinner": "motte/test/spinnertask",
}

// keptFor is how long executables of older sources are kept.
const keptFor = 24 * time.Hour

// built builds the executables once in each process.
var built = sync.OnceValues(build)

// Executables returns a directory with motte, motte-core and the built-in Tasks, built from the
// present sources. Tests that call it start real processes, so it skips them under -short.
func Executables(t testing.TB) string { return filepath.Join(executables(t), "product") }

// HostileTask returns a directory with motte-task-hostile, a Task only for tests. Like
// [Executables], it skips the test under -short.
func HostileTask(t testing.TB) string { return filepath.Join(executables(t), "hostile") }

func executables(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("this test starts real processes")
	}
	dir, err := built()
	Must(t, err)
	return dir
}

// BuildExecutables does the same as [Executables] for an example, which has no testing.TB.
func BuildExecutables() (dir string, err error) {
	dir, err = built()
	return filepath.Join(dir, "product"), err
}

// build returns the directory of the executables. Its name is a hash of the sources. The first
// test process builds them, and the processes of other packages use them.
//
// Go's cache of test results depends on the sources that a test imports, and on the files that
// it reads. This function reads the sources of the executables. So a cached result is not used
// after a change of these sources.
func build() (string, error) {
	base, err := cache()
	if err != nil {
		return "", err
	}
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	sum, err := sumOfSources(root)
	if err != nil {
		return "", fmt.Errorf("read the sources: %w", err)
	}
	unlock, err := lock(base)
	if err != nil {
		return "", err
	}
	defer unlock()
	dir := filepath.Join(base, sum)
	now := time.Now()
	if os.Chtimes(dir, now, now) == nil { // the directory exists; the new time keeps it from being removed
		return dir, nil
	}
	removeOld(base, now)
	unfinished := filepath.Join(base, "unfinished")
	if err := os.RemoveAll(unfinished); err != nil {
		return "", err
	}
	all := maps.Clone(programs)
	// The folders are listed here, and not by package tasks: that imports packages whose tests
	// import this package.
	manifests, err := filepath.Glob(filepath.Join(root, "tasks", "*", "motte-task-*.json"))
	if err != nil {
		return "", err
	}
	for _, path := range manifests {
		name := filepath.Base(filepath.Dir(path))
		all["product/motte-task-"+name] = "motte/tasks/" + name
	}
	for name, pkg := range all {
		if err := buildOne(root, filepath.Join(unfinished, name), pkg); err != nil {
			return "", err
		}
	}
	return dir, os.Rename(unfinished, dir)
}

// buildOne builds an executable as "make build" does, except that it does not embed the commit.
func buildOne(root, path, pkg string) error {
	c := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-buildid=", "-o", path, pkg)
	c.Dir, c.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	// The user in a container must be able to read the directory and execute the file, whatever the
	// umask is.
	if err := os.Chmod(path, 0o755); err != nil {
		return err
	}
	return os.Chmod(filepath.Dir(path), 0o755)
}

// cache returns a directory that belongs to this user.
func cache() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	base = filepath.Join(base, "motte-test")
	return base, os.MkdirAll(base, 0o700)
}

// moduleRoot returns the nearest directory with a go.mod above the tested package.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod above the package")
		}
	}
}

// sumOfSources hashes everything that determines the executables.
func sumOfSources(root string) (string, error) {
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %q %q\n", runtime.Version(), os.Getenv("GOFLAGS"), os.Getenv("GOAMD64"))
	add := func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		p, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%s %d\n", strings.TrimPrefix(path, root), len(p))
		sum.Write(p)
		return err
	}
	for _, name := range sources {
		if err := filepath.WalkDir(filepath.Join(root, name), add); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:16]), nil
}

// lock lets one test process at a time build.
func lock(base string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(base, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return func() { f.Close() }, nil
}

// removeOld removes executables that no test has used for a long time.
func removeOld(base string, now time.Time) {
	list, err := os.ReadDir(base)
	if err != nil {
		return
	}
	for _, d := range list {
		info, err := d.Info()
		if err == nil && d.IsDir() && now.Sub(info.ModTime()) > keptFor {
			_ = os.RemoveAll(filepath.Join(base, d.Name())) // on an error, the next build tries again
		}
	}
}
