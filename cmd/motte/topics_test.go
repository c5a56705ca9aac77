package main

import (
	"regexp"
	"testing"

	"motte/tasks"
)

// TestHelpHasEachTask: the help shows the configuration and the predicates of each built-in Task.
func TestHelpHasEachTask(t *testing.T) {
	rows, err := tasks.BuiltIn()
	if err != nil {
		t.Fatal(err)
	}
	root := (&app{}).root()
	for _, path := range [][]string{{"index", "create"}, {"predicates"}} {
		page, _, err := root.Find(path)
		if err != nil {
			t.Fatal(err)
		}
		for name := range rows {
			if !regexp.MustCompile(`(?m)(^  |Tasks? |or |and )` + name + `\b`).MatchString(page.Long) {
				t.Errorf("the help of %q does not show the Task %s", path, name)
			}
		}
	}
}
