package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"motte/client"
	"motte/core/model"
	"motte/sdk/rehearsal"
)

// comparison compares the answers of an index with those of an executable that holds a copy.
type comparison struct {
	*app
	of      *trying
	client  *client.Client
	task    *rehearsal.Task
	ordered bool
}

// verdictView is the comparison of two answers, as JSON.
type verdictView struct {
	Predicate string   `json:"predicate"`
	Same      bool     `json:"same"`
	Index     string   `json:"index_outcome"` // answered, refused or too-expensive
	New       string   `json:"new_outcome"`   // likewise
	Found     int      `json:"index_found"`
	NewFound  int      `json:"new_found"`
	Missing   []string `json:"missing"`         // identities that only the index finds
	More      []string `json:"more"`            // identities that only the new executable finds
	Order     int      `json:"order,omitempty"` // the first place at which the order differs, from 1; 0: the orders are the same
	Changed   int      `json:"changed"`         // objects that changed meanwhile, and were not compared
	Millis    float64  `json:"index_ms"`
	NewMillis float64  `json:"new_ms"`
}

// answer is an answer with the time that it took.
type answer struct {
	outcome string
	ids     []client.Identity
	took    time.Duration
}

// The outcomes of a question.
const (
	outcomeAnswered  = "answered"
	outcomeRefused   = "refused"
	outcomeExpensive = "too-expensive"
)

// compareAll compares the answers to all predicates.
func (k *comparison) compareAll(ctx context.Context) error {
	different := 0
	var indexTook, newTook float64
	for _, predicate := range k.of.predicates {
		v, err := k.compare(ctx, predicate)
		if err != nil {
			return fmt.Errorf("predicate %q: %w", predicate, err)
		}
		if err := k.print(&v); err != nil {
			return err
		}
		if !v.Same {
			different++
		}
		indexTook, newTook = indexTook+v.Millis, newTook+v.NewMillis
	}
	k.note("Together: the index %.1f ms with the way to the server, the new executable %.1f ms.", indexTook, newTook)
	if different > 0 {
		return fmt.Errorf("%w: %d of %s", errDiffers, different, plural(len(k.of.predicates), "predicate"))
	}
	return nil
}

// compare asks a predicate to both.
func (k *comparison) compare(ctx context.Context, predicate string) (v verdictView, err error) {
	old, err := k.askIndex(ctx, predicate)
	if err != nil {
		return v, fmt.Errorf("index %s %s: %w", k.of.collection, k.of.index, err)
	}
	next, err := k.askNew(predicate)
	if err != nil {
		return v, fmt.Errorf("%s: %w", k.of.executable, err)
	}
	v = verdictView{Predicate: predicate, Index: old.outcome, New: next.outcome, Found: len(old.ids), NewFound: len(next.ids),
		Missing: []string{}, More: []string{}, Millis: millis(old.took), NewMillis: millis(next.took)}
	changed, err := k.changed(ctx, old.ids, next.ids)
	if err != nil {
		return v, err
	}
	v.Changed = len(changed)
	isChanged := func(id client.Identity) bool { return changed[id] }
	ours, theirs := slices.DeleteFunc(old.ids, isChanged), slices.DeleteFunc(next.ids, isChanged)
	v.Missing, v.More = without(ours, theirs), without(theirs, ours)
	if k.ordered && len(v.Missing)+len(v.More) == 0 {
		v.Order = firstDifference(ours, theirs)
	}
	v.Same = old.outcome == next.outcome && len(v.Missing)+len(v.More)+v.Order == 0
	return v, nil
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// askIndex asks the server.
func (k *comparison) askIndex(ctx context.Context, predicate string) (a answer, err error) {
	began := time.Now()
	a.outcome = outcomeAnswered
	for id, err := range k.client.SearchAllIdentities(ctx, client.Query{Collection: k.of.collection, Index: k.of.index, Predicate: predicate}) {
		var code *client.Error
		switch {
		case errors.As(err, &code) && code.Code == model.QueryRefused:
			a.outcome = outcomeRefused
		case errors.As(err, &code) && code.Code == model.TooExpensive:
			a.outcome = outcomeExpensive
		case err != nil:
			return a, err
		default:
			a.ids = append(a.ids, id)
			continue
		}
		a.ids = nil
	}
	a.took = time.Since(began)
	return a, nil
}

// askNew asks the new executable.
func (k *comparison) askNew(predicate string) (a answer, err error) {
	began := time.Now()
	a.outcome = outcomeAnswered
	a.ids, err = k.task.Ask(predicate)
	switch {
	case errors.Is(err, rehearsal.ErrRefused):
		a.outcome, err = outcomeRefused, nil
	case errors.Is(err, rehearsal.ErrTooExpensive):
		a.outcome, err = outcomeExpensive, nil
	}
	a.took = time.Since(began)
	return a, err
}

// changed returns the objects of two answers that were put, replaced or deleted since the
// objects were read.
func (k *comparison) changed(ctx context.Context, old, next []client.Identity) (map[client.Identity]bool, error) {
	changed, found := make(map[client.Identity]bool), make(map[client.Identity]bool)
	for _, id := range old {
		found[id] = true
		if !k.task.Holds(id) {
			changed[id] = true
		}
	}
	var alone []client.Identity
	for _, id := range next {
		if !found[id] {
			alone = append(alone, id)
			changed[id] = true
		}
	}
	for o, err := range k.client.GetAllIdentities(ctx, k.of.collection, alone...) {
		var missing *client.MissingError
		switch {
		case errors.As(err, &missing): // the others have been shown
		case err != nil:
			return nil, err
		default:
			delete(changed, o.Identity)
		}
	}
	return changed, nil
}

// without lists the identities of a that b does not have.
func without(a, b []client.Identity) []string {
	in := make(map[client.Identity]bool)
	for _, id := range b {
		in[id] = true
	}
	list := []string{}
	for _, id := range a {
		if !in[id] {
			list = append(list, identifier(id))
		}
	}
	return list
}

// firstDifference returns the first place, from 1, at which two orders of the same identities
// differ, or 0.
func firstDifference(a, b []client.Identity) int {
	for i := range a {
		if a[i] != b[i] {
			return i + 1
		}
	}
	return 0
}

// shownIdentities is the most identities of a difference that are printed.
const shownIdentities = 5

// print prints a comparison.
func (k *comparison) print(v *verdictView) error {
	if k.json {
		return k.emit(v)
	}
	if k.quiet && v.Same {
		return nil
	}
	mark := "same"
	if !v.Same {
		mark = "DIFFERS"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-8s%s\n", mark, v.Predicate)
	fmt.Fprintf(&b, "        the index %s in %.1f ms, the new executable %s in %.1f ms\n",
		outcomeText(v.Index, v.Found), v.Millis, outcomeText(v.New, v.NewFound), v.NewMillis)
	for _, d := range []struct {
		what string
		ids  []string
	}{{"only the index finds", v.Missing}, {"only the new executable finds", v.More}} {
		if n := len(d.ids); n > 0 {
			fmt.Fprintf(&b, "        %s %s: %s", d.what, plural(n, "object"), strings.Join(d.ids[:min(n, shownIdentities)], ", "))
			if n > shownIdentities {
				b.WriteString(", …")
			}
			b.WriteString("\n")
		}
	}
	if v.Order > 0 {
		fmt.Fprintf(&b, "        the order differs from place %d on\n", v.Order)
	}
	if v.Changed > 0 {
		fmt.Fprintf(&b, "        %s changed meanwhile, and are not compared\n", plural(v.Changed, "object"))
	}
	_, err := fmt.Fprint(k.stdout, harmlessText(b.String()))
	return err
}

func outcomeText(outcome string, n int) string {
	switch outcome {
	case outcomeRefused:
		return "does not understand it,"
	case outcomeExpensive:
		return "finds it too expensive,"
	}
	return "finds " + plural(n, "object")
}
