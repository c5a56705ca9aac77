package main

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"motte/client"
	"motte/tasks/text/grammar"
)

// textTask is the Task whose predicates the command can parse.
const textTask = "text"

// textFault says where the predicate of an index of the Task text is wrong, and of which index it is. A Task gives no reason, so
// the command parses the predicate itself. The fault is empty if the command finds no fault.
func textFault(ctx context.Context, c *client.Client, q *client.Query) (index, fault string) {
	status, err := c.Status(ctx)
	if err != nil {
		return "", ""
	}
	isText := make(map[string]bool)
	for _, x := range status.Indexes {
		isText[x.Index] = isText[x.Index] || x.Collection == q.Collection && x.Task == textTask
	}
	where := q.Where
	if q.Index != "" {
		where = client.Leaf(q.Index, q.Predicate)
	}
	for index, predicate := range where.Leaves() {
		if !isText[index] {
			continue
		}
		var d grammar.Dialect
		if configuration, err := c.Configuration(ctx, q.Collection, index); err == nil {
			d = grammar.DialectOf(configuration)
		}
		var wrong *grammar.Error
		if _, err := d.Parse(predicate); errors.As(err, &wrong) {
			return index, place(predicate, wrong)
		}
	}
	return "", ""
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
