package main

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"motte/sdk/pointer"
	"motte/tasks/internal/inverted"
)

// Limits of a predicate, which a client chooses. They bound the cost of one answer.
const (
	maxConditions = 10_000 // conditions, and values in lists
	maxNesting    = 64     // parentheses and "not" inside one another
)

// parser reads a predicate by recursive descent:
//
//	predicate   = [ alternative ]
//	alternative = conjunction { "or" conjunction }
//	conjunction = condition { "and" condition }
//	condition   = "not" condition
//	            | "(" alternative ")"
//	            | "all"
//	            | ( "exists" | "missing" ) field
//	            | field ( "=" | "!=" | "has" ) value
//	            | field [ "not" ] "in" list
//	            | field "contains" ( "all" | "any" ) list
//	list        = "(" value { "," value } ")"
//	field       = a name, a JSON Pointer, or a JSON Pointer in quotation marks
//	value       = a JSON string, number, true, false or null
//
// It looks up the terms at once. The first error is kept. Later steps then read an empty text, and
// the end returns the error.
type parser struct {
	index      *index
	rest       string
	token      token // the next token
	conditions int
	nesting    int
	err        error
}

// parse reads a predicate. The expression is valid until the index changes.
func (x *index) parse(predicate []byte) (expression, error) {
	p := parser{index: x, rest: string(predicate)}
	if !utf8.Valid(predicate) {
		p.fail()
	}
	p.advance()
	e := expression(everything{})
	if p.token.kind != endOfText {
		e = p.alternative()
	}
	p.require(p.token.kind == endOfText)
	return e, p.err
}

func (p *parser) alternative() expression {
	var list []expression
	for {
		list = append(list, p.conjunction())
		if !p.accept("or") {
			return newOr(list)
		}
	}
}

func (p *parser) conjunction() expression {
	var list []expression
	for {
		list = append(list, p.condition())
		if !p.accept("and") {
			return newAnd(list)
		}
	}
}

func (p *parser) condition() expression {
	p.count()
	switch {
	case p.accept("not"):
		p.descend()
		e := not{p.condition()}
		p.nesting--
		return e
	case p.accept("("):
		p.descend()
		e := p.alternative()
		p.nesting--
		p.require(p.accept(")"))
		return e
	case p.accept("all"):
		return everything{}
	case p.accept("exists"):
		return p.anyOf(p.field(), present)
	case p.accept("missing"):
		return not{p.anyOf(p.field(), present)}
	}
	return p.test(p.field())
}

// test reads what a condition says of a field.
func (p *parser) test(field string) expression {
	switch {
	case p.accept("="), p.accept("has"):
		return p.anyOf(field, p.value())
	case p.accept("!="):
		return p.otherThan(field, p.value())
	case p.accept("in"):
		return p.anyOf(field, p.list()...)
	case p.accept("not"):
		p.require(p.accept("in"))
		return p.otherThan(field, p.list()...)
	case p.accept("contains"):
		if p.accept("any") {
			return p.anyOf(field, p.list()...)
		}
		p.require(p.accept("all"))
		return p.allOf(field, p.list())
	}
	p.fail()
	return everything{}
}

func (p *parser) anyOf(field string, values ...string) expression {
	slices.Sort(values)
	var sets []*inverted.Set
	for _, v := range slices.Compact(values) {
		if s := p.index.terms.objects(termName(field, v)); s != nil {
			sets = append(sets, s)
		}
	}
	return newAnyOf(sets)
}

// otherThan finds the objects that have a value in a field, and none of some values.
func (p *parser) otherThan(field string, values ...string) expression {
	return newAnd([]expression{p.anyOf(field, present), not{p.anyOf(field, values...)}})
}

func (p *parser) allOf(field string, values []string) expression {
	var list []expression
	for _, v := range values {
		list = append(list, p.anyOf(field, v))
	}
	return newAnd(list)
}

// field reads a field, and returns its pointer.
func (p *parser) field() string {
	name := p.token.text
	switch {
	case p.token.kind == quoted:
	case p.token.kind != word || isKeyword(name):
		p.fail()
	case name[0] != '/':
		name = "/" + escaper.Replace(name)
	}
	parsed, err := pointer.Parse(name)
	p.require(err == nil && p.index.fields.has(parsed))
	p.advance()
	return name
}

var keywords = []string{"all", "and", "any", "contains", "exists", "has", "in", "missing", "not", "or"}

func isKeyword(s string) bool {
	return slices.ContainsFunc(keywords, func(k string) bool { return strings.EqualFold(k, s) })
}

func (p *parser) list() (values []string) {
	p.require(p.accept("("))
	for {
		p.count()
		values = append(values, p.value())
		if !p.accept(",") {
			p.require(p.accept(")"))
			return values
		}
	}
}

// value reads a value, and returns it as a term has it.
func (p *parser) value() (s string) {
	switch {
	case p.token.kind == quoted:
		s = plain(text, p.token.text)
	case p.token.kind != word || !json.Valid([]byte(p.token.text)):
		p.fail()
	default:
		var ok bool
		var err error
		s, ok, err = scalar([]byte(p.token.text))
		p.require(ok && err == nil)
	}
	p.advance()
	return s
}

// count counts a condition or a value.
func (p *parser) count() {
	p.conditions++
	p.require(p.conditions <= maxConditions)
}

// descend counts a condition inside another.
func (p *parser) descend() {
	p.nesting++
	p.require(p.nesting <= maxNesting)
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
