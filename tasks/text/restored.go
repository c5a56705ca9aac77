package main

import (
	"runtime"
	"slices"
	"sync"
)

// unlist notes that an object is in no list yet.
func (x *index) unlist(s slot) {
	if int(s) >= len(x.unlisted) {
		x.unlisted = append(x.unlisted, make([]bool, int(s)+1-len(x.unlisted)+len(x.unlisted)/2)...)
	}
	x.unlisted[s] = true
}

// Restored implements sdk.BulkKeeper: it makes the lists of all objects that were restored. Several
// goroutines do so, each for a part of the terms.
func (x *index) Restored() {
	var wait sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for part := range workers {
		wait.Go(func() {
			l := lister{index: x, words: words{index: x}, part: number(part), parts: number(workers)}
			l.list()
		})
	}
	wait.Wait()
	x.unlisted = nil
	for n := range x.dictionary.terms {
		if t := &x.dictionary.terms[n]; t.text != "" && t.list.count == 0 {
			x.dictionary.drop(number(n))
		}
	}
	if x.dictionary.sorted == nil {
		x.dictionary.sort()
	}
}

// chunk is the number of objects whose words a lister gathers. Then it adds to each list all that it has
// gathered for it: to find the end of a list takes longer than to add to it.
const chunk = 512

// lister makes the lists of a part of the terms.
type lister struct {
	index       *index
	words       words
	part, parts number

	text     [][]number
	gathered []gatheredTerm
	last     []uint32 // by number of term: 1 + the last that was gathered of it, or 0
	terms    []number // of which something was gathered
	times    []uint32 // of all that was gathered, by field
}

// gatheredTerm is a term of an object.
type gatheredTerm struct {
	slot   slot
	before uint32 // 1 + the one before of the same term, or 0
}

func (l *lister) list() {
	l.last = make([]uint32, len(l.index.dictionary.terms))
	l.text = make([][]number, len(l.index.fields))
	objects := 0
	for s := range l.index.unlisted {
		if !l.index.unlisted[s] {
			continue
		}
		l.gather(slot(s))
		if objects++; objects%chunk == 0 {
			l.flush()
		}
	}
	l.flush()
}

// gather gathers the terms of an object.
func (l *lister) gather(s slot) {
	l.words.reset()
	decodeText(l.index.documents.all[s].text, l.text)
	for field := range l.text {
		for _, n := range l.text[field] {
			if n >= firstTerm && n%l.parts == l.part {
				l.words.count(field, n)
			}
		}
	}
	for i, n := range l.words.distinct {
		if l.last[n] == 0 {
			l.terms = append(l.terms, n)
		}
		l.gathered = append(l.gathered, gatheredTerm{s, l.last[n]})
		l.last[n] = uint32(len(l.gathered))
		l.times = append(l.times, l.words.frequencies(i)...)
	}
}

// flush adds all that was gathered to the lists.
func (l *lister) flush() {
	var found []uint32 // of one term, the last first
	for _, n := range l.terms {
		found = found[:0]
		for at := l.last[n]; at > 0; at = l.gathered[at-1].before {
			found = append(found, at-1)
		}
		l.last[n] = 0
		t := &l.index.dictionary.terms[n]
		for _, at := range slices.Backward(found) {
			fields := len(l.text)
			t.list.add(l.gathered[at].slot, l.times[int(at)*fields:][:fields])
		}
	}
	l.gathered, l.terms, l.times = l.gathered[:0], l.terms[:0], l.times[:0]
}
