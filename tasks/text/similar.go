package main

import (
	"unicode/utf8"

	"motte/tasks/text/analysis"
)

// factorOf is the factor of a word that differs in so many letters.
var factorOf = [...]float64{1, 0.5, 0.25}

// nearPrefix is the length of a beginning after which similar looks for the next beginning in the tree. A
// longer beginning has few words, which it skips one by one.
const nearPrefix = 3

// similar returns the words that differ from a word in few letters: letters added, left out, changed, or
// exchanged with the next.
//
// It goes through the words in order. For each letter it computes a row of the table of distances between
// the beginnings of both words. Words that begin alike share rows. If all of a row is too far, so are
// all words with this beginning.
func (x *search) similar(word string, edits int) (found []member) {
	t := analysis.NewDistances(word, edits)
	d := x.index.dictionary
	for from, more := "", true; more; {
		more = false
		d.ascend(from, func(n number) bool {
			term := &d.terms[n]
			if !x.step(1 + t.Read(term.text)) {
				return false
			}
			if distance := t.Distance(); distance <= edits && !term.dense {
				found = append(found, member{n, factorOf[distance]})
			}
			if far := t.Far(); len(far) > 0 && len(far) <= nearPrefix {
				from, more = behind(far)
				return !more
			}
			return true
		})
	}
	return found
}

// behind returns the least text that is above all texts with a beginning.
func behind(beginning []rune) (string, bool) {
	p := append([]rune(nil), beginning...)
	last := len(p) - 1
	p[last]++
	if p[last] == 0xd800 {
		p[last] = 0xe000
	}
	return string(p), utf8.ValidRune(p[last])
}
