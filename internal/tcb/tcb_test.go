package tcb_test

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"motte"
	"motte/internal/tcb"
)

// measure measures one file.
func measure(t *testing.T, text string) (tcb.Package, *tcb.Code) {
	t.Helper()
	code, err := tcb.Measure(fstest.MapFS{"core/p.go": {Data: []byte(text)}}, "core")
	if err != nil || len(code.Packages) != 1 {
		t.Fatalf("%q: %v, %v", text, code, err)
	}
	return code.Packages[0], code
}

func TestTokensAndLinesHoldCode(t *testing.T) {
	for _, c := range []struct {
		text          string
		tokens, lines int
	}{
		{"package p", 0, 1},
		{"package p\n", 0, 1},
		{"\n// A comment.\npackage p // another\n\n/* and\nmore */\n", 0, 1},
		{"package p\n\nimport (\n\t\"fmt\"\n)\n\nimport m \"math\"\n", 0, 5},
		{"package p\n\nvar s = `one\n\n// three`\n", 4, 4},
		{"package p\n\nvar s = \"// no comment\" /* one */ + \"\"\n", 6, 2},
		{"package p\n\nfunc f() {\n\t_ = []int{\n\t\t1, // one\n\t\t// two\n\t}\n}\n", 15, 6},
		{"package p\n\nvar a, b int; var c int\n", 9, 2},
		{"package p\n\nvar a, b int\nvar c int\n", 8, 3},
	} {
		if p, _ := measure(t, c.text); p.Tokens != c.tokens || p.Lines != c.lines {
			t.Errorf("%q has %d tokens and %d lines; want %d and %d", c.text, p.Tokens, p.Lines, c.tokens, c.lines)
		}
	}
	files := fstest.MapFS{"core/p.go": {Data: []byte("package p\n\nvar s = \"open\n")}}
	if code, err := tcb.Measure(files, "core"); err == nil {
		t.Errorf("a file that is not Go is measured as %v; want an error", code)
	}
}

func TestFunctionsAreMeasured(t *testing.T) {
	_, code := measure(t, `package p

import "fmt"

func plain() {}

func (l *list[T]) ways(c chan int, x any) int {
	for range c {
		if x == nil && c == nil || x == c {
			return 1
		}
	}
	switch x.(type) {
	case int, string:
	case bool:
	default:
		return func() int { for { return 2 } }()
	}
	select {
	case <-c:
	default:
	}
	return 0
}
`)
	want := []tcb.Function{
		{Name: "p.plain", File: "core/p.go", Tokens: 6, Lines: 1, Complexity: 1},
		{Name: "p.list.ways", File: "core/p.go", Tokens: 85, Lines: 18, Complexity: 9},
	}
	if !slices.Equal(code.Functions, want) {
		t.Errorf("%v; want %v", code.Functions, want)
	}
	largest := code.Largest(1, func(f tcb.Function) int { return f.Complexity })
	if !slices.Equal(largest, want[1:]) {
		t.Errorf("the largest is %v", largest)
	}
}

func TestWideLinesAreFound(t *testing.T) {
	fits := "\t// " + strings.Repeat("ä", tcb.MaxColumns-7) + "\n"
	_, code := measure(t, "package p\n"+fits+"\t"+fits)
	want := []tcb.Line{{File: "core/p.go", Number: 3, Columns: tcb.MaxColumns + 4}}
	if !slices.Equal(code.Wide, want) {
		t.Errorf("wide: %v; want %v", code.Wide, want)
	}
}

func TestTestsDoNotCount(t *testing.T) {
	code, err := tcb.Measure(fstest.MapFS{
		"core/a.go":            {Data: []byte("package core\n")},
		"core/a_test.go":       {Data: []byte("package core\n\nvar x int\n")},
		"core/b/b.go":          {Data: []byte("package b\n\nvar x int\n")},
		"core/b/c.go":          {Data: []byte("package b\n")},
		"core/b/testdata/d.go": {Data: []byte("package d\n")},
		"other/e.go":           {Data: []byte("package e\n")},
	}, "core")
	want := []tcb.Package{{Path: "core", Files: 1, Lines: 1}, {Path: "core/b", Files: 2, Tokens: 3, Lines: 3}}
	if err != nil || !slices.Equal(code.Packages, want) || code.Tokens() != 3 || code.Lines() != 4 {
		t.Errorf("%v, %v; want %v", code, err, want)
	}
}

// TestSourceIsWhole: the embedded source equals the source in the repository. The patterns in
// source.go would miss a package that is nested more deeply.
func TestSourceIsWhole(t *testing.T) {
	for _, root := range []string{tcb.Core, tcb.Main} {
		held, err := tcb.Measure(motte.Source, root)
		if err != nil {
			t.Fatal(err)
		}
		there, err := tcb.Measure(os.DirFS("../.."), root)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(held, there) {
			t.Errorf("%s: the binary embeds %v, and the repository has %v", root, held, there)
		}
	}
}
