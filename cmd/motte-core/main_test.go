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

	"motte/core/hostwire"
	"motte/core/model"
	"motte/core/server"
	"motte/host/hostframes"
	"motte/internal/tcb"
	"motte/internal/testutil"
)

// binary is motte-core, built as "make build" does.
func binary(t *testing.T) string { return filepath.Join(testutil.Executables(t), "motte-core") }

// TestNothingElseIsLinked reads the build information of the executable. Code of any linked
// module would have access to every key.
func TestNothingElseIsLinked(t *testing.T) {
	info, err := buildinfo.ReadFile(binary(t))
	if err != nil {
		t.Fatal(err)
	}
	if info.Path != "motte/cmd/motte-core" {
		t.Errorf("the executable is %s; want motte-core", info.Path)
	}
	for _, m := range info.Deps {
		t.Errorf("motte-core links the module %s; want none but its own", m.Path)
	}
	if !slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "CGO_ENABLED" && s.Value == "0" }) {
		t.Errorf("motte-core was built with cgo: %v", info.Settings)
	}
	f, err := os.Open(binary(t))
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
			t.Errorf("motte-core links %s, which is neither a package of the Core nor of the standard library", p)
		}
	}
	for _, p := range []string{"runtime", "crypto/tls", "motte/core/engine"} {
		if !slices.Contains(list, p) {
			t.Errorf("motte-core does not link %s: the list is wrong: %v", p, list)
		}
	}
}

func TestBinaryIsStatic(t *testing.T) {
	f, err := elf.Open(binary(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	libraries, err := f.ImportedLibraries()
	if err != nil || len(libraries) > 0 {
		t.Errorf("motte-core needs shared libraries: %v, %v; want a static executable", libraries, err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("motte-core needs a program interpreter; want a static executable")
		}
	}
}

// start starts motte-core on a directory with extra flags. It returns the host's end of its
// channel.
func start(t *testing.T, dir string, flags ...string) (*exec.Cmd, *net.UnixConn) {
	t.Helper()
	ends := testutil.Control(t)
	host := ends[0]
	t.Cleanup(func() { host.Close() })
	defer ends[1].Close()
	theirs, err := ends[1].File()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	cmd := exec.Command(binary(t), "-dir", dir, "-listen", "127.0.0.1:0", "-admin", hex.EncodeToString(make([]byte, 32)))
	cmd.Args = append(cmd.Args, flags...)
	cmd.ExtraFiles = []*os.File{theirs}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, host
}

// exitCode waits for a process that must fail, and returns its exit code.
func exitCode(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) {
		t.Fatalf("motte-core ended with %v; want an exit code other than 0", err)
	}
	return exit.ExitCode()
}

// ready waits until the Core accepts clients.
func ready(t *testing.T, host *net.UnixConn) {
	t.Helper()
	for p := make([]byte, hostwire.MaxMessage); ; {
		n, err := host.Read(p)
		if err != nil {
			t.Fatal(err)
		}
		m, err := hostframes.Decode(p[:n])
		if err != nil {
			t.Fatal(err)
		}
		if _, is := m.(hostwire.Ready); is {
			return
		}
	}
}

// stop stops a Core. It returns the last head that the Core asked the host to remember.
func stop(t *testing.T, cmd *exec.Cmd, host *net.UnixConn) (last model.Head) {
	t.Helper()
	if _, err := host.Write(hostframes.Append(nil, hostwire.HostMessage{Type: hostwire.TypeStop})); err != nil {
		t.Fatal(err)
	}
	for p := make([]byte, hostwire.MaxMessage); ; {
		n, err := host.Read(p)
		if n == 0 || err != nil {
			break
		}
		m, err := hostframes.Decode(p[:n])
		if err != nil {
			t.Fatal(err)
		}
		if anchor, is := m.(hostwire.Anchor); is {
			last = anchor.Head
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return last
}

// TestAStoreThatIsNotWhatItsAnchorRemembers is refused, unless the operator accepts the loss.
func TestAStoreThatIsNotWhatItsAnchorRemembers(t *testing.T) {
	dir := t.TempDir()
	cmd, host := start(t, dir)
	ready(t, host)
	last := stop(t, cmd, host)
	if last.LSN == 0 {
		t.Fatal("the Core asked for no head to be remembered")
	}
	later, other := last, last
	later.LSN++
	other.Segment[0] ^= 1
	anchor := func(h model.Head) string { return "-anchor=" + hex.EncodeToString(model.AppendHead(nil, &h)) }
	for _, c := range []struct {
		name  string
		flags []string
		want  int // exit status; 0: the store is served
	}{
		{"its last head", []string{anchor(last)}, 0},
		{"a later head", []string{anchor(later)}, hostwire.ExitOlder},
		{"a head of a fork", []string{anchor(other)}, hostwire.ExitOlder},
		{"a later head, and the loss accepted", []string{anchor(later), "-accept-loss"}, 0},
		{"no head", []string{"-anchor=6d6f747465"}, hostwire.ExitUsage},
		{"no hexadecimal digits", []string{"-anchor=motte"}, hostwire.ExitUsage},
		{"an unknown flag", []string{"-no-such-flag"}, hostwire.ExitUsage},
	} {
		cmd, host := start(t, dir, c.flags...)
		if c.want != 0 {
			if code := exitCode(t, cmd); code != c.want {
				t.Errorf("%s: exit status %d, want %d", c.name, code, c.want)
			}
			continue
		}
		ready(t, host)
		if h := stop(t, cmd, host); h.LSN < last.LSN {
			t.Errorf("%s: the head went back from %d to %d", c.name, last.LSN, h.LSN)
		}
	}
}

func TestExitStatusTellsWhy(t *testing.T) {
	dir := t.TempDir()
	first, host := start(t, dir)
	ready(t, host)
	second, _ := start(t, dir)
	if code := exitCode(t, second); code != hostwire.ExitLocked {
		t.Errorf("a second Core on one store ends with %d; want %d", code, hostwire.ExitLocked)
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
	if code := exitCode(t, other); code != hostwire.ExitRefused {
		t.Errorf("a Core with another root key ends with %d; want %d", code, hostwire.ExitRefused)
	}
	idle := exec.Command(binary(t))
	if err := idle.Start(); err != nil {
		t.Fatal(err)
	}
	if code := exitCode(t, idle); code != hostwire.ExitUsage {
		t.Errorf("motte-core without arguments ends with %d; want %d", code, hostwire.ExitUsage)
	}
}

// TestNoRefusalLooksLikeACrash: Go's runtime ends a process with 2 after a panic, and
// programs end with 1 after any error. A host takes both for a crash, and goes on.
func TestNoRefusalLooksLikeACrash(t *testing.T) {
	for _, s := range []int{hostwire.ExitUsage, hostwire.ExitRefused, hostwire.ExitLocked, hostwire.ExitOlder} {
		if s <= 2 || s >= 126 {
			t.Errorf("a Core refuses to start with %d, which Go or a shell uses, too", s)
		}
	}
	for _, e := range []error{syscall.EIO, syscall.EMFILE, syscall.ENOMEM} {
		if s := status(fmt.Errorf("%w: %w", server.ErrKey, &os.PathError{Op: "open", Path: "root.key", Err: e})); s != 1 {
			t.Errorf("a temporary error (%v) when reading the root key ends the Core with %d, a refusal; want a status after which the host tries again", e, s)
		}
	}
	if s := status(fmt.Errorf("%w: %w", server.ErrKey, os.ErrNotExist)); s != hostwire.ExitRefused {
		t.Errorf("a missing root key ends the Core with %d; want %d", s, hostwire.ExitRefused)
	}
}

// TestKeysAreNotSwapped: if memory can be locked, all memory of the Core is locked.
func TestKeysAreNotSwapped(t *testing.T) {
	var limit syscall.Rlimit
	const memlock = 8
	if err := syscall.Getrlimit(memlock, &limit); err != nil {
		t.Fatal(err)
	}
	capabilities, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(capabilities), "\nCapEff:")
	var effective uint64
	_, _ = fmt.Sscanf(rest, "%x", &effective)
	const ipcLock = 14
	if effective>>ipcLock&1 == 0 && limit.Max != 1<<64-1 {
		t.Skip("memory can't be locked here: it needs CAP_IPC_LOCK, or no limit")
	}
	cmd, host := start(t, t.TempDir())
	ready(t, host)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	kilobytes := func(field string) (n int) {
		_, rest, _ := strings.Cut(string(status), "\n"+field+":")
		_, _ = fmt.Sscan(rest, &n)
		return n
	}
	if locked, resident := kilobytes("VmLck"), kilobytes("RssAnon"); locked < resident || resident == 0 {
		t.Errorf("%d kB are locked; want all %d kB of private memory", locked, resident)
	}
	stop(t, cmd, host)
}
