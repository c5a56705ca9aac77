package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/spf13/cobra"

	"motte/client"
)

// searching is the command line of a search.
type searching struct {
	client.Query
	ids, all bool
}

func (a *app) search() *cobra.Command {
	var s searching
	cmd := a.leaf(&cobra.Command{
		Use:   "search COLLECTION INDEX PREDICATE",
		Short: "Print the objects that a predicate finds",
		Long: `Print the objects that a predicate of an index finds and you may read: one on a line,
JSON compacted. An object of more than one line is left out and named on standard
error, and the exit code is 11. --json has all of them:
{"id":…,"name":…,"object":…}, or "base64" instead of "object" for objects that are not JSON.

On a terminal the identity, in angle brackets, stands for an object that is not one line
of text, or has control characters in it, which could do the terminal harm.

If the index is ordered, objects come in the Task's order, and otherwise sorted by identity.
A predicate that begins with - is given after --.

An index gives a limited number of objects in one answer. --all prints all objects, page by
page. If more objects match than the answer has, the command fails, and says with which
identity --after prints the next page. If the answer has as many objects as --limit, it does
not fail, and a note on standard error says the same.`,
		Example: `  motte search people by_age '>= 30 and < 40'
  motte search people by_age 'all order desc' --limit 10
  motte search people by_age 'all order desc' --limit 10 --after 6f1c…
  motte search people by_age 'all' --all --ids
  motte search people by_text '"enchantress of numbers" -babbage' --ids`,
	}, func(ctx context.Context, args []string) error {
		s.Collection, s.Index, s.Predicate = args[0], args[1], args[2]
		if s.all && s.Limit > 0 {
			return usage("--all prints all objects, and --limit only some: give one of them")
		}
		c, err := a.connect(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		return a.printSearch(ctx, c, &s)
	})
	f := cmd.Flags()
	f.Var(whole[uint32]{&s.Limit, 1, math.MaxUint32}, "limit", "print `N` objects at most (default: as many as the index may give)")
	f.Var(identities{&s.After}, "after", "print only objects after the one with the identity `ID`; several with commas: after the first that is still there")
	f.BoolVar(&s.all, "all", false, "print all objects, also if the index gives them in several answers; not with --limit")
	f.BoolVar(&s.ids, "ids", false, "print identities instead of objects")
	offerNothing(cmd, "after")
	return cmd
}

// printSearch sends a search and prints its answer.
func (a *app) printSearch(ctx context.Context, c *client.Client, s *searching) (err error) {
	out := bufio.NewWriter(a.stdout)
	left := 0
	page := c.SearchPage(s.Query)
	switch {
	case s.all && s.ids:
		err = a.printIdentities(c.SearchAllIdentities(ctx, s.Query), out)
	case s.all:
		left, err = a.printObjects(c.SearchAll(ctx, s.Query), out)
	case s.ids:
		err = a.printIdentities(page.Identities(ctx), out)
	default:
		left, err = a.printObjects(page.Objects(ctx), out)
	}
	if err != nil {
		err = fmt.Errorf("index %s %s: %w", s.Collection, s.Index, err)
	}
	if flush := out.Flush(); err == nil {
		err = flush
	}
	if page.More && !errors.Is(err, client.ErrTruncated) {
		a.tellMore(page.Next)
	}
	if err == nil {
		err = notOneLine(left)
	}
	return err
}

// moreView says as JSON that more objects match than an answer has.
type moreView struct {
	Truncated bool     `json:"truncated,omitempty"`
	Next      []string `json:"next,omitempty"` // identities for --after
}

func newMore(next []client.Identity) moreView {
	v := moreView{Truncated: true}
	for _, id := range next {
		v.Next = append(v.Next, identifier(id))
	}
	return v
}

// tellMore says on standard error that more objects match, after an answer with as many
// objects as its limit. To a program this is a part of the result, so --quiet does not hide it.
func (a *app) tellMore(next []client.Identity) {
	switch {
	case a.json:
		_ = encode(a.stderr, newMore(next))
	case len(next) == 0:
		a.note("More objects match.")
	default:
		a.note("More objects match. The next: --after %s", identifier(next[0]))
	}
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

func (a *app) printIdentities(ids iter.Seq2[client.Identity, error], out *bufio.Writer) error {
	for id, err := range ids {
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
		Use:   "count COLLECTION INDEX PREDICATE",
		Short: "Print how many objects a predicate finds that you may read",
		Long: `Print how many objects a predicate finds that you may read. If the index may not give all
of them in one answer, the number is too low, and the command fails.`,
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
