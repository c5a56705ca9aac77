package pages

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A step is an action of a reader, in the order of the page.
type step struct {
	line   int
	kind   kind
	reason string // why the block is not run
	text   string // text of the block
	vary   bool   // numbers that the block shows stand for any numbers
	retry  bool   // its commands are repeated until they print the output on the page
}

type kind int

const (
	commands  kind = iota // lines to type, without output
	console               // lines to type after "$ ", with output
	terminal              // the reader opens another terminal
	interrupt             // the reader stops the server with Ctrl-C
	notRun                // a block that can't be run here, for a reason
	needs                 // the reader must have these programs or files
)

// languages are the languages of blocks, and whether a block of the language holds commands.
var languages = map[string]bool{"sh": true, "console": true, "c": false, "cpp": false, "go": false, "ini": false, "rust": false, "text": false, "yaml": false}

var (
	fence   = regexp.MustCompile("^ *```(.*)$")
	comment = regexp.MustCompile(`(?s)^<!-- (.*?) ?-->`)
	prompt  = regexp.MustCompile(`^\$ `)
)

// readPage reads the steps of a page. Each comment in its source is a step, or describes the
// next block:
//
//	<!-- run: COMMANDS -->      commands that a reader need not type here
//	<!-- another terminal -->   a shell without what was exported before
//	<!-- stop the server -->
//	<!-- needs: PROGRAMS -->    without them the page is not run
//	<!-- not run: REASON -->
//	<!-- numbers vary -->
//	<!-- repeat until it is so -->
func readPage(path string) (steps []step, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var next step // description of the next block, from comments
	lines := strings.Split(string(text), "\n")
	for n := 0; n < len(lines); n++ {
		at := n + 1
		wrong := func(format string, args ...any) error {
			return fmt.Errorf("%s:%d: %s", path, at, fmt.Sprintf(format, args...))
		}
		if m := comment.FindStringSubmatch(strings.Join(lines[n:], "\n")); m != nil {
			n += strings.Count(m[0], "\n")
			if s, ok := next.read(m[1]); !ok {
				return nil, wrong("the test does not know the comment %q", m[1])
			} else if s != nil {
				s.line = at
				steps = append(steps, *s)
			}
			continue
		}
		m := fence.FindStringSubmatch(lines[n])
		if m == nil {
			continue
		}
		var block []string
		for n++; n < len(lines) && !fence.MatchString(lines[n]); n++ {
			block = append(block, lines[n])
		}
		runs, known := languages[m[1]]
		if !known {
			return nil, wrong("the block has the language %q; want sh, console, c, cpp, go, ini, rust, text or yaml", m[1])
		}
		if !runs {
			for _, line := range block {
				if prompt.MatchString(line) {
					return nil, wrong("a block of %s has the command %q; use console", m[1], line)
				}
			}
			continue
		}
		if m[1] == "console" && (len(block) == 0 || !prompt.MatchString(block[0])) {
			return nil, wrong("a block of console must begin with a command")
		}
		s := next
		next = step{}
		s.line, s.text = at, strings.Join(block, "\n")+"\n"
		if s.kind != notRun && m[1] == "console" {
			s.kind = console
		}
		steps = append(steps, s)
	}
	if next != (step{}) {
		return nil, fmt.Errorf("%s: no block follows the last comment", path)
	}
	return steps, nil
}

// read reads a comment. It returns a step, or changes the description of the next block.
func (next *step) read(text string) (s *step, ok bool) {
	hidden, runs := strings.CutPrefix(text, "run:")
	programs, need := strings.CutPrefix(text, "needs: ")
	reason, not := strings.CutPrefix(text, "not run: ")
	switch {
	case runs:
		return &step{kind: commands, text: strings.TrimSpace(hidden) + "\n"}, true
	case need:
		return &step{kind: needs, text: programs}, true
	case not && strings.TrimSpace(reason) != "":
		next.kind, next.reason = notRun, strings.TrimSpace(reason)
		return nil, true
	case text == "another terminal":
		return &step{kind: terminal}, true
	case text == "stop the server":
		return &step{kind: interrupt}, true
	case text == "numbers vary":
		next.vary = true
		return nil, true
	case text == "repeat until it is so":
		next.retry = true
		return nil, true
	}
	return nil, false
}

// typed is a command, of one or more lines, and the output that the page shows for it.
type typed struct {
	command string
	shown   string
}

var document = regexp.MustCompile(`<<'?([A-Z]+)'?`)

// typed divides a block into commands and their output.
func (s *step) typed() (list []typed) {
	lines := strings.Split(strings.TrimSuffix(s.text, "\n"), "\n")
	for n := 0; n < len(lines); n++ {
		line := lines[n]
		if s.kind == console && !prompt.MatchString(line) {
			list[len(list)-1].shown += line + "\n"
			continue
		}
		command := prompt.ReplaceAllString(line, "")
		for strings.HasSuffix(line, "\\") && n+1 < len(lines) {
			n++
			line = lines[n]
			command += "\n" + line
		}
		if m := document.FindStringSubmatch(command); m != nil {
			for n+1 < len(lines) {
				n++
				command += "\n" + lines[n]
				if lines[n] == m[1] {
					break
				}
			}
		}
		if strings.TrimSpace(command) != "" {
			list = append(list, typed{command: command})
		}
	}
	return list
}

// all returns the paths of all pages of the repository, relative to its root.
func all(t *testing.T) (paths []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "docs/*/*/*.md"} {
		list, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(list) == 0 {
			t.Fatalf("%s: %v, %v", pattern, list, err)
		}
		for _, path := range list {
			name, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			paths = append(paths, name)
		}
	}
	return paths
}

// TestABlockIsReadAsAReaderDoes: a block consists of commands, their further lines, and output.
func TestABlockIsReadAsAReaderDoes(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	text := "<!-- run: a -->\n\n```sh\nb \\\n  c\nd <<'END'\n$ e\nEND\n```\n<!-- not run: it needs f -->\n```sh\nf\n```\n" +
		"<!-- numbers vary -->\n```console\n$ g\nh\n$ i\n```\n"
	if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	steps, err := readPage(page)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, s := range steps {
		got += fmt.Sprintf("%d %d %q %v %q\n", s.line, s.kind, s.reason, s.vary, s.typed())
	}
	want := `1 0 "" false [{"a" ""}]
3 0 "" false [{"b \\\n  c" ""} {"d <<'END'\n$ e\nEND" ""}]
11 4 "it needs f" false [{"f" ""}]
15 1 "" true [{"g" "h\n"} {"i" ""}]
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	for _, bad := range []string{"```\na\n```\n", "```text\n$ a\n```\n", "```console\na\n```\n", "<!-- not run: -->\n```sh\na\n```\n", "<!-- numbers vary -->\n"} {
		if err := os.WriteFile(page, []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := readPage(page); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}
