package main

import (
	"encoding/binary"
	"unicode/utf8"

	"motte/sdk"
	"motte/tasks/text/analysis"
)

// An entry on the shelf has for each field in turn how many places its text has, and what is in each: 0
// for a word that is not indexed, 1 for the end of a text, or the length of a term plus 1, and the term. Numbers are varints. So a
// restart neither divides texts nor folds them.

// maxTerm is the length of the longest term in bytes: its characters, and two marks.
const maxTerm = analysis.MaxWord*utf8.UTFMax + 2

// Entry implements sdk.Keeper.
func (x *index) Entry(v sdk.Value) (e sdk.Entry, ok bool) {
	s, ok := x.documents.byValue[v]
	if !ok {
		return e, false
	}
	o := &x.documents.all[s]
	x.words.reset()
	decodeText(o.text, x.words.text)
	p := x.scratch[:0]
	for _, numbers := range x.words.text {
		p = binary.AppendUvarint(p, uint64(len(numbers)))
		for _, n := range numbers {
			if n < firstTerm {
				p = append(p, byte(n))
				continue
			}
			text := x.dictionary.terms[n].text
			p = append(binary.AppendUvarint(p, uint64(len(text))+1), text...)
		}
	}
	x.scratch = p
	return sdk.Entry{Identity: o.id, Owner: o.owner, Data: p}, true
}

// Restore implements sdk.Keeper. It leaves the lists and the order of the terms to Restored.
func (x *index) Restore(e sdk.Entry) bool {
	x.drop(e.Identity.Value())
	if !isEntry(e.Data, len(x.fields)) {
		return false
	}
	x.dictionary.sorted = nil
	x.words.reset()
	p := e.Data
	for field := range x.fields {
		count, width := binary.Uvarint(p)
		p = p[width:]
		for range count {
			size, width := binary.Uvarint(p)
			p = p[width:]
			if size < uint64(firstTerm) {
				x.words.place(field, number(size))
				continue
			}
			n, ok := x.dictionary.byText[string(p[:size-1])]
			if !ok {
				n = x.dictionary.intern(string(p[:size-1]))
			}
			x.words.place(field, n)
			p = p[size-1:]
		}
	}
	x.unlist(x.documents.add(e.Identity, e.Owner, x.words.text))
	return true
}

// isEntry reports whether data are an entry of an index with so many fields.
func isEntry(p []byte, fields int) bool {
	places := 0
	for range fields {
		count, width := binary.Uvarint(p)
		if width <= 0 || count > uint64(len(p)) {
			return false
		}
		p, places = p[width:], places+int(count)
		for range count {
			size, width := binary.Uvarint(p)
			if width <= 0 {
				return false
			}
			p = p[width:]
			if size < uint64(firstTerm) {
				continue
			}
			if size-1 > maxTerm || size-1 > uint64(len(p)) || !utf8.Valid(p[:size-1]) {
				return false
			}
			p = p[size-1:]
		}
	}
	return len(p) == 0 && places <= maxPlaces
}
