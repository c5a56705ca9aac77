package main

import (
	"slices"

	"motte/tasks/internal/inverted"
)

// termNumber is the number of a term in the index.
type termNumber uint32

// terms numbers the terms of all objects densely. The zero value has no terms.
type terms struct {
	number map[string]termNumber // by name; see termName
	list   []term
	free   []termNumber
}

// term is a term, and the objects that have it.
type term struct {
	name    string
	objects inverted.Set
}

// numberOf returns the number of a term, which it adds if no object has it.
func (t *terms) numberOf(name string) termNumber {
	n, ok := t.number[name]
	if ok {
		return n
	}
	if t.number == nil {
		t.number = make(map[string]termNumber)
	}
	if last := len(t.free) - 1; last >= 0 {
		n = t.free[last]
		t.free = t.free[:last]
	} else {
		n = termNumber(len(t.list))
		t.list = append(t.list, term{})
	}
	t.number[name] = n
	t.list[n].name = name
	return n
}

// objects returns the set of a term, or nil if no object has it.
func (t *terms) objects(name string) *inverted.Set {
	n, ok := t.number[name]
	if !ok {
		return nil
	}
	return &t.list[n].objects
}

// remove takes an object from the set of a term. If it was the last, the term is forgotten.
func (t *terms) remove(n termNumber, object inverted.Number) {
	set := &t.list[n].objects
	if set.Remove(object); set.Len() == 0 {
		t.forget(n)
	}
}

func (t *terms) forget(n termNumber) {
	delete(t.number, t.list[n].name)
	t.list[n] = term{}
	t.free = append(t.free, n)
}

// fill makes the sets of all terms at once. all yields each object, in ascending order, with its
// terms. A term that no object has is forgotten.
func (t *terms) fill(all func(yield func(inverted.Number, []termNumber) bool)) {
	start := make([]int, len(t.list)+1) // of the numbers of each term, in one list
	for _, terms := range all {
		for _, n := range terms {
			start[n+1]++
		}
	}
	for n := range t.list {
		start[n+1] += start[n]
	}
	end := slices.Clone(start)
	numbers := make([]inverted.Number, start[len(t.list)])
	for object, terms := range all {
		for _, n := range terms {
			numbers[end[n]] = object
			end[n]++
		}
	}
	for n := range t.list {
		t.list[n].objects = inverted.NewSet(numbers[start[n]:start[n+1]])
		if start[n] == start[n+1] && t.list[n].name != "" {
			t.forget(termNumber(n))
		}
	}
}
