package procfs

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestCPUCountsDescendants: a shell whose child works has used what the child used, while the child runs
// and after it has ended.
func TestCPUCountsDescendants(t *testing.T) {
	const work = `i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done`
	shell := exec.Command("sh", "-c", `sh -c '`+work+`; echo; read x; exit'; echo; read x`)
	stdin, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = stdin.Close()
		_ = shell.Wait()
	}()
	line := make([]byte, 1)
	var seen [2]time.Duration
	for i := range seen { // the child has worked, the child has ended
		if _, err := stdout.Read(line); err != nil {
			t.Fatal(err)
		}
		if seen[i], err = CPU(shell.Process.Pid); err != nil {
			t.Fatal(err)
		}
		if _, err := stdin.Write([]byte("\n")); err != nil {
			t.Fatal(err)
		}
	}
	if seen[0] == 0 || seen[1] < seen[0] {
		t.Errorf("the child's work is %v while it runs and %v after its end", seen[0], seen[1])
	}
	own, err := CPU(os.Getpid())
	if err != nil || own < seen[0] {
		t.Errorf("this process and the shell have used %v, less than the shell's %v; %v", own, seen[0], err)
	}
}

func TestCPUOfNoProcess(t *testing.T) {
	if _, err := CPU(1 << 30); err == nil {
		t.Error("a process that is not there has used processor time")
	}
}
