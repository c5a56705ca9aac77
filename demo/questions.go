package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"motte/client"
)

// search asks an index as a principal, and prints the number of results. It returns the objects
// in the order of the answer.
func (d *demo) search(ctx context.Context, c *client.Client, index, predicate string, limit uint32) (list []symbol, err error) {
	began := time.Now()
	for o, err := range c.Search(ctx, client.Query{Collection: collection, Index: index, Predicate: predicate, Limit: limit}) {
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", index, predicate, err)
		}
		var s symbol
		if err := json.Unmarshal(o.Data, &s); err != nil {
			return nil, fmt.Errorf("%s %s: an object is not JSON as it was put: %w", index, predicate, err)
		}
		if err := check(s.Symbol == o.Name, "the object of symbol %q has the name %q", s.Symbol, o.Name); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	d.answer(index, predicate, len(list), "found", began)
	return list, nil
}

// count asks for the number of objects.
func (d *demo) count(ctx context.Context, c *client.Client, index, predicate string) (int, error) {
	began := time.Now()
	found, err := c.Count(ctx, client.Query{Collection: collection, Index: index, Predicate: predicate})
	if err != nil {
		return 0, fmt.Errorf("%s %s: %w", index, predicate, err)
	}
	d.answer(index, predicate, int(found.Count), "counted", began)
	return int(found.Count), nil
}

// identities asks for identities without the objects.
func (d *demo) identities(ctx context.Context, c *client.Client, index, predicate string) (list []client.Identity, err error) {
	for id, err := range c.SearchIdentities(ctx, client.Query{Collection: collection, Index: index, Predicate: predicate}) {
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", index, predicate, err)
		}
		list = append(list, id)
	}
	return list, nil
}

func (d *demo) answer(index, predicate string, n int, what string, began time.Time) {
	d.row("%-10s  %-46s %6d %-10s %9s", index, predicate, n, what, brief(time.Since(began)))
}

// ranges asks the two B-trees.
func (d *demo) ranges(ctx context.Context) error {
	d.say("This program also searches the source itself, and compares the answers.")
	d.gap()
	for _, q := range []struct {
		index, predicate string
		is               func(symbol) bool
	}{
		{"by_lines", "between 10 and 20", func(s symbol) bool { return s.Lines >= 10 && s.Lines <= 20 }},
		{"by_lines", "> 50 and < 100 or = 200", func(s symbol) bool { return s.Lines > 50 && s.Lines < 100 || s.Lines == 200 }},
		{"by_package", `prefix "encoding/"`, func(s symbol) bool { return strings.HasPrefix(s.Package, "encoding/") }},
		{"by_package", `in ("strings", "bytes")`, func(s symbol) bool { return s.Package == "strings" || s.Package == "bytes" }},
	} {
		found, err := d.search(ctx, d.reader, q.index, q.predicate, 0)
		if err != nil {
			return err
		}
		want := d.library.where(q.is)
		if err := check(slices.Equal(namesOf(found), want), "%s %s found %d objects; want %d", q.index, q.predicate, len(found), len(want)); err != nil {
			return err
		}
	}
	longest, err := d.search(ctx, d.reader, "by_lines", "all order desc", 4)
	if err != nil {
		return err
	}
	d.gap()
	d.say("The longest declarations:")
	for _, s := range longest {
		d.row("%5d lines  %-6s %s", s.Lines, s.Kind, s.Symbol)
	}
	longer := d.library.where(func(s symbol) bool { return s.Lines > longest[len(longest)-1].Lines })
	descending := slices.IsSortedFunc(longest, func(a, b symbol) int { return b.Lines - a.Lines })
	return check(len(longest) == 4 && descending && len(longer) < 4, "the answer is not the four longest declarations in descending order")
}

// text asks the full-text index.
func (d *demo) text(ctx context.Context) error {
	var best []symbol
	for _, q := range []struct {
		predicate string
		is        func(symbol) bool // true for every symbol that the answer may have
	}{
		{"goroutine", mentions("goroutine")},
		{`+"concurrent use" +goroutines`, mentions("concurrent use")},
		{"+unmarshal* -json", mentions("unmarshal")},
		{"chanel~", mentions("chan")},
	} {
		found, err := d.search(ctx, d.reader, "doc", q.predicate, 0)
		if err != nil {
			return err
		}
		wrong := slices.IndexFunc(found, func(s symbol) bool { return !q.is(s) })
		if err := check(len(found) > 0 && wrong < 0, "doc %s found %d objects; number %d does not match the question (-1: all match)", q.predicate, len(found), wrong); err != nil {
			return err
		}
		if best == nil {
			best = found[:3]
		}
	}
	d.gap()
	d.say("The best of the first answer:")
	for _, s := range best {
		sentence, _, _ := strings.Cut(strings.Join(strings.Fields(s.Doc), " "), ". ")
		d.row("%-33s %s", s.Symbol, sentence)
	}
	return nil
}
