package analysis

import (
	"sync"
	"unicode"
	"unicode/utf8"
)

// Run is a part of a folded text without separators: a word, or characters of scripts that put no spaces
// between words. Start and End are its bytes in the text.
type Run struct {
	Start, End int
	Dense      bool // no spaces: any part of the run may be a word
}

// class is what a character does to a run.
type class uint8

const (
	separator class = iota
	letter          // and number
	mark            // belongs to the character before it, of whatever class
	dense           // a letter of a script without spaces, or a symbol such as an emoji
)

// Wildcards in a folded pattern: noncharacters, which no text has. A "*" that folding made from "＊" is no
// wildcard.
const (
	AnyText = '\ufdd0' // any number of characters
	AnyChar = '\ufdd1' // one character
)

// IsWildcard reports whether a character of a folded pattern is a wildcard.
func IsWildcard(r rune) bool { return r == AnyText || r == AnyChar }

// Runs visits the runs of a folded text.
func Runs(text string, visit func(Run)) { runs(text, false, visit) }

// PatternRuns visits the runs of a folded pattern, in which wildcards stand for letters.
func PatternRuns(text string, visit func(Run)) { runs(text, true, visit) }

func runs(text string, wild bool, visit func(Run)) {
	table := classes()
	run, open := Run{}, separator
	for i := 0; i < len(text); {
		c, size := class(0), 1
		if b := text[i]; b < utf8.RuneSelf {
			c = table[b]
		} else {
			var r rune
			r, size = utf8.DecodeRuneInString(text[i:])
			if c = classIn(table, r); wild && IsWildcard(r) {
				c = letter
			}
		}
		if c == mark {
			// A mark without a character before it is a word: some letters consist of marks alone.
			if c = open; open == separator {
				c = letter
			}
		}
		if c != open {
			if open != separator {
				visit(run)
			}
			run, open = Run{Start: i, Dense: c == dense}, c
		}
		i += size
		run.End = i
	}
	if open != separator {
		visit(run)
	}
}

// classes returns the classes of the characters below tableEnd.
var classes = sync.OnceValue(func() *[tableEnd]class {
	var table [tableEnd]class
	for r := range rune(tableEnd) {
		table[r] = classOf(r)
	}
	return &table
})

func classIn(table *[tableEnd]class, r rune) class {
	switch {
	case r < tableEnd:
		return table[r]
	case 0x4e00 <= r && r <= 0x9fff || 0xac00 <= r && r <= 0xd7a3:
		return dense
	}
	return classOf(r)
}

// withoutSpaces has the scripts whose words are not separated, and Hangul, whose words take endings.
var withoutSpaces = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Bopomofo, unicode.Hangul, unicode.Yi, unicode.Tangut,
	unicode.Khitan_Small_Script, unicode.Nushu, unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar,
	unicode.Tai_Le, unicode.New_Tai_Lue, unicode.Tai_Tham, unicode.Tai_Viet, unicode.Javanese, unicode.Balinese,
}

// common has letters of scripts without spaces that Unicode counts to several scripts: prolonged and
// repeated sounds, and two Japanese abbreviations.
var common = map[rune]bool{'ー': true, '〆': true, '〼': true, '〱': true, '〲': true, '〳': true, '〴': true, '〵': true}

func classOf(r rune) class {
	switch {
	case r == utf8.RuneError:
		return separator
	case unicode.In(r, unicode.L, unicode.M, unicode.N):
		switch {
		case common[r] || unicode.In(r, withoutSpaces...):
			return dense
		case unicode.Is(unicode.M, r):
			return mark
		}
		return letter
	case isSymbol(r):
		return dense
	}
	return separator
}

// isSymbol reports whether a character is a word by itself: an emoji, a currency, an arrow; also an icon
// of private use, and a letter that is younger than the tables of this program. ASCII's symbols separate
// words, and so do accents without a letter.
func isSymbol(r rune) bool {
	switch {
	case r < utf8.RuneSelf || unicode.In(r, unicode.P, unicode.Z, unicode.Cc, unicode.Cf, unicode.Cs):
		return r == '〰' // an emoji, although Unicode calls it punctuation
	case unicode.Is(unicode.Sk, r):
		return 0x1f3fb <= r && r <= 0x1f3ff // colours of skin
	}
	return !unicode.Is(unicode.Noncharacter_Code_Point, r)
}
