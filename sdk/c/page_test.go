package c

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"motte/internal/testutil"
)

// TestPageHasThisCode: docs/how-to/write-a-task-in-c.md shows parts of the examples.
func TestPageHasThisCode(t *testing.T) {
	text := func(path string) string {
		p, err := os.ReadFile(path)
		testutil.Must(t, err)
		return string(p)
	}
	sources := map[string]string{"c": text("exact/exact.c"), "cpp": text("nearest/nearest.cc")}
	blocks := regexp.MustCompile("(?ms)^```(c|cpp)\n(.*?)^```").FindAllStringSubmatch(text("../../docs/how-to/write-a-task-in-c.md"), -1)
	if len(blocks) != 5 {
		t.Errorf("%d blocks of code are on the page, want 5", len(blocks))
	}
	for _, b := range blocks {
		if !strings.Contains(sources[b[1]], b[2]) {
			t.Errorf("no example has this code:\n%s", b[2])
		}
	}
}
