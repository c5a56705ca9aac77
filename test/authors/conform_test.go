package authors

import (
	"path/filepath"
	"testing"

	"motte/internal/testutil"
	"motte/sdk/conformance"
	"motte/sdk/conformance/confined"
)

// TestExactTasksConform: each example that finds objects by their exact input passes the
// conformance suite.
func TestExactTasksConform(t *testing.T) {
	for name := range exactTasks {
		t.Run(name, func(t *testing.T) {
			conforms(t, filepath.Join(exactTask(t, name), "motte-task-exact"), "exact")
		})
	}
}

// cExact builds the example of sdk/c as motte-task-exact in a directory.
func cExact(t testing.TB, dir string) {
	needs(t, "gcc")
	run(t, "sdk/c", nil, "gcc", "-std=c11", "-O2", "-static", "exact/exact.c", "-o", filepath.Join(dir, "motte-task-exact"))
}

// conforms fails for each check of the suite that an executable fails.
func conforms(t *testing.T, path, name string) {
	t.Helper()
	c, err := conformance.BuiltIn(name)
	testutil.Must(t, err)
	start, err := confined.Executable(path, 1<<30)
	testutil.Must(t, err)
	err = conformance.Run(t.Context(), conformance.Options{Case: c, Start: start, Deadline: testutil.Patience, Shelf: 64 << 20,
		Report: func(r conformance.Result) {
			if r.Outcome == conformance.Failed {
				t.Errorf("%s: %s\nrule: %s\nsent: %q\nreceived: %q", r.Check, r.Problem, r.Rule, r.Sent, r.Received)
			}
		}})
	testutil.Must(t, err)
}
