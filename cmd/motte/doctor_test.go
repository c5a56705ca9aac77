package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCrashesInTheKernelsLog: doctor says what to set where the kernel writes
// down how a Task crashed.
func TestCrashesInTheKernelsLog(t *testing.T) {
	setting := filepath.Join(t.TempDir(), "exception-trace")
	for text, ok := range map[string]bool{"0\n": true, "1\n": false} {
		if err := os.WriteFile(setting, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c := crashCheck(setting)
		if c.OK != ok || c.Mandatory || ok == strings.Contains(c.Detail, "debug.exception-trace=0") {
			t.Errorf("%q: %+v", text, c)
		}
	}
	if c := crashCheck(setting + ".missing"); c.OK || c.Detail == "" {
		t.Errorf("unknown: %+v", c)
	}
}
