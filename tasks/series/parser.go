package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// errPredicate says that a predicate does not match the grammar, or asks for what the index lacks.
var errPredicate = errors.New("not a predicate")

// Limits of a predicate.
const (
	maxKeys   = 10_000 // keys in lists
	maxLimits = 64     // conditions of the value: each costs time for each object
	maxNewest = 1000   // objects of "last": they are held in memory
)

// parser reads a predicate:
//
//	predicate = [ "all" | condition { "and" condition } ] [ sample ] [ "order" ( "asc" | "desc" ) ]
//	condition = "series" ( "=" key | "prefix" key | "in" "(" key { "," key } ")" )
//	          | "from" time [ "to" time ] | "to" time
//	          | "value" ( "<" | "<=" | ">" | ">=" | "=" | "!=" ) number
//	key       = string | "(" string { "," string } ")"
//	sample    = "every" duration ( "first" | "last" | "min" | "max" ) | "last" count
//
// The first error is kept. Later steps then read an empty text, and the end returns the error.
type parser struct {
	index *index
	rest  string
	token token // the next token
	keys  int
	err   error
}

func (x *index) parse(predicate []byte) (query, error) {
	p := parser{index: x, rest: string(predicate)}
	if !utf8.Valid(predicate) {
		p.fail()
	}
	p.advance()
	q := query{keys: keyRanges{{"", noKey}}, span: whole}
	if !p.accept("all") && !p.startsTail() {
		p.condition(&q)
		for p.accept("and") {
			p.condition(&q)
		}
	}
	p.sample(&q.sampling)
	if p.accept("order") {
		p.require(x.ordered)
		if q.descending = p.accept("desc"); !q.descending {
			p.require(p.accept("asc"))
		}
	}
	p.require(p.token.kind == endOfText)
	return q, p.err
}

// startsTail reports whether no condition comes.
func (p *parser) startsTail() bool {
	return p.token.kind == endOfText || p.token.is("every") || p.token.is("last") || p.token.is("order")
}

func (p *parser) condition(q *query) {
	switch {
	case p.accept("series"):
		q.keys = q.keys.intersect(p.series())
	case p.accept("from"):
		q.span = q.span.cut(span{p.time(), whole.to})
		if p.accept("to") {
			q.span = q.span.cut(span{whole.from, p.time()})
		}
	case p.accept("to"):
		q.span = q.span.cut(span{whole.from, p.time()})
	case p.accept("value"):
		operator := p.token.text
		p.require(p.token.kind == symbol && slices.Contains([]string{"<", "<=", ">", ">=", "=", "!="}, operator))
		p.advance()
		q.limits = append(q.limits, limit{operator, p.number()})
		p.require(p.index.source.hasValue && len(q.limits) <= maxLimits)
	default:
		p.fail()
	}
}

func (p *parser) series() keyRanges {
	p.require(len(p.index.source.key) > 0)
	switch {
	case p.accept("="):
		return keyRanges{withPrefix(p.key())}
	case p.accept("prefix"):
		// Without the end of the last part, which is two bytes.
		return keyRanges{withPrefix(strings.TrimSuffix(p.key(), "\x00\x01"))}
	case p.accept("in"):
		p.require(p.accept("("))
		var list []keyRange
		for {
			list = append(list, withPrefix(p.key()))
			if !p.accept(",") {
				p.require(p.accept(")"))
				return union(list)
			}
		}
	}
	p.fail()
	return nil
}

// key reads the parts of a key: all of them, or the first.
func (p *parser) key() string {
	p.keys++
	p.require(p.keys <= maxKeys)
	if !p.accept("(") {
		return string(p.part(nil))
	}
	var key []byte
	for n := 1; ; n++ {
		p.require(n <= len(p.index.source.key))
		key = p.part(key)
		if !p.accept(",") {
			p.require(p.accept(")"))
			return string(key)
		}
	}
}

func (p *parser) part(key []byte) []byte {
	p.require(p.token.kind == quoted && len(p.token.text) <= maxPart)
	key = appendPart(key, p.token.text)
	p.advance()
	return key
}

// time reads a time of RFC 3339, or a number if the index has times as numbers.
func (p *parser) time() (t int64) {
	p.require(p.token.kind == word || p.token.kind == quoted)
	text := p.token.text
	p.advance()
	if p.err != nil {
		return 0
	}
	unit := p.index.source.unit
	t, err := parseTime(text)
	if err != nil && unit > 0 {
		t, err = parseUnix(text, unit)
	}
	p.require(err == nil)
	return t
}

func (p *parser) number() float64 {
	n, err := parseNumber(p.token.text)
	p.require(p.token.kind == word && err == nil)
	p.advance()
	return n
}

var picks = map[string]pick{"first": first, "last": last, "min": least, "max": most}

func (p *parser) sample(s *sampling) {
	switch {
	case p.accept("every"):
		p.require(p.token.kind == word)
		if p.err != nil {
			return
		}
		width, err := parseDuration(strings.ToLower(p.token.text))
		p.require(err == nil)
		p.advance()
		s.width = width
		s.pick = picks[strings.ToLower(p.token.text)]
		p.require(p.token.kind == word && s.pick != each)
		p.require(p.index.source.hasValue || s.pick == first || s.pick == last)
		p.advance()
	case p.accept("last"):
		n, err := strconv.ParseUint(p.token.text, 10, 32)
		p.require(p.token.kind == word && err == nil && n >= 1 && n <= maxNewest)
		p.advance()
		s.pick, s.count = newest, int(n)
	}
}

// accept skips the next token if it is this operator or keyword.
func (p *parser) accept(text string) bool {
	if p.err != nil || !p.token.is(text) {
		return false
	}
	p.advance()
	return true
}

func (p *parser) advance() {
	if p.err == nil {
		p.token, p.rest, p.err = lex(p.rest)
	}
	if p.err != nil {
		p.token = token{}
	}
}

func (p *parser) require(ok bool) {
	if !ok {
		p.fail()
	}
}

// fail sets the error, and ends the text so that every loop ends.
func (p *parser) fail() { p.err, p.token = errPredicate, token{} }
