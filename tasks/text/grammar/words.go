package grammar

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"motte/tasks/text/analysis"
)

// phrase reads text in quotation marks. It has no wildcards and no escapes.
func (p *parser) phrase(field string) Node {
	open := p.at
	length := strings.IndexByte(p.text[open+1:], '"')
	if length < 0 {
		p.fail(open, "this quotation mark has no other half")
		return Everything{}
	}
	p.at = open + 1 + length + 1
	w := Words{Field: field, Quoted: true}
	p.elements(&w, open, p.dialect.Language.Fold(p.text[open+1:p.at-1]), false)
	return w
}

// word reads a word, with or without wildcards. Characters that are not letters divide it.
func (p *parser) word(field string) Node {
	start := p.at
	length := strings.IndexFunc(p.text[start:], func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(`()"^~`, r) })
	if length < 0 {
		length = len(p.text) - start
	}
	p.at += length
	raw := p.text[start:p.at]
	if raw == "*" && p.next() != '~' {
		return Everything{field}
	}
	w := Words{Field: field}
	wild := strings.ContainsAny(raw, "*?") && !strings.Contains(raw, "://") // in an address, ? begins the query
	if wild {
		raw = wildcards.Replace(raw)
	}
	p.elements(&w, start, p.dialect.Language.Fold(raw), wild)
	if p.next() == '~' {
		p.edits(&w, start)
	}
	return w
}

// wildcards replaces wildcards before folding, and noncharacters that look like them.
var wildcards = strings.NewReplacer("*", string(analysis.AnyText), "?", string(analysis.AnyChar),
	string(analysis.AnyText), " ", string(analysis.AnyChar), " ")

// edits reads how many letters may differ.
func (p *parser) edits(w *Words, start int) {
	at := p.at
	p.at++
	w.Edits = 1
	if c := p.next(); c == '1' || c == '2' {
		w.Edits = int(c - '0')
		p.at++
	}
	switch {
	case len(w.Elements) != 1 || w.Elements[0].Kind != Exact || utf8.RuneCountInString(w.Elements[0].Text) > MaxPattern:
		p.fail(at, "only a single word, without wildcards, can differ in letters")
	case IsDense(w.Elements[0].Text):
		p.fail(at, "words of scripts without spaces can't differ in letters")
	case !p.ended() && !p.isBoundary(p.at) && p.next() != '^':
		p.fail(at, "only 1 or 2 letters can differ; if it is text, put it in quotation marks")
	}
	p.pattern(start)
}

// pattern counts a word that stands for many.
func (p *parser) pattern(start int) {
	if p.patterns++; p.patterns > MaxPatterns {
		p.fail(start, "too many words with * ? ~")
	}
}

// elements divides a folded text into words.
func (p *parser) elements(w *Words, start int, folded string, wild bool) {
	b := builder{text: folded}
	if wild {
		p.pattern(start)
		analysis.PatternRuns(folded, b.run)
	} else {
		analysis.Runs(folded, b.run)
	}
	w.Elements = b.elements
	p.terms += len(b.elements)
	switch {
	case b.reason != "":
		p.fail(start, b.reason)
	case len(b.elements) == 0:
		p.fail(start, "this has no letter, number or symbol to look for")
	}
}

// builder makes elements of runs.
type builder struct {
	text     string
	elements []Element
	at       int // the place of the next element
	reason   string
}

func (b *builder) run(r analysis.Run) {
	text := b.text[r.Start:r.End]
	switch {
	case r.Dense:
		b.dense(text)
	case strings.ContainsFunc(text, analysis.IsWildcard):
		b.glob(text, r)
	default:
		analysis.SplitWord(text, func(term string) { b.add(Exact, term) })
	}
}

func (b *builder) add(k Kind, text string) {
	b.elements = append(b.elements, Element{k, text, b.at})
	b.at++
}

// dense adds each character with the one behind it. The last one needs no element of its own.
func (b *builder) dense(text string) {
	_, first := utf8.DecodeRuneInString(text)
	if first == len(text) {
		b.add(Prefix, text)
		return
	}
	for first < len(text) {
		_, second := utf8.DecodeRuneInString(text[first:])
		b.add(Exact, text[:first+second])
		text, first = text[first:], second
	}
	b.at++
}

func (b *builder) glob(text string, r analysis.Run) {
	switch {
	case strings.Trim(text, string(analysis.AnyText)) == "":
		return // beside other words it says nothing
	case strings.Trim(text, string(analysis.AnyText)+string(analysis.AnyChar)) == "" && b.besideDense(r):
		b.reason = "words of scripts without spaces have no wildcards: any part of them is found"
	case utf8.RuneCountInString(text) > MaxPattern:
		b.reason = "this pattern is too long"
	}
	b.add(Glob, text)
}

// besideDense reports whether a run touches one without spaces.
func (b *builder) besideDense(r analysis.Run) bool {
	_, before := utf8.DecodeLastRuneInString(b.text[:r.Start])
	_, behind := utf8.DecodeRuneInString(b.text[r.End:])
	return IsDense(b.text[r.Start-before:r.Start]) || IsDense(b.text[r.End:r.End+behind])
}

// IsDense reports whether a folded text begins with a character of a script without spaces.
func IsDense(folded string) (dense bool) {
	_, size := utf8.DecodeRuneInString(folded)
	analysis.Runs(folded[:size], func(r analysis.Run) { dense = r.Dense })
	return dense
}

var weights = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?`)

// weight reads the weight behind "^".
func (p *parser) weight() float64 {
	p.at++
	number := weights.FindString(p.text[p.at:])
	w, err := strconv.ParseFloat(number, 64)
	if err != nil || w > MaxWeight {
		p.fail(p.at, "a weight is a number from 0 to 1000")
		return 0
	}
	p.at += len(number)
	return w
}
