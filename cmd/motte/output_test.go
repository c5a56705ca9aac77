package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"motte/client"
	"motte/host"
)

func TestSizesAreForPeople(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 16 << 20: "16 MiB",
		1<<40 + 1<<39: "1.5 TiB", 1<<64 - 1: "16 EiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q; want %q", n, got, want)
		}
	}
}

func TestSizesAreRead(t *testing.T) {
	for s, want := range map[string]byteSize{"0": 0, "4096": 4096, "4096B": 4096, "64KiB": 64 << 10, "16 MiB": 16 << 20, "2GiB": 2 << 30} {
		var b byteSize
		if err := b.Set(s); err != nil || b != want {
			t.Errorf("%q is %d, %v; want %d", s, b, err, want)
		}
	}
	for _, s := range []string{"", "KiB", "-1", "1.5GiB", "10TB", "20000000000GiB"} {
		var b byteSize
		if err := b.Set(s); err == nil {
			t.Errorf("%q is %d; want an error", s, b)
		}
	}
}

// TestObjectsDoTerminalsNoHarm: an object may be from another principal, and contain control
// characters that move the cursor or set a title.
func TestObjectsDoTerminalsNoHarm(t *testing.T) {
	for data, want := range map[string]string{
		"{ \"a\": 1,\n\"b\": 2 }": `{"a":1,"b":2}`,
		"text\twith a tab":        "text\twith a tab",
		"Ångström":                "Ångström",
		"":                        "",
	} {
		for _, terminal := range []bool{true, false} {
			if line, ok := oneLine([]byte(data), terminal); !ok || string(line) != want {
				t.Errorf("%q is shown as %q, %v; want %q", data, line, ok, want)
			}
		}
	}
	for _, data := range []string{"\x1b[2J", "{\"a\":\"\u009b2J\"}", "\x7f", "\xff", "{\"a\":\"\xff\"}", "a\rb", "\x00"} {
		if line, ok := oneLine([]byte(data), true); ok {
			t.Errorf("a terminal is shown %q as %q; want the object left out", data, line)
		}
		if line, ok := oneLine([]byte(data), false); !ok || string(line) != data {
			t.Errorf("%q goes into a pipe as %q, %v; want it unchanged", data, line, ok)
		}
	}
	if line, ok := oneLine([]byte("two\nlines"), false); ok {
		t.Errorf("two lines are shown as %q; want the object left out", line)
	}
}

func TestExitCodesTellErrorsApart(t *testing.T) {
	for _, c := range []struct {
		err  error
		want int
	}{
		{errors.New("something"), exitError},
		{context.Canceled, exitError},
		{syscall.ENOENT, exitError},
		{fmt.Errorf("what: %w", usage("wrong")), exitUsage},
		{fmt.Errorf("what: %w", client.ErrNotFound), exitNotFound},
		{client.ErrNoTask, exitNotFound},
		{client.ErrDenied, exitDenied},
		{client.ErrExists, exitConflict},
		{client.ErrIndexUnavailable, exitTemporary},
		{client.ErrOverloaded, exitTemporary},
		{client.ErrTooLarge, exitError},
		{client.ErrConnectionLost, exitNoConnection},
		{fmt.Errorf("connect: %w", client.ErrWrongCore), exitNoConnection},
		{fmt.Errorf("connect: %w", &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), exitNoConnection},
		{connectionError{errors.New("EOF")}, exitNoConnection},
		{runs(fmt.Errorf("%w: it is damaged", host.ErrRefused)), exitRefused},
		{runs(fmt.Errorf("%w: %w", host.ErrRefused, host.ErrOlder)), exitWentBack},
		{runs(&net.OpError{Op: "listen", Err: syscall.EADDRINUSE}), exitError},
	} {
		if got := exitCode(c.err); got != c.want {
			t.Errorf("%v exits with %d; want %d", c.err, got, c.want)
		}
	}
}

func TestWordsAreSetInLines(t *testing.T) {
	text := wrap(strings.Fields("one two three four five sixsixsixsix"), 12)
	if want := "  one two\n  three four\n  five\n  sixsixsixsix"; text != want {
		t.Errorf("%q; want %q", text, want)
	}
}

// TestTextDoesTerminalsNoHarm: an error may contain the name of a file that another person made.
func TestTextDoesTerminalsNoHarm(t *testing.T) {
	for text, want := range map[string]string{
		"Ångström\n\tor not":     "Ångström\n\tor not",
		"a\x1b[2J\u009b\x7f\r":   `a\u001b[2J\u009b\u007f\u000d`,
		"half a letter \xc3":     "half a letter \xc3",
		"\x9b2J, its other half": `\x9b2J, its other half`,
	} {
		if got := harmlessText(text); got != want {
			t.Errorf("%q becomes %q; want %q", text, got, want)
		}
		f, err := os.Create(filepath.Join(t.TempDir(), "output"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		a := &app{stdout: &output{file: f, terminal: true}, stderr: f}
		if n, err := a.stdout.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("%q: %d, %v", text, n, err)
		}
		a.fail(a.root(), errors.New(text))
		got, err := os.ReadFile(f.Name())
		if err != nil || string(got) != want+"motte: "+want+"\n" {
			t.Errorf("%q comes out as %q, %v", text, got, err)
		}
	}
}

// TestAmbiguousJSONStaysBytes: readers would understand ambiguous JSON differently.
func TestAmbiguousJSONStaysBytes(t *testing.T) {
	for data, want := range map[string]bool{`{"a":1}`: true, `{"a":1,"a":2}`: false, `"\ud800"`: false, "\"\xff\"": false, "\ufeff1": false, "": false} {
		x := newObject(client.Object{Data: []byte(data)})
		if isJSON := x.Object != nil; isJSON != want || isJSON == (x.Base64 != nil) {
			t.Errorf("%q is shown as JSON: %v; want %v", data, isJSON, want)
		}
	}
}

// TestJSONDoesTerminalsNoHarm: JSON may contain U+007F to U+009F unescaped.
func TestJSONDoesTerminalsNoHarm(t *testing.T) {
	const name = "a\u009b2J\x7f\x1bé"
	var b strings.Builder
	if err := encode(&b, newObject(client.Object{Name: name, Data: []byte("\"\u009b2J\"")})); err != nil {
		t.Fatal(err)
	}
	if !printable([]byte(b.String()), "\n") {
		t.Errorf("%q has control characters", b.String())
	}
	var back object
	if err := json.Unmarshal([]byte(b.String()), &back); err != nil || back.Name != name || string(back.Object) != `"\u009b2J"` {
		t.Errorf("%q comes back as %q, %s, %v", b.String(), back.Name, back.Object, err)
	}
}

func TestAPathIsOneWord(t *testing.T) {
	for path, want := range map[string]string{"/var/lib/motte": "/var/lib/motte", "/my store": "'/my store'", "it's; rm": `'it'\''s; rm'`} {
		if got := shellWord(path); got != want {
			t.Errorf("%q is %s; want %s", path, got, want)
		}
	}
}

// TestAnUnknownAgeIsNoAge: the Core does not know the age of a checkpoint that was written
// before its start.
func TestAnUnknownAgeIsNoAge(t *testing.T) {
	for want, s := range map[string]storageView{
		"there is no checkpoint":                                 {},
		"checkpoint has 1 KiB and was written before this start": {CheckpointBytes: 1 << 10},
		"checkpoint has 1 KiB and is 7s old":                     {CheckpointBytes: 1 << 10, CheckpointLSN: 9, CheckpointSeconds: 7},
	} {
		if text := s.String(); !strings.Contains(text, want) {
			t.Errorf("%q lacks %q", text, want)
		}
	}
}
