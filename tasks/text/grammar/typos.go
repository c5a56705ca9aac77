package grammar

import (
	"unicode"
	"unicode/utf8"
)

// Lengths of words that may differ in one letter or two, if the configuration says so.
const (
	oneTypo  = 5
	twoTypos = 9
)

// Tolerance returns how many letters of a word may differ in an index that tolerates typing errors: none in
// short words, phrases, patterns, and words with digits, such as versions.
func (w *Words) Tolerance() int {
	if w.Quoted || len(w.Elements) != 1 || w.Elements[0].Kind != Exact || IsDense(w.Elements[0].Text) {
		return 0
	}
	for _, r := range w.Elements[0].Text {
		if !unicode.IsLetter(r) {
			return 0
		}
	}
	switch length := utf8.RuneCountInString(w.Elements[0].Text); {
	case length < oneTypo:
		return 0
	case length < twoTypos:
		return 1
	}
	return 2
}
