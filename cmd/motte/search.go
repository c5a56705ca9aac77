package main

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"math"

	"github.com/spf13/cobra"

	"motte/client"
)

func (a *app) search() *cobra.Command {
	var limit uint32
	var ids bool
	cmd := a.remote(&cobra.Command{
		Use:   "search COLLECTION INDEX PREDICATE",
		Short: "Print the objects that a predicate finds",
		Long: `Print the objects that a predicate of an index finds and you may read: one on a line,
JSON compacted. An object of more than one line is left out and named on standard
error, and the exit code is 11. --json has all of them:
{"id":…,"name":…,"object":…}, or "base64" instead of "object" for objects that are not JSON.

On a terminal the identity, in angle brackets, stands for an object that is not one line
of text, or has control characters in it, which could do the terminal harm.

If the index is ordered, objects come in the Task's order, and otherwise sorted by identity.
A predicate that begins with - is given after --.`,
		Example: `  motte search people by_age '>= 30 and < 40'
  motte search people by_age 'all order desc' --limit 10
  motte search people by_text '"enchantress of numbers" -babbage' --ids`,
	}, func(ctx context.Context, c *client.Client, args []string) (err error) {
		q := client.Query{Collection: args[0], Index: args[1], Predicate: args[2], Limit: limit}
		out := bufio.NewWriter(a.stdout)
		left := 0
		if ids {
			err = a.printIdentities(ctx, c, q, out)
		} else {
			left, err = a.printObjects(c.Search(ctx, q), out)
		}
		if err != nil {
			err = fmt.Errorf("index %s %s: %w", q.Collection, q.Index, err)
		}
		if flush := out.Flush(); err == nil {
			err = flush
		}
		if err == nil {
			err = notOneLine(left)
		}
		return err
	})
	cmd.Flags().Var(whole[uint32]{&limit, 1, math.MaxUint32}, "limit", "print `N` objects at most (default: as many as the index may give)")
	cmd.Flags().BoolVar(&ids, "ids", false, "print identities instead of objects")
	return cmd
}

// notOneLine returns the error of a command that left out objects, or nil if it left out no object.
func notOneLine(left int) error {
	if left == 0 {
		return nil
	}
	return leftOutError{fmt.Sprintf("left out %s of more than one line: use --json", plural(left, "object"))}
}

// printObjects prints objects, and counts those that it left out.
func (a *app) printObjects(objects iter.Seq2[client.Object, error], out *bufio.Writer) (left int, err error) {
	person := isTerminal(a.stdout)
	for o, err := range objects {
		if err != nil {
			return left, err
		}
		line, ok := oneLine(o.Data, person)
		switch {
		case a.json:
			err = encode(out, newObject(o))
		case ok:
			_, err = fmt.Fprintf(out, "%s\n", line)
		case person:
			_, err = fmt.Fprintf(out, "<%s: %s, not one line of text>\n", identifier(o.Identity), size(uint64(len(o.Data))))
		default: // a reader of the lines could not tell a placeholder from an object
			left++
			a.say("left out: %s (%s, not one line)\n", identifier(o.Identity), size(uint64(len(o.Data))))
		}
		if err != nil {
			return left, err
		}
	}
	return left, nil
}

func (a *app) printIdentities(ctx context.Context, c *client.Client, q client.Query, out *bufio.Writer) error {
	for id, err := range c.SearchIdentities(ctx, q) {
		switch {
		case err != nil:
			return err
		case a.json:
			err = encode(out, object{ID: identifier(id)})
		default:
			_, err = fmt.Fprintln(out, identifier(id))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *app) count() *cobra.Command {
	return a.remote(&cobra.Command{
		Use:     "count COLLECTION INDEX PREDICATE",
		Short:   "Print how many objects a predicate finds that you may read",
		Example: `  motte count people by_age '< 18'`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		found, err := c.Count(ctx, client.Query{Collection: args[0], Index: args[1], Predicate: args[2]})
		if err == nil {
			err = a.printCount(found)
		}
		if err != nil {
			return fmt.Errorf("index %s %s: %w", args[0], args[1], err)
		}
		return nil
	})
}

// printCount prints a count. If the count is incomplete, it also returns an error.
func (a *app) printCount(found client.Found) (err error) {
	if a.json {
		err = a.emit(struct {
			Count     uint32 `json:"count"`
			Truncated bool   `json:"truncated"`
		}{found.Count, found.Truncated})
	} else {
		_, err = fmt.Fprintln(a.stdout, found.Count)
	}
	if err == nil && found.Truncated {
		err = client.ErrTruncated
	}
	return err
}
