package skeleton

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNamesAreFilledIn: no file has a placeholder left, and the name is in the sources.
func TestNamesAreFilledIn(t *testing.T) {
	for _, language := range Languages {
		files, err := compose("near", language)
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[string]bool)
		named := 0
		for _, f := range files {
			if seen[f.path] {
				t.Errorf("%s: %s comes twice", language, f.path)
			}
			seen[f.path] = true
			if strings.Contains(string(f.text), "{{name}}") || strings.Contains(string(f.text), "{{go}}") {
				t.Errorf("%s: %s has a placeholder", language, f.path)
			}
			if strings.Contains(string(f.text), "motte-task-near") {
				named++
			}
		}
		for _, path := range []string{"README.md", "Makefile", "case.json"} {
			if !seen[path] {
				t.Errorf("%s has no %s", language, path)
			}
		}
		if named < 3 {
			t.Errorf("%s: %d files have the name", language, named)
		}
	}
}

// TestNothingIsOverwritten: a directory with files stays as it is; an empty one is filled.
func TestNothingIsOverwritten(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir, "near", "cobol"); err == nil || !strings.Contains(err.Error(), "there are go, c, rust, wasm") {
		t.Errorf("an unknown language: %v", err)
	}
	if err := Write(dir, "near", "go"); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, "far", "go"); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a directory with files: %v", err)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "main.go")); err != nil || string(after) != string(before) {
		t.Errorf("a file of the directory was changed (%v)", err)
	}
	if err := Write(filepath.Join(dir, "main.go", "x"), "near", "go"); err == nil {
		t.Error("a directory below a file is written")
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), ".motte-task-*")); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}
