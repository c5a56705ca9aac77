package analysis

import (
	"maps"
	"slices"

	"github.com/blevesearch/snowballstem"
	"github.com/blevesearch/snowballstem/arabic"
	"github.com/blevesearch/snowballstem/danish"
	"github.com/blevesearch/snowballstem/dutch"
	"github.com/blevesearch/snowballstem/english"
	"github.com/blevesearch/snowballstem/finnish"
	"github.com/blevesearch/snowballstem/french"
	"github.com/blevesearch/snowballstem/german"
	"github.com/blevesearch/snowballstem/hungarian"
	"github.com/blevesearch/snowballstem/irish"
	"github.com/blevesearch/snowballstem/italian"
	"github.com/blevesearch/snowballstem/norwegian"
	"github.com/blevesearch/snowballstem/portuguese"
	"github.com/blevesearch/snowballstem/romanian"
	"github.com/blevesearch/snowballstem/russian"
	"github.com/blevesearch/snowballstem/spanish"
	"github.com/blevesearch/snowballstem/swedish"
	"github.com/blevesearch/snowballstem/tamil"
	"github.com/blevesearch/snowballstem/turkish"
)

// stemmers has the stemmer of each language, by its code of ISO 639-1.
var stemmers = map[string]func(*snowballstem.Env) bool{
	"ar": arabic.Stem, "da": danish.Stem, "de": german.Stem, "en": english.Stem, "es": spanish.Stem, "fi": finnish.Stem,
	"fr": french.Stem, "ga": irish.Stem, "hu": hungarian.Stem, "it": italian.Stem, "nl": dutch.Stem, "no": norwegian.Stem,
	"pt": portuguese.Stem, "ro": romanian.Stem, "ru": russian.Stem, "sv": swedish.Stem, "ta": tamil.Stem, "tr": turkish.Stem,
}

// Languages returns the codes of the languages that have a stemmer.
func Languages() []string { return slices.Sorted(maps.Keys(stemmers)) }

// Language is how words are compared. The zero Language compares folded words, and knows no stems.
type Language struct {
	code string
	stem func(*snowballstem.Env) bool
	env  *snowballstem.Env
}

// NewLanguage returns a language by its code. It is not safe for several goroutines at once.
func NewLanguage(code string) (l Language, ok bool) {
	stem, ok := stemmers[code]
	return Language{code: code, stem: stem, env: snowballstem.NewEnv("")}, ok
}

// Fold folds a text as the language does.
func (l *Language) Fold(text string) string { return Fold(text, l.code == "tr") }

// HasStems reports whether different words may have the same stem.
func (l *Language) HasStems() bool { return l.stem != nil }

// Stem returns the stem of a folded word. Parts of long words are their own stems.
func (l *Language) Stem(word string) string {
	if l.stem == nil || IsPart(word) {
		return word
	}
	l.env.SetCurrent(word)
	l.stem(l.env)
	if stem := l.env.Current(); stem != "" {
		return stem
	}
	return word
}
