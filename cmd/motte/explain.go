package main

import (
	"context"
	"strings"
	"time"

	"motte/client"
)

// explanationView says as JSON what the leaves of an expression cost.
type explanationView struct {
	Leaves    []leafView `json:"leaves"`
	Count     uint32     `json:"count"`
	Truncated bool       `json:"truncated"`
}

type leafView struct {
	Index        string `json:"index"`
	Predicate    string `json:"predicate"`
	Objects      uint32 `json:"objects"`
	Rounds       uint32 `json:"rounds"`
	Microseconds int64  `json:"microseconds"`
	Exhausted    bool   `json:"exhausted"`
	Ranked       bool   `json:"ranked"`
}

// printExplanation makes a search and prints what its leaves cost.
func (a *app) printExplanation(ctx context.Context, c *client.Client, q client.Query) error {
	x, err := c.Explain(ctx, q)
	if err != nil {
		return a.queryError(ctx, c, &q, err)
	}
	v := explanationView{Count: x.Count, Truncated: x.Truncated}
	for _, l := range x.Leaves {
		v.Leaves = append(v.Leaves, leafView{l.Index, l.Predicate, l.Objects, l.Rounds, l.Time.Microseconds(), l.Exhausted, l.Ranked})
	}
	if a.json {
		return a.emit(v)
	}
	err = table(a, v.Leaves, "INDEX | OBJECTS | ROUNDS | TIME | STATE | PREDICATE", func(l leafView) []any {
		return []any{l.Index, l.Objects, l.Rounds, time.Duration(l.Microseconds) * time.Microsecond, l.state(), short(l.Predicate)}
	})
	more := ""
	if v.Truncated {
		more = ", and more objects match"
	}
	a.note("The answer has %s%s.", plural(uint64(v.Count), "object"), more)
	return err
}

// state says how far the index of a leaf was asked.
func (l *leafView) state() string {
	return strings.Join(strings.Fields(yes(l.Exhausted, "exhausted ")+yes(l.Ranked, "ranked")), ",")
}
