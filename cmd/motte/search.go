package main

import (
	"context"
	"errors"
	"math"

	"github.com/spf13/cobra"

	"motte/client"
	"motte/core/wire"
)

// searching is the command line of a search.
type searching struct {
	client.Query
	ids, all, explain bool
	highlight         bool
	fields            []field
	sort              []sortKey
}

func (a *app) search() *cobra.Command {
	var s searching
	cmd := a.queried(&cobra.Command{
		Use:   "search COLLECTION (INDEX PREDICATE | EXPRESSION…)",
		Short: "Print the objects that a predicate finds, or several",
		Long: `Print the objects that a predicate of an index finds and you may read: one on a line,
JSON compacted. An object of more than one line is left out and named on standard
error, and the exit code is 11. --json has all of them:
{"id":…,"name":…,"object":…}, or "base64" instead of "object" for objects that are not JSON.

On a terminal the identity, in angle brackets, stands for an object that is not one line
of text, or has control characters in it, which could do the terminal harm.

If the index is ordered, objects come in the Task's order, and otherwise sorted by identity.
A predicate that begins with - is given after --.

An expression asks several indexes: 'INDEX: PREDICATE' AND 'INDEX: PREDICATE' …; see 'motte help
expressions'. Its answer is sorted by identity, or with --order by an ordered index. --explain
prints what each index did instead of the objects, to an administrator of the collection.

An index gives a limited number of objects in one answer. --all prints all objects, page by
page. If more objects match than the answer has, the command fails, and says with which
identity --after prints the next page. If the answer has as many objects as --limit, it does
not fail, and a note on standard error says the same.

--fields prints parts of JSON objects, --sort sorts the objects of the answer by their parts:
see 'motte help fields'.`,
		Example: `  motte search people by_age '>= 30 and < 40'
  motte search people by_age 'all order desc' --limit 10
  motte search people by_age 'all order desc' --limit 10 --after 6f1c…
  motte search people by_age 'all' --all --ids
  motte search people by_text '"enchantress of numbers" -babbage' --fields /name,/age
  motte search people 'by_age: >= 30' AND 'notes: enclave' NOT 'notes: sgx' --order notes --limit 10`,
	}, func(ctx context.Context, args []string) error {
		if err := s.read(args); err != nil {
			return err
		}
		c, err := a.connect(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		if s.explain {
			return a.printExplanation(ctx, c, s.Query)
		}
		return a.printSearch(ctx, c, &s)
	})
	f := cmd.Flags()
	f.Var(whole[uint32]{&s.Limit, 1, math.MaxUint32}, "limit", "print `N` objects at most (default: as many as the index may give)")
	f.Var(identities{&s.After}, "after", "print only objects after the one with the identity `ID`; several with commas: after the first that is still there")
	f.BoolVar(&s.all, "all", false, "print all objects, also if the index gives them in several answers; not with --limit")
	f.BoolVar(&s.ids, "ids", false, "print identities instead of objects")
	f.StringVar(&s.OrderBy, "order", "", "`INDEX` of the expression that gives the order; it has to be an ordered one")
	f.BoolVar(&s.explain, "explain", false, "print what each index did, instead of the objects; for administrators of the collection")
	f.BoolVar(&s.highlight, "highlight", false, "put ** around the words that an index of the Task text found; in a search of one index")
	addFieldFlags(cmd, &s.fields, &s.sort)
	a.offer(cmd, "order", wire.StatusIndex)
	offerNothing(cmd, "after")
	return cmd
}

// read reads the arguments, and checks them together with the flags.
func (s *searching) read(args []string) error {
	q, err := parseQuery(args[0], args[1:])
	if err != nil {
		return err
	}
	s.Collection, s.Index, s.Predicate, s.Where = q.Collection, q.Index, q.Predicate, q.Where
	switch {
	case s.all && s.Limit > 0:
		return usage("--all prints all objects, and --limit only some: give one of them")
	case s.ids && (s.fields != nil || s.sort != nil):
		return usage("--ids prints identities, and --fields and --sort need the objects: give one of them")
	case s.explain && (s.all || s.ids || s.fields != nil || s.sort != nil):
		return usage("--explain prints no objects: leave out --all, --ids, --fields and --sort")
	case s.highlight && (s.ids || s.explain):
		return usage("--highlight marks words in objects, and --ids and --explain print none: give one of them")
	case s.highlight && s.Index == "":
		return usage("--highlight is for a search of one index: motte search COLLECTION INDEX PREDICATE --highlight")
	case s.Index != "" && s.OrderBy != "":
		return usage("--order is for an expression; if the index is an ordered one, it gives its order without it")
	}
	return checkQuery(&s.Query)
}

// printSearch sends a search and prints its answer.
func (a *app) printSearch(ctx context.Context, c *client.Client, s *searching) (err error) {
	p := a.printer(s.fields)
	if s.highlight {
		if p.mark, err = newMark(ctx, c, &s.Query); err != nil {
			return a.queryError(ctx, c, &s.Query, err)
		}
	}
	page := c.SearchPage(s.Query)
	switch {
	case s.all && s.ids:
		err = p.identities(c.SearchAllIdentities(ctx, s.Query))
	case s.all:
		err = p.objects(sorted(c.SearchAll(ctx, s.Query), s.sort))
	case s.ids:
		err = p.identities(page.Identities(ctx))
	default:
		err = p.objects(sorted(page.Objects(ctx), s.sort))
	}
	if err != nil {
		err = a.queryError(ctx, c, &s.Query, err)
	}
	err = p.flush(err)
	if page.More && !errors.Is(err, client.ErrTruncated) {
		a.tellMore(page.Next)
	}
	return p.finish(err)
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
