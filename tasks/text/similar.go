package main

import (
	"unicode/utf8"
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
	t := table{word: []rune(word), edits: edits}
	d := x.index.dictionary
	for from, more := "", true; more; {
		more = false
		d.ascend(from, func(n number) bool {
			term := &d.terms[n]
			if !x.step(1 + t.read(term.text)) {
				return false
			}
			if distance := t.distance(); distance <= edits && !term.dense {
				found = append(found, member{n, factorOf[distance]})
			}
			if t.far > 0 && t.far <= nearPrefix {
				from, more = behind(t.term[:t.far])
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

// table is the table of distances between the beginnings of two words.
type table struct {
	word  []rune
	edits int
	term  []rune
	rows  [][]int // for each beginning of the term, the empty one first
	far   int     // the length of the shortest beginning that is too far; 0: none
}

// read computes the rows of a term, except those that it shares with the term before. It returns their
// number.
func (t *table) read(term string) (computed int) {
	if t.rows == nil {
		row := make([]int, len(t.word)+1)
		for i := range row {
			row[i] = i
		}
		t.rows = append(t.rows, row)
	}
	shared, whole := 0, true
	n := 0
	for _, r := range term {
		if whole = whole && n < len(t.term) && t.term[n] == r; whole {
			shared++
		}
		t.term = append(t.term[:n], r)
		n++
	}
	t.term = t.term[:n]
	if t.far > 0 && shared >= t.far {
		return 0
	}
	t.far = 0
	for depth := shared + 1; depth <= n && t.far == 0; depth++ {
		if t.row(depth) > t.edits {
			t.far = depth
		}
		computed++
	}
	return computed
}

// row computes the row of a beginning, and returns its least distance.
func (t *table) row(depth int) (least int) {
	if depth == len(t.rows) {
		t.rows = append(t.rows, make([]int, len(t.word)+1))
	}
	row, above := t.rows[depth], t.rows[depth-1]
	row[0] = depth
	least = depth
	for i := 1; i <= len(t.word); i++ {
		changed := above[i-1]
		if t.term[depth-1] != t.word[i-1] {
			changed++
		}
		row[i] = min(changed, above[i]+1, row[i-1]+1)
		if i > 1 && depth > 1 && t.term[depth-1] == t.word[i-2] && t.term[depth-2] == t.word[i-1] {
			row[i] = min(row[i], t.rows[depth-2][i-2]+1)
		}
		least = min(least, row[i])
	}
	return least
}

// distance returns the distance of the term that was read last.
func (t *table) distance() int {
	if t.far > 0 {
		return t.edits + 1
	}
	return t.rows[len(t.term)][len(t.word)]
}
