package sandbox

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// prebuilt, in the environment, names a directory with the Tasks of the tests. A run as another
// user needs it, since that user has no compilers.
const prebuilt = "MOTTE_TEST_TASKS"

// requireCompilers, in the environment, turns a missing compiler into a failure.
const requireCompilers = "MOTTE_REQUIRE_COMPILERS"

// builds holds the command for each Task of the tests. The path of the executable is appended.
var builds = map[string][]string{
	"hostile": {"go", "build", "-o"},
	"measure": {"gcc", "-O1", "-static", "testdata/measure/measure.c", "-o"},
	"glibc":   {"gcc", "-O1", "-static", "testdata/authors/threads.c", "-o"},
	"musl":    {"musl-gcc", "-O1", "-static", "testdata/authors/threads.c", "-o"},
	"cpp":     {"g++", "-O1", "-static", "testdata/authors/threads.cc", "-o"},
	"rust":    {"rustc", "--edition", "2021", "-C", "target-feature=+crt-static", "testdata/authors/std.rs", "-o"},
	"dynamic": {"gcc", "-O1", "testdata/authors/threads.c", "-o"},
	"library": {"gcc", "-O1", "-shared", "-fPIC", "testdata/authors/threads.c", "-o"},
	"object":  {"gcc", "-O1", "-c", "testdata/authors/threads.c", "-o"},
	"stack":   {"gcc", "-O1", "-static", "-z", "execstack", "testdata/authors/threads.c", "-o"},
}

// built holds the Tasks built in this run.
var built struct {
	sync.Mutex
	dir   string
	paths map[string]string
}

// build returns the path of a Task of the tests. It skips the test if the compiler is missing,
// and under -short.
func build(t *testing.T, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("this test starts real processes")
	}
	if dir := os.Getenv(prebuilt); dir != "" {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err != nil {
			t.Skipf("the Task %s was not built", name)
		}
		return path
	}
	built.Lock()
	defer built.Unlock()
	if path := built.paths[name]; path != "" {
		return path
	}
	command := builds[name]
	if _, err := exec.LookPath(command[0]); err != nil {
		if os.Getenv(requireCompilers) != "" {
			t.Fatalf("%s: %v", requireCompilers, err)
		}
		t.Skipf("the compiler %s is missing, so a Task is not tested", command[0])
	}
	if built.dir == "" {
		dir, err := os.MkdirTemp("", "motte-sandbox-test-")
		if err != nil {
			t.Fatal(err)
		}
		built.dir, built.paths = dir, make(map[string]string)
	}
	path := filepath.Join(built.dir, name)
	args := append(command[1:len(command):len(command)], path)
	if name == "hostile" {
		args = append(args, "./testdata/hostile")
	}
	cmd := exec.Command(command[0], args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	built.paths[name] = path
	return path
}

// task returns the configuration of a Task of the tests.
func task(t *testing.T, name string) Config {
	t.Helper()
	path := build(t, name)
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return Config{Executable: path, Measurement: sha256.Sum256(image), Memory: 512 << 20}
}

// hostile returns the configuration of the Task that tries to break out.
func hostile(t *testing.T) Config {
	t.Helper()
	return task(t, "hostile")
}

// tasksIn copies Tasks into a directory that every user can read.
func tasksIn(t *testing.T, dir string) {
	t.Helper()
	for name := range builds {
		t.Run("build "+name, func(t *testing.T) {
			image, err := os.ReadFile(build(t, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), image, 0o755); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// removeBuilt removes the Tasks at the end of the tests.
func removeBuilt() {
	if built.dir != "" {
		if err := os.RemoveAll(built.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}
