// Package losedata checks the page "How to lose data". For each row of its tables, the case with
// the row's name makes the event in a real store.
package losedata

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"motte/internal/testutil"
)

const (
	page  = "../../docs/reference/how-to-lose-data.md"
	tests = "../../docs/testing.md" // lists the tests of rows without a case here
)

// row is a row of a table.
type row struct {
	name  string   // name of the row's anchor
	cells []string // event, outcome, loss and remedy
	other bool     // the row has no remedy, and other tests check it
}

var (
	place = regexp.MustCompile(`^<a id="([a-z-]+)"></a>`)
	span  = regexp.MustCompile("`([^`]+)`")
	shown = regexp.MustCompile("`(Test[A-Za-z]+)`")
	where = regexp.MustCompile("in `(test/[a-z]+)`")
)

// readPage reads the rows of all tables.
func readPage(t *testing.T) (rows []row) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for n, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|---") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) != 3 && len(cells) != 4 {
			t.Fatalf("line %d: a row has %d cells; want 3 or 4", n+1, len(cells))
		}
		if cells[0] == "event" { // the head of the table
			continue
		}
		name := place.FindStringSubmatch(cells[0])
		if name == nil {
			t.Fatalf("line %d: the row has no name: %s", n+1, line)
		}
		rows = append(rows, row{name[1], cells, len(cells) == 3})
	}
	return rows
}

// TestEveryRowHappens: every row has a case, and every case has a row. The outcome of the case
// must be the outcome in the row.
func TestEveryRowHappens(t *testing.T) {
	rows := readPage(t)
	named := make(map[string]bool)
	for _, r := range rows {
		if named[r.name] {
			t.Errorf("two rows are called %s", r.name)
		}
		named[r.name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		if !named[name] {
			t.Errorf("the case %s has no row", name)
		}
	}
	from := build(t)
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			if r.other {
				r.isShownElsewhere(t)
				return
			}
			do := cases[r.name]
			if do == nil {
				t.Fatal("the row has no case")
			}
			t.Parallel()
			w := newWorld(t, from)
			do(w)
			r.isWhatHappened(w)
		})
	}
}

// kinds are the files of a served store, and the rows about their loss.
var kinds = map[string]string{
	"*.seg":                    "rm-old-segment",
	"*.ckp":                    "rm-checkpoint",
	"data.keys":                "rm-data-keys",
	"data.keys.copy":           "rm-data-keys",
	"reserve":                  "rm-reserve",
	"host.sock":                "rm-socket",
	"root.key":                 "rm-root-key",
	"admin.profile":            "rm-admin-profile",
	"admin.profile.head":       "rm-head-file",
	".admin.profile.motte-new": "kill-first-start", // exists while the profile is written
	"admin.profile.part":       "kill-first-start",
}

// TestEveryFileHasARow: for a new kind of file in a store, the page needs a row about its loss.
func TestEveryFileHasARow(t *testing.T) {
	var rows []string
	for _, r := range readPage(t) {
		rows = append(rows, r.name)
	}
	w := newWorld(t, build(t))
	s := w.again()
	testutil.Must(w.t, os.MkdirAll(w.path("all"), 0o700))
	w.copy("store/.", "all")
	s.stop()
	w.serve("new").stop() // the other store keeps its root key and its profile elsewhere
	w.copy("store/.", "all")
	w.copy("new/.", "all")
	list, err := os.ReadDir(w.path("all"))
	testutil.Must(w.t, err)
	for _, e := range list {
		row := ""
		for pattern, name := range kinds {
			if ok, err := filepath.Match(pattern, e.Name()); err != nil {
				t.Fatal(err)
			} else if ok {
				row = name
			}
		}
		if !slices.Contains(rows, row) {
			t.Errorf("a store has a file %s, and the page has no row for it", e.Name())
		}
	}
}

// isWhatHappened compares the row with the outcome of its case.
func (r *row) isWhatHappened(w *world) {
	w.t.Helper()
	for _, m := range span.FindAllStringSubmatch(strings.Join(r.cells[1:], " "), -1) {
		if !said(w.text(), m[1]) {
			w.t.Errorf("no process of the case printed or ran %q, which the row quotes:\n%s", m[1], w.text())
		}
	}
	for _, name := range all() {
		if !w.lost && !w.seen[name] {
			w.t.Errorf("the case does not check whether object %s is there", name)
		}
	}
	if strings.HasPrefix(r.cells[2], "no data") == w.lost {
		w.t.Errorf("the row says that %q is lost; in its case, an object was lost: %v", r.cells[2], w.lost)
	}
}

// said reports whether a text has a phrase, in which … stands for any text within a line.
func said(text, phrase string) bool {
	parts := strings.Split(phrase, "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile(strings.Join(parts, ".*")).MatchString(text)
}

// isShownElsewhere checks that the list of tests names existing tests for the row.
func (r *row) isShownElsewhere(t *testing.T) {
	list, err := os.ReadFile(tests)
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(list), "how-to-lose-data.md#"+r.name+") |")
	line, _, _ = strings.Cut(line, "\n")
	dir, names := where.FindStringSubmatch(line), shown.FindAllStringSubmatch(line, -1)
	if dir == nil || len(names) == 0 {
		t.Fatalf("%s names no test for the row", tests)
	}
	files, err := filepath.Glob(filepath.Join("../..", dir[1], "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	for _, name := range names {
		if !strings.Contains(source.String(), "\nfunc "+name[1]+"(t *testing.T) {") {
			t.Errorf("there is no test %s in %s", name[1], dir[1])
		}
	}
}
