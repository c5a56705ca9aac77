package main

import (
	"slices"
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
	required   []set[K] // an object has a key in each
	descending bool
}

// parser reads a predicate by recursive descent:
//
//	predicate   = [ "all" | alternative | containment ] [ "order" ( "asc" | "desc" ) ]
//	containment = "contains" "all" list [ "and" alternative ]
//	alternative = conjunction { "or" conjunction }
//	conjunction = condition { "and" condition }
//	condition   = "(" alternative ")"
//	            | ( "<" | "<=" | ">" | ">=" | "=" | "!=" ) value
//	            | "between" value "and" value
//	            | "in" list
//	            | "prefix" value
//	            | "missing"
//	list        = "(" value { "," value } ")"
//
// The value of a composite key is a literal, or "(" literal { "," literal } ")". A literal may be "missing".
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
	alone := false
	switch {
	case p.accept("all") || p.token.kind == endOfText || p.token.is("order"):
	case p.accept("contains"):
		q.required = p.containment()
		if alone = !p.accept("and"); !alone {
			q.keys = p.alternative()
		}
	default:
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
	if alone && p.err == nil {
		q.keys = p.firstOf(&q)
	}
	return q, p.err
}

// firstOf returns those of the required keys that come first in the answer. Each object that matches has
// one of them, and stands there.
func (p *parser[K]) firstOf(q *query[K]) set[K] {
	if q.descending {
		return slices.MaxFunc(q.required, func(a, b set[K]) int { return p.domain.compareCuts(a[0].to, b[0].to) })
	}
	return slices.MinFunc(q.required, func(a, b set[K]) int { return p.domain.compareCuts(a[0].from, b[0].from) })
}

// containment reads the keys that objects must have. Each is a set of one interval.
func (p *parser[K]) containment() []set[K] {
	p.require(p.accept("all"))
	required := p.list()
	p.require(len(required) <= maxKeys) // no object has more keys
	return required
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
	bottom, top := cut[K]{side: bottom}, cut[K]{side: top}
	switch operator {
	case "<":
		return d.present(d.between(bottom, cut[K]{below, p.value()}))
	case "<=":
		return d.present(d.between(bottom, d.above(p.value())))
	case ">":
		return d.present(d.between(d.above(p.value()), top))
	case ">=":
		return d.present(d.between(cut[K]{below, p.value()}, top))
	case "=":
		return d.equal(p.value())
	case "!=":
		return d.present(d.complement(d.equal(p.value())))
	case "between":
		low := p.value()
		p.require(p.accept("and"))
		return d.between(cut[K]{below, low}, d.above(p.value()))
	case "in":
		return d.union(slices.Concat(p.list()...))
	case "prefix":
		p.require(d.upper != nil)
		k := p.start()
		if p.err != nil {
			return nil
		}
		return d.beginningWith(k)
	case "missing":
		if d.composite != nil {
			return d.composite.missing
		}
	}
	p.fail()
	return nil
}

// list reads a list of values, and returns the keys that equal each.
func (p *parser[K]) list() (list []set[K]) {
	p.require(p.accept("("))
	for {
		list = append(list, p.domain.equal(p.value()))
		if !p.accept(",") {
			p.require(p.accept(")"))
			return list
		}
	}
}

// start reads the start of keys.
func (p *parser[K]) start() K {
	if p.domain.composite != nil {
		return p.composite(true)
	}
	return p.value()
}

// composite reads the first components of a composite key.
func (p *parser[K]) composite(prefix bool) (k K) {
	var values []token
	literal := func() {
		p.count()
		p.require(p.token.kind == quoted || p.token.kind == word)
		values = append(values, p.token)
		p.advance()
	}
	if p.accept("(") {
		for literal(); p.accept(","); {
			literal()
		}
		p.require(p.accept(")"))
	} else {
		literal()
	}
	if p.err != nil {
		return k
	}
	k, err := p.domain.composite.parse(values, prefix)
	p.require(err == nil)
	return k
}

// value reads a key, quoted as its type requires.
func (p *parser[K]) value() (k K) {
	if p.domain.composite != nil {
		return p.composite(false)
	}
	p.count()
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

// count counts a value.
func (p *parser[K]) count() {
	p.terms++
	p.require(p.terms <= maxTerms)
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
