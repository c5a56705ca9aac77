package main

import (
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"

	"motte/core/control"
	"motte/tcb"
)

// binary is motte-core, built as "make build" does.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "motte-core-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "motte-core")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-buildid=", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	code := 1
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build motte-core: %v\n%s", err, out)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// TestNothingElseIsLinked reads what the linker wrote down about the
// executable. A module in it would be trusted with every key.
func TestNothingElseIsLinked(t *testing.T) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if info.Path != "motte/cmd/motte-core" {
		t.Errorf("this is %s", info.Path)
	}
	for _, m := range info.Deps {
		t.Errorf("motte-core links the module %s", m.Path)
	}
	if !slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "CGO_ENABLED" && s.Value == "0" }) {
		t.Errorf("motte-core was built with cgo: %v", info.Settings)
	}
	f, err := os.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := tcb.Linked(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		first, _, _ := strings.Cut(p, "/")
		switch {
		case p == "main", p == "motte/core", strings.HasPrefix(p, "motte/core/"):
		case first == "motte", strings.Contains(first, "."):
			t.Errorf("motte-core links %s", p)
		}
	}
	for _, p := range []string{"runtime", "crypto/tls", "motte/core/engine"} {
		if !slices.Contains(list, p) {
			t.Errorf("motte-core does not link %s: the list is wrong: %v", p, list)
		}
	}
}

func TestBinaryIsStatic(t *testing.T) {
	f, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	libraries, err := f.ImportedLibraries()
	if err != nil || len(libraries) > 0 {
		t.Errorf("motte-core needs libraries: %v, %v", libraries, err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("motte-core needs a program interpreter")
		}
	}
}

// start starts motte-core on a directory, and returns the host's end of its
// channel.
func start(t *testing.T, dir string) (*exec.Cmd, *net.UnixConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control")
	defer ours.Close()
	defer theirs.Close()
	c, err := net.FileConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	cmd := exec.Command(binary, "-dir", dir, "-listen", "127.0.0.1:0", "-admin", hex.EncodeToString(make([]byte, 32)))
	cmd.ExtraFiles = []*os.File{theirs}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, c.(*net.UnixConn)
}

// exitCode waits for a process that must fail.
func exitCode(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) {
		t.Fatalf("motte-core ended with %v", err)
	}
	return exit.ExitCode()
}

func TestExitStatusTellsWhy(t *testing.T) {
	dir := t.TempDir()
	first, host := start(t, dir)
	p := make([]byte, control.MaxMessage)
	n, err := host.Read(p)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := control.Decode(p[:n]); err != nil || m.Type != control.Ready {
		t.Fatalf("first message: %v, %v", m.Type, err)
	}
	second, _ := start(t, dir)
	if code := exitCode(t, second); code != 4 {
		t.Errorf("a second Core on one store ends with %d; want 4", code)
	}
	host.Close()
	if err := first.Wait(); err != nil {
		t.Errorf("a Core without a host ends with %v; want an orderly stop", err)
	}

	key := filepath.Join(dir, "root.key")
	if err := os.WriteFile(key, []byte("motte-root-key-v1 "+strings.Repeat("00", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	other, _ := start(t, dir)
	if code := exitCode(t, other); code != 3 {
		t.Errorf("a Core with another root key ends with %d; want 3", code)
	}
	idle := exec.Command(binary)
	if err := idle.Start(); err != nil {
		t.Fatal(err)
	}
	if code := exitCode(t, idle); code != 2 {
		t.Errorf("motte-core without arguments ends with %d; want 2", code)
	}
}
