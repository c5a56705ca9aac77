package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"motte"
	"motte/host"
	"motte/internal/tcb"
)

// tcbView is the trusted computing base, for programs.
type tcbView struct {
	Packages []packageView `json:"packages"`
	Tokens   int           `json:"tokens"` // of core/
	Most     int           `json:"max_tokens"`
	Lines    int           `json:"lines"`
	Main     int           `json:"main_tokens"`

	Longest     []functionView `json:"longest"`
	MostComplex []functionView `json:"most_complex"`

	Linked []string `json:"linked"` // of the standard library
	SHA256 string   `json:"sha256"` // of motte-core
}

type packageView struct {
	Package string `json:"package"`
	Files   int    `json:"files"`
	Tokens  int    `json:"tokens"`
	Lines   int    `json:"lines"`
}

type functionView struct {
	Function   string `json:"function"`
	Tokens     int    `json:"tokens"`
	Lines      int    `json:"lines"`
	Complexity int    `json:"complexity"`
}

// shownFunctions is the length of each list of the largest functions.
const shownFunctions = 5

func (a *app) tcb() *cobra.Command {
	return a.leaf(&cobra.Command{
		Use:   "tcb",
		Short: "Print the size of the trusted code, and what it links",
		Long: `Print how many Go tokens the trusted code has, by package: names, literals, keywords,
operators and brackets, without tests, comments, package and import clauses. Lines are
those that hold code. Then the functions that have the most lines, and those with the
highest cyclomatic complexity. The source measured is the one that this executable was
built from.

Then the packages of the standard library that motte-core links, as its table of functions
says. There is nothing else in it.`,
	}, func(context.Context, []string) error {
		v, err := measureCore()
		if err != nil {
			return err
		}
		if a.json {
			return a.emit(v)
		}
		return a.printCore(v)
	})
}

func measureCore() (v tcbView, err error) {
	v, err = measureSource()
	if err != nil {
		return v, err
	}
	bin, err := host.Bin()
	if err != nil {
		return v, err
	}
	path := filepath.Join(bin, "motte-core")
	measurement, err := host.Measure(path)
	if err != nil {
		return v, fmt.Errorf("motte-core must lie beside motte: %w", err)
	}
	v.SHA256 = identifier(measurement)
	f, err := os.Open(path)
	if err != nil {
		return v, err
	}
	defer f.Close()
	linked, err := tcb.Linked(f)
	for _, p := range linked {
		if p != "main" && p != "motte" && !strings.HasPrefix(p, "motte/") {
			v.Linked = append(v.Linked, p)
		}
	}
	return v, err
}

// measureSource measures the source that is embedded in this executable.
func measureSource() (v tcbView, err error) {
	code, err := tcb.Measure(motte.Source, tcb.Core)
	if err != nil {
		return v, err
	}
	main, err := tcb.Measure(motte.Source, tcb.Main)
	if err != nil {
		return v, err
	}
	v = tcbView{Tokens: code.Tokens(), Most: tcb.MaxTokens, Lines: code.Lines(), Main: main.Tokens()}
	for _, p := range code.Packages {
		v.Packages = append(v.Packages, packageView{p.Path, p.Files, p.Tokens, p.Lines})
	}
	v.Longest = largest(code, func(f tcb.Function) int { return f.Lines })
	v.MostComplex = largest(code, func(f tcb.Function) int { return f.Complexity })
	return v, nil
}

func largest(code *tcb.Code, by func(tcb.Function) int) (list []functionView) {
	for _, f := range code.Largest(shownFunctions, by) {
		list = append(list, functionView{f.Name, f.Tokens, f.Lines, f.Complexity})
	}
	return list
}

func (a *app) printCore(v tcbView) error {
	if err := printSizes(a.stdout, v); err != nil {
		return err
	}
	if err := printFunctions(a.stdout, "The longest functions", v.Longest); err != nil {
		return err
	}
	if err := printFunctions(a.stdout, "The most complex functions", v.MostComplex); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "\nmotte-core (SHA-256 %s) links %d packages of the standard library:\n\n", v.SHA256, len(v.Linked))
	_, err := fmt.Fprintln(a.stdout, wrap(v.Linked, 78))
	return err
}

// printSizes prints the size of the trusted code, by package and in all.
func printSizes(to io.Writer, v tcbView) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "TOKENS\tLINES\tFILES\t  PACKAGE")
	for _, p := range v.Packages {
		fmt.Fprintf(w, "%d\t%d\t%d\t  %s\n", p.Tokens, p.Lines, p.Files, p.Package)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(to, "\nThe Core has %d tokens, of at most %d, in %d lines; its main program has %d tokens.\n",
		v.Tokens, v.Most, v.Lines, v.Main)
	return err
}

func printFunctions(to io.Writer, title string, list []functionView) error {
	fmt.Fprintf(to, "\n%s:\n", title)
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "LINES\tCOMPLEXITY\tTOKENS\t  FUNCTION")
	for _, f := range list {
		fmt.Fprintf(w, "%d\t%d\t%d\t  %s\n", f.Lines, f.Complexity, f.Tokens, f.Function)
	}
	return w.Flush()
}

// wrap breaks words into lines of at most width, indented by two.
func wrap(words []string, width int) string {
	var b strings.Builder
	column := width + 1
	for _, w := range words {
		if column+1+len(w) > width {
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			b.WriteByte(' ')
			column = 1
		}
		b.WriteByte(' ')
		b.WriteString(w)
		column += 1 + len(w)
	}
	return b.String()
}
