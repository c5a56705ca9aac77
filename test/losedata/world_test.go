package losedata

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"motte/internal/testutil"
)

// world is a directory with a store, in which one case of the page takes place. It records the
// output of all processes of the case, and which objects the case found or missed.
type world struct {
	t    *testing.T
	dir  string
	seen map[string]bool // objects that a check found or missed
	lost bool            // an object was missing

	mu   sync.Mutex
	said bytes.Buffer
}

// Write appends to the output of the processes.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said.Write(p)
}

// text returns the output of the processes so far.
func (w *world) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.said.String()
}

// path returns the path of a file in the world.
func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

// command returns a program that runs in the world.
func (w *world) command(name string, args ...string) *exec.Cmd {
	bin := testutil.Executables(w.t)
	if name == "motte" {
		name = filepath.Join(bin, name)
	}
	c := exec.Command(name, args...)
	c.Dir = w.dir
	c.Env = append(os.Environ(), "MOTTE_PROFILE=admin.profile", "PATH="+bin+":"+os.Getenv("PATH"))
	return c
}

// run runs motte, which may fail. It returns the output and the exit code.
func (w *world) run(args ...string) (said string, code int) {
	w.t.Helper()
	c := w.command("motte", args...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		w.t.Fatal(err)
	}
	fmt.Fprintf(w, "$ motte %s\n%s", strings.Join(args, " "), &out)
	return out.String(), c.ProcessState.ExitCode()
}

// motte runs motte, which must succeed.
func (w *world) motte(args ...string) string {
	w.t.Helper()
	said, code := w.run(args...)
	if code != 0 {
		w.t.Fatalf("motte %v ended with %d:\n%s", args, code, said)
	}
	return said
}

// fails runs motte, which must not succeed.
func (w *world) fails(args ...string) string {
	w.t.Helper()
	said, code := w.run(args...)
	if code == 0 {
		w.t.Fatalf("motte %v succeeded:\n%s", args, said)
	}
	return said
}

// has checks that each of the objects is there, with the content that was put.
func (w *world) has(names ...string) {
	w.t.Helper()
	for _, name := range names {
		if said, code := w.run("get", "people", "--name", name); code != 0 || said != content(name) {
			w.t.Fatalf("object %s should be there: exit code %d, %q\n%s", name, code, said, w.text())
		}
		w.seen[name] = true
	}
}

// gone checks that each of the objects is missing.
func (w *world) gone(names ...string) {
	w.t.Helper()
	w.lost = true
	for _, name := range names {
		if said, code := w.run("get", "people", "--name", name); code != exitNotFound {
			w.t.Fatalf("object %s should be missing: exit code %d, %q\n%s", name, code, said, w.text())
		}
	}
}

// wentBack checks that the client of the profile refuses the store as rolled back.
func (w *world) wentBack() {
	w.t.Helper()
	if said, code := w.run("status"); code != exitWentBack {
		w.t.Fatalf("the client should refuse the store: exit code %d, %q\n%s", code, said, w.text())
	}
}

// Exit codes of motte, which are stable.
const (
	exitNotFound = 3
	exitWentBack = 8
)

// content returns the content of every object with a name.
func content(name string) string { return fmt.Sprintf("{\"name\":%q}\n", name) }

// put puts objects, as the administrator or as the principal of another profile.
func (w *world) put(profile string, names ...string) {
	w.t.Helper()
	for _, name := range names {
		c := w.command("motte", "--quiet", "--profile", profile, "put", "people", "-", "--name", name)
		c.Stdin = strings.NewReader(content(name))
		if out, err := c.CombinedOutput(); err != nil {
			w.t.Fatalf("put %s: %v\n%s", name, err, out)
		}
	}
}

// saysLater waits until a process has printed a text.
func (w *world) saysLater(text string) {
	w.t.Helper()
	testutil.Eventually(w.t, "a process says "+text, func() error {
		if said := w.text(); !strings.Contains(said, text) {
			return errors.New(said)
		}
		return nil
	})
}

// alerts waits until the store has an alert with a reason.
func (w *world) alerts(reason string) {
	w.t.Helper()
	testutil.Eventually(w.t, "an alert "+reason, func() error {
		if said, code := w.run("alerts"); code != 0 || !strings.Contains(said, reason) {
			return errors.New(said)
		}
		return nil
	})
}

// files lists the files of the store that match the pattern, the oldest first.
func (w *world) files(pattern string) []string {
	w.t.Helper()
	list, err := filepath.Glob(w.path(pattern))
	testutil.Must(w.t, err)
	if len(list) == 0 {
		w.t.Fatalf("the store has no file %s", pattern)
	}
	slices.Sort(list)
	return list
}

// remove removes files.
func (w *world) remove(paths ...string) {
	w.t.Helper()
	for _, path := range paths {
		if !filepath.IsAbs(path) {
			path = w.path(path)
		}
		testutil.Must(w.t, os.Remove(path))
	}
}

// copy copies a file or a directory, as 'cp -a' does.
func (w *world) copy(from, to string) {
	w.t.Helper()
	c := w.command("cp", "-a", from, to)
	if out, err := c.CombinedOutput(); err != nil {
		w.t.Fatalf("cp -a %s %s: %v\n%s", from, to, err, out)
	}
}

func (w *world) move(from, to string) {
	w.t.Helper()
	testutil.Must(w.t, os.Rename(w.path(from), w.path(to)))
}

// change replaces the content of a file by f of its content.
func (w *world) change(path string, f func(p []byte) []byte) {
	w.t.Helper()
	p, err := os.ReadFile(path)
	testutil.Must(w.t, err)
	testutil.Must(w.t, os.WriteFile(path, f(p), 0o600))
}

// flip changes a bit of a file. at counts bytes from the beginning or, if negative, from the end
// of the data without trailing zeros.
func (w *world) flip(path string, at int) {
	w.t.Helper()
	w.change(path, func(p []byte) []byte {
		if at < 0 {
			at += len(bytes.TrimRight(p, "\x00"))
		}
		p[at] ^= 1
		return p
	})
}

// The objects of the store with which every case begins: those put before the checkpoints, by
// the administrator and by alice; those put after them, in a segment that is not the newest; and
// those in the newest segment.
var (
	early  = []string{"ada", "bob", "cid"}
	hers   = []string{"eva", "fay"}
	middle = []string{"gus", "hal"}
	late   = []string{"ida", "jon"}
)

// all returns the names of all objects.
func all() []string { return slices.Concat(early, hers, middle, late) }

// build makes this store, and returns its directory.
func build(t *testing.T) string {
	dir := t.TempDir()
	w := &world{t: t, dir: dir, seen: make(map[string]bool)}
	s := w.serve("store", "--root-key", "root.key")
	w.move("store/admin.profile", "admin.profile")
	_ = os.Rename(w.path("store/admin.profile.head"), w.path("admin.profile.head"))
	w.motte("collection", "create", "people")
	w.motte("principal", "add", "alice", "--out", "alice.profile")
	w.motte("grant", "people", "alice", "read-own,write")
	w.put("admin.profile", early...)
	w.put("alice.profile", hers...)
	w.motte("compact") // writes two checkpoints
	s.stop()
	s = w.serve("store", "--root-key", "root.key")
	w.put("admin.profile", middle...)
	s.stop()
	s = w.serve("store", "--root-key", "root.key")
	w.put("admin.profile", late...)
	s.stop()
	testutil.Must(w.t, os.WriteFile(w.path("me.key"), []byte(identity+"\n"), 0o600))
	w.export("keys.age", recipient)
	w.motte("backup", "--dir", "store", "--to", "backup")
	w.remove("store/reserve") // saves copying 32 MiB; the next start makes the file again
	if n := len(w.files("store/*.ckp")); n != 2 {
		t.Fatalf("the store has %d checkpoints; want 2", n)
	}
	return dir
}

// newWorld copies the store with which every case begins.
func newWorld(t *testing.T, from string) *world {
	w := &world{t: t, dir: t.TempDir(), seen: make(map[string]bool)}
	list, err := os.ReadDir(from)
	testutil.Must(w.t, err)
	for _, e := range list {
		w.copy(filepath.Join(from, e.Name()), ".")
	}
	return w
}

// The key of a recipient who may restore the store, and a recipient without a known key.
const (
	identity  = "AGE-SECRET-KEY-18PU4JDHN8C96CCPXQHT274MUAD4FG6DX0XMW7RR53YR4M2E6M6ZQDP6UC3"
	recipient = "age1n4f4rc35zgmjystk63hkj25daesa7rkka9kdulaj38w04v3y7ghqug6hl0"
	stranger  = "age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2z"
)

// export exports the keys of the store to a recipient.
func (w *world) export(out, to string) {
	w.t.Helper()
	w.motte("key", "export", "--dir", "store", "--root-key", "root.key", "--recipient", to, "--out", out)
}

// restored restores a backup as the store "new", with its key export, and serves it.
func (w *world) restored(from string) *server {
	w.t.Helper()
	w.motte("restore", "--from", from, "--dir", "new", "--key", "keys.age", "--identity", "me.key")
	return w.serve("new")
}

// again serves the store again.
func (w *world) again(args ...string) *server {
	w.t.Helper()
	return w.serve("store", append([]string{"--root-key", "root.key"}, args...)...)
}

// refused checks that the server refuses the store.
func (w *world) refused(args ...string) {
	w.t.Helper()
	w.refuses("store", append([]string{"--root-key", "root.key"}, args...)...)
}

// rotated replaces the root key of the store.
func (w *world) rotated() {
	w.t.Helper()
	w.motte("key", "rotate-root", "--dir", "store", "--root-key", "root.key", "--new-root-key", "next.key")
}

// salvaged salvages the damaged store, and serves it.
func (w *world) salvaged() *server {
	w.t.Helper()
	w.motte("verify", "--dir", "store", "--salvage", "--yes", "--root-key", "root.key")
	return w.again()
}

// verified runs verify on the store, which must report damage.
func (w *world) verified() {
	w.t.Helper()
	w.fails("verify", "--dir", "store", "--root-key", "root.key")
}

// anchored starts the store with an anchor, and puts another object.
func (w *world) anchored() {
	w.t.Helper()
	w.motte("recover", "--dir", "store", "--anchor", "file:anchor", "--root-key", "root.key", "--accept-loss", "--yes")
	s := w.again("--anchor", "file:anchor")
	w.put("admin.profile", "kim")
	s.stop()
}

// rolledBack replaces a store with an anchor by an older copy, which lacks the object "lea". The
// newer store is in "right".
func (w *world) rolledBack() {
	w.t.Helper()
	w.anchored()
	w.copy("store", "old")
	s := w.again("--anchor", "file:anchor")
	w.put("admin.profile", "lea")
	s.stop()
	w.move("store", "right")
	w.move("old", "store")
}

// segment and checkpoint return files of the store by age, the oldest first.
func (w *world) segment(n int) string { return w.file("store/*.seg", n) }

func (w *world) checkpoint(n int) string { return w.file("store/*.ckp", n) }

func (w *world) file(pattern string, n int) string {
	w.t.Helper()
	list := w.files(pattern)
	if n >= len(list) {
		w.t.Fatalf("the store has only the files %q", list)
	}
	return list[n]
}

// newestSegment is the segment that was written last.
func (w *world) newestSegment() string { list := w.files("store/*.seg"); return list[len(list)-1] }

// until runs motte until it fails, when the disturbance is noticed.
func (w *world) until(args ...string) {
	w.t.Helper()
	testutil.Eventually(w.t, fmt.Sprintf("motte %v fails", args), func() error {
		if said, code := w.run(args...); code == 0 {
			return errors.New(said)
		}
		return nil
	})
}

// principal returns the principal of the administrator's profile.
func (w *world) principal() string {
	w.t.Helper()
	var p struct{ Principal string }
	testutil.Must(w.t, json.Unmarshal([]byte(w.motte("profile", "show", "admin.profile", "--json")), &p))
	return p.Principal
}
