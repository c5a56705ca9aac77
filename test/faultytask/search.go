package main

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"motte/core/identity"
	"motte/core/taskwire"
	"motte/internal/faketask"
)

// search answers a Search, or has it answered at the end of the batch.
func (t *task) search(q taskwire.Query) {
	q.Predicate = slices.Clone(q.Predicate)
	t.shelf.serves = true
	seq := t.seq
	if t.is("sees later changes") || t.is("answers in another order") {
		t.later = append(t.later, func() { t.answer(seq, q) })
		return
	}
	t.answer(seq, q)
	if t.is("answers twice") {
		t.answer(seq, q)
	}
}

func (t *task) answer(seq uint64, q taskwire.Query) {
	predicate := string(q.Predicate)
	if t.is("ends at a senseless predicate") && !utf8.ValidString(predicate) {
		os.Exit(1)
	}
	if strings.HasPrefix(predicate, "?") && !t.is("refuses no predicate") {
		t.send(taskwire.Failed, seq, []byte{byte(taskwire.FailQuery)})
		return
	}
	if t.refusesFalsely(seq, q) {
		return
	}
	match := t.matches(q)
	a := t.page(seq, q, match)
	if a.Type == taskwire.Failed {
		t.send(taskwire.Failed, seq, []byte{byte(a.Failure)})
		return
	}
	t.tell(t.alter(a, q, match))
}

// refusesFalsely refuses a Search that it has to answer.
func (t *task) refusesFalsely(seq uint64, q taskwire.Query) bool {
	switch {
	case t.is("refuses a predicate") && string(q.Predicate) == "red":
		t.send(taskwire.Failed, seq, []byte{byte(taskwire.FailQuery)})
	case t.is("is gone without a page") && len(q.After) == 0:
		t.send(taskwire.Failed, seq, []byte{byte(taskwire.FailGone)})
	case t.is("refuses in the middle of an answer") && len(t.held) > 0:
		var first identity.ID
		for _, held := range t.held {
			first = held[0].id
		}
		t.send(taskwire.Found, seq, append([]byte{byte(taskwire.StateContinues)}, first[:]...))
		t.send(taskwire.Failed, seq, []byte{byte(taskwire.FailExpensive)})
	default:
		return false
	}
	return true
}

// matches returns the entries that match, in the order of the Task.
func (t *task) matches(q taskwire.Query) (match []entry) {
	predicate := string(q.Predicate)
	for _, held := range t.held {
		for _, e := range held {
			if !e.void && (predicate == "*" || e.input == predicate || t.is("finds too much") && predicate != "" && strings.HasPrefix(e.input, predicate)) {
				match = append(match, e)
			}
		}
	}
	if t.is("has no order") {
		rand.Shuffle(len(match), func(i, j int) { match[i], match[j] = match[j], match[i] })
		return match
	}
	slices.SortFunc(match, func(a, b entry) int {
		if n := strings.Compare(a.input, b.input); n != 0 && !t.is("has another order") {
			return n
		}
		return a.id.Compare(b.id)
	})
	if t.is("orders by the limit") && q.Limit < 5 || t.is("orders by the owner") && q.Owner != taskwire.AllOwners ||
		t.is("orders by the candidates") && len(q.Within) > 0 {
		slices.Reverse(match)
	}
	if q.Owner != taskwire.AllOwners && !t.is("names the objects of all owners") {
		match = slices.DeleteFunc(match, func(e entry) bool { return e.owner != q.Owner })
		if t.is("leaves out objects of an owner") {
			match = match[len(match)/2:]
		}
	}
	return match
}

// page returns the part of the order that a Search asks for.
func (t *task) page(seq uint64, q taskwire.Query, match []entry) taskwire.Answer {
	var ids []identity.ID
	for _, e := range match {
		ids = append(ids, e.id)
	}
	switch {
	case t.is("ignores where a page begins"):
		q.After = nil
	case t.is("begins a page too early") && len(q.After) > 0:
		if i := slices.Index(ids, q.After[0]); i >= 0 {
			ids, q.After = ids[i:], nil
		}
	case t.is("looks at one identity of a page"):
		q.After = q.After[:min(1, len(q.After))]
	case t.is("looks at the last identity of a page") && len(q.After) > 0:
		q.After = q.After[len(q.After)-1:]
	}
	ids, q.Within = t.narrow(ids, q)
	a := faketask.Answer(seq, q, ids)
	if a.Type == taskwire.Failed && t.is("is never gone") {
		a = taskwire.Answer{Type: taskwire.Found, Seq: seq}
	}
	return a
}

// narrow returns the objects, and the candidates among which the Task looks for them.
func (t *task) narrow(ids []identity.ID, q taskwire.Query) (match, within []identity.ID) {
	others := func(id identity.ID) bool { return !slices.Contains(q.Within, id) }
	switch {
	case len(q.Within) == 0:
	case t.is("names others than the candidates"):
		return ids, nil
	case t.is("leaves out candidates") && len(q.Within) > 1:
		return ids, q.Within[:len(q.Within)/2]
	case t.is("looks for candidates up to the limit"):
		return ids[:min(len(ids), int(q.Limit))], q.Within
	case t.is("names candidates that it does not hold"):
		return q.Within, q.Within
	case t.is("begins a page after a candidate alone"):
		return slices.DeleteFunc(slices.Clone(ids), others), q.Within
	}
	return ids, q.Within
}

// alter makes an answer wrong.
func (t *task) alter(a taskwire.Answer, q taskwire.Query, match []entry) taskwire.Answer {
	first := a.Found[:min(1, len(a.Found))]
	switch {
	case t.is("exceeds the limit") && a.State == taskwire.StateMore:
		rest := slices.IndexFunc(match, func(e entry) bool { return !slices.Contains(a.Found, e.id) })
		a.Found = append(slices.Clone(a.Found), match[rest].id)
	case t.is("never says more"):
		a.State = taskwire.StateLast
	case t.is("says more at the end") && len(a.Found) == int(q.Limit):
		a.State = taskwire.StateMore
	case t.is("says more below the limit") && len(a.Found) < int(q.Limit):
		a.State = taskwire.StateMore
	case t.is("names an object twice"):
		a.Found = append(slices.Clone(a.Found), first...)
	case t.is("makes up an identity"):
		a.Found = append(slices.Clone(a.Found), identity.ID{1, 2, 3})
	case t.is("leaves out an object") && len(a.Found) > 3 && a.State == taskwire.StateLast:
		a.Found = a.Found[1:]
	}
	return a
}

// tell writes an answer.
func (t *task) tell(a taskwire.Answer) {
	if t.answers++; t.is("answers only a few Searches") && t.answers > 3 {
		return
	}
	if t.is("sends an empty frame") {
		t.send(taskwire.Found, a.Seq, []byte{byte(taskwire.StateContinues)})
	}
	found := a.Found
	for t.is("names one object in each frame") && len(found) > 1 {
		t.found(a.Seq, taskwire.StateContinues, found[:1])
		found = found[1:]
	}
	for len(found) > taskwire.MaxChunk && !t.is("sends frames that are too long") {
		t.found(a.Seq, taskwire.StateContinues, found[:taskwire.MaxChunk])
		found = found[taskwire.MaxChunk:]
	}
	t.found(a.Seq, a.State, found)
}

func (t *task) found(seq uint64, state taskwire.State, ids []identity.ID) {
	payload := []byte{byte(state)}
	for _, id := range ids {
		payload = append(payload, id[:]...)
	}
	t.send(taskwire.Found, seq, payload)
}
