package conformance_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"motte/host/sandbox"
	"motte/internal/testutil"
	"motte/sdk/conformance"
	"motte/sdk/conformance/confined"
	"motte/tasks"
)

func TestMain(m *testing.M) {
	sandbox.ReexecInit()
	os.Exit(m.Run())
}

// executable returns a function that starts an executable in the confinement.
func executable(t *testing.T, path string) func() (conformance.Process, error) {
	t.Helper()
	start, err := confined.Executable(path, 2<<30)
	testutil.Must(t, err)
	return start
}

// TestShippedTasksConform: the Tasks that come with Motte pass the suite, in the confinement. Under the
// race detector, which makes the suite three times as slow, two Tasks are enough: "make test" runs
// this test a second time, without it.
func TestShippedTasksConform(t *testing.T) {
	bin := testutil.Executables(t)
	builtIn, err := tasks.BuiltIn()
	testutil.Must(t, err)
	for name := range builtIn {
		t.Run(name, func(t *testing.T) {
			if raceDetector && name != "ordered" && name != "text" {
				t.Skip("run without the race detector")
			}
			t.Parallel()
			c, err := conformance.BuiltIn(name)
			testutil.Must(t, err)
			run(t, conformance.Options{Case: c, Start: executable(t, filepath.Join(bin, "motte-task-"+name))})
		})
	}
}

// TestExampleConforms: the example of docs/how-to/write-a-task.md passes, with its own case and
// with that of docs/reference/case-file.md.
func TestExampleConforms(t *testing.T) {
	testutil.Executables(t) // skips the test if no process may be started
	start := executable(t, buildTask(t, "motte/docs/how-to/example-task"))
	c, err := conformance.ReadCase("../../docs/how-to/example-task/case.json")
	testutil.Must(t, err)
	run(t, conformance.Options{Case: c, Start: start})
	page, err := os.ReadFile("../../docs/reference/case-file.md")
	testutil.Must(t, err)
	_, block, _ := strings.Cut(string(page), "```text\n")
	block, _, _ = strings.Cut(block, "```")
	c, err = conformance.ParseCase([]byte(block), nil)
	testutil.Must(t, err)
	run(t, conformance.Options{Case: c, Start: start})
}

// buildTask builds a Task, and returns the path of its executable.
func buildTask(t *testing.T, pkg string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "task")
	build := exec.Command("go", "build", "-o", path, pkg)
	build.Env = append(build.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// run runs the suite. The test fails for each check that does.
func run(t *testing.T, o conformance.Options) {
	t.Helper()
	o.Deadline, o.Shelf = testutil.Patience, testedShelf
	o.Report = func(r conformance.Result) {
		switch r.Outcome {
		case conformance.Failed:
			t.Errorf("%s: %s\nrule: %s\nsent: %q\nreceived: %q", r.Check, r.Problem, r.Rule, r.Sent, r.Received)
		case conformance.Skipped:
			t.Logf("%s is skipped: %s", r.Check, r.Problem)
		}
	}
	if err := conformance.Run(t.Context(), o); err != nil {
		t.Error(err)
	}
}
