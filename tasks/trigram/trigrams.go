package main

import (
	"unicode"
	"unicode/utf8"
)

// trigram is three bytes of a folded text, in the order of the text.
type trigram uint32

const trigramBits = 24

// next returns the trigram whose last byte is b, after another.
func (t trigram) next(b byte) trigram { return (t<<8 | trigram(b)) & (1<<trigramBits - 1) }

// fold appends a folded text to p. Two characters fold to the same if they are equal when case does not
// count, by the simple case folding of Unicode. That is the rule of the flag i of regular expressions.
func fold(p, text []byte) []byte {
	for len(text) > 0 {
		if b := text[0]; b < utf8.RuneSelf {
			p, text = append(p, foldASCII(b)), text[1:]
			continue
		}
		r, size := utf8.DecodeRune(text)
		p, text = utf8.AppendRune(p, foldRune(r)), text[size:]
	}
	return p
}

func foldASCII(b byte) byte {
	if 'a' <= b && b <= 'z' {
		return b - ('a' - 'A')
	}
	return b
}

// foldRune returns the least of the characters that are equal to r when case does not count. That of
// an ASCII letter is its capital.
func foldRune(r rune) rune {
	least := r
	for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
		least = min(least, other)
	}
	return least
}

// scanner finds the trigrams of texts. It keeps its memory, of about 2 MiB.
type scanner struct {
	seen   []uint64 // a bit for each trigram, all clear between two calls
	folded []byte
	list   []trigram
}

// trigrams returns the trigrams of texts, each once. The next call overwrites them.
func (s *scanner) trigrams(t texts) []trigram {
	if s.seen == nil {
		s.seen = make([]uint64, 1<<trigramBits/64)
	}
	s.list = s.list[:0]
	for _, text := range t.all() {
		s.folded = fold(s.folded[:0], text)
		var t trigram
		for i, b := range s.folded {
			if t = t.next(b); i >= 2 && s.seen[t/64]>>(t%64)&1 == 0 {
				s.seen[t/64] |= 1 << (t % 64)
				s.list = append(s.list, t)
			}
		}
	}
	for _, t := range s.list {
		s.seen[t/64] = 0
	}
	return s.list
}

// trigramsOf returns the trigrams of a folded text, with repetitions.
func trigramsOf(folded string) (list []trigram) {
	var t trigram
	for i := range len(folded) {
		if t = t.next(folded[i]); i >= 2 {
			list = append(list, t)
		}
	}
	return list
}
