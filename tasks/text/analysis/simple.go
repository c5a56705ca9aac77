package analysis

import (
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// tableEnd is the end of the characters in the table: it covers the alphabets of living languages.
const tableEnd = 0x3100

// simple returns for each character its folded form, or an empty text if the form is empty, or may depend
// on the characters beside it.
var simple = sync.OnceValue(func() *[tableEnd]string {
	var table [tableEnd]string
	for r := range rune(tableEnd) {
		folded := string(foldAny(string(r), false))
		alone := standsAlone(r)
		for _, f := range folded {
			alone = alone && standsAlone(f)
		}
		if alone {
			table[r] = folded
		}
	}
	return &table
})

// standsAlone reports whether a character never changes the one before it.
func standsAlone(r rune) bool {
	return !unicode.Is(unicode.M, r) && norm.NFKC.PropertiesString(string(r)).BoundaryBefore()
}

// foldSimple appends the folded form of a text, if each of its characters can be folded alone.
func foldSimple(p []byte, text string, turkic bool) ([]byte, bool) {
	if turkic {
		return nil, false
	}
	table := simple()
	for _, r := range text {
		switch {
		case r < tableEnd:
			if table[r] == "" {
				return nil, false
			}
			p = append(p, table[r]...)
		case 0x4e00 <= r && r <= 0x9fff || 0xac00 <= r && r <= 0xd7a3: // Han and Hangul have no case
			p = utf8.AppendRune(p, r)
		default:
			return nil, false
		}
	}
	return p, true
}
