package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"motte/client"
)

// expression asks several indexes as the reader, and prints the number of results. It returns the
// symbols in the order of the answer.
func (d *demo) expression(ctx context.Context, q client.Query) (list []symbol, err error) {
	q.Collection = collection
	began := time.Now()
	for o, err := range d.reader.Search(ctx, q) {
		if err != nil {
			return nil, fmt.Errorf("%v: %w", q.Where, err)
		}
		s, ok := d.library[o.Name]
		if err := check(ok, "the object %q is no symbol", o.Name); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	d.row("%-70s %4d found %9s", "order by "+q.OrderBy, len(list), brief(time.Since(began)))
	d.gap()
	return list, nil
}

// combined asks three indexes parts of one question. Each index learns only its own part.
func (d *demo) combined(ctx context.Context) error {
	d.say("Which long declarations of net/… mention safe concurrent use? One query asks three indexes. The Core " +
		"computes the answer from the identities that it has checked. No Task learns the questions to the others.")
	d.gap()
	for _, leaf := range []string{`"doc: +concurrent* +safe"`, `AND "by_lines: >= 20"`, `AND "by_package: prefix \"net/\""`} {
		d.row("%s", leaf)
	}
	found, err := d.expression(ctx, client.Query{OrderBy: "doc", Where: client.And(
		client.Leaf("doc", "+concurrent* +safe"),
		client.Leaf("by_lines", ">= 20"),
		client.Leaf("by_package", `prefix "net/"`),
	)})
	if err != nil {
		return err
	}
	for _, s := range found {
		d.row("%-40s %4d lines", s.Symbol, s.Lines)
	}
	got := namesOf(found)
	want := d.library.where(func(s symbol) bool {
		return mentions("concurrent")(s) && mentions("safe")(s) && s.Lines >= 20 && strings.HasPrefix(s.Package, "net/")
	})
	within := !slices.ContainsFunc(got, func(name string) bool { return !slices.Contains(want, name) })
	return check(len(got) > 0 && within, "found %q; want a part of %q", got, want)
}

// neighbours asks for the declarations that are most like another, among those that pass a filter.
func (d *demo) neighbours(ctx context.Context) error {
	const model, most = "strings.Cut", 5
	d.say("What is most like %s, outside of package strings, in declarations of 5 lines or more? Each object has a "+
		"vector, which this program made of the words of its comment. The Task of the vectors ranks only what the "+
		"other indexes leave: so a filter never empties the answer.", model)
	d.gap()
	d.row(`"like: near [vector of %s]" AND "by_lines: >= 5" AND NOT "by_package: = \"strings\""`, model)
	like := d.library[model].Like
	found, err := d.expression(ctx, client.Query{OrderBy: "like", Limit: most, Where: client.And(
		client.Leaf("like", "near "+like.String()),
		client.Leaf("by_lines", ">= 5"),
		client.Not(client.Leaf("by_package", `= "strings"`)),
	)})
	if err != nil {
		return err
	}
	var distances []float64
	for _, s := range found {
		distances = append(distances, like.distance(s.Like))
		d.row("%-40s %4d lines, distance %.2f", s.Symbol, s.Lines, like.distance(s.Like))
	}
	var all []float64
	for _, name := range d.library.where(func(s symbol) bool { return s.Lines >= 5 && s.Package != "strings" && !s.Like.zero() }) {
		all = append(all, like.distance(d.library[name].Like))
	}
	slices.Sort(all)
	nearest := len(distances) == most
	for i := range distances {
		nearest = nearest && distances[i] < all[i]+1e-5
	}
	return check(nearest, "the distances are %v; the least are %v", distances, all[:most])
}
