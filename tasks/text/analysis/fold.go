// Package analysis says which words a text has: for the Task that indexes texts, and for clients that
// check a predicate or mark what it found.
//
// Invariants:
//
//  1. [Fold] is the only folding. Texts, words and patterns go through it, so two spellings of a word
//     are equal after it or never.
//  2. Each letter and each number of Unicode belongs to a word, or to a run of a script without spaces.
//  3. The words of a text do not depend on its normalisation form.
package analysis

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Fold returns a text in the form in which words are compared: Unicode's compatibility form
// (NFKC) of its full case folding, without characters that can't be seen. Symbols and fractions that
// stand for several characters become words of their own: otherwise "Motte™" would be one word with
// "tm". In Turkish and Azerbaijani, I is the capital of ı, and İ is that of i.
func Fold(text string, turkic bool) string {
	if isASCII(text) && !turkic {
		return lowerASCII(text)
	}
	p := make([]byte, 0, len(text)+len(text)/4)
	for text != "" {
		// No character joins one before a space. So the text is the sum of its parts.
		end := 1 + strings.IndexByte(text[1:], ' ')
		if end == 0 {
			end = len(text)
		}
		if q, ok := foldSimple(p, text[:end], turkic); ok {
			p = q
		} else {
			p = append(p, foldAny(text[:end], turkic)...)
		}
		text = text[end:]
	}
	return string(p)
}

// foldAny folds any text.
func foldAny(text string, turkic bool) []byte {
	p := visible(make([]byte, 0, 2*len(text)), text, turkic)
	// This is the order of Unicode's definition D146. Each step may make room for the other.
	p = foldCase(norm.NFD.Bytes(p))
	p = foldCase(norm.NFKC.Bytes(p))
	return norm.NFKC.Bytes(p)
}

// foldCase is Unicode's full case folding.
func foldCase(p []byte) []byte {
	p = cases.Fold().Bytes(p)
	if !bytes.ContainsFunc(p, isCherokee) {
		return p
	}
	return bytes.Map(upperCherokee, p)
}

// upperCherokee folds Cherokee, whose capitals are older than its small letters, and so are the letters
// that stand for both. Package cases exchanges the two.
func upperCherokee(r rune) rune {
	if isCherokee(r) {
		return unicode.ToUpper(r)
	}
	return r
}

func isCherokee(r rune) bool { return unicode.Is(unicode.Cherokee, r) }

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// lowerASCII is strings.ToLower for ASCII, without the check of each letter.
func lowerASCII(s string) string {
	for i := 0; i < len(s); i++ {
		if 'A' <= s[i] && s[i] <= 'Z' {
			p := []byte(s)
			for ; i < len(p); i++ {
				if 'A' <= p[i] && p[i] <= 'Z' {
					p[i] += 'a' - 'A'
				}
			}
			return string(p)
		}
	}
	return s
}

// visible appends a text without its invisible characters, and with spaces around symbols that become
// letters.
func visible(p []byte, text string, turkic bool) []byte {
	for _, r := range text {
		switch {
		case r < utf8.RuneSelf && !(turkic && r == 'I'):
			p = append(p, byte(r))
		case turkic && r == 'I':
			p = append(p, "ı"...)
		case turkic && r == 'İ':
			p = append(p, 'i')
		case isInvisible(r):
		case isComposite(r):
			p = append(p, ' ')
			p = utf8.AppendRune(p, r)
			p = append(p, ' ')
		default:
			p = utf8.AppendRune(p, r)
		}
	}
	return p
}

// isInvisible reports whether a character only directs how others are shown: joiners, marks of
// direction, soft hyphens, variants of glyphs.
func isInvisible(r rune) bool {
	if unicode.Is(unicode.Variation_Selector, r) {
		return true
	}
	return unicode.Is(unicode.Cf, r) && !unicode.Is(unicode.Prepended_Concatenation_Mark, r)
}

// isComposite reports whether a character is a symbol or a fraction whose compatibility form has other
// characters. Accents without a letter are none, nor are symbols that are written in two ways.
func isComposite(r rune) bool {
	if !unicode.In(r, unicode.So, unicode.Sm, unicode.Sc, unicode.No) {
		return false
	}
	var p [utf8.UTFMax]byte
	s := p[:utf8.EncodeRune(p[:], r)]
	d := norm.NFKD.Properties(s).Decomposition()
	return d != nil && norm.NFD.IsNormal(s) && (unicode.Is(unicode.S, r) || hasSlash(d))
}

// hasSlash reports whether a decomposition has the slash of fractions.
func hasSlash(d []byte) bool {
	for _, r := range string(d) {
		if r == '⁄' {
			return true
		}
	}
	return false
}
