package host

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"motte/client"
)

// TestMain is this test, or a Core that says what can't be understood and ends
// only when its host goes away.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "motte-core" {
		control := os.NewFile(3, "control")
		_, _ = control.Write([]byte("no message"))
		_, _ = control.Read(make([]byte, 1))
		os.Exit(exitRefused)
	}
	os.Exit(m.Run())
}

// TestACoreThatIsNotUnderstoodIsLeft: the host closes the channel, by which the
// Core ends, and does not wait for it for ever.
func TestACoreThatIsNotUnderstoodIsLeft(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "motte-core")); err != nil {
		t.Fatal(err)
	}
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
	case <-time.After(30 * time.Second):
		_ = s.cmd.Process.Kill()
		t.Fatalf("the host still waits; the Core then ended with %v", <-ended)
	}
}

// TestAdministratorOfANewStore: the profile is there before the Core hears of
// the principal, and a start after a crash finds the same one.
func TestAdministratorOfANewStore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "admin.profile")
	// What a crash in the middle of an earlier start has left.
	if err := os.WriteFile(path+".new", []byte("motte-"), 0o600); err != nil {
		t.Fatal(err)
	}
	first := &host{Config: Config{Dir: dir}}
	if err := first.prepareAdmin(); err != nil {
		t.Fatal(err)
	}
	p, err := client.ReadProfile(path)
	if err != nil || p.Principal() != first.admin {
		t.Fatalf("the profile is another's than the Core hears of: %v", err)
	}
	second := &host{Config: Config{Dir: dir}}
	if err := second.prepareAdmin(); err != nil || second.admin != first.admin {
		t.Errorf("the next start has another administrator: %v", err)
	}
}

// TestDamagedAdministratorIsNotNobody: a new store whose profile can't be read
// would be one that nobody can ever administer.
func TestDamagedAdministratorIsNotNobody(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "admin.profile")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h := &host{Config: Config{Dir: dir}}
	if err := h.prepareAdmin(); err == nil {
		t.Error("an empty profile is taken for none")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "00000001.seg"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := h.prepareAdmin(); err != nil || h.admin != [32]byte{} {
		t.Errorf("a store whose operator took the profile away: %v", err)
	}
}

// TestAStoreIsFoundWhateverItsDirectoryIsCalled: one that is not would get a new
// administrator.
func TestAStoreIsFoundWhateverItsDirectoryIsCalled(t *testing.T) {
	h := &host{Config: Config{Dir: filepath.Join(t.TempDir(), "store[1]*")}}
	if empty, err := h.empty(); err != nil || !empty {
		t.Errorf("there is nothing, and it is taken for a store: %v", err)
	}
	if err := os.Mkdir(h.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if empty, err := h.empty(); err != nil || !empty {
		t.Errorf("there is an empty directory, and it is taken for a store: %v", err)
	}
	if err := os.WriteFile(filepath.Join(h.Dir, "00000001.seg"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if empty, err := h.empty(); err != nil || empty {
		t.Errorf("there is a segment, and it is taken for a new store: %v", err)
	}
}
