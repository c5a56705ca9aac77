package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"motte/internal/testutil"
)

// TestLinesTellTheProgressOfALongBuild where no bar can be shown: one every few seconds, and none of a
// short build.
func TestLinesTellTheProgressOfALongBuild(t *testing.T) {
	for _, c := range []struct {
		name  string
		quiet bool
		json  bool
		want  string
	}{
		{name: "by default", want: "Building i: 2 of 9 objects.\nBuilding i: 8 of 9 objects.\n"},
		{name: "quiet", quiet: true},
		{name: "for programs", json: true},
	} {
		path := filepath.Join(t.TempDir(), "stderr")
		f, err := os.Create(path)
		testutil.Must(t, err)
		lines := (&app{stderr: f, quiet: c.quiet, json: c.json}).buildLines("i")
		now := lines.next
		for i, at := range []time.Duration{-1, 0, 1, lineEvery - 1, lineEvery} {
			lines.tell(now.Add(at), []uint64{1, 2, 3, 4, 8}[i], 9)
		}
		testutil.Must(t, f.Close())
		got, err := os.ReadFile(path)
		testutil.Must(t, err)
		if string(got) != c.want {
			t.Errorf("%s: %q; want %q", c.name, got, c.want)
		}
	}
}

// TestALineTellsOfATaskThatDoesNotStart: once, and not for a Task that starts within the usual time.
func TestALineTellsOfATaskThatDoesNotStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stderr")
	f, err := os.Create(path)
	testutil.Must(t, err)
	lines := (&app{stderr: f}).buildLines("i")
	due := lines.next
	want := ""
	for _, at := range []time.Duration{-1, 0, 1, 2 * lineEvery} {
		lines.starting(due.Add(at))
		if at == 0 {
			want = "The server has not started the Task of i yet, and keeps trying: its log says why.\n"
		}
		got, err := os.ReadFile(path)
		testutil.Must(t, err)
		if string(got) != want {
			t.Errorf("%v after the line is due: %q, want %q", at, got, want)
		}
	}
	testutil.Must(t, f.Close())
}
