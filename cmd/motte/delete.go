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
	where                      string   // an index, or the first argument of an expression
	rest                       []string // the predicate, or the other arguments
}

func (a *app) delete() *cobra.Command {
	var d deletion
	cmd := a.leaf(&cobra.Command{
		Use:   "delete COLLECTION [PREDICATE | EXPRESSION…]",
		Short: "Delete an object, or all objects that match a predicate",
		Long: `Delete an object by name or identity. With --where INDEX, delete all objects that match
a predicate of the index and that you may delete. The command asks again until the index
has no more of them. If the index names only objects that you may not delete, and may have
others, the command fails, and the answer is called truncated.

With --where, an expression deletes the objects that match several predicates: see 'motte help
expressions'. If an index can't name all objects of its leaf, no object is deleted, and the
command fails.`,
		Example: `  motte delete people --name ada
  motte delete people --name ada --if-identity 6f1c…
  motte delete people --where by_age '< 18'
  motte delete people --where 'by_age: < 18' NOT 'notes: enclave'`,
	}, func(ctx context.Context, args []string) error {
		d.rest = args[1:]
		q, err := d.check(args[0])
		if err != nil {
			return err
		}
		c, err := a.connect(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		n, err := d.carryOut(ctx, c, q)
		if err != nil {
			if n > 0 {
				a.note("Before the error, %s went.", plural(n, "object"))
			}
			if d.where != "" {
				return a.queryError(ctx, c, &q, err)
			}
			return fmt.Errorf("collection %s: %w", args[0], err)
		}
		v := struct {
			Deleted uint64 `json:"deleted"`
		}{n}
		return a.done(v, "Deleted %s.", plural(n, "object"))
	})
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if beginsExpression(d.where) && len(args) > 0 {
			return check(cmd, "COLLECTION", args[0])
		}
		return arguments(cmd, args)
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if beginsExpression(d.where) && len(args) > 0 {
			return a.completeExpression(cmd, args[0], append([]string{d.where}, args[1:]...))
		}
		return a.complete(cmd, args, begun)
	}
	f := cmd.Flags()
	f.StringVar(&d.name, "name", "", "`NAME` of the object")
	f.StringVar(&d.identity, "id", "", "identity `ID` of the object")
	f.StringVar(&d.ifIdentity, "if-identity", "", "only if the object that has the name still is the one with this identity `ID`")
	f.StringVar(&d.where, "where", "", "`INDEX` that is asked the predicate, or the first argument of an expression")
	a.offer(cmd, "where", wire.StatusIndex)
	return cmd
}

// check checks arguments and flags, and returns the query of --where.
func (d *deletion) check(collection string) (q client.Query, err error) {
	given := 0
	for _, s := range []string{d.name, d.identity, d.where} {
		if s != "" {
			given++
		}
	}
	q.Collection = collection
	expression := beginsExpression(d.where)
	switch {
	case given != 1:
		return q, usage("one of --name, --id and --where is needed")
	case !expression && (d.where != "") != (len(d.rest) > 0):
		return q, usage("--where and a predicate belong together: --where by_age '< 18'")
	case d.ifIdentity != "" && d.name == "":
		return q, usage("--if-identity is about a name: --name is missing")
	case d.where != "":
		return d.query(collection)
	}
	for _, s := range []string{d.identity, d.ifIdentity} {
		if s != "" {
			if _, err := parseHex(s); err != nil {
				return q, err
			}
		}
	}
	return q, nil
}

// query returns the query of --where. No predicate may be empty.
func (d *deletion) query(collection string) (client.Query, error) {
	args := append([]string{d.where}, d.rest...)
	q, err := parseQuery(collection, args)
	if err != nil {
		return q, err
	}
	if q.Index != "" {
		if strings.TrimSpace(q.Predicate) == "" {
			return q, usage("the predicate is empty, which would delete every object of the index: say so with 'all', or '*' if its Task is text")
		}
		return q, argument("INDEX", q.Index)
	}
	for i, arg := range args {
		if _, predicate, leaf := strings.Cut(arg, ":"); leaf && strings.TrimSpace(predicate) == "" {
			return q, usage("argument %d of the expression, %s: its predicate is empty, which finds every object of the index: "+
				"say so with 'all', or '*' if its Task is text", i+1, short(arg))
		}
	}
	return q, checkQuery(&q)
}

// carryOut deletes, and returns the number of deleted objects.
func (d *deletion) carryOut(ctx context.Context, c *client.Client, q client.Query) (n uint64, err error) {
	switch {
	case d.where != "":
		return deleteWhere(ctx, c, q)
	case d.ifIdentity != "":
		id, _ := parseHex(d.ifIdentity) // checked
		err = c.DeleteIf(ctx, q.Collection, d.name, id)
	case d.identity != "":
		id, _ := parseHex(d.identity) // checked
		err = c.DeleteIdentity(ctx, q.Collection, id)
	default:
		err = c.Delete(ctx, q.Collection, d.name)
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
