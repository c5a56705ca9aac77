package main

import (
	"strings"

	"motte/tasks/text/analysis"
	"motte/tasks/text/grammar"
)

// member is a term that an element of a predicate stands for.
type member struct {
	number number
	factor float64 // of its frequency: less for a word that is only similar
}

// expand returns the terms that an element stands for, of which edits letters may differ.
func (x *search) expand(e grammar.Element, edits int) (found []member) {
	d := x.index.dictionary
	switch e.Kind {
	case grammar.Prefix:
		x.begins(e.Text, func(n number) {
			if d.terms[n].dense {
				found = append(found, member{n, 1})
			}
		})
	case grammar.Glob:
		fixed := strings.IndexFunc(e.Text, analysis.IsWildcard)
		pattern := []rune(e.Text[fixed:])
		x.begins(e.Text[:fixed], func(n number) {
			t := &d.terms[n]
			if !t.dense && analysis.Fits(t.text[fixed:], pattern, x.step) {
				found = append(found, member{n, 1})
			}
		})
	default:
		if edits > 0 {
			found = x.similar(e.Text, edits)
		}
		found = x.sameStem(e.Text, found)
	}
	return found
}

// sameStem adds the words with the same stem as a word.
func (x *search) sameStem(word string, found []member) []member {
	d := x.index.dictionary
	if n, ok := d.byText[word]; ok && d.byStem == nil {
		return addMember(found, n)
	}
	if d.byStem == nil || grammar.IsDense(word) {
		if n, ok := d.byText[word]; ok {
			return addMember(found, n)
		}
		return found
	}
	for _, n := range d.byStem[d.language.Stem(word)] {
		found = addMember(found, n)
	}
	return found
}

// addMember adds a term in its full weight.
func addMember(found []member, n number) []member {
	for i := range found {
		if found[i].number == n {
			found[i].factor = 1
			return found
		}
	}
	return append(found, member{n, 1})
}

// begins visits the terms that begin with a text.
func (x *search) begins(prefix string, visit func(number)) {
	d := x.index.dictionary
	d.ascend(prefix, func(n number) bool {
		if !strings.HasPrefix(d.terms[n].text, prefix) {
			return false
		}
		visit(n)
		return x.step(1)
	})
}
