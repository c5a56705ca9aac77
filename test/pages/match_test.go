package pages

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// values are the identities, keys and similar values of a page, and the actual values of the
// test. Each value of the page stands for one actual value.
type values struct {
	actual map[string]string // by the value on the page
	shown  map[string]string // value on the page, by the actual value
}

func newValues() *values { return &values{make(map[string]string), make(map[string]string)} }

var (
	// A part of the output on a page: an ellipsis, a time, hexadecimal digits, a number with its
	// unit, or white space.
	part = regexp.MustCompile(`(?m)(?P<lines>^…$)|(?P<rest>[0-9a-f]{4,31}…[0-9a-f]*|…)` +
		`|(?P<time>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?)` +
		`|(?P<hex>[0-9a-f]{32,})|(?P<number>\d+(\.\d+)?( [KMG]i?B| B\b)?)|(?P<space>\s+)`)
	half = regexp.MustCompile(`[0-9a-f]{32}`)
)

// pattern turns the output on a page into a regular expression for the actual output. It returns
// the value for which each group stands.
func pattern(shown string, vary bool) (expression string, groups []string) {
	var b strings.Builder
	b.WriteString(`^\s*`)
	shown = strings.TrimSpace(shown)
	last := 0
	for _, m := range part.FindAllStringSubmatchIndex(shown, -1) {
		b.WriteString(regexp.QuoteMeta(shown[last:m[0]]))
		last = m[1]
		text := shown[m[0]:m[1]]
		is := func(name string) bool { return m[2*part.SubexpIndex(name)] >= 0 }
		switch {
		case is("lines"):
			b.WriteString(`(?s:.*?)`)
		case is("rest"):
			begin, end, _ := strings.Cut(text, "…")
			fmt.Fprintf(&b, `[0-9a-f]{%d}[^\n]*?[0-9a-f]{%d}`, len(begin), len(end))
		case is("time"):
			b.WriteString(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?`)
		case is("hex"):
			for ; len(text) > 0; text = text[min(32, len(text)):] {
				groups = append(groups, text[:min(32, len(text))])
				fmt.Fprintf(&b, `([0-9a-f]{%d})`, min(32, len(text)))
			}
		case is("number") && vary:
			b.WriteString(`\d+(?:\.\d+)?(?: [KMG]i?B| B\b)?`)
		case is("space"):
			b.WriteString(`\s+`)
		default:
			b.WriteString(regexp.QuoteMeta(text))
		}
	}
	b.WriteString(regexp.QuoteMeta(shown[last:]) + `\s*$`)
	return b.String(), groups
}

// match compares the actual output with the output on a page.
func (v *values) match(shown, printed string, vary bool) error {
	expression, groups := pattern(shown, vary)
	m := regexp.MustCompile(expression).FindStringSubmatch(printed)
	if m == nil {
		return fmt.Errorf("the page shows\n%s\nbut the command prints\n%s", shown, printed)
	}
	for i, name := range groups {
		if a, ok := v.actual[name]; ok && a != m[i+1] {
			return fmt.Errorf("the page shows %s twice, but the command prints %s and %s", name, a, m[i+1])
		}
		if s, ok := v.shown[m[i+1]]; ok && s != name {
			return fmt.Errorf("the command prints %s twice, but the page shows %s and %s", m[i+1], s, name)
		}
		v.actual[name], v.shown[m[i+1]] = m[i+1], name
	}
	return nil
}

// replace puts the actual values into a command of a page.
func (v *values) replace(command string) string {
	return half.ReplaceAllStringFunc(command, func(s string) string {
		if a, ok := v.actual[s]; ok {
			return a
		}
		return s
	})
}

// TestOutputMatches: values and times may differ, and an ellipsis stands for any text. All other
// text must be equal.
func TestOutputMatches(t *testing.T) {
	a, b := strings.Repeat("a1", 16), strings.Repeat("b2", 16)
	c, d := strings.Repeat("c3", 16), strings.Repeat("d4", 16)
	for _, c := range []struct {
		shown, printed string
		vary, ok       bool
	}{
		{"3\n", "3\n", false, true},
		{"3\n", "4\n", false, false},
		{"3\n", "4\n", true, true},
		{"x  3 KiB\n", "x 4.5 MiB\n", true, true},
		{"3\n", "3\nmore\n", false, false},
		{"3\n…\n", "3\nmore\nand more\n", false, true},
		{"a …, b\n", "a lot, b\n", false, true},
		{"2026-01-02T03:04:05Z x\n", "2027-11-12T13:14:15Z x\n", false, true},
		{"segment 5f0b1c9e…\n", "segment 11111111…\n", false, true},
		{a + b + " " + a + "\n", c + d + " " + c + "\n", false, true},
		{a + " " + a + "\n", c + " " + d + "\n", false, false},
		{a + " " + b + "\n", c + " " + c + "\n", false, false},
	} {
		if err := newValues().match(c.shown, c.printed, c.vary); (err == nil) != c.ok {
			t.Errorf("%q, %q: %v", c.shown, c.printed, err)
		}
	}
	v := newValues()
	if err := v.match(a, c, false); err != nil || v.replace("get "+a) != "get "+c {
		t.Errorf("%v: %q", err, v.replace("get "+a))
	}
}
