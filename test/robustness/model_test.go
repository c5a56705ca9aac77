package robustness

import (
	"fmt"
	"math"
	"testing"

	"github.com/anishathalye/porcupine"

	"motte/core/model"
)

// The model of a collection has a register for each name, read and written alone or together. A
// content is a number above 0. An identity names one name with one content. So a precondition on
// an identity is a precondition on a content here. An index finds a content by its key.

// names is the number of names in a history. It is small, so that operations conflict, and the
// check is fast.
const names = 4

// keys is the number of keys.
const keys = 8

// state is the content under each name; 0: no object.
type state [names]uint32

// operation is a request.
type operation struct {
	kind     operationKind
	name     int      // name of a GET
	from, to uint32   // keys of a search or count: from is included, to is not
	changes  []change // made together or not at all
}

type operationKind string

const (
	aGet    operationKind = "get"
	aSearch operationKind = "search"
	aCount  operationKind = "count"
	aWrite  operationKind = "write"
)

// change is a PUT or a deletion of one name.
type change struct {
	name   int
	put    uint32 // content; 0: delete
	absent bool   // only if there is no object
	is     uint32 // only if the object has this content; 0: no precondition
}

// outcome is an answer.
type outcome struct {
	unknown bool       // no answer: the connection was lost
	code    model.Code // code of a write
	seen    state      // objects returned by a GET or search
	count   int
}

// forever is the end of an operation without an answer. It may take effect at any time, or
// never.
const forever = math.MaxInt64

var storeModel = porcupine.Model{
	Init: func() any { return state{} },
	Step: func(s, in, out any) (bool, any) { return step(s.(state), in.(operation), out.(outcome)) },
	Hash: func(s any) (h uint64) {
		for _, content := range s.(state) {
			h = h*0x9E3779B97F4A7C15 + uint64(content)
		}
		return h
	},
	DescribeOperation: func(in, out any) string { return describe(in.(operation), out.(outcome)) },
	DescribeState:     func(s any) string { return fmt.Sprint(s) },
}

// step reports whether an operation can have this outcome in a state. It returns the next state.
func step(s state, in operation, out outcome) (bool, state) {
	switch in.kind {
	case aGet:
		return out.seen[in.name] == s[in.name], s
	case aSearch:
		found, _ := s.find(in.from, in.to)
		return out.seen == found, s
	case aCount:
		_, n := s.find(in.from, in.to)
		return out.count == n, s
	}
	next, code := s.apply(in.changes)
	return out.unknown || out.code == code, next
}

// find returns the objects that an index finds.
func (s state) find(from, to uint32) (found state, n int) {
	for name, content := range s {
		if k := key(content); content > 0 && from <= k && k < to {
			found[name] = content
			n++
		}
	}
	return found, n
}

func key(content uint32) uint32 { return content % keys }

// apply makes changes in order. If one is not allowed, its code is returned and no change is
// made.
func (s state) apply(changes []change) (state, model.Code) {
	next := s
	for _, c := range changes {
		cur := next[c.name]
		switch {
		case c.put == 0 && cur == 0:
			return s, model.NotFound
		case c.absent && cur != 0, c.is != 0 && c.is != cur:
			return s, model.PreconditionFailed
		}
		next[c.name] = c.put
	}
	return next, model.OK
}

func describe(in operation, out outcome) string {
	switch in.kind {
	case aGet:
		return fmt.Sprintf("get %d: %d", in.name, out.seen[in.name])
	case aSearch:
		return fmt.Sprintf("search %d-%d: %d", in.from, in.to, out.seen)
	case aCount:
		return fmt.Sprintf("count %d-%d: %d", in.from, in.to, out.count)
	}
	answer := fmt.Sprint("code ", out.code)
	if out.unknown {
		answer = "?"
	}
	return fmt.Sprintf("write %+v: %s", in.changes, answer)
}

// TestModelTellsHistoriesApart: the model accepts exactly the answers that clients may get.
// Operations follow one another, except for those without an answer.
func TestModelTellsHistoriesApart(t *testing.T) {
	type event = porcupine.Operation
	put := func(name int, content uint32) change { return change{name: name, put: content} }
	remove := func(name int) change { return change{name: name} }
	write := func(code model.Code, c ...change) event {
		return event{Input: operation{kind: aWrite, changes: c}, Output: outcome{code: code}}
	}
	lost := func(c ...change) event {
		return event{Input: operation{kind: aWrite, changes: c}, Output: outcome{unknown: true}, Return: forever}
	}
	get := func(name int, content uint32) event {
		o := outcome{}
		o.seen[name] = content
		return event{Input: operation{kind: aGet, name: name}, Output: o}
	}
	search := func(found ...uint32) event {
		o := outcome{}
		copy(o.seen[:], found)
		return event{Input: operation{kind: aSearch, to: keys}, Output: o}
	}
	count := func(n int) event {
		return event{Input: operation{kind: aCount, to: keys}, Output: outcome{count: n}}
	}
	first := func(content uint32) change { return change{put: content, absent: true} }
	instead := func(is, content uint32) change { return change{put: content, is: is} }
	const ok, absent, failed = model.OK, model.NotFound, model.PreconditionFailed

	for _, tc := range []struct {
		name    string
		legal   bool
		history []event
	}{
		{"an acknowledged put", true, []event{write(ok, put(0, 1)), get(0, 1), search(1), count(1)}},
		{"a stale get", false, []event{write(ok, put(0, 1)), write(ok, put(0, 2)), get(0, 1)}},
		{"a stale search", false, []event{write(ok, put(0, 1)), write(ok, put(0, 2)), get(0, 2), search(1)}},
		{"a stale count", false, []event{write(ok, put(0, 1)), write(ok, put(1, 2)), count(1)}},
		{"a lost write", false, []event{write(ok, put(0, 1)), get(0, 0)}},
		{"an index that misses a write", false, []event{write(ok, put(0, 1)), search()}},
		{"a content that was never put", false, []event{write(ok, put(0, 1)), get(0, 7)}},
		{"a read of a deleted object", false, []event{write(ok, put(0, 1)), write(ok, remove(0)), get(0, 1)}},
		{"a deletion of a missing object", true, []event{write(absent, remove(0)), get(0, 0)}},
		{"a search that mixes two moments", false, []event{write(ok, put(0, 1)), write(ok, remove(0)), write(ok, put(1, 2)), search(1, 2)}},
		{"a batch", true, []event{write(ok, put(0, 1), put(1, 2)), search(1, 2)}},
		{"a batch whose changes depend on each other", true, []event{write(ok, put(0, 1), instead(1, 2), remove(0)), search()}},
		{"half a batch", false, []event{write(ok, put(0, 1), put(1, 2)), search(1)}},
		{"half a batch without an answer", false, []event{lost(put(0, 1), put(1, 2)), search(1)}},
		{"a refused batch that changed something", false, []event{write(absent, put(0, 1), remove(1)), get(0, 1)}},
		{"no answer and no effect", true, []event{lost(put(0, 1)), get(0, 0), search()}},
		{"no answer and an effect", true, []event{lost(put(0, 1)), get(0, 1), search(1)}},
		{"no answer and a late effect", true, []event{lost(put(0, 1)), get(0, 0), write(ok, put(0, 2)), get(0, 1)}},
		{"no answer and an effect that is undone", false, []event{lost(put(0, 1)), get(0, 1), get(0, 0)}},
		{"a precondition that holds", true, []event{write(ok, put(0, 1)), write(ok, instead(1, 2)), get(0, 2)}},
		{"a write whose precondition does not hold", false, []event{write(ok, put(0, 1)), write(ok, instead(3, 2))}},
		{"a refusal though the precondition holds", false, []event{write(failed, first(1))}},
		{"one of two writes that require absence", true, []event{write(ok, first(1)), write(failed, first(2))}},
		{"both of two writes that require absence", false, []event{write(ok, first(1)), write(ok, first(2))}},
	} {
		for i := range tc.history {
			e := &tc.history[i]
			e.Call = int64(2 * i)
			if e.Return != forever {
				e.Return = e.Call + 1
			}
		}
		if legal := porcupine.CheckOperations(storeModel, tc.history); legal != tc.legal {
			t.Errorf("%s: legal is %v, want %v", tc.name, legal, tc.legal)
		}
	}
}
