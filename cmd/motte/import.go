package main

import (
	"context"
	"fmt"
	"os"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"motte/client"
)

func (a *app) importLines() *cobra.Command {
	var how parsing
	var keepGoing bool
	cmd := a.leaf(&cobra.Command{
		Use:   "import COLLECTION FILE",
		Short: "Store every line of a JSON lines file as an object",
		Long: `Store every line of a file, or with - of standard input, as an object: the line's
exact bytes, which must be JSON. Empty lines are left out.

With --name-field each object is named by a member of its own, a string or a number,
and takes the place of the one that had the name: importing a file twice then does no
harm. Lines are sent in batches, each of which is stored whole or not at all.

A line that can't be imported ends the import with its number; what was sent before
is stored. With --keep-going such lines are reported and left out.`,
		Example: `  motte import people people.jsonl --name-field id
  gunzip < photos.jsonl.gz | motte import photos - --envelope`,
	}, func(ctx context.Context, args []string) error {
		if how.envelope && how.nameField != "" {
			return usage("--name-field and --envelope exclude each other: an envelope has the name")
		}
		f, err := a.open(args[1])
		if err != nil {
			return err
		}
		defer f.Close()
		c, err := a.connect(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		i := &importer{client: c, collection: args[0], parsing: how, bar: a.importBar(f)}
		if keepGoing {
			i.broken = func(err error) { a.tell(args[1], err) }
		}
		return a.runImport(ctx, i, f)
	})
	f := cmd.Flags()
	f.StringVar(&how.nameField, "name-field", "", "`MEMBER` that names the object")
	f.BoolVar(&how.envelope, "envelope", false, `take lines as 'motte export --envelope' writes them`)
	f.BoolVar(&keepGoing, "keep-going", false, "leave out lines that can't be imported, and fail at the end")
	return cmd
}

// importBar shows the bytes read, of those of the file if it is one.
func (a *app) importBar(f *os.File) *progressbar.ProgressBar {
	total := int64(-1)
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
		total = info.Size()
	}
	return a.bar(total, "importing", progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true))
}

// importView is what an import came to, for programs.
type importView struct {
	Imported int64             `json:"imported"`
	LeftOut  int64             `json:"left_out"`
	Refused  map[string]uint64 `json:"not_indexed"` // objects, by index
}

func (a *app) runImport(ctx context.Context, i *importer, f *os.File) error {
	before, err := refusals(ctx, i.client, i.collection)
	if err != nil {
		return err
	}
	failed := i.run(ctx, f)
	i.bar.Finish()
	v := importView{Imported: i.stored.Load(), LeftOut: i.leftOut, Refused: map[string]uint64{}}
	if failed != nil {
		return fmt.Errorf("collection %s: imported %s, then: %w", i.collection, plural(v.Imported, "object"), failed)
	}
	if i.notIndexed.Load() {
		if v.Refused, err = a.tellRefusals(ctx, i, before); err != nil {
			return err
		}
	}
	if err := a.done(v, "Imported %s.", plural(v.Imported, "object")); err != nil {
		return err
	}
	if i.leftOut > 0 {
		return fmt.Errorf("left out %s", plural(i.leftOut, "line"))
	}
	return nil
}

// tellRefusals tells how many inputs each index refused since before.
func (a *app) tellRefusals(ctx context.Context, i *importer, before map[string]uint64) (map[string]uint64, error) {
	after, err := refusals(ctx, i.client, i.collection)
	if err != nil {
		return nil, err
	}
	refused := make(map[string]uint64)
	for index, n := range after {
		if n > before[index] {
			refused[index] = n - before[index]
			a.note("Index %s does not take the input of %s, stored all the same.", index, plural(refused[index], "object"))
		}
	}
	if len(refused) == 0 {
		a.note("Some objects are stored, but an index does not take their input.")
	}
	return refused, nil
}

// refusals says how many inputs each index of a collection has refused. An
// answer to a batch tells only that there was one; the difference of two counts
// is exact unless others write too.
func refusals(ctx context.Context, c *client.Client, collection string) (map[string]uint64, error) {
	v, err := look(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := v.only(collection); err != nil {
		return nil, err
	}
	counts := make(map[string]uint64)
	for _, x := range v.Indexes {
		counts[x.Index] = x.Refused
	}
	return counts, nil
}
