package analysis

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"
)

// without has the characters whose capital is that of another letter: a capital I does not tell whether
// it is that of i or of ı. Fold keeps these words apart. Only Turkish and Azerbaijani have them.
var without = map[rune]bool{'ı': true}

// TestSpellingsFindEachOther: for each character of Unicode, the spellings in capitals, in small letters
// and in each normalisation form.
func TestSpellingsFindEachOther(t *testing.T) {
	upper, lower, title := cases.Upper(language.Und), cases.Lower(language.Und), cases.Title(language.Und)
	for r := range rune(unicode.MaxRune + 1) {
		if !unicode.IsGraphic(r) || without[r] {
			continue
		}
		s := string(r)
		want := Fold(s, false)
		for name, spelling := range map[string]string{
			"upper": upper.String(s), "lower": lower.String(s), "title": title.String(s), "ToUpper": string(unicode.ToUpper(r)),
			"NFC": norm.NFC.String(s), "NFD": norm.NFD.String(s), "NFKC": norm.NFKC.String(s), "NFKD": norm.NFKD.String(s), "again": want,
		} {
			if spelling == s {
				continue
			}
			if got := Fold(spelling, false); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(want), " ") && !isComposite(r) {
				t.Errorf("%U: %s %q is folded to %q, and %q to %q", r, name, spelling, got, s, want)
			}
		}
	}
}

// TestDistinctWordsNeverCollide: if two characters are folded alike, one can be reached from the other by
// steps that keep a word: its capitals, its small letters, a normalisation form, invisible characters.
func TestDistinctWordsNeverCollide(t *testing.T) {
	upper, lower := cases.Upper(language.Und), cases.Lower(language.Und)
	// root follows these steps to a spelling that all spellings of a word share.
	root := func(s string) string {
		for {
			next := strings.Map(func(r rune) rune {
				if isInvisible(r) {
					return -1
				}
				return r
			}, s)
			next = norm.NFKC.String(lower.String(upper.String(norm.NFKD.String(next))))
			if next = strings.Join(strings.Fields(strings.ReplaceAll(next, "ς", "σ")), " "); next == s {
				return s
			}
			s = next
		}
	}
	byFold := make(map[string]rune)
	for r := range rune(unicode.MaxRune + 1) {
		if !unicode.In(r, unicode.L, unicode.N, unicode.M) {
			continue
		}
		folded := Fold(string(r), false)
		other, seen := byFold[folded]
		if !seen {
			byFold[folded] = r
			continue
		}
		if root(string(r)) != root(string(other)) {
			t.Errorf("%U %c and %U %c are both folded to %q", r, r, other, other, folded)
		}
	}
}

// TestSimpleFoldingIsFolding: folding character by character gives the same as folding any text.
func TestSimpleFoldingIsFolding(t *testing.T) {
	simple := 0
	for r := range rune(unicode.MaxRune + 1) {
		if !unicode.IsGraphic(r) {
			continue
		}
		for _, s := range []string{string(r), "a" + string(r) + "é", "か" + string(r)} {
			p, ok := foldSimple(nil, s, false)
			if !ok {
				continue
			}
			simple++
			if want := string(foldAny(s, false)); string(p) != want {
				t.Fatalf("%q is folded to %q, want %q", s, p, want)
			}
		}
	}
	if simple < 10_000 {
		t.Errorf("only %d texts are simple", simple)
	}
}

func TestFold(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "ABC xyz": "abc xyz", "Straẞe": "strasse", "\u212A": "k", "ΣΊΣΥΦΟΣ": "σίσυφοσ", "İ": "i\u0307", "I": "i",
		"e\u0301": "é", "ﬃ": "ffi", "①": "1", "Ꭰꭰ": "ᎠᎠ", "a\u00ADb": "ab", "❤\ufe0f": "❤", "x™": "x tm ", "5½": "5 1⁄2 ",
	} {
		if got := Fold(text, false); got != want {
			t.Errorf("%q is folded to %q, want %q", text, got, want)
		}
	}
	if got := Fold("IİIŞIK", true); got != "ıiışık" {
		t.Errorf("in Turkish: %q", got)
	}
}

// FuzzFold: folding a folded text changes nothing, and the normalisation form of a text does not matter.
func FuzzFold(f *testing.F) {
	for _, s := range []string{"", "Straße", "e\u0301", "Motte™ 5½", "日本\u3099", "\u0345α"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "")
		once := terms(Fold(s, false))
		for _, other := range []string{Fold(s, false), norm.NFC.String(s), norm.NFD.String(s)} {
			if got := terms(Fold(other, false)); !slices.Equal(got, once) {
				t.Fatalf("%q has the words %q, and %q has %q", s, once, other, got)
			}
		}
	})
}

func terms(folded string) (list []string) {
	Terms(folded, func(term string, _ Run) { list = append(list, term) })
	return list
}

func BenchmarkFold(b *testing.B) {
	for name, s := range map[string]string{
		"ascii":  strings.Repeat("The quick brown fox jumps over the lazy dog. ", 10),
		"german": strings.Repeat("Größe und Länge der Straße in München sind überall verschieden. ", 10),
		"nfd":    norm.NFD.String(strings.Repeat("Größe und Länge der Straße in München sind überall verschieden. ", 10)),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(s)))
			for b.Loop() {
				Fold(s, false)
			}
		})
	}
}
