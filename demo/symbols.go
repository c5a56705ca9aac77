package main

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/build"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// The data set is the exported names of the standard library, read from its source. Every
// machine with Go has it.

// symbol is an exported name; its JSON is an object of the demo.
type symbol struct {
	Symbol    string `json:"symbol"` // package.Name, or package.Type.Method
	Package   string `json:"package"`
	Kind      string `json:"kind"` // func, method, type, const or var
	Signature string `json:"signature"`
	Doc       string `json:"doc"`
	Lines     int    `json:"lines"` // of the declaration
	Like      vector `json:"like"`  // of the words of the comment
}

// standardLibrary returns the symbols of all packages of the standard library
// that a program can import, in the order of their names.
func standardLibrary(progress func(pkg string)) (list []symbol, err error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	root := filepath.Join(strings.TrimSpace(string(out)), "src")
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		switch d.Name() {
		case "internal", "vendor", "testdata", "cmd", "builtin":
			return fs.SkipDir
		}
		pkg, err := filepath.Rel(root, path)
		if err != nil || pkg == "." {
			return err
		}
		progress(pkg)
		symbols, err := exported(path, filepath.ToSlash(pkg))
		list = append(list, symbols...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the standard library's source: %w", err)
	}
	slices.SortFunc(list, func(a, b symbol) int { return strings.Compare(a.Symbol, b.Symbol) })
	return list, nil
}

// exported returns the symbols of the package in a directory, as it is built on
// this machine.
func exported(dir, path string) ([]symbol, error) {
	p, err := build.ImportDir(dir, 0)
	var none *build.NoGoError
	if errors.As(err, &none) {
		return nil, nil // a directory of directories
	}
	if err != nil {
		return nil, err
	}
	r := reader{fset: token.NewFileSet(), path: path}
	var files []*ast.File
	for _, name := range slices.Concat(p.GoFiles, p.CgoFiles) {
		f, err := parser.ParseFile(r.fset, filepath.Join(dir, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	d, err := doc.NewFromFiles(r.fset, files, path, doc.PreserveAST)
	if err != nil {
		return nil, err
	}
	r.values(d.Consts, "const")
	r.values(d.Vars, "var")
	r.funcs(d.Funcs)
	for _, t := range d.Types {
		r.values(t.Consts, "const")
		r.values(t.Vars, "var")
		r.funcs(t.Funcs)
		r.typ(t)
		r.methods(t)
	}
	return r.list, nil
}

// reader collects the symbols of one package.
type reader struct {
	fset *token.FileSet
	path string
	list []symbol
}

func (r *reader) add(name, kind, comment string, node ast.Node, signature any) {
	if !ast.IsExported(name[strings.LastIndexByte(name, '.')+1:]) {
		return
	}
	lines := r.fset.Position(node.End()).Line - r.fset.Position(node.Pos()).Line + 1
	r.list = append(r.list, symbol{Symbol: r.path + "." + name, Package: r.path, Kind: kind,
		Signature: r.firstLine(signature), Doc: strings.TrimSpace(comment), Lines: lines, Like: vectorOf(comment)})
}

// firstLine returns the first line of a declaration.
func (r *reader) firstLine(node any) string {
	var b bytes.Buffer
	if err := printer.Fprint(&b, r.fset, node); err != nil {
		return ""
	}
	line, _, _ := strings.Cut(b.String(), "\n")
	return strings.TrimSpace(strings.TrimSuffix(line, "{"))
}

func (r *reader) funcs(list []*doc.Func) {
	for _, f := range list {
		r.add(f.Name, "func", f.Doc, f.Decl, declaration(f.Decl))
	}
}

func (r *reader) methods(t *doc.Type) {
	if !ast.IsExported(t.Name) {
		return
	}
	for _, m := range t.Methods {
		r.add(t.Name+"."+m.Name, "method", m.Doc, m.Decl, declaration(m.Decl))
	}
}

// declaration is a function without comment and body.
func declaration(f *ast.FuncDecl) *ast.FuncDecl {
	return &ast.FuncDecl{Recv: f.Recv, Name: f.Name, Type: f.Type}
}

func (r *reader) typ(t *doc.Type) {
	for _, s := range t.Decl.Specs {
		if s, ok := s.(*ast.TypeSpec); ok && s.Name.Name == t.Name {
			bare := *s
			bare.Doc, bare.Comment = nil, nil
			r.add(t.Name, "type", t.Doc, s, &ast.GenDecl{Tok: token.TYPE, Specs: []ast.Spec{&bare}})
		}
	}
}

// values adds constants or variables. A name without a comment gets the comment of its group.
func (r *reader) values(groups []*doc.Value, kind string) {
	for _, g := range groups {
		for _, s := range g.Decl.Specs {
			s, ok := s.(*ast.ValueSpec)
			if !ok {
				continue
			}
			comment := s.Doc.Text()
			if comment == "" {
				comment = s.Comment.Text()
			}
			if comment == "" {
				comment = g.Doc
			}
			bare := *s
			bare.Doc, bare.Comment = nil, nil
			for _, name := range s.Names {
				r.add(name.Name, kind, comment, s, &ast.GenDecl{Tok: g.Decl.Tok, Specs: []ast.Spec{&bare}})
			}
		}
	}
}
