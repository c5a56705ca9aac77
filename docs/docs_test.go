// Package docs holds the pages for readers; its tests hold them to their form.
package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// pages returns the text of each page of the repository, by its path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for _, pattern := range []string{"../*.md", "*.md", "*/*.md"} {
		list, err := filepath.Glob(pattern)
		if err != nil || len(list) == 0 {
			t.Fatalf("%s: %v, %v", pattern, list, err)
		}
		for _, path := range list {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			found[path] = string(text)
		}
	}
	return found
}

var (
	fence   = regexp.MustCompile("(?ms)^```.*?^```")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} (.+)$`)
	named   = regexp.MustCompile(`<a id="([^"]+)">`)
)

// anchors are the places of a page that a link can name: headings, as GitHub names
// them, and those that have a name of their own.
func anchors(page string) map[string]bool {
	page = fence.ReplaceAllString(page, "")
	list := make(map[string]bool)
	for _, h := range heading.FindAllStringSubmatch(page, -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, h[1])
		for n := 1; list[name]; n++ {
			name = fmt.Sprintf("%s-%d", strings.TrimSuffix(name, fmt.Sprintf("-%d", n-1)), n)
		}
		list[name] = true
	}
	for _, n := range named.FindAllStringSubmatch(page, -1) {
		list[n[1]] = true
	}
	return list
}

// TestLinksLeadSomewhere: each link to a file of the repository names one that is
// there, and a place of it that is there.
func TestLinksLeadSomewhere(t *testing.T) {
	all := pages(t)
	for path, text := range all {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			target, place, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, ":") { // another site's
				continue
			}
			to := path
			if target != "" {
				to = filepath.Join(filepath.Dir(path), target)
				if _, err := os.Stat(to); err != nil {
					t.Errorf("%s: the link to %s: %v", path, m[1], err)
					continue
				}
			}
			if page, ok := all[to]; ok && place != "" && !anchors(page)[place] {
				t.Errorf("%s: %s has no place %q", path, to, place)
			}
		}
	}
}

// TestNamedTestsExist: a test that a page names is in the sources.
func TestNamedTestsExist(t *testing.T) {
	defined := make(map[string]bool)
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range function.FindAllStringSubmatch(string(text), -1) {
			defined[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile("`((?:Test|Fuzz)\\w+)[/`]")
	for path, text := range pages(t) {
		for _, m := range name.FindAllStringSubmatch(text, -1) {
			if !defined[m[1]] {
				t.Errorf("%s names %s, which no source has", path, m[1])
			}
		}
	}
}

// TestEveryPageIsFound: the list of pages has each of them.
func TestEveryPageIsFound(t *testing.T) {
	all := pages(t)
	for _, pattern := range []string{"how-to/*.md", "reference/*.md", "explanation/*.md"} {
		list, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range list {
			if !strings.Contains(all["README.md"], "("+path+")") {
				t.Errorf("docs/README.md does not list %s", path)
			}
		}
	}
}

// TestChangelogHasItsForm: that of Keep a Changelog, the newest version first.
func TestChangelogHasItsForm(t *testing.T) {
	text, err := os.ReadFile("../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`^## (\[Unreleased\]|\[[0-9]+\.[0-9]+\.[0-9]+\] - [0-9]{4}-[0-9]{2}-[0-9]{2})$`)
	kind := regexp.MustCompile(`^### (Added|Changed|Deprecated|Removed|Fixed|Security)$`)
	var versions []string
	kinds := make(map[string]bool)
	for n, line := range strings.Split(string(text), "\n") {
		switch {
		case strings.HasPrefix(line, "## "):
			if !version.MatchString(line) {
				t.Errorf("line %d: %q is not the heading of a version", n+1, line)
			}
			versions, kinds = append(versions, line), make(map[string]bool)
		case strings.HasPrefix(line, "### "):
			if !kind.MatchString(line) || kinds[line] {
				t.Errorf("line %d: %q is not a kind of change, or comes twice", n+1, line)
			}
			kinds[line] = true
		}
	}
	if len(versions) == 0 || versions[0] != "## [Unreleased]" {
		t.Errorf("the versions are %q; the first must be Unreleased", versions)
	}
}
