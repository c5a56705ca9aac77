package main

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"motte/client"
	"motte/tasks/text/grammar"
	"motte/tasks/text/highlight"
)

// textTask is the Task whose predicates the command can parse.
const textTask = "text"

// textFault says where the predicate of an index of the Task text is wrong, and of which index it is. A Task gives no reason, so
// the command parses the predicate itself. The fault is empty if the command finds no fault.
func textFault(ctx context.Context, c *client.Client, q *client.Query) (index, fault string) {
	where := q.Where
	if q.Index != "" {
		where = client.Leaf(q.Index, q.Predicate)
	}
	for index, predicate := range where.Leaves() {
		d, ok := dialect(ctx, c, q.Collection, index)
		if !ok {
			continue
		}
		var wrong *grammar.Error
		if _, err := d.Parse(predicate); errors.As(err, &wrong) {
			return index, place(predicate, wrong)
		}
	}
	return "", ""
}

// dialect returns the dialect of an index, and whether it is of the Task text.
func dialect(ctx context.Context, c *client.Client, collection, index string) (d grammar.Dialect, ok bool) {
	status, err := c.Status(ctx)
	if err != nil {
		return d, false
	}
	for _, x := range status.Indexes {
		if x.Collection != collection || x.Index != index || x.Task != textTask {
			continue
		}
		configuration, err := c.Configuration(ctx, collection, index)
		if err != nil {
			return d, true // only administrators of the collection may read it
		}
		return grammar.DialectOf(configuration), true
	}
	return d, false
}

// newMark returns a function that puts marks around the words that a search finds.
func newMark(ctx context.Context, c *client.Client, q *client.Query) (func(data []byte) []byte, error) {
	d, ok := dialect(ctx, c, q.Collection, q.Index)
	if !ok {
		return nil, usage("--highlight is for indexes of the Task %s", textTask)
	}
	h, err := highlight.New(d, q.Predicate)
	if err != nil {
		return nil, client.ErrQueryRefused
	}
	return func(data []byte) []byte { return h.Object(data, "**", "**") }, nil
}

// place names the place of a fault for a person.
func place(predicate string, wrong *grammar.Error) string {
	if wrong.At >= len(predicate) {
		return "at its end: " + wrong.Reason
	}
	const most = 20
	rest := []rune(predicate[wrong.At:])
	if len(rest) > most {
		rest = append(rest[:most], '…')
	}
	return fmt.Sprintf("at character %d, %q: %s", utf8.RuneCountInString(predicate[:wrong.At])+1, string(rest), wrong.Reason)
}
