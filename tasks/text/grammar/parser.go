package grammar

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"motte/sdk/pointer"
	"motte/tasks/text/analysis"
)

// Dialect is what a predicate and its answer depend on besides its text. Parse needs Fields and Language.
type Dialect struct {
	Fields   []string // that a predicate may name; nil: not known, so that any name is accepted
	Language analysis.Language
	Typos    bool              // long words may differ in letters
	Paths    []pointer.Pointer // where the fields are; nil: not known. A nil path is the whole input
}

// Parse parses a predicate. The error is an [*Error].
func (d *Dialect) Parse(text string) (Node, error) {
	p := parser{dialect: d, text: text}
	switch {
	case len(text) > MaxLength:
		p.fail(MaxLength, "the predicate is too long")
	case !utf8.ValidString(text):
		p.fail(validLength(text), "the text is not UTF-8")
	}
	p.spaces()
	if p.err != nil || p.ended() {
		return Everything{}, p.result()
	}
	n := p.expression("")
	if !p.ended() {
		p.fail(p.at, "this parenthesis has no other half")
	}
	return n, p.result()
}

// parser reads a predicate by recursive descent. The first error is kept, and ends the text: then all
// loops end.
type parser struct {
	dialect  *Dialect
	text     string
	at       int
	nesting  int
	terms    int
	patterns int
	err      *Error
}

func (p *parser) fail(at int, reason string) {
	if p.err == nil {
		p.err = &Error{at, reason}
	}
	p.at = len(p.text)
}

func (p *parser) result() error {
	if p.err != nil {
		return p.err
	}
	return nil
}

func (p *parser) ended() bool { return p.at >= len(p.text) }

// next returns the next byte, or 0 at the end.
func (p *parser) next() byte {
	if p.ended() {
		return 0
	}
	return p.text[p.at]
}

func (p *parser) spaces() {
	p.at = len(p.text) - len(strings.TrimLeftFunc(p.text[p.at:], unicode.IsSpace))
}

// isBoundary reports whether a space, a parenthesis or the end is at a place.
func (p *parser) isBoundary(at int) bool {
	if at >= len(p.text) || p.text[at] == '(' || p.text[at] == ')' {
		return true
	}
	r, _ := utf8.DecodeRuneInString(p.text[at:])
	return unicode.IsSpace(r)
}

// keyword skips a keyword, if it is next.
func (p *parser) keyword(word string) bool {
	if !strings.HasPrefix(p.text[p.at:], word) || !p.isBoundary(p.at+len(word)) {
		return false
	}
	p.at += len(word)
	p.spaces()
	return true
}

func (p *parser) expression(field string) Node {
	groups := Or{p.group(field)}
	for p.keyword("OR") {
		groups = append(groups, p.group(field))
	}
	if len(groups) == 1 {
		return groups[0]
	}
	return groups
}

func (p *parser) group(field string) Node {
	var g Group
	for first := true; first || !p.groupEnds(); first = false {
		p.clause(&g, field)
	}
	if len(g.Must) == 0 && len(g.Not) == 0 && len(g.Should) == 1 {
		return g.Should[0]
	}
	return g
}

// groupEnds reports whether no clause follows.
func (p *parser) groupEnds() bool {
	return p.ended() || p.next() == ')' || strings.HasPrefix(p.text[p.at:], "OR") && p.isBoundary(p.at+len("OR"))
}

func (p *parser) clause(g *Group, field string) {
	if p.sign('+') {
		g.Must = append(g.Must, p.primary(field))
		if p.keyword("AND") {
			p.fail(p.at, "AND says already that both must be there: leave out the +")
		}
		return
	}
	n, negative := p.unary(field)
	if !p.keyword("AND") {
		if negative {
			g.Not = append(g.Not, n)
		} else {
			g.Should = append(g.Should, n)
		}
		return
	}
	all := And{}
	for {
		if negative {
			n = Not{n}
		}
		all = append(all, n)
		if len(all) > 1 && !p.keyword("AND") {
			g.Should = append(g.Should, all)
			return
		}
		n, negative = p.unary(field)
	}
}

// unary returns a primary, and whether it must not be found.
func (p *parser) unary(field string) (n Node, negative bool) {
	if p.next() == '+' {
		p.fail(p.at, "a + has no meaning beside AND")
	}
	negative = p.sign('-') || p.keyword("NOT")
	return p.primary(field), negative
}

// sign skips a sign, if it is next. It must stand directly before its word.
func (p *parser) sign(sign byte) bool {
	if p.next() != sign {
		return false
	}
	at := p.at
	p.at++
	if p.ended() || p.isBoundary(p.at) && p.next() != '(' {
		p.fail(at, "a sign stands directly before its word")
	}
	return true
}

func (p *parser) primary(field string) Node {
	field = p.field(field)
	start := p.at
	var n Node
	switch c := p.next(); c {
	case 0, ')':
		p.fail(p.at, "a word is missing here")
		return Everything{}
	case '(':
		n = p.parenthesis(field)
	case '"':
		n = p.phrase(field)
	case '+', '-':
		p.fail(p.at, "a word can't begin with this sign: put it in quotation marks")
		return Everything{}
	default:
		for _, word := range []string{"AND", "OR", "NOT"} {
			if strings.HasPrefix(p.text[p.at:], word) && p.isBoundary(p.at+len(word)) {
				p.fail(p.at, "a word is missing before this; if it is text, put it in quotation marks")
				return Everything{}
			}
		}
		n = p.word(field)
	}
	if p.next() == '^' {
		n = Weighted{n, p.weight()}
	}
	if !p.ended() && (!p.isBoundary(p.at) || p.next() == '(') {
		p.fail(p.at, "a space is missing before this, or quotation marks around it")
	}
	if p.terms > MaxTerms {
		p.fail(start, "the predicate has too many words")
	}
	p.spaces()
	return n
}

func (p *parser) parenthesis(field string) Node {
	open := p.at
	p.at++
	if p.nesting++; p.nesting > MaxNesting {
		p.fail(open, "too many parentheses inside one another")
	}
	p.spaces()
	n := p.expression(field)
	p.nesting--
	if p.next() != ')' {
		p.fail(open, "this parenthesis has no other half")
		return n
	}
	p.at++
	return n
}

// field reads the name of a field, if there is one.
func (p *parser) field(outer string) string {
	rest := p.text[p.at:]
	name := rest[:len(rest)-len(strings.TrimLeft(rest, nameCharacters))]
	colon := p.at + len(name)
	if name == "" || name[0] == '-' || colon >= len(p.text) || p.text[colon] != ':' {
		return outer
	}
	number := strings.Trim(name, "0123456789") == ""
	known := slices.Contains(p.dialect.Fields, name)
	switch {
	case colon+1 < len(p.text) && strings.IndexByte(`:/\`, p.text[colon+1]) >= 0:
		return outer // std::vector, https://…, C:\…
	case number && !known:
		return outer // 12:30
	case p.dialect.Fields != nil && !known:
		p.fail(p.at, "the index has no such field; if it is text, put it in quotation marks")
	case p.isBoundary(colon+1) && !strings.HasPrefix(p.text[colon+1:], "("):
		p.fail(colon, "a word is missing behind the field; if it is text, put it in quotation marks")
	case strings.IndexByte("<>=", p.text[colon+1]) >= 0:
		p.fail(colon+1, "there are no comparisons; if it is text, put it in quotation marks")
	default:
		p.at = colon + 1
	}
	return name
}

const nameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

// IsFieldName reports whether a predicate can name a field so.
func IsFieldName(s string) bool {
	return s != "" && s[0] != '_' && s[0] != '-' && strings.Trim(s, nameCharacters) == ""
}

// validLength returns the length of the part of a text that is UTF-8.
func validLength(text string) (n int) {
	for n < len(text) {
		r, size := utf8.DecodeRuneInString(text[n:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		n += size
	}
	return n
}
