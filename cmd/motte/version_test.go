package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tree is a copy of the source.
type tree struct {
	t   *testing.T
	dir string
}

// newTree copies the files from which the executables are built.
func newTree(t *testing.T) tree {
	t.Helper()
	tr := tree{t, t.TempDir()}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Makefile", "go.mod", "go.sum", ".gitignore", ".gitattributes", "doc.go", "source.go",
		"client", "cmd", "core", "host", "internal", "mottetest", "sdk", "storetool", "taskpkg", "tasks"} {
		from := filepath.Join(root, name)
		if info, err := os.Stat(from); err != nil {
			t.Fatal(err)
		} else if info.IsDir() {
			err = os.CopyFS(filepath.Join(tr.dir, name), os.DirFS(from))
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tr.dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return tr
}

func (tr tree) run(name string, args ...string) string {
	tr.t.Helper()
	c := exec.Command(name, args...)
	c.Dir = tr.dir
	// Ignore the git and make settings of the user who runs the test.
	c.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "MAKEFLAGS=",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.org", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.org")
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil {
		tr.t.Fatalf("%s %v: %v\n%s%s", name, args, err, &out, &errs)
	}
	return strings.TrimSpace(out.String())
}

// commit makes a commit with a new hash, and returns the hash.
func (tr tree) commit(message string) string {
	tr.t.Helper()
	tr.run("git", "add", "-A")
	tr.run("git", "commit", "-q", "--allow-empty", "-m", message)
	return tr.run("git", "rev-parse", "HEAD")
}

// built is the result of 'make build'.
type built struct {
	text string // 'motte version'
	view versionView
	task [32]byte // SHA-256 of a Task's executable
}

func (tr tree) build() (b built) {
	tr.t.Helper()
	tr.run("make", "build", "TASKS=ordered")
	b.text = tr.run("bin/motte", "version")
	if err := json.Unmarshal([]byte(tr.run("bin/motte", "version", "--json")), &b.view); err != nil {
		tr.t.Fatal(err)
	}
	task, err := os.ReadFile(filepath.Join(tr.dir, "bin", "motte-task-ordered"))
	if err != nil {
		tr.t.Fatal(err)
	}
	b.task = sha256.Sum256(task)
	return b
}

// TestVersionNamesWhatItWasBuiltFrom builds with 'make build': from a commit, with uncommitted
// changes, and without git. A Task's executable must be the same each time.
func TestVersionNamesWhatItWasBuiltFrom(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds all executables several times")
	}
	tr := newTree(t)
	if plan := tr.run("make", "-n", "build"); strings.Contains(plan, "buildvcs=true") { // Go would fail
		t.Errorf("without a repository, make passes buildvcs=true, with which Go fails:\n%s", plan)
	}
	tr.run("git", "init", "-q")
	hash := tr.commit("one")
	clean := tr.build()
	if v := clean.view; v.Commit != hash || v.Modified || v.Core.Commit != hash || v.Core.Modified || v.Core.Differs {
		t.Errorf("from %s: %+v", hash, v)
	}
	if !regexp.MustCompile(`(?m)^motte       v\S+, commit `+hash+` of \d{4}-\d\d-\d\d$`).MatchString(clean.text) ||
		!strings.Contains(clean.text, "motte-core  the same\n") {
		t.Errorf("from %s:\n%s", hash, clean.text)
	}

	// motte-core is of another commit.
	tr.run("cp", "bin/motte-core", "older-core")
	if err := os.WriteFile(filepath.Join(tr.dir, "notes"), []byte("a change"), 0o644); err != nil {
		t.Fatal(err)
	}
	dirty := tr.build()
	if v := dirty.view; v.Commit != hash || !v.Modified || !v.Core.Modified || !strings.Contains(dirty.text, "not committed") {
		t.Errorf("with changes:\n%s", dirty.text)
	}
	tr.run("mv", "older-core", "bin/motte-core")
	if text := tr.run("bin/motte", "version"); !strings.Contains(text, "motte-core  ANOTHER BUILD: v") {
		t.Errorf("with the Core of another build:\n%s", text)
	}
	tag := tr.commit("two")
	tr.run("git", "tag", "v0.9.0")

	// A source archive of the second commit, inside another repository.
	outer := tree{t, t.TempDir()}
	outer.run("git", "init", "-q")
	outer.commit("of something else")
	archive := tree{t, filepath.Join(outer.dir, "motte")}
	tr.run("git", "archive", "--prefix=motte/", "-o", filepath.Join(outer.dir, "a.tar"), "v0.9.0")
	outer.run("tar", "-xf", "a.tar")
	if v := archive.build(); v.view.Commit != tag || v.view.Version != "v0.9.0" || !v.view.Archive || !strings.Contains(v.text, "from a source archive") {
		t.Errorf("from an archive:\n%s", v.text)
	} else if v.task != clean.task {
		t.Error("another commit and directory make another Task, whose SHA-256 is its identity")
	}
	if dirty.task != clean.task {
		t.Error("a change elsewhere makes another Task, whose SHA-256 is its identity")
	}
}
