package procfs

import (
	"os"
	"os/exec"
	"slices"
	"testing"
)

func TestChildIsFound(t *testing.T) {
	child := exec.Command("sleep", "600")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	want := Process{child.Process.Pid, os.Getpid(), "sleep"}
	found := slices.Contains(Children(os.Getpid()), want)
	_ = child.Process.Kill()
	_ = child.Wait()
	if !found {
		t.Errorf("%+v is not among the children", want)
	}
	if slices.Contains(All(), want) {
		t.Errorf("%+v has ended, and is still listed", want)
	}
}
