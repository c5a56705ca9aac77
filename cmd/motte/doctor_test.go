package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kernel writes files with the given kernel settings, and runs the checks on them.
func kernel(t *testing.T, settings map[string]string, flags string) []checkView {
	t.Helper()
	dir := t.TempDir()
	for name, value := range settings {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	processor := filepath.Join(dir, "cpuinfo")
	if err := os.WriteFile(processor, []byte("flags\t\t: fpu "+flags+" sse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return kernelChecks(dir, processor)
}

// TestDoctorsLinesAreTrueEitherWay: each line is a true statement, whether its check passes or
// fails. A failure names the setting.
func TestDoctorsLinesAreTrueEitherWay(t *testing.T) {
	good := map[string]string{"debug/exception-trace": "0", "kernel/print-fatal-signals": "0",
		"kernel/dmesg_restrict": "1", "vm/overcommit_memory": "1"}
	bad := map[string]string{"debug/exception-trace": "1", "kernel/print-fatal-signals": "1",
		"kernel/dmesg_restrict": "0", "vm/overcommit_memory": "2"}
	for _, c := range []struct {
		settings map[string]string
		flags    string
		want     []string
	}{
		{good, "avx", []string{
			"ok   crashes do not reach the kernel's log\n",
			"ok   fatal signals do not reach the kernel's log\n",
			"ok   only root reads the kernel's log\n",
			"ok   no Task sees how much memory the kernel has promised\n",
			"ok   no instruction is written into the kernel's log\n"}},
		{bad, "umip", []string{
			"warn crashes reach the kernel's log: debug.exception-trace is 1; ",
			"warn fatal signals reach the kernel's log: kernel.print-fatal-signals is 1; ",
			"warn everybody can read the kernel's log: kernel.dmesg_restrict is 0; ",
			"warn a Task sees how much memory the kernel has promised to others: vm.overcommit_memory is 2; ",
			"warn instructions are written into the kernel's log: the processor has umip, "}},
		{nil, "", []string{"warn it is not known whether crashes do not reach the kernel's log: open "}},
	} {
		text := printed(t, kernel(t, c.settings, c.flags))
		for _, want := range c.want {
			if !strings.Contains(text, "  "+want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
	}
}

// TestEveryCheckHasBothForms also covers the checks that pass on this machine.
func TestEveryCheckHasBothForms(t *testing.T) {
	list := append(confinementChecks(), coreCheck(t.TempDir()))
	list = append(list, taskChecks([]string{t.TempDir()})...)
	list = append(list, taskChecks([]string{"/nonexistent"})...)
	list = append(list, anchorCheck(t.Context(), ""), anchorCheck(t.Context(), "file:/nonexistent/head"))
	list = append(list, storeChecks(t.TempDir())...)
	list = append(list, headCheck("/nonexistent/profile"))
	for _, c := range list {
		if c.Name == "" || c.Problem == "" || c.Name == c.Problem {
			t.Errorf("a check lacks the statement for a pass or for a failure: %+v", c)
		}
		c.OK, c.Mandatory, c.Detail = false, true, "why"
		if got, want := printed(t, []checkView{c}), "  FAIL "+c.Problem+": why"; !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if err := failedChecks([]checkView{c}); err == nil || !strings.Contains(err.Error(), c.Problem) {
			t.Errorf("%v", err)
		}
	}
}

func printed(t *testing.T, list []checkView) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "output")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := (&app{stdout: &output{file: out}}).printChecks(list); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
