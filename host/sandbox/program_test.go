package sandbox

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// copySelf writes this test's executable into a new file.
func copySelf(t *testing.T, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	text, err := os.ReadFile(ownProgram)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // independent of the umask
		t.Fatal(err)
	}
	return path
}

// TestAProgramThatOthersMayNotExecuteStartsTasks: under umask 077 only the owner may execute a
// file. But a host that is root starts the re-executed init as another user.
func TestAProgramThatOthersMayNotExecuteStartsTasks(t *testing.T) {
	cmd := exec.Command(copySelf(t, 0o700), "-test.run", "TestTheProcessFromOutside", "-test.v")
	cmd.Env = append(os.Environ(), prebuilt+"="+filepath.Dir(hostile(t).Executable))
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestTheProcessFromOutside") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestACopyIsMadeOnlyForAnotherUser: a user that may execute the program's file uses that file.
// Otherwise one copy is made, which can't be changed.
func TestACopyIsMadeOnlyForAnotherUser(t *testing.T) {
	for _, c := range []struct {
		mode    os.FileMode
		ownUser bool
		copied  bool
	}{{0o755, false, false}, {0o755, true, false}, {0o700, false, false}, {0o700, true, true}, {0o750, true, true}} {
		path := copySelf(t, c.mode)
		var p programs
		for range 2 {
			before := p.copy
			f, err := p.open(path, c.ownUser)
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
			if (p.copy != nil) != c.copied || before != nil && before != p.copy {
				t.Errorf("mode %o, with another user %v: a copy was made: %v, a second one: %v", c.mode, c.ownUser, p.copy != nil, before != p.copy)
			}
		}
		if p.copy == nil {
			continue
		}
		if _, err := io.WriteString(p.copy, "x"); !errors.Is(err, unix.EPERM) {
			t.Errorf("the copy can be written: %v", err)
		}
		p.copy.Close()
	}
}
