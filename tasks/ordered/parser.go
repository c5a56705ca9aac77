package main

import (
	"strings"
	"unicode/utf8"
)

// Limits of a predicate, which a client chooses. They bound the cost of one answer.
const (
	maxTerms   = 10_000 // comparisons, and values in lists
	maxNesting = 64     // parentheses inside one another
)

// query is a parsed predicate.
type query[K any] struct {
	keys       set[K]
	descending bool
}

// parser reads a predicate by recursive descent:
//
//	predicate   = [ "all" | alternative ] [ "order" ( "asc" | "desc" ) ]
//	alternative = conjunction { "or" conjunction }
//	conjunction = condition { "and" condition }
//	condition   = "(" alternative ")"
//	            | ( "<" | "<=" | ">" | ">=" | "=" | "!=" ) value
//	            | "between" value "and" value
//	            | "in" "(" value { "," value } ")"
//	            | "prefix" value
//
// The first error is kept. Later steps then read an empty text, and the end returns the error.
type parser[K any] struct {
	domain  *domain[K]
	rest    string
	token   token // the next token
	terms   int
	nesting int
	err     error
}

// parse reads a predicate. Only an ordered index accepts "order".
func parse[K any](d *domain[K], predicate []byte, ordered bool) (query[K], error) {
	p := parser[K]{domain: d, rest: string(predicate)}
	if !utf8.Valid(predicate) {
		p.fail()
	}
	p.advance()
	q := query[K]{keys: all[K]()}
	if !p.accept("all") && p.token.kind != endOfText && !p.token.is("order") {
		q.keys = p.alternative()
	}
	if p.token.is("order") {
		p.require(ordered)
		p.advance()
		if q.descending = p.accept("desc"); !q.descending {
			p.require(p.accept("asc"))
		}
	}
	p.require(p.token.kind == endOfText)
	return q, p.err
}

func (p *parser[K]) alternative() set[K] {
	var list []interval[K]
	for {
		list = append(list, p.conjunction()...)
		if !p.accept("or") {
			return p.domain.union(list)
		}
	}
}

func (p *parser[K]) conjunction() set[K] {
	var sets []set[K]
	for {
		sets = append(sets, p.condition())
		if !p.accept("and") {
			return p.domain.intersection(sets)
		}
	}
}

func (p *parser[K]) condition() set[K] {
	if p.accept("(") {
		p.nesting++
		p.require(p.nesting <= maxNesting)
		if p.err != nil {
			return nil
		}
		s := p.alternative()
		p.nesting--
		p.require(p.accept(")"))
		return s
	}
	d, operator := p.domain, strings.ToLower(p.token.text)
	p.require(p.token.kind == symbol || p.token.kind == word)
	p.advance()
	switch operator {
	case "<":
		return d.between(cut[K]{side: bottom}, cut[K]{below, p.value()})
	case "<=":
		return d.between(cut[K]{side: bottom}, cut[K]{above, p.value()})
	case ">":
		return d.between(cut[K]{above, p.value()}, cut[K]{side: top})
	case ">=":
		return d.between(cut[K]{below, p.value()}, cut[K]{side: top})
	case "=":
		return point(p.value())
	case "!=":
		return d.complement(point(p.value()))
	case "between":
		low := p.value()
		p.require(p.accept("and"))
		return d.between(cut[K]{below, low}, cut[K]{above, p.value()})
	case "in":
		return p.list()
	case "prefix":
		return p.prefix()
	}
	p.fail()
	return nil
}

func (p *parser[K]) list() set[K] {
	p.require(p.accept("("))
	var list []interval[K]
	for {
		list = append(list, point(p.value())...)
		if !p.accept(",") {
			p.require(p.accept(")"))
			return p.domain.union(list)
		}
	}
}

func (p *parser[K]) prefix() set[K] {
	k := p.value()
	if p.domain.upper == nil {
		p.fail()
		return nil
	}
	to := cut[K]{side: top}
	if k, ok := p.domain.upper(k); ok {
		to = cut[K]{below, k}
	}
	return p.domain.between(cut[K]{below, k}, to)
}

// value reads a key, quoted as its type requires.
func (p *parser[K]) value() (k K) {
	p.terms++
	p.require(p.terms <= maxTerms)
	switch p.token.kind {
	case quoted:
		p.require(p.domain.quoted != never)
	case word:
		p.require(p.domain.quoted != always)
	default:
		p.fail()
	}
	if p.err != nil {
		return k
	}
	k, err := p.domain.parse(p.token.text)
	p.require(err == nil)
	p.advance()
	return k
}

// accept skips the next token if it is this operator or keyword.
func (p *parser[K]) accept(text string) bool {
	if p.err != nil || !p.token.is(text) {
		return false
	}
	p.advance()
	return true
}

func (p *parser[K]) advance() {
	if p.err == nil {
		p.token, p.rest, p.err = lex(p.rest)
	}
	if p.err != nil {
		p.token = token{}
	}
}

func (p *parser[K]) require(ok bool) {
	if !ok {
		p.fail()
	}
}

// fail sets the error, and ends the text so that every loop ends.
func (p *parser[K]) fail() { p.err, p.token = errPredicate, token{} }
