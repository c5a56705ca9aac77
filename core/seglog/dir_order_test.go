package seglog

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"motte/internal/testutil"
)

// systemCall matches a line of strace with a call that changes a file or makes it durable, and
// the file's path.
var systemCall = regexp.MustCompile(`\b(write|pwrite64|fsync|fdatasync|ftruncate|renameat|linkat|unlinkat)\(\d+<([^>]*)>(?:.*"([^"]*)")?`)

// TestDirReachesTheDiskInOrder checks the system calls, since only they show what a crash could
// leave. It needs strace.
func TestDirReachesTheDiskInOrder(t *testing.T) {
	if path := os.Getenv("MOTTE_TEST_DIR"); path != "" {
		useDir(t, path)
		return
	}
	if err := exec.Command("strace", "-qq", "-o", os.DevNull, "true").Run(); err != nil {
		t.Skipf("strace can't be used here: %v", err)
	}
	path, trace := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "trace")
	traced := exec.Command("strace", "-f", "-y", "-qq", "-e", "trace=write,pwrite64,fsync,fdatasync,ftruncate,renameat,linkat,unlinkat",
		"-e", "signal=none", "-o", trace, os.Args[0], "-test.run=^TestDirReachesTheDiskInOrder$")
	traced.Env = append(os.Environ(), "MOTTE_TEST_DIR="+path)
	if out, err := traced.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	parent, got := filepath.Dir(path), ""
	for line := range strings.Lines(string(text)) {
		if m := systemCall.FindStringSubmatch(line); m != nil && strings.HasPrefix(m[2], parent) {
			name := strings.TrimPrefix(strings.TrimPrefix(m[2], parent), "/")
			if strings.HasSuffix(m[1], "at") {
				name += "/" + m[3] // the name that the call adds or removes
			}
			call := fmt.Sprintln(m[1], name)
			if m[1] == "write" && strings.HasSuffix(got, call) {
				continue // a file is written in several calls
			}
			got += call
		}
	}
	// strace shows a file that was linked to its name by its first name.
	const want = `fsync 
unlinkat data/new-1
unlinkat data/new-1
write data/new-1
fsync data/new-1
linkat data/1
unlinkat data/new-1
fsync data
pwrite64 data/new-1
fdatasync data/new-1
unlinkat data/new-made
unlinkat data/new-made
write data/new-made
fdatasync data/new-made
write data/new-made
fsync data/new-made
linkat data/made
unlinkat data/new-made
fsync data
pwrite64 data/new-1
fdatasync data/new-1
ftruncate data/new-1
unlinkat data/new-2
unlinkat data/new-2
write data/new-2
fsync data/new-2
linkat data/2
unlinkat data/new-2
fsync data
unlinkat data/made
ftruncate data/new-2
fsync 
pwrite64 data/2
fsync data/2
fsync data
`
	if got != want {
		t.Errorf("system calls:\n%swant:\n%s", got, want)
	}
}

// useDir makes a file by Append, which is preallocated, and a file that is larger than one
// write. It removes the second file, and opens the directory again.
func useDir(t *testing.T, path string) {
	d := openDir(t, path)
	testutil.Must(t, d.Append("1", []byte("data")), d.Append("1", []byte("data")))
	testutil.Must(t, d.Create("made", func(w io.Writer) error {
		for range 5 {
			if _, err := w.Write(make([]byte, syncEvery/4)); err != nil {
				return err
			}
		}
		return nil
	}))
	testutil.Must(t, d.Append("1", []byte("data")), d.Append("2", []byte("data")), d.Remove("made"), d.Close())
	d = openDir(t, path)
	testutil.Must(t, d.Sync("2"), d.Close())
}
