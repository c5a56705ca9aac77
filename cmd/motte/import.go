package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"motte/client"
)

// importing is the command line of an import.
type importing struct {
	importer
	file string // to import
	list string // file that gets the lines that are not indexed, or ""
}

func (a *app) importLines() *cobra.Command {
	var x importing
	cmd := a.leaf(&cobra.Command{
		Use:   "import COLLECTION FILE",
		Short: "Store every line of a JSON lines file as an object",
		Long: `Store every line of a file, or with - of standard input, as an object: the line's
bytes without its end, which must be JSON. Empty lines are left out. JSON in which a
member is given twice, or a character can't be told, is refused: other readers would
understand it differently.

With --name-field each object is named by a member of its own, a string or a whole
number, and takes the place of the one that had the name: importing a file twice then
does no harm. How many objects were replaced is told. With --if-absent a line whose
name is in use is refused instead.

A line that can't be imported ends the import with its number. What was sent before is
stored, and the next line to begin with, --from-line, is told; so it is after Ctrl-C.
With --keep-going such lines are reported and left out, and the exit code is 11.`,
		Example: `  motte import people people.jsonl --name-field id
  motte import people people.jsonl --name-field id --keep-going --not-indexed odd.jsonl
  gunzip < photos.jsonl.gz | motte import photos - --envelope`,
	}, func(ctx context.Context, args []string) error {
		x.collection, x.file = args[0], args[1]
		switch {
		case x.parsing.envelope && x.parsing.nameField != "":
			return usage("--name-field and --envelope exclude each other: an envelope has the name")
		case x.ifAbsent && !x.parsing.envelope && x.parsing.nameField == "":
			return usage("--if-absent is about names: --name-field or --envelope is missing")
		case x.list == toStream:
			return usage("--not-indexed %q: name a file: standard output has the result", x.list)
		}
		return a.importFile(ctx, &x)
	})
	f := cmd.Flags()
	f.StringVar(&x.parsing.nameField, "name-field", "", "`MEMBER` that names the object")
	f.BoolVar(&x.parsing.envelope, "envelope", false, `take lines as 'motte export --envelope' writes them`)
	f.BoolVar(&x.ifAbsent, "if-absent", false, "refuse a line whose name is in use")
	f.BoolVar(&x.keepGoing, "keep-going", false, "leave out lines that can't be imported, and fail at the end")
	x.from = 1
	f.Var(whole[int]{&x.from, 1, math.MaxInt}, "from-line", "begin with line `N`")
	f.StringVar(&x.list, "not-indexed", "", "new `FILE` that lists the lines that an index does not take")
	return cmd
}

func (a *app) importFile(ctx context.Context, x *importing) error {
	f, err := a.openInput(x.file)
	if err != nil {
		return err
	}
	defer f.Close()
	if x.client, err = a.connect(ctx); err != nil {
		return err
	}
	defer x.client.Close()
	before, err := a.mayImport(ctx, x)
	if err != nil {
		return err
	}
	x.notIndexed = func(item) error { return nil }
	if x.list != "" {
		// A file that exists is not replaced: it may be the input of this import.
		list, err := os.OpenFile(x.list, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return fmt.Errorf("make the list of lines that are not indexed: %w", err)
		}
		defer list.Close()
		x.notIndexed = func(it item) error { return encode(list, newListed(it)) }
	}
	x.bar = a.importBar(f)
	x.refused = func(err error) { a.tell(x.file, err) }
	failed := x.run(ctx, func(ctx context.Context) io.Reader { return input{ctx, f} })
	_ = x.bar.Finish() // ignore errors of the display
	return a.summarize(ctx, x, before, failed)
}

// mayImport returns how many inputs each index has refused, or why nothing can be imported.
func (a *app) mayImport(ctx context.Context, x *importing) (before map[string]uint64, err error) {
	v, err := look(ctx, x.client)
	if err != nil {
		return nil, err
	}
	if err := v.only(x.collection); err != nil {
		return nil, err
	}
	for _, k := range v.Collections {
		if k.Collection == x.collection && !slices.Contains(k.Rights, "write") { // otherwise the Core would refuse each line
			return nil, fmt.Errorf("collection %s: %w", x.collection, client.ErrDenied)
		}
	}
	return refusedInputs(v), nil
}

// refusedInputs returns how many inputs each index of a view has refused.
func refusedInputs(v *view) map[string]uint64 {
	counts := make(map[string]uint64)
	for _, x := range v.Indexes {
		counts[x.Index] = x.Refused
	}
	return counts
}

// importBar shows the bytes that were read. The total is the size of a file, or unknown.
func (a *app) importBar(f *os.File) *progressbar.ProgressBar {
	total := int64(-1)
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
		total = info.Size()
	}
	return a.bar(total, "importing", progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true))
}

// listed is a stored line that an index does not take, as --not-indexed lists it.
type listed struct {
	Line       int    `json:"line"`
	ID         string `json:"id"`
	Name       string `json:"name,omitempty"`
	NameBase64 []byte `json:"name_base64,omitempty"`
}

func newListed(it item) listed {
	x := listed{Line: it.line, ID: identifier(it.result.Identity)}
	x.Name, x.NameBase64 = textOrBytes(it.name)
	return x
}

// importView is the result of an import, as JSON.
type importView struct {
	Imported   int               `json:"imported"`
	Replaced   int               `json:"replaced"` // of the imported objects: they replaced objects with their names
	LeftOut    int               `json:"left_out"`
	Refused    map[string]uint64 `json:"not_indexed"`         // objects, by index that refused their input
	NotIndexed int               `json:"not_indexed_lines"`   // lines of these objects, as far as the server told them
	NextLine   int               `json:"next_line,omitempty"` // first line that is not imported, if the import ended early
}

// summarize prints the result of an import, also if it failed.
func (a *app) summarize(ctx context.Context, x *importing, before map[string]uint64, failed error) error {
	v := importView{Imported: x.stored, Replaced: x.replaced, LeftOut: x.leftOut, NotIndexed: x.unindexed}
	v.Refused = a.refusals(ctx, x, before)
	if failed != nil {
		v.NextLine = x.through + 1
		if a.json {
			if err := a.emit(v); err != nil {
				return errors.Join(failed, err)
			}
		}
		if errors.As(failed, new(foreignError)) {
			return fmt.Errorf("%s: %w", x.file, failed)
		}
		return fmt.Errorf("collection %s: imported %s, then: %w%s", x.collection, x.objects(), failed, x.rest())
	}
	if err := a.done(v, "Imported %s.", x.objects()); err != nil {
		return err
	}
	if x.leftOut > 0 {
		return leftOutError{fmt.Sprintf("left out %s; all others are stored", plural(x.leftOut, "line"))}
	}
	return nil
}

// objects returns how many objects were stored, and how many of them replaced others, for
// people.
func (x *importing) objects() string {
	text := plural(x.stored, "object")
	if x.replaced > 0 {
		text += fmt.Sprintf(", %d of them in the place of objects with the same names", x.replaced)
	}
	return text
}

// rest says from which line an import should go on.
func (x *importing) rest() string {
	text := ""
	if x.leftOut > 0 {
		text = fmt.Sprintf(" (%s left out)", plural(x.leftOut, "line"))
	}
	text += fmt.Sprintf(". Go on with: --from-line %d", x.through+1)
	if x.beyond > 0 {
		text += fmt.Sprintf(" (of the lines from there on, %d are stored already)", x.beyond)
	}
	return text
}

// refusals returns how many inputs each index refused since before, and prints these numbers.
// The server names a line only if a leak budget covers it. The difference of the counts covers
// all lines; it is exact unless others write too.
func (a *app) refusals(ctx context.Context, x *importing, before map[string]uint64) map[string]uint64 {
	since := make(map[string]uint64)
	if len(before) == 0 { // no index
		return since
	}
	if v, err := look(ctx, x.client); err == nil && v.only(x.collection) == nil {
		for index, n := range refusedInputs(v) {
			if n > before[index] {
				since[index] = n - before[index]
				a.note("Index %s does not take the input of %s, stored all the same.", index, plural(since[index], "object"))
			}
		}
	}
	if len(since) == 0 && x.unindexed > 0 {
		a.note("%s stored whose input an index does not take.", plural(x.unindexed, "object"))
	}
	if x.list == "" && x.unindexed > 0 {
		a.note("--not-indexed FILE lists such lines.")
	}
	return since
}
