package log

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// systemCall finds, in a line of strace, a call that changes a file or makes it
// durable, and the path of the file.
var systemCall = regexp.MustCompile(`\b(write|pwrite64|fsync|fdatasync|ftruncate|renameat)\((?:\d+<|.*, ")([^">]*)`)

// TestDirReachesTheDiskInOrder looks at the system calls themselves: nothing
// else shows what a crash would leave. It needs strace.
func TestDirReachesTheDiskInOrder(t *testing.T) {
	if path := os.Getenv("MOTTE_TEST_DIR"); path != "" {
		useDir(t, path)
		return
	}
	if err := exec.Command("strace", "-qq", "-o", os.DevNull, "true").Run(); err != nil {
		t.Skipf("strace can't be used here: %v", err)
	}
	path, trace := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "trace")
	traced := exec.Command("strace", "-f", "-y", "-qq", "-e", "trace=write,pwrite64,fsync,fdatasync,ftruncate,renameat",
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
			got += fmt.Sprintln(m[1], strings.TrimPrefix(strings.TrimPrefix(m[2], parent), "/"))
		}
	}
	const want = `fsync 
pwrite64 data/new-segment
pwrite64 data/new-segment
fdatasync data/new-segment
renameat data/00000001.seg
fsync data
pwrite64 data/00000001.seg
fdatasync data/00000001.seg
pwrite64 data/00000001.seg
fdatasync data/00000001.seg
ftruncate data/00000001.seg
pwrite64 data/new-segment
pwrite64 data/new-segment
fdatasync data/new-segment
renameat data/00000002.seg
fsync data
ftruncate data/00000002.seg
fsync 
fsync data/00000002.seg
`
	if got != want {
		t.Errorf("system calls:\n%swant:\n%s", got, want)
	}
}

// useDir makes a directory and two segments, the first with data and with zeros
// filled ahead, and opens it again.
func useDir(t *testing.T, path string) {
	for _, segments := range [][]uint32{{1, 1, 1, 2}, {}} {
		d, err := OpenDir(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Segments(); err != nil {
			t.Fatal(err)
		}
		for _, id := range segments {
			if err := d.Append(id, []byte("data")); err != nil {
				t.Fatal(err)
			}
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
