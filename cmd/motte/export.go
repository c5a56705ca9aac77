package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"motte/client"
	"motte/sdk/ijson"
)

func (a *app) export() *cobra.Command {
	var wrap bool
	cmd := a.remote(&cobra.Command{
		Use:   "export COLLECTION",
		Short: "Print every object of a collection that you may read, one on a line",
		Long: `Print every object of a collection that you may read, each as JSON on one line, in no
particular order. Objects that are not JSON, or ambiguous JSON such as a member given
twice, are left out and make it fail at the end with the exit code 11; objects that are
damaged are named, and make it fail as well.

With --envelope no object is left out. Each line is {"name":…,"id":…,"base64":…}, and
'motte import --envelope' restores names and contents byte for byte. Attributes can't be
read, so they are not exported; a note says so.`,
		Example: `  motte export people > people.jsonl
  motte export photos --envelope | gzip > photos.jsonl.gz`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		total := int64(-1)
		if v, err := look(ctx, c); err == nil { // an error costs only the progress bar and the note
			for _, k := range v.Collections {
				if k.Collection == args[0] && k.Objects > 0 {
					total = int64(k.Objects)
				}
			}
			for _, x := range v.Indexes {
				if x.Collection == args[0] && x.Attribute {
					a.note("Attributes given beside objects, for index %s, can't be read, and are not exported.", x.Index)
				}
			}
		}
		out := bufio.NewWriterSize(a.stdout, 1<<20)
		n, left, err := a.exportTo(ctx, c, args[0], out, total, wrap)
		if flush := out.Flush(); err == nil { // objects are printed also if some are missing
			err = flush
		}
		switch {
		case err != nil:
			return fmt.Errorf("collection %s: after %s: %w", args[0], plural(n, "object"), err)
		case left > 0:
			return leftOutError{fmt.Sprintf("left out %s without unambiguous JSON: use --envelope", plural(left, "object"))}
		}
		return nil
	})
	cmd.Flags().BoolVar(&wrap, "envelope", false, "put each object, whatever it holds, into an envelope of JSON")
	return cmd
}

// exportTo writes objects, and counts those written and those left out.
func (a *app) exportTo(ctx context.Context, c *client.Client, collection string, w io.Writer, total int64, wrap bool) (n, left int, err error) {
	bar := a.bar(total, "exporting", hidden(isTerminal(a.stdout))...)
	defer bar.Finish()
	var line bytes.Buffer
	for o, err := range c.List(ctx, collection) {
		if err != nil {
			return n, left, err
		}
		line.Reset()
		whole, err := exportLine(&line, o, wrap)
		if !whole {
			left++
			continue
		}
		if err == nil {
			_, err = w.Write(line.Bytes())
		}
		if err != nil {
			return n, left, err
		}
		n++
		_ = bar.Add(1) // ignore errors of the display
	}
	return n, left, nil
}

// exportLine writes an object as a line that an import reads. Without an envelope, whole is
// false for an object that JSON can't hold on one line.
func exportLine(line *bytes.Buffer, o client.Object, wrap bool) (whole bool, err error) {
	if wrap {
		return true, encode(line, envelope(o))
	}
	if ijson.Check(o.Data) != nil {
		return false, nil
	}
	if err := json.Compact(line, o.Data); err != nil {
		return false, err
	}
	return true, line.WriteByte('\n')
}
