package tcb_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"motte"
	"motte/internal/tcb"
)

// coreFiles calls f with every file of the trusted code, parsed.
func coreFiles(t *testing.T, f func(*token.FileSet, *ast.File)) {
	t.Helper()
	files := token.NewFileSet()
	n := 0
	err := fs.WalkDir(motte.Source, tcb.Core, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, "_test.go") {
			return err
		}
		text, err := fs.ReadFile(motte.Source, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(files, name, text, parser.ParseComments)
		if err != nil {
			return err
		}
		n++
		f(files, file)
		return nil
	})
	if err != nil || n == 0 {
		t.Fatalf("%d files, %v", n, err)
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	coreFiles(t, func(files *token.FileSet, file *ast.File) {
		for _, d := range file.Decls {
			for _, name := range undocumented(d) {
				t.Errorf("%v: %s has no comment that says what it guarantees", files.Position(d.Pos()), name)
			}
		}
	})
}

func TestUndocumentedNamesAreFound(t *testing.T) {
	const text = `package p
func F() {}
// G is documented.
func G() {}
func f() {}
type t struct{}
func (t) M() {}
type T[K any] struct{}
func (*T[K]) M() {}
// I is documented.
type I interface {
	A()
	B() // is documented
}
// All of these are.
const (
	X = 1
	Y = 2
)
const (
	Z = 1 // is documented
	W, w = 2, 3
)`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range file.Decls {
		got = append(got, undocumented(d)...)
	}
	if want := []string{"F", "T", "T.M", "I.A", "W"}; !slices.Equal(got, want) {
		t.Errorf("without a comment: %v; want %v", got, want)
	}
}

// undocumented lists the exported names of a declaration without a comment: neither their own,
// nor that of their group.
func undocumented(d ast.Decl) (names []string) {
	missing := func(name string, docs ...*ast.CommentGroup) {
		if !slices.ContainsFunc(docs, func(g *ast.CommentGroup) bool { return strings.TrimSpace(g.Text()) != "" }) {
			names = append(names, name)
		}
	}
	switch d := d.(type) {
	case *ast.FuncDecl:
		owner := tcb.Receiver(d)
		if d.Name.IsExported() && (owner == "" || ast.IsExported(owner)) {
			missing(strings.TrimPrefix(owner+"."+d.Name.Name, "."), d.Doc)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() {
					missing(s.Name.Name, d.Doc, s.Doc, s.Comment)
					methods(s, missing)
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if n.IsExported() {
						missing(n.Name, d.Doc, s.Doc, s.Comment)
					}
				}
			}
		}
	}
	return names
}

// methods checks the methods of an interface.
func methods(s *ast.TypeSpec, missing func(string, ...*ast.CommentGroup)) {
	i, ok := s.Type.(*ast.InterfaceType)
	if !ok {
		return
	}
	for _, m := range i.Methods.List {
		for _, n := range m.Names {
			if n.IsExported() {
				missing(fmt.Sprint(s.Name.Name, ".", n.Name), m.Doc, m.Comment)
			}
		}
	}
}
