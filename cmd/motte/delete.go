package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"motte/client"
	"motte/core/wire"
)

// deletion is the command line of a deletion.
type deletion struct {
	name, identity, ifIdentity string
	where                      string // index
	predicate                  *string
}

func (a *app) delete() *cobra.Command {
	var d deletion
	cmd := a.leaf(&cobra.Command{
		Use:   "delete COLLECTION [PREDICATE]",
		Short: "Delete an object, or all objects that match a predicate",
		Long: `Delete an object by name or identity. With --where INDEX, delete all objects that match
a predicate of the index and that you may delete. The command asks again until the index
has no more of them. If the index names only objects that you may not delete, and may have
others, the command fails, and the answer is called truncated.`,
		Example: `  motte delete people --name ada
  motte delete people --name ada --if-identity 6f1c…
  motte delete people --where by_age '< 18'`,
	}, func(ctx context.Context, args []string) error {
		if len(args) > 1 {
			d.predicate = &args[1]
		}
		if err := d.check(); err != nil {
			return err
		}
		c, err := a.connect(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		n, err := d.carryOut(ctx, c, args[0])
		if err != nil {
			if n > 0 {
				a.note("Before the error, %s went.", plural(n, "object"))
			}
			return fmt.Errorf("collection %s: %w", args[0], err)
		}
		v := struct {
			Deleted uint64 `json:"deleted"`
		}{n}
		return a.done(v, "Deleted %s.", plural(n, "object"))
	})
	f := cmd.Flags()
	f.StringVar(&d.name, "name", "", "`NAME` of the object")
	f.StringVar(&d.identity, "id", "", "identity `ID` of the object")
	f.StringVar(&d.ifIdentity, "if-identity", "", "only if the object that has the name still is the one with this identity `ID`")
	f.StringVar(&d.where, "where", "", "`INDEX` that is asked the predicate")
	a.offer(cmd, "where", wire.StatusIndex)
	return cmd
}

func (d *deletion) check() error {
	given := 0
	for _, s := range []string{d.name, d.identity, d.where} {
		if s != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return usage("one of --name, --id and --where is needed")
	case (d.where != "") != (d.predicate != nil):
		return usage("--where and a predicate belong together: --where by_age '< 18'")
	case d.ifIdentity != "" && d.name == "":
		return usage("--if-identity is about a name: --name is missing")
	case d.where != "" && strings.TrimSpace(*d.predicate) == "":
		return usage("the predicate is empty, which would delete every object of the index: say so with 'all', or '*' if its Task is text")
	case d.where != "":
		return argument("INDEX", d.where)
	}
	for _, s := range []string{d.identity, d.ifIdentity} {
		if s != "" {
			if _, err := parseHex(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// carryOut deletes, and returns the number of deleted objects.
func (d *deletion) carryOut(ctx context.Context, c *client.Client, collection string) (n uint64, err error) {
	switch {
	case d.where != "":
		return deleteWhere(ctx, c, client.Query{Collection: collection, Index: d.where, Predicate: *d.predicate})
	case d.ifIdentity != "":
		id, _ := parseHex(d.ifIdentity) // checked
		err = c.DeleteIf(ctx, collection, d.name, id)
	case d.identity != "":
		id, _ := parseHex(d.identity) // checked
		err = c.DeleteIdentity(ctx, collection, id)
	default:
		err = c.Delete(ctx, collection, d.name)
	}
	if err != nil {
		return 0, err
	}
	return 1, nil
}

// deleteWhere repeats the request while the index finds more objects than one answer may have.
func deleteWhere(ctx context.Context, c *client.Client, q client.Query) (n uint64, err error) {
	for {
		found, err := c.DeleteWhere(ctx, q)
		n += uint64(found.Count)
		if err != nil || !found.Truncated {
			return n, err
		}
		if found.Count == 0 { // the principal may not delete the objects that the index named
			return n, client.ErrTruncated
		}
	}
}
