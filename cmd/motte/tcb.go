package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"motte"
	"motte/host"
	"motte/tcb"
)

// tcbView is the trusted computing base, for programs.
type tcbView struct {
	Packages []packageView `json:"packages"`
	Lines    int           `json:"lines"` // of core/
	MaxLines int           `json:"max_lines"`
	Main     int           `json:"main_lines"`
	Linked   []string      `json:"linked"` // of the standard library
	SHA256   string        `json:"sha256"` // of motte-core
}

type packageView struct {
	Package string `json:"package"`
	Files   int    `json:"files"`
	Lines   int    `json:"lines"`
}

func (a *app) tcb() *cobra.Command {
	return a.leaf(&cobra.Command{
		Use:   "tcb",
		Short: "Print the size of the trusted code, and what it links",
		Long: `Print how many lines the trusted code has, by package: lines that hold code, neither
blank nor comments, without tests. The source counted is the one that this executable was
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
	packages, err := tcb.Count(motte.Source, tcb.Core)
	if err != nil {
		return v, err
	}
	main, err := tcb.Count(motte.Source, tcb.Main)
	if err != nil {
		return v, err
	}
	v = tcbView{Lines: tcb.Total(packages), MaxLines: tcb.MaxLines, Main: tcb.Total(main)}
	for _, p := range packages {
		v.Packages = append(v.Packages, packageView{p.Path, p.Files, p.Lines})
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

func (a *app) printCore(v tcbView) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "LINES\tFILES\t  PACKAGE")
	for _, p := range v.Packages {
		fmt.Fprintf(w, "%d\t%d\t  %s\n", p.Lines, p.Files, p.Package)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(a.stdout, "\nThe Core has %d lines, of at most %d; its main program has %d.\n", v.Lines, v.MaxLines, v.Main)
	fmt.Fprintf(a.stdout, "motte-core (SHA-256 %s) links %d packages of the standard library:\n\n", v.SHA256, len(v.Linked))
	_, err := fmt.Fprintln(a.stdout, wrap(v.Linked, 78))
	return err
}

// wrap sets words in lines of a width, indented by two.
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
