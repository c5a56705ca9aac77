package sandbox

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"motte/internal/testutil"
)

// endsFile is a file whose length says how often the init of an index still ends without a report.
func endsFile(index uint64) string { return fmt.Sprintf("/tmp/motte-sandbox-ends-%d", index) }

// endWithoutReport ends an init, as the Go runtime does when it can't make a thread, if the test
// wants that.
func endWithoutReport() {
	var index uint64
	if len(os.Args) != 5 || os.Args[0] != initName {
		return
	}
	if _, err := fmt.Sscanf(os.Args[4], "motte-task: index %d", &index); err != nil {
		return
	}
	info, err := os.Stat(endsFile(index))
	if err == nil && info.Size() > 0 && os.Truncate(endsFile(index), info.Size()-1) == nil {
		os.Exit(2)
	}
}

// TestAnInitThatEndsWithoutAReportIsTriedAgain, a few times.
func TestAnInitThatEndsWithoutAReportIsTriedAgain(t *testing.T) {
	c := hostile(t)
	c.Index = uint64(os.Getpid())
	path := endsFile(c.Index)
	defer os.Remove(path)
	for ends := range confineTries + 1 {
		testutil.Must(t, os.WriteFile(path, make([]byte, ends), 0o600), os.Chmod(path, 0o666))
		p, err := Start(c)
		if ends == confineTries {
			if !errors.Is(err, ErrConfinement) || !errors.Is(err, errNoReport) {
				t.Errorf("an init that always ends without a report: %v, want an error", err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("an init that ends %d times without a report: %v, want that the Task starts", ends, err)
		}
		p.Kill()
		p.Wait()
	}
}
