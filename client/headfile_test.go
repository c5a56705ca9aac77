package client

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"motte/internal/atomicfile"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

const headLine = "motte-head-v1 0101010101010101010101010101010101010101010101010101010101010101 42 " +
	"02000000000000000000000000000000 03000000000000000000000000000000\n"

var (
	headKey  = ed25519.PublicKey(bytes.Repeat([]byte{1}, ed25519.PublicKeySize))
	headRead = Head{LSN: 42, Segment: [16]byte{2}, Chain: [16]byte{3}}
)

func TestHeadFile(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0)) // so that the umask does not set the file's mode
	dir := t.TempDir()
	f := HeadFile(filepath.Join(dir, "head"))
	expect := func(what string, want Head) {
		t.Helper()
		if h, err := f.LoadHead(headKey); err != nil || h != want {
			t.Errorf("%s: %+v, %v; want %+v", what, h, err, want)
		}
		if list, err := os.ReadDir(dir); err != nil || len(list) > 1 {
			t.Errorf("%s: files %v, %v", what, list, err)
		}
	}
	store := func(h Head) {
		t.Helper()
		if err := f.StoreHead(headKey, h); err != nil {
			t.Error(err)
		}
	}
	expect("no file", Head{})
	store(headRead)
	expect("stored", headRead)
	if text := readFile(t, string(f)); text != headLine {
		t.Errorf("the file is %q", text)
	}
	if info, err := os.Stat(string(f)); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	store(Head{LSN: 41})
	expect("an older one", headRead)
	store(headRead)
	expect("the same", headRead)
	writeFile(t, atomicfile.Temporary(string(f)), headLine+headLine) // a killed process leaves such a file
	store(Head{LSN: 43})
	expect("a newer one", Head{LSN: 43})
	var back *RolledBackError
	if err := f.StoreHead(headKey, Head{LSN: 43, Segment: [16]byte{1}}); !errors.As(err, &back) || back.Remembered != (Head{LSN: 43}) {
		t.Errorf("the same LSN in another segment: %v", err)
	}
	expect("the same LSN in another segment", Head{LSN: 43})
	if err := f.Replace(headKey, headRead); err != nil {
		t.Error(err)
	}
	expect("replaced", headRead)
	other := ed25519.PublicKey(make([]byte, ed25519.PublicKeySize))
	if h, err := f.LoadHead(other); err != nil || h != (Head{}) {
		t.Errorf("the head of another store: %+v, %v", h, err)
	}
	if err := f.StoreHead(other, Head{LSN: 1}); err != nil {
		t.Error(err)
	}
	expect("the profile was for another store meanwhile", Head{})
}

func TestDamagedHeadFiles(t *testing.T) {
	f := HeadFile(filepath.Join(t.TempDir(), "head"))
	change := func(old, new string) string { return strings.Replace(headLine, old, new, 1) }
	for name, text := range map[string]string{
		"empty":               "",
		"cut off":             headLine[:len(headLine)-1],
		"cut in the middle":   headLine[:100],
		"another version":     change("v1", "v2"),
		"no hexadecimal":      change("02", "0x"),
		"upper case":          change("02000000", "0A000000") + "",
		"LSN with a sign":     change(" 42 ", " +42 "),
		"LSN with a zero":     change(" 42 ", " 042 "),
		"LSN out of range":    change(" 42 ", " 18446744073709551616 "),
		"negative LSN":        change(" 42 ", " -42 "),
		"a value too short":   change("0300", "03"),
		"a value too long":    change("0300", "030000"),
		"two spaces":          change(" 42", "  42"),
		"one value too many":  change("\n", " 1\n"),
		"a second line":       headLine + headLine,
		"far too long":        headLine + strings.Repeat("x", 1<<20),
		"a profile":           "motte-profile-v1\naddress 127.0.0.1:7433\n",
		"zeros from a crash":  strings.Repeat("\x00", len(headLine)),
		"a line end of DOS's": change("\n", "\r\n"),
	} {
		writeFile(t, string(f), text)
		if h, err := f.LoadHead(headKey); !errors.Is(err, ErrHeadFile) {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
		if err := f.StoreHead(headKey, Head{LSN: 50}); !errors.Is(err, ErrHeadFile) || readFile(t, string(f)) != text {
			t.Errorf("%s: overwritten, %v", name, err)
		}
		if err := f.Replace(headKey, headRead); err != nil || readFile(t, string(f)) != headLine {
			t.Errorf("%s: not replaced, %v", name, err)
		}
	}
	// A directory in the place of the file is another kind of error.
	if _, err := HeadFile(t.TempDir()).LoadHead(headKey); err == nil {
		t.Error("a directory was read")
	}
}

// FuzzHeadFile: every file that can be read equals the file that would be written.
func FuzzHeadFile(f *testing.F) {
	f.Add([]byte(headLine))
	f.Add([]byte(""))
	f.Add([]byte("motte-head-v1 \n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		key, h, err := parseHead(text)
		if err == nil && !bytes.Equal(formatHead(key, h), text) {
			t.Errorf("%q was read as %x, %+v, though no client writes such a file", text, key, h)
		}
	})
}

// TestProcessesShareAHeadFile: many processes store heads at the same time. The newest head
// stays, and every read finds a whole file.
func TestProcessesShareAHeadFile(t *testing.T) {
	const processes, each = 4, 50
	path := filepath.Join(t.TempDir(), "head")
	var all []*exec.Cmd
	for n := range processes {
		c := exec.Command(os.Args[0], "-test.run=^TestStoresHeads$")
		c.Env = append(os.Environ(), "HEAD_FILE="+path, "FIRST="+strconv.Itoa(n+1), "STEP="+strconv.Itoa(processes), "LAST="+strconv.Itoa(processes*each))
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("process %d: %s", n, &out)
			}
		})
		all = append(all, c)
	}
	for n, c := range all {
		if err := c.Wait(); err != nil {
			t.Errorf("process %d: %v", n, err)
		}
	}
	if h, err := HeadFile(path).LoadHead(headKey); err != nil || h.LSN != processes*each {
		t.Errorf("kept: %d, %v; want %d", h.LSN, err, processes*each)
	}
	if list, err := os.ReadDir(filepath.Dir(path)); err != nil || len(list) != 1 {
		t.Errorf("files %v, %v", list, err)
	}
}

// TestStoresHeads is one of the processes of TestProcessesShareAHeadFile.
func TestStoresHeads(t *testing.T) {
	f := HeadFile(os.Getenv("HEAD_FILE"))
	if f == "" {
		t.Skip("only TestProcessesShareAHeadFile runs this")
	}
	number := func(name string) uint64 {
		n, err := strconv.ParseUint(os.Getenv(name), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for n := number("FIRST"); n <= number("LAST"); n += number("STEP") {
		if err := f.StoreHead(headKey, Head{LSN: n}); err != nil {
			t.Fatal(err)
		}
		if h, err := f.LoadHead(headKey); err != nil || h.LSN < n {
			t.Fatalf("the file has head %d after head %d was stored, %v; want the newest", h.LSN, n, err)
		}
	}
}
