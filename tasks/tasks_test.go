package tasks_test

import (
	"os"
	"path/filepath"
	"testing"

	"motte/internal/testutil"
	"motte/tasks"
)

// TestEachTaskIsInTheCatalogue: each folder with a program has a manifest, a page in the documentation,
// and a case for the conformance suite.
func TestEachTaskIsInTheCatalogue(t *testing.T) {
	rows, err := tasks.BuiltIn()
	testutil.Must(t, err)
	programs, err := filepath.Glob("*/main.go")
	testutil.Must(t, err)
	if len(programs) != len(rows) {
		t.Errorf("%d folders have a program, and %d have a manifest", len(programs), len(rows))
	}
	for name := range rows {
		for _, file := range []string{
			filepath.Join(name, "main.go"),
			filepath.Join("../docs/reference/tasks", name+".md"),
			filepath.Join("../sdk/conformance/cases", name+".json"),
		} {
			if _, err := os.Stat(file); err != nil {
				t.Errorf("task %s: %v", name, err)
			}
		}
	}
}
