package e2e

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"motte/client"
	"motte/internal/testutil"
)

// TestHowATaskEndsIsNotLogged: otherwise a Task that was taken over could write a byte of its
// data into the log with each exit status.
func TestHowATaskEndsIsNotLogged(t *testing.T) {
	s, c := hostileIndex(t, "p")
	ctx := t.Context()
	if _, err := c.Count(ctx, client.Query{Collection: "p", Index: "x", Predicate: "exit"}); !errors.Is(err, client.ErrIndexViolated) {
		t.Fatalf("the client got %v; want that the index broke its contract or is unavailable", err)
	}
	s.stop()
	ends := 0
	for line := range strings.Lines(s.log.String()) {
		_, fields, ended := strings.Cut(line, `msg="task ended" `)
		if !ended {
			continue
		}
		ends++
		instance, rest, _ := strings.Cut(strings.TrimSpace(fields), " ")
		if !strings.HasPrefix(instance, "instance=") || rest != "index=1 task=hostile" {
			t.Errorf("logged: %s", line)
		}
	}
	if ends == 0 {
		t.Error("the log has no end of a Task")
	}
}

// TestTheRegisteredExecutableStays: an administrator registers a patched executable in the place
// of a built-in one. A restart of the host must not register the built-in executable again. If
// the registered executable is missing, the host upgrades it.
func TestTheRegisteredExecutableStays(t *testing.T) {
	built, err := os.ReadFile(filepath.Join(testutil.Executables(t), "motte-task-ordered"))
	testutil.Must(t, err)
	patched := append(built, "patched"...)
	dir, tasks := t.TempDir(), t.TempDir()
	file := filepath.Join(tasks, "motte-task-ordered")
	testutil.Must(t, os.WriteFile(file, patched, 0o755))

	s := serve(t, dir, tasks)
	row := measured(t, s.admin())
	if row.Measurement != sha256.Sum256(built) {
		t.Fatal("the built-in Task is not registered")
	}
	row.Measurement, row.MaxResults = sha256.Sum256(patched), 7
	testutil.Must(t, s.admin().RegisterTask(t.Context(), "ordered", row))
	s.stop()

	s = serve(t, dir, tasks)
	if got := measured(t, s.admin()); got != row {
		t.Errorf("after a restart the row is %+v; want %+v, as registered", got, row)
	}
	s.stop()

	testutil.Must(t, os.Remove(file))
	s = serve(t, dir, tasks)
	row.Measurement = sha256.Sum256(built)
	if got := measured(t, s.admin()); got != row {
		t.Errorf("after an upgrade the row is %+v; want %+v, of the built-in Task", got, row)
	}
}

// measured returns the row of the Task ordered.
func measured(t *testing.T, c *client.Client) client.Row {
	t.Helper()
	status, err := c.Status(t.Context())
	testutil.Must(t, err)
	for _, s := range status.Tasks {
		if s.Task == "ordered" {
			return s.Row
		}
	}
	t.Fatal("ordered is not registered")
	return client.Row{}
}
