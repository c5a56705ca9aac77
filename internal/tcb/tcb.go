// Package tcb measures the trusted computing base: the amount of code that a reviewer must
// verify, and the packages of the standard library that it links.
//
// The measure is the number of Go tokens, as go/scanner reads them: names, literals, keywords,
// operators and brackets. It excludes comments, package and import clauses, and the semicolons
// that the scanner inserts at line ends. So short names, long lines and fewer files do not make
// code smaller. Tests and testdata do not count.
package tcb

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// Core is the directory of the trusted code. Main is the directory of its main program.
const (
	Core = "core"
	Main = "cmd/motte-core"
)

// The limits of the code in Core.
const (
	MaxTokens     = 91092 // as much as one person can read and remember; it should only decrease
	MaxComplexity = 15    // of a function, so that a reader can list its paths
	MaxFunction   = 60    // lines of a function, so that it fits a screen
	MaxColumns    = 110   // of a line, so that two files fit side by side
)

// tabWidth is the number of columns of a tab.
const tabWidth = 4

// Package is a package of the trusted code.
type Package struct {
	Path   string // from the root of the repository
	Files  int
	Tokens int
	Lines  int // lines with at least a part of a token
}

// Function is a function or a method, including the function literals in it.
type Function struct {
	Name       string // with its package, and its receiver
	File       string
	Tokens     int
	Lines      int // from its first line to its last
	Complexity int // cyclomatic: 1, and 1 for each condition, case, loop, && and ||
}

// Line is a line of a file.
type Line struct {
	File    string
	Number  int
	Columns int
}

// Code is the result of a measurement.
type Code struct {
	Packages  []Package // by path
	Functions []Function
	Wide      []Line // wider than MaxColumns
}

// Tokens is the sum of the packages' tokens.
func (c *Code) Tokens() (n int) {
	for _, p := range c.Packages {
		n += p.Tokens
	}
	return n
}

// Lines is the sum of the packages' lines.
func (c *Code) Lines() (n int) {
	for _, p := range c.Packages {
		n += p.Lines
	}
	return n
}

// Largest returns the n functions that are largest by a measure, the largest first.
func (c *Code) Largest(n int, by func(Function) int) []Function {
	sorted := slices.SortedFunc(slices.Values(c.Functions), func(a, b Function) int {
		return cmp.Or(by(b)-by(a), strings.Compare(a.Name, b.Name))
	})
	return sorted[:min(n, len(sorted))]
}

// Measure measures the packages below the directory root of fsys.
func Measure(fsys fs.FS, root string) (*Code, error) {
	code := &Code{}
	found := make(map[string]Package)
	err := fs.WalkDir(fsys, root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "testdata":
			return fs.SkipDir
		case d.IsDir(), !strings.HasSuffix(name, ".go"), strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		f, err := measureFile(name, text)
		if err != nil {
			return err
		}
		dir := path.Dir(name)
		p := found[dir]
		p.Path = dir
		p.Files++
		p.Tokens += len(f.tokens)
		p.Lines += f.lines
		found[dir] = p
		code.Functions = append(code.Functions, f.functions...)
		code.Wide = append(code.Wide, f.wide...)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("measure the code of %s: %w", root, err)
	}
	for _, dir := range slices.Sorted(maps.Keys(found)) {
		code.Packages = append(code.Packages, found[dir])
	}
	return code, nil
}

// file is a file that was measured.
type file struct {
	tokens    []int // offsets of the counted tokens, in order
	lines     int   // lines with code
	functions []Function
	wide      []Line
}

func measureFile(name string, text []byte) (*file, error) {
	files := token.NewFileSet()
	tree, err := parser.ParseFile(files, name, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	position := func(p token.Pos) token.Position { return files.PositionFor(p, false) }
	f := &file{}
	if err := f.scan(text, position(clauses(tree)).Offset); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for _, d := range tree.Decls {
		d, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		first, last := position(d.Pos()), position(d.End())
		f.functions = append(f.functions, Function{
			Name:       strings.Join(append([]string{tree.Name.Name}, names(d)...), "."),
			File:       name,
			Tokens:     f.between(first.Offset, last.Offset),
			Lines:      last.Line - first.Line + 1,
			Complexity: complexity(d),
		})
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSuffix(line, "\n")
		columns := utf8.RuneCountInString(line) + strings.Count(line, "\t")*(tabWidth-1)
		if columns > MaxColumns {
			f.wide = append(f.wide, Line{name, n, columns})
		}
	}
	return f, nil
}

// clauses returns where the package clause and the import clauses of a file end.
func clauses(tree *ast.File) token.Pos {
	end := tree.Name.End()
	for _, d := range tree.Decls {
		if d, ok := d.(*ast.GenDecl); ok && d.Tok == token.IMPORT {
			end = d.End()
		}
	}
	return end
}

// scan records the tokens of a file from an offset on, and counts its lines of code.
func (f *file) scan(text []byte, from int) error {
	var errs scanner.ErrorList
	var s scanner.Scanner
	source := token.NewFileSet().AddFile("", -1, len(text))
	s.Init(source, text, errs.Add, 0) // mode 0 skips comments
	code := make(map[int]bool)
	for {
		pos, tok, literal := s.Scan()
		if tok == token.EOF {
			f.lines = len(code)
			return errs.Err()
		}
		if tok == token.SEMICOLON && literal == "\n" {
			continue // inserted by the scanner at the end of a line or of the file
		}
		first := source.Line(pos)
		for line := range 1 + strings.Count(literal, "\n") {
			code[first+line] = true
		}
		if offset := source.Offset(pos); offset >= from {
			f.tokens = append(f.tokens, offset)
		}
	}
}

// between returns the number of tokens from one offset to another.
func (f *file) between(from, to int) int {
	first, _ := slices.BinarySearch(f.tokens, from)
	last, _ := slices.BinarySearch(f.tokens, to)
	return last - first
}

// complexity returns the cyclomatic complexity of a function. A default case adds no path.
func complexity(f *ast.FuncDecl) int {
	n := 1
	ast.Inspect(f, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
			n++
		case *ast.CaseClause:
			if node.List != nil {
				n++
			}
		case *ast.CommClause:
			if node.Comm != nil {
				n++
			}
		case *ast.BinaryExpr:
			if node.Op == token.LAND || node.Op == token.LOR {
				n++
			}
		}
		return true
	})
	return n
}

// names returns the name of a function, preceded by its receiver's type.
func names(f *ast.FuncDecl) []string {
	if receiver := Receiver(f); receiver != "" {
		return []string{receiver, f.Name.Name}
	}
	return []string{f.Name.Name}
}

// Receiver returns the name of a method's receiver type, or "" for a function.
func Receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	x := f.Recv.List[0].Type
	for {
		switch t := x.(type) {
		case *ast.StarExpr:
			x = t.X
		case *ast.IndexExpr:
			x = t.X
		case *ast.IndexListExpr:
			x = t.X
		case *ast.Ident:
			return t.Name
		default:
			return ""
		}
	}
}
