package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// committed is the time of the tests' commits.
var committed = time.Date(2026, 11, 30, 12, 34, 56, 0, time.UTC)

// gitIn runs a command of git, which must succeed.
func gitIn(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(kept(os.Environ()), "GIT_AUTHOR_DATE="+committed.Format(time.RFC3339), "GIT_COMMITTER_DATE="+committed.Format(time.RFC3339))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
}

// put writes a file, and makes its parent directories.
func put(t *testing.T, path string, data []byte, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
}

// snapshot returns a new repository with one commit: the files of this working tree, also
// uncommitted ones.
func snapshot(t *testing.T) string {
	t.Helper()
	const root = "../.."
	list, err := git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		t.Skipf("not in a git repository: %v", err)
	}
	dir := t.TempDir()
	for _, name := range strings.Split(strings.TrimSuffix(list, "\x00"), "\x00") {
		from := filepath.Join(root, name)
		info, err := os.Stat(from)
		if errors.Is(err, os.ErrNotExist) {
			continue // removed, but not yet in a commit
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, name), data, info.Mode())
	}
	gitIn(t, dir, "init", "--quiet")
	gitIn(t, dir, "add", "--all")
	gitIn(t, dir, "commit", "--quiet", "-m", "Release")
	return dir
}

// made is the result of a release.
type made struct {
	name    string // name of the archive
	archive []byte
	sums    string
	printed string // output after the path of the archive
}

// makeRelease runs make release in a repository, under a umask and with additional variables.
func makeRelease(t *testing.T, root, umask string, variables ...string) (m made) {
	t.Helper()
	out := t.TempDir()
	cmd := exec.Command("bash", "-c", "umask "+umask+" && exec make --no-print-directory release DIST="+out)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), variables...)
	printed, err := output(cmd)
	if err != nil {
		t.Fatal(err)
	}
	first, rest, _ := strings.Cut(printed, "\n")
	m.name, m.printed = filepath.Base(first), rest
	if m.archive, err = os.ReadFile(filepath.Join(out, m.name)); err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(out, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	m.sums = string(sums)
	return m
}

// TestReleasesOfACommitAreEqual: two releases of a commit are equal byte for byte. The second
// release is made in another working tree of the repository, with an ignored source file, other
// settings of the go command, and another umask.
func TestReleasesOfACommitAreEqual(t *testing.T) {
	if testing.Short() {
		t.Skip("builds all executables twice")
	}
	root := snapshot(t)
	first := makeRelease(t, root, "022")
	elsewhere := filepath.Join(t.TempDir(), "a longer path", "tree")
	gitIn(t, root, "worktree", "add", "--quiet", "--detach", elsewhere)
	put(t, filepath.Join(root, ".git/info/exclude"), []byte("hidden.go\n"), 0o644)
	put(t, filepath.Join(elsewhere, "cmd/motte-core/hidden.go"), []byte("package main\n\nvar hidden = 1\n"), 0o644)
	second := makeRelease(t, elsewhere, "077", "GOFLAGS=-tags=netgo", "TZ=Asia/Tokyo", "GZIP=-1", "CGO_ENABLED=1")

	if first.name != second.name || first.sums != second.sums || first.printed != second.printed {
		t.Errorf("two releases of a commit differ:\n%s\n%s%s\n%s\n%s%s", first.name, first.sums, first.printed, second.name, second.sums, second.printed)
	}
	if !bytes.Equal(first.archive, second.archive) {
		t.Error("two archives of a commit differ")
	}
	if want := fmt.Sprintf("%x  %s\n", sha256.Sum256(first.archive), first.name); first.sums != want {
		t.Errorf("SHA256SUMS has %q; want %q", first.sums, want)
	}
	dir := unpack(t, first)
	for _, name := range []string{"LICENSE", "CHANGELOG.md", "README.md", "systemd/motte.service", "docs/tutorial.md", "third-party/go/LICENSE",
		"third-party/github.com/spf13/cobra/LICENSE.txt", "bin/motte", "bin/motte-core", "bin/motte-task-ordered", "bin/motte-task-text"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Errorf("the archive lacks a file: %v", err)
		}
	}
	if want := "\nMeasurements (SHA-256):\n" + measurements(t, dir); first.printed+"\n" != want {
		t.Errorf("printed are:\n%s\nmotte says:\n%s", first.printed, want)
	}
}

// unpack unpacks a release, and checks the form of its entries. It returns the top directory.
func unpack(t *testing.T, m made) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(m.archive))
	if err != nil {
		t.Fatal(err)
	}
	if z.Name != "" || !z.ModTime.IsZero() {
		t.Errorf("the header of gzip has the name %q and the time %v", z.Name, z.ModTime)
	}
	dir, top := t.TempDir(), strings.TrimSuffix(m.name, ".tar.gz")
	var names []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		mode := int64(0o644)
		if h.Typeflag == tar.TypeDir || strings.HasPrefix(h.Name, top+"/bin/") {
			mode = 0o755
		}
		if h.Mode != mode || h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || !h.ModTime.Equal(committed) {
			t.Errorf("%s: mode %o, owner %d:%d %s:%s, time %v", h.Name, h.Mode, h.Uid, h.Gid, h.Uname, h.Gname, h.ModTime)
		}
		if !strings.HasPrefix(h.Name, top+"/") || path.Clean(h.Name) != strings.TrimSuffix(h.Name, "/") {
			t.Fatalf("%s is not in %s", h.Name, top)
		}
		names = append(names, h.Name)
		if h.Typeflag == tar.TypeDir {
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(dir, h.Name), data, os.FileMode(h.Mode))
	}
	if !slices.IsSorted(names) {
		t.Errorf("the files are not sorted: %q", names)
	}
	return filepath.Join(dir, top)
}

// measurements returns the measurements that motte of the release prints.
func measurements(t *testing.T, dir string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(dir, "bin/motte"), "doctor", "--json")
	cmd.Env = kept(os.Environ())
	text, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) { // doctor also fails if no Task can be confined
		t.Fatal(err)
	}
	var lines []string
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		var check struct{ Name, SHA256 string }
		if err := json.Unmarshal(s.Bytes(), &check); err != nil {
			t.Fatalf("%s: %v", s.Bytes(), err)
		}
		if check.SHA256 != "" {
			lines = append(lines, fmt.Sprintf("  %-20s%s\n", check.Name, check.SHA256))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

func TestOnlyACleanTreeAtACommitIsReleased(t *testing.T) {
	dir := t.TempDir()
	refused := func(why string) {
		t.Helper()
		if _, err := cleanCommit(dir); !errors.Is(err, ErrSource) {
			t.Errorf("%s: %v; want %v", why, err, ErrSource)
		}
	}
	refused("no repository")
	gitIn(t, dir, "init", "--quiet")
	refused("no commit")
	put(t, filepath.Join(dir, "sub/file"), []byte("1"), 0o644)
	gitIn(t, dir, "add", "--all")
	gitIn(t, dir, "commit", "--quiet", "-m", "Begin")
	if c, err := cleanCommit(dir); err != nil || !c.time.Equal(committed) || len(c.hash) < 40 {
		t.Errorf("cleanCommit of a clean tree returns %+v, %v; want the commit", c, err)
	}
	if _, err := cleanCommit(filepath.Join(dir, "sub")); !errors.Is(err, ErrSource) {
		t.Errorf("cleanCommit of a subdirectory returns %v; want %v", err, ErrSource)
	}
	put(t, filepath.Join(dir, "sub/new"), nil, 0o644)
	refused("an uncommitted file")
	if err := os.Remove(filepath.Join(dir, "sub/new")); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, "sub/file"), []byte("2"), 0o644)
	refused("an uncommitted change")
	gitIn(t, dir, "add", "--all")
	refused("a staged change")
}
