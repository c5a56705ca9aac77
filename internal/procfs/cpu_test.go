package procfs

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestCPUCountsDescendants: the time of a shell includes its child's time, while the child runs
// and after the child has ended.
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
	for i := range seen { // after the child's work, and after its end
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
		t.Errorf("the shell's time with its child's is %v while the child runs and %v after its end; want it to include the work, and not to decrease", seen[0], seen[1])
	}
	own, err := CPU(os.Getpid())
	if err != nil || own < seen[0] {
		t.Errorf("this process and the shell have used %v, less than the shell's %v; %v", own, seen[0], err)
	}
}

func TestCPUOfNoProcess(t *testing.T) {
	if _, err := CPU(1 << 30); err == nil {
		t.Error("CPU returns no error for a process that does not exist")
	}
}
