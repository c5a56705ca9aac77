package host

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"motte/client"
	"motte/core/hostwire"
	"motte/core/model"
	"motte/host/sandbox"
	"motte/internal/atomicfile"
	"motte/internal/testutil"
)

// TestMain runs the tests. In a Core's process it acts as the Core: the file "part" in the data
// directory names its behaviour.
func TestMain(m *testing.M) {
	sandbox.ReexecInit()
	if filepath.Base(os.Args[0]) == "motte-core" {
		playCore(os.NewFile(3, "control"), os.Args[slices.Index(os.Args, "-dir")+1])
	}
	os.Exit(m.Run())
}

// playCore appends a byte to the file "starts", which the test counts. Then it acts as the file
// "part" says.
func playCore(channel *os.File, dir string) {
	starts, err := os.OpenFile(filepath.Join(dir, "starts"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		os.Exit(1)
	}
	_, _ = starts.Write([]byte{1})
	info, err := starts.Stat()
	if err != nil {
		os.Exit(1)
	}
	ready := func() { _, _ = channel.Write(hostwire.Ready{}.Append(nil)) }
	part, _ := os.ReadFile(filepath.Join(dir, "part"))
	switch string(part) {
	case "panics":
		if ready(); info.Size() < 3 {
			panic("a simulated defect of the Core")
		}
		os.Exit(hostwire.ExitRefused)
	case "refuses the command line":
		ready()
		os.Exit(hostwire.ExitUsage)
	case "ends at once":
		os.Exit(1)
	case "crashes twice before it is ready":
		if info.Size() < 3 {
			os.Exit(1)
		}
		ready()
		os.Exit(hostwire.ExitRefused)
	case "hangs while it serves", "hangs while it starts":
		if info.Size() > 1 {
			os.Exit(hostwire.ExitRefused)
		}
		if string(part) == "hangs while it serves" {
			ready()
			_, _ = channel.Write(hostwire.Counters{Stats: new(hostwire.Stats), Server: new(model.ServerStatus)}.Append(nil))
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		_, _ = channel.Read(make([]byte, 1)) // the signal may stop this thread with a delay
	case "ends without being asked to":
		if ready(); info.Size() < 2 {
			os.Exit(0)
		}
		os.Exit(hostwire.ExitRefused)
	default: // sends an invalid message, and ends only when its host does
		_, _ = channel.Write([]byte("no message"))
		_, _ = channel.Read(make([]byte, 1))
		os.Exit(hostwire.ExitRefused)
	}
}

// TestACoreThatPanicsIsStartedAgain: Go ends a process with status 2 after a panic. A refusal
// must not have that status, nor any other status that Go or a shell uses.
func TestACoreThatPanicsIsStartedAgain(t *testing.T) {
	bin := players(t)
	for _, c := range []struct {
		part    string
		refuses bool
		starts  int64
	}{
		{"panics", true, 3}, // panics twice; the third start refuses
		{"refuses the command line", true, 1},
		{"ends at once", false, firstTries}, // never served, so the host returns an error
		{"crashes twice before it is ready", true, 3},
		{"ends without being asked to", true, 2},
	} {
		h, text := playing(t, bin, c.part)
		err := h.supervise(t.Context())
		if starts := startsOf(t, h); err == nil || errors.Is(err, ErrRefused) != c.refuses || starts != c.starts {
			t.Errorf("a Core that %s: the host gives up after %d starts with %v; want %d starts", c.part, starts, err, c.starts)
		}
		if log := text.String(); strings.Contains(log, "nil") {
			t.Errorf("a Core that %s: the log says %q", c.part, log)
		}
	}
}

// TestWhatLastsIsNotTriedAgain: a missing executable is an error without another start.
func TestWhatLastsIsNotTriedAgain(t *testing.T) {
	h, text := playing(t, t.TempDir(), "")
	if err := h.supervise(t.Context()); !errors.Is(err, os.ErrNotExist) || text.String() != "" {
		t.Errorf("a host without an executable returns %v; the log says %q", err, text.String())
	}
}

// playing returns a host whose Core acts a part. It collects the host's log.
func playing(t *testing.T, bin, part string) (*host, *strings.Builder) {
	t.Helper()
	text := &strings.Builder{}
	h := &host{Config: Config{Dir: t.TempDir(), Bin: bin}, log: slog.New(slog.NewTextHandler(text, nil))}
	if err := os.WriteFile(filepath.Join(h.Dir, "part"), []byte(part), 0o600); err != nil {
		t.Fatal(err)
	}
	return h, text
}

// startsOf returns how often the Core of a host was started.
func startsOf(t *testing.T, h *host) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(h.Dir, "starts"))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// players returns a directory with an executable that acts the Core's parts.
func players(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "motte-core")); err != nil {
		t.Fatal(err)
	}
	return bin
}

// TestACoreThatIsNotUnderstoodIsLeft: after an invalid message, the host closes the channel, so
// that the Core ends. The host does not wait forever for that.
func TestACoreThatIsNotUnderstoodIsLeft(t *testing.T) {
	bin := players(t)
	h := &host{Config: Config{Dir: t.TempDir(), Bin: bin}, log: slog.New(slog.DiscardHandler)}
	s, err := h.startCore()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.run(context.Background()) }()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the Core's exit status is lost")
		}
	case <-time.After(testutil.Patience):
		_ = s.cmd.Process.Kill()
		t.Fatalf("the host still waits; the Core then ended with %v", <-ended)
	}
}

// TestAdministratorOfANewStore: the key is on disk before the Core learns of the principal. A
// start after a crash uses the same key. The profile appears only once it has the Core's
// address.
func TestAdministratorOfANewStore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "admin.profile")
	// A crash during an earlier start has left this file.
	if err := os.WriteFile(atomicfile.Temporary(path+".part"), []byte("motte-"), 0o600); err != nil {
		t.Fatal(err)
	}
	first := &host{Config: Config{Dir: dir}}
	if err := first.prepareAdmin(); err != nil {
		t.Fatal(err)
	}
	second := &host{Config: Config{Dir: dir}}
	if err := second.prepareAdmin(); err != nil || second.admin != first.admin || first.admin == [32]byte{} {
		t.Errorf("the next start has another administrator (%v); want the same key", err)
	}
	if p, err := client.ReadProfile(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the profile exists before the Core has started: %+v, %v", p, err)
	}
	p, err := second.readAdmin()
	if err != nil {
		t.Fatal(err)
	}
	p.Address, p.CoreKey = "127.0.0.1:1", make([]byte, 32)
	if err := second.completeAdmin(p); err != nil {
		t.Fatal(err)
	}
	whole, err := client.ReadProfile(path)
	if err != nil || !whole.Complete() || whole.Principal() != first.admin {
		t.Errorf("the profile is %+v, %v; want it complete", whole, err)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("the directory has %v, %v; want only the profile", list, err)
	}
	third := &host{Config: Config{Dir: dir}}
	if err := third.prepareAdmin(); err != nil || third.admin != first.admin {
		t.Errorf("a later start has another administrator: %v", err)
	}
}

// TestDamagedAdministratorIsNotNobody: if a new store had a profile that can't be read, it would
// have no administrator for ever. So that is an error.
func TestDamagedAdministratorIsNotNobody(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "admin.profile")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h := &host{Config: Config{Dir: dir}}
	if err := h.prepareAdmin(); err == nil {
		t.Error("an empty profile is treated as a missing one; want an error")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "00000001.seg"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.prepareAdmin(); err != nil || h.admin != [32]byte{} {
		t.Errorf("a store whose operator removed the profile is refused: %v", err)
	}
}

// TestAStoreIsFoundWhateverItsDirectoryIsCalled: otherwise an existing store would get a new
// administrator.
func TestAStoreIsFoundWhateverItsDirectoryIsCalled(t *testing.T) {
	h := &host{Config: Config{Dir: filepath.Join(t.TempDir(), "store[1]*")}}
	if empty, err := h.empty(); err != nil || !empty {
		t.Errorf("a missing directory is treated as a store: %v", err)
	}
	if err := os.Mkdir(h.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if empty, err := h.empty(); err != nil || !empty {
		t.Errorf("an empty directory is treated as a store: %v", err)
	}
	if err := os.WriteFile(filepath.Join(h.Dir, "00000001.seg"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if empty, err := h.empty(); err != nil || empty {
		t.Errorf("a directory with a segment is treated as a new store: %v", err)
	}
}

// TestADirectoryThatOthersCanWriteInIsToldOf, since others could replace the store.
func TestADirectoryThatOthersCanWriteInIsToldOf(t *testing.T) {
	for mode, warns := range map[os.FileMode]bool{0o700: false, 0o750: false, 0o755: false, 0o770: true, 0o777: true} {
		var text strings.Builder
		h := &host{Config: Config{Dir: t.TempDir()}, log: slog.New(slog.NewTextHandler(&text, nil))}
		if err := os.Chmod(h.Dir, mode); err != nil {
			t.Fatal(err)
		}
		if h.warnOfMode(); (text.Len() > 0) != warns {
			t.Errorf("a data directory with mode %o: the host logs %q", mode, text.String())
		}
	}
}
