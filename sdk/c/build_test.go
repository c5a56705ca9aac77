// Package c tests the kit for Tasks in C and C++: motte.h, and the Tasks that use it.
package c

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"motte/host/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.ReexecInit()
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// requireCompilers, in the environment, turns a missing compiler into a failure.
const requireCompilers = "MOTTE_REQUIRE_COMPILERS"

// warnings are the options of a compiler that lets nothing pass.
var warnings = []string{"-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"}

// builds holds the command for each executable of the tests. The warnings, -o and the path are appended.
var builds = map[string][]string{
	"motte-task-exact":         {"gcc", "-std=c11", "-O2", "-static", "exact/exact.c"},
	"motte-task-exact-checked": {"gcc", "-std=c11", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover", "exact/exact.c"},
	"many":                     {"gcc", "-std=c11", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover", "testdata/many.c"},
	"motte-task-bare":          {"g++", "-std=c++17", "-O1", "testdata/bare.cc"},
	"motte-task-nearest":       {"g++", "-std=c++17", "-O2", "-static", "nearest/nearest.cc"},
	// hnswlib itself reads behind the end of lists to prefetch, and copies nothing from NULL.
	"motte-task-nearest-checked": {"g++", "-std=c++17", "-O1", "-g", "-DNO_MANUAL_VECTORIZATION",
		"-fsanitize=address,undefined", "-fno-sanitize=nonnull-attribute", "-fno-sanitize-recover", "nearest/nearest.cc"},
}

// built holds the executables of this run.
var built struct {
	sync.Mutex
	dir   string
	paths map[string]string
}

// compiler skips the test if a compiler is missing.
func compiler(t testing.TB, name string) {
	t.Helper()
	_, err := exec.LookPath(name)
	installed(t, name, err)
}

// installed skips the test if something is not installed, as err says.
func installed(t testing.TB, name string, err error) {
	t.Helper()
	if err != nil && os.Getenv(requireCompilers) != "" {
		t.Fatalf("%s: %v", requireCompilers, err)
	} else if err != nil {
		t.Skipf("%s is missing, so a Task is not tested", name)
	}
}

// build returns the path of an executable. It skips the test if the compiler is missing, and under
// -short.
func build(t testing.TB, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("this test starts real processes")
	}
	command := builds[name]
	compiler(t, command[0])
	if strings.Contains(name, "nearest") {
		_, err := os.Stat("/usr/include/hnswlib/hnswlib.h")
		installed(t, "libhnswlib-dev", err)
	}
	built.Lock()
	defer built.Unlock()
	if path := built.paths[name]; path != "" {
		return path
	}
	if built.dir == "" {
		dir, err := os.MkdirTemp("", "motte-c-test-")
		if err != nil {
			t.Fatal(err)
		}
		built.dir, built.paths = dir, make(map[string]string)
	}
	path := filepath.Join(built.dir, name)
	args := append(append(command[1:len(command):len(command)], warnings...), "-o", path)
	if out, err := exec.Command(command[0], args...).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	built.paths[name] = path
	return path
}
