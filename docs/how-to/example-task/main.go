// Command motte-task-substring is the example of docs/how-to/write-a-task.md: a Task that finds
// texts by any part of them, in capitals or not, as trigram indexes do. The input is the text,
// and the predicate is the part.
//
// Invariants:
//
//  1. Under each identity value, texts holds at most one document: that of the identity that
//     was inserted last.
//  2. A value stands in holders[t] if and only if its text contains the trigram t.
package main

import (
	"errors"
	"iter"
	"strings"
	"unicode/utf8"

	"motte/core/model"
	"motte/sdk"
)

func main() { sdk.Serve(&index{}) }

// trigram is three bytes in a row. A predicate has at least one trigram.
type trigram [3]byte

type document struct {
	id    sdk.Identity
	owner sdk.Owner
	text  string // in lower case
}

type index struct {
	texts   map[sdk.Value]document
	holders map[trigram]map[sdk.Value]bool
}

var (
	errConfig    = errors.New("this index takes texts and no configuration")
	errPredicate = errors.New("the part must be text of three bytes or more")
)

// Configure implements sdk.Index.
func (x *index) Configure(c sdk.Config) error {
	switch {
	case len(c.Options) > 0:
		return errConfig
	case c.Type != model.TypeAny && c.Type != model.TypeText && c.Type != model.TypeString:
		return errConfig
	}
	x.texts, x.holders = make(map[sdk.Value]document), make(map[trigram]map[sdk.Value]bool)
	return nil
}

// Apply implements sdk.Index.
func (x *index) Apply(changes []sdk.Change) {
	for i := range changes {
		c := &changes[i] // not a copy: Refuse marks the change itself
		x.drop(c.Identity.Value())
		switch {
		case c.Remove:
		case !utf8.Valid(c.Input):
			c.Refuse()
		default:
			x.hold(document{c.Identity, c.Owner, strings.ToLower(string(c.Input))})
		}
	}
}

func (x *index) drop(v sdk.Value) {
	for t := range trigrams(x.texts[v].text) {
		delete(x.holders[t], v)
		if len(x.holders[t]) == 0 {
			delete(x.holders, t)
		}
	}
	delete(x.texts, v)
}

func (x *index) hold(d document) {
	v := d.id.Value()
	x.texts[v] = d
	for t := range trigrams(d.text) {
		if x.holders[t] == nil {
			x.holders[t] = make(map[sdk.Value]bool)
		}
		x.holders[t][v] = true
	}
}

// Search implements sdk.Index.
func (x *index) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	part := strings.ToLower(string(q.Predicate))
	if len(part) < len(trigram{}) || !utf8.Valid(q.Predicate) {
		return nil, errPredicate
	}
	var found []sdk.Identity
	for d := range x.likely(part, &q) {
		if q.Wants(d.owner) && strings.Contains(d.text, part) {
			found = append(found, d.id)
		}
	}
	return sdk.Sorted(found, q.After)
}

// likely yields the texts that hold the rarest trigram of a part, or the candidates if they are fewer.
func (x *index) likely(part string, q *sdk.Query) iter.Seq[document] {
	rarest := x.rarest(part)
	return func(yield func(document) bool) {
		if len(q.Within) > 0 && len(q.Within) < len(rarest) {
			for id := range q.Candidates() {
				if d := x.texts[id.Value()]; d.id == id && !yield(d) {
					return
				}
			}
			return
		}
		for v := range rarest {
			if !yield(x.texts[v]) {
				return
			}
		}
	}
}

// Entry implements sdk.Keeper.
func (x *index) Entry(v sdk.Value) (sdk.Entry, bool) {
	d, ok := x.texts[v]
	return sdk.Entry{Identity: d.id, Owner: d.owner, Data: []byte(d.text)}, ok
}

// Restore implements sdk.Keeper.
func (x *index) Restore(e sdk.Entry) bool {
	x.drop(e.Identity.Value())
	if !utf8.Valid(e.Data) {
		return false
	}
	x.hold(document{e.Identity, e.Owner, string(e.Data)})
	return true
}

// rarest returns the values of the texts that hold the rarest trigram of a part.
func (x *index) rarest(part string) (rarest map[sdk.Value]bool) {
	first := true
	for t := range trigrams(part) {
		if h := x.holders[t]; first || len(h) < len(rarest) {
			rarest, first = h, false
		}
	}
	return rarest
}

// trigrams yields the trigrams of a text; one that occurs twice comes twice.
func trigrams(text string) func(yield func(trigram) bool) {
	return func(yield func(trigram) bool) {
		for i := 0; i+len(trigram{}) <= len(text); i++ {
			if !yield(trigram([]byte(text[i : i+len(trigram{})]))) {
				return
			}
		}
	}
}
