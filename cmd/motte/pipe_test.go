package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"motte/client"
	"motte/internal/testutil"
)

// closedPipe returns the write end of a pipe without a reader.
func closedPipe(t *testing.T) *os.File {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { write.Close() })
	if err := read.Close(); err != nil {
		t.Fatal(err)
	}
	return write
}

// TestAPipeThatNobodyReadsEndsACommand checks that SIGPIPE ends a command silently, like other
// commands.
func TestAPipeThatNobodyReadsEndsACommand(t *testing.T) {
	for _, line := range [][]string{{"help"}, {"put", "--help"}, {"version"}, {"version", "--json"}, {"completion", "bash"}, {"tcb"}} {
		cmd := exec.Command(filepath.Join(testutil.Executables(t), "motte"), line...)
		var stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = closedPipe(t), &stderr
		var exit *exec.ExitError
		if err := cmd.Run(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGPIPE || stderr.Len() > 0 {
			t.Errorf("motte %q whose reader has closed the pipe ends with %v and says %q; want SIGPIPE and no output", line, err, stderr.String())
		}
	}
}

// TestAServerOutlivesItsReaders checks that a server goes on if the readers of its log and its
// output are gone.
func TestAServerOutlivesItsReaders(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	cmd := exec.Command(filepath.Join(testutil.Executables(t), "motte"), "serve", "--dir", dir, "--listen", "127.0.0.1:0", "--json")
	cmd.Stdout, cmd.Stderr = closedPipe(t), closedPipe(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		p, err := client.ReadProfile(filepath.Join(dir, "admin.profile"))
		if err == nil && p.Complete() {
			var c *client.Client
			if c, err = client.Dial(t.Context(), p); err == nil {
				c.Close()
				break
			}
		}
		select {
		case err := <-ended:
			t.Fatalf("a server without readers of its log ended: %v; want it to go on", err)
		case <-time.After(20 * time.Millisecond):
		case <-t.Context().Done():
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("an interrupted server without readers of its log ends with %v; want no error", err)
	}
}
