package main

import (
	"bytes"
	"encoding/binary"
	"os"
	"unicode/utf8"

	"motte/core/identity"
	"motte/core/taskwire"
	"motte/internal/faketask"
)

// entry is an object that the Task holds. An honest Task holds one under a value.
type entry struct {
	id    identity.ID
	owner taskwire.Owner
	input string
	void  bool // there is nothing to find
}

// manyObjects is the number of objects above which a Task with too little room forgets.
const manyObjects = 2000

func (t *task) insert(payload []byte) {
	t.applied = t.seq
	t.shelf.dirty = true
	id, owner, input := faketask.ReadInsert(payload)
	v, old := id.Value(), t.held[id.Value()]
	lsn := binary.BigEndian.Uint64(payload)
	if t.is("takes positions for times") && lsn < t.lsn {
		return
	}
	t.lsn = lsn
	if t.is("ends at senseless text") && !utf8.Valid(input) && bytes.IndexByte(input, 0xff) != 0 {
		os.Exit(1)
	}
	refuses := bytes.HasPrefix(input, []byte("!"))
	if t.is("refuses an input") && string(input) == "red" {
		refuses = true
	}
	if t.ignores() {
		if refuses {
			t.refuse()
		}
		return
	}
	if !t.is("holds what was replaced") && !(t.is("holds what a refused input replaced") && refuses) &&
		!(t.is("holds an identity twice") && len(old) > 0 && old[0].id == id) {
		delete(t.held, v)
	}
	if refuses && !t.is("refuses no input") {
		t.refuse()
		if len(t.held[v]) == 0 {
			t.held[v] = []entry{{id: id, owner: owner, void: true}}
		}
		return
	}
	e := entry{id: id, owner: owner, input: string(input)}
	if t.is("keeps the first owner") && len(old) > 0 {
		e.owner = old[0].owner
	}
	if t.is("has no room") && len(t.held) >= manyObjects {
		return
	}
	t.held[v] = append(t.held[v], e)
}

// refuse refuses an input.
func (t *task) refuse() {
	switch {
	case t.is("refuses an input as a query"):
		t.fail(taskwire.FailQuery)
	case t.is("refuses twice"):
		t.fail(taskwire.FailInput)
		t.fail(taskwire.FailInput)
	case t.is("confirms no refused input"):
		t.fail(taskwire.FailInput)
		t.applied--
	case t.is("refuses after it confirms"):
		seq := t.seq
		t.later = append(t.later, func() {
			t.confirm()
			t.send(taskwire.Failed, seq, []byte{byte(taskwire.FailInput)})
		})
	default:
		t.fail(taskwire.FailInput)
	}
}

func (t *task) remove(payload []byte) {
	id := identity.ID(payload[8:])
	held := t.held[id.Value()]
	if !t.is("confirms no removal") {
		t.applied = t.seq
	}
	t.shelf.dirty = true
	if t.ignores() {
		return
	}
	switch {
	case t.is("holds what was removed"), t.is("removes the named identity alone") && len(held) > 0 && held[0].id != id:
		return
	case t.is("ends when it holds nothing to remove") && len(held) == 0:
		os.Exit(1)
	}
	delete(t.held, id.Value())
}
