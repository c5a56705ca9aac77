package analysis

import "unicode/utf8"

// MaxWord is the number of characters of the longest term. A longer word is several terms, one behind the
// other, which are marked: no other words have the same terms.
const MaxWord = 64

// Marks of the terms of a word that is longer than MaxWord. No folded text has them in a word.
const (
	goesOn  = "\x00" // at the end of each term but the last
	carries = "\x01" // at the beginning of each term but the first
)

// IsPart reports whether a term is a part of a longer word.
func IsPart(term string) bool {
	return term != "" && (term[0] == carries[0] || term[len(term)-1] == goesOn[0])
}

// Terms visits the terms of a folded text, in order. A word is a term. Of a run without spaces, each
// character is a term together with the character behind it. So a run is found by any part of it.
func Terms(text string, visit func(term string, at Run)) {
	Runs(text, func(r Run) {
		if r.Dense {
			pairs(text, r, visit)
		} else {
			words(text[r.Start:r.End], r, visit)
		}
	})
}

// pairs visits the terms of a run without spaces.
func pairs(text string, r Run, visit func(string, Run)) {
	for at := r.Start; at < r.End; {
		_, first := utf8.DecodeRuneInString(text[at:r.End])
		_, second := utf8.DecodeRuneInString(text[at+first : r.End])
		visit(text[at:at+first+second], Run{at, at + first, true})
		at += first
	}
}

// words visits the terms of a word.
func words(word string, r Run, visit func(string, Run)) {
	if len(word) <= MaxWord {
		visit(word, r)
		return
	}
	SplitWord(word, func(term string) { visit(term, r) })
}

// SplitWord visits the terms of a word: one, unless it is longer than MaxWord.
func SplitWord(word string, visit func(term string)) {
	before := ""
	for {
		end, count := 0, 0
		for end < len(word) && count < MaxWord {
			_, size := utf8.DecodeRuneInString(word[end:])
			end, count = end+size, count+1
		}
		if end == len(word) {
			visit(before + word)
			return
		}
		visit(before + word[:end] + goesOn)
		word, before = word[end:], carries
	}
}
