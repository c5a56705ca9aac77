package main

import (
	"fmt"

	"motte/core/model"
	"motte/sdk"
	"motte/tasks/text/analysis"
)

// index is the Task: an inverted index in memory. Each term has a list of objects, and each object has its
// texts as numbers of terms. So a change touches only the lists of the words that the object has or had.
type index struct {
	settings
	ordered    bool
	dictionary *dictionary
	documents  documents
	words      words
	unlisted   []bool // by slot: the object was restored, and is in no list yet
	scratch    []byte // the data of the entry that Entry returned last
}

// Bounds of what is indexed of one object. Words beyond them are not found.
const (
	maxPlaces   = 1 << 20 // words, in all fields together
	maxDistinct = 1 << 16 // different words: each may be new to the dictionary
)

// Configure implements sdk.Index.
func (x *index) Configure(c sdk.Config) error {
	switch c.Type {
	case model.TypeAny, model.TypeText, model.TypeString:
	default:
		return fmt.Errorf("%w: data type %d is not text", errOptions, c.Type)
	}
	s, err := parseOptions(c.Options)
	if err != nil {
		return err
	}
	*x = index{settings: s, ordered: c.Ordered, dictionary: newDictionary(s.language), documents: newDocuments(len(s.fields))}
	x.words.index = x
	return nil
}

// Apply implements sdk.Index.
func (x *index) Apply(changes []sdk.Change) {
	for i := range changes {
		c := &changes[i]
		x.drop(c.Identity.Value())
		if c.Remove {
			continue
		}
		texts, count, err := read(x.fields, c.Input)
		switch {
		case err != nil:
			c.Refuse()
		case count == 0:
			c.Skip()
		default:
			x.words.reset()
			for field := range texts {
				for n, text := range texts[field] {
					if n > 0 {
						x.words.place(field, gap)
					}
					analysis.Terms(x.language.Fold(text), func(term string, _ analysis.Run) { x.words.add(field, term) })
				}
			}
			x.hold(c.Identity, c.Owner)
		}
	}
}

// hold holds an object with the words that were added.
func (x *index) hold(id sdk.Identity, o sdk.Owner) {
	s := x.documents.add(id, o, x.words.text)
	for i, n := range x.words.distinct {
		x.dictionary.terms[n].list.add(s, x.words.frequencies(i))
	}
}

// drop removes the object of a value, if there is one.
func (x *index) drop(v sdk.Value) {
	s, ok := x.documents.byValue[v]
	if !ok {
		return
	}
	x.words.reset()
	decodeText(x.documents.all[s].text, x.words.text)
	for field := range x.words.text {
		for _, n := range x.words.text[field] {
			if n >= firstTerm {
				x.words.count(field, n)
			}
		}
	}
	if int(s) < len(x.unlisted) && x.unlisted[s] {
		x.unlisted[s] = false
		x.words.reset() // Restored drops terms without an object
	}
	for _, n := range x.words.distinct {
		t := &x.dictionary.terms[n]
		if t.list.remove(s); t.list.count == 0 {
			x.dictionary.drop(n)
		}
	}
	x.documents.remove(s)
}

// words gathers the words of one object.
type words struct {
	index    *index
	text     [][]number // by field
	distinct []number   // the terms of the object
	times    []uint32   // of each of them: how often it is in each field
	ordinal  []uint32   // by number of term: 1 + its place in distinct, or 0
	places   int
}

func (w *words) reset() {
	for _, n := range w.distinct {
		w.ordinal[n] = 0
	}
	if w.text == nil {
		w.text = make([][]number, len(w.index.fields))
	}
	for field := range w.text {
		w.text[field] = w.text[field][:0]
	}
	w.distinct, w.times, w.places = w.distinct[:0], w.times[:0], 0
}

// add adds the next word of a field.
func (w *words) add(field int, term string) {
	if w.places == maxPlaces {
		return
	}
	if w.index.stop[term] {
		w.place(field, hole)
		return
	}
	d := w.index.dictionary
	n, known := d.byText[term]
	if known = known && int(n) < len(w.ordinal) && w.ordinal[n] > 0; !known {
		if len(w.distinct) == maxDistinct {
			w.place(field, hole)
			return
		}
		n = d.intern(term)
	}
	w.place(field, n)
	w.count(field, n)
}

// place adds a number to the text of a field.
func (w *words) place(field int, n number) {
	if w.places == maxPlaces {
		return
	}
	w.text[field] = append(w.text[field], n)
	w.places++
}

// count counts a term of a field.
func (w *words) count(field int, n number) {
	if int(n) >= len(w.ordinal) {
		w.ordinal = append(w.ordinal, make([]uint32, int(n)+1-len(w.ordinal)+len(w.ordinal)/2)...)
	}
	if w.ordinal[n] == 0 {
		w.distinct = append(w.distinct, n)
		w.ordinal[n] = uint32(len(w.distinct))
		for range w.text {
			w.times = append(w.times, 0)
		}
	}
	w.times[int(w.ordinal[n]-1)*len(w.text)+field]++
}

// frequencies returns how often the object has one of its terms.
func (w *words) frequencies(i int) frequencies {
	return w.times[i*len(w.text):][:len(w.text)]
}
