package main

import (
	"slices"
	"strings"

	"github.com/tidwall/btree"

	"motte/tasks/text/analysis"
	"motte/tasks/text/grammar"
)

// number is the number of a term in the dictionary. The first numbers are no terms.
type number = uint32

// What a text has in the place of a term.
const (
	hole      number = iota // a word that is not indexed: a stop word
	gap                     // the end of a text that has another behind it in the same field
	firstTerm               // the numbers from here on are terms
)

// dictionary has the terms of all objects, each with the list of its objects. Terms of no object
// are dropped.
type dictionary struct {
	terms  []term                // by number
	free   []number              // numbers without a term
	byText map[string]number     // for words
	sorted *btree.BTreeG[number] // for patterns; nil while the index is restored

	language analysis.Language
	byStem   map[string][]number // nil: without stems
}

// term is a word, or a pair of characters of a run without spaces.
type term struct {
	text  string
	dense bool
	list  list
}

func newDictionary(l analysis.Language) *dictionary {
	d := &dictionary{terms: make([]term, firstTerm), byText: make(map[string]number), language: l}
	if l.HasStems() {
		d.byStem = make(map[string][]number)
	}
	d.sort()
	return d
}

// intern returns the number of a term, which it adds if need be.
func (d *dictionary) intern(text string) number {
	if n, ok := d.byText[text]; ok {
		return n
	}
	n := number(len(d.terms))
	if last := len(d.free) - 1; last >= 0 {
		n, d.free = d.free[last], d.free[:last]
	} else {
		d.terms = append(d.terms, term{})
	}
	text = strings.Clone(text)
	d.terms[n] = term{text: text, dense: grammar.IsDense(text)}
	d.byText[text] = n
	if d.sorted != nil {
		d.sorted.Set(n)
	}
	if d.byStem != nil && !d.terms[n].dense {
		stem := d.language.Stem(text)
		d.byStem[stem] = append(d.byStem[stem], n)
	}
	return n
}

// drop removes a term.
func (d *dictionary) drop(n number) {
	t := &d.terms[n]
	if d.sorted != nil {
		d.sorted.Delete(n)
	}
	delete(d.byText, t.text)
	if d.byStem != nil && !t.dense {
		stem := d.language.Stem(t.text)
		same := d.byStem[stem]
		if same = slices.Delete(same, slices.Index(same, n), slices.Index(same, n)+1); len(same) == 0 {
			delete(d.byStem, stem)
		} else {
			d.byStem[stem] = same
		}
	}
	*t = term{}
	d.free = append(d.free, n)
}

// sort makes the order of the terms from nothing.
func (d *dictionary) sort() {
	less := func(a, b number) bool { return d.terms[a].text < d.terms[b].text }
	d.sorted = btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
	var numbers []number
	for n := firstTerm; n < number(len(d.terms)); n++ {
		if d.terms[n].list.count > 0 {
			numbers = append(numbers, n)
		}
	}
	slices.SortFunc(numbers, func(a, b number) int { return strings.Compare(d.terms[a].text, d.terms[b].text) })
	for _, n := range numbers {
		d.sorted.Load(n)
	}
}

// ascend visits the terms that are not below a text, in order.
func (d *dictionary) ascend(from string, visit func(number) bool) {
	// The tree compares numbers. Number 0, which has no term, stands for the text.
	d.terms[hole].text = from
	d.sorted.Ascend(hole, visit)
	d.terms[hole].text = ""
}
