// Package authors builds Tasks in other languages than Go, as an author does, and runs them behind
// the confinement of a real server.
package authors

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"motte/host/sandbox"
)

// root is the root of the repository, relative to the tests.
const root = "../.."

// requireCompilers, in the environment, turns a missing compiler into a failure.
const requireCompilers = "MOTTE_REQUIRE_COMPILERS"

// built is a directory for executables that several tests need.
var built string

func TestMain(m *testing.M) {
	sandbox.ReexecInit()
	var err error
	if built, err = os.MkdirTemp("", "motte-authors-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(built)
	os.Exit(code)
}

// needs skips the test under -short, and if a program is missing.
func needs(t testing.TB, programs ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("this test runs compilers and real processes")
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		if os.Getenv(requireCompilers) != "" {
			t.Fatalf("%s is set, and %s is missing", requireCompilers, program)
		}
		t.Skipf("%s is missing; .ci/install installs it", program)
	}
}

// run runs a program in a directory of the repository, with further variables of the environment.
func run(t testing.TB, dir string, env []string, program string, args ...string) {
	t.Helper()
	runIn(t, filepath.Join(root, dir), env, program, args...)
}

// runIn is run for any directory.
func runIn(t testing.TB, dir string, env []string, program string, args ...string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), program, args...)
	c.Dir, c.Env = dir, append(os.Environ(), env...)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
}
