package main

import (
	"strings"
	"unicode/utf8"
)

// Limits of a predicate, which a client chooses. They bound the memory and the work of compiling it.
const (
	maxPredicate = 16 << 10 // bytes
	maxTokens    = 4096
	maxNesting   = 50 // parentheses, "case", "not" and signs inside one another

	// maxHeight bounds the height of an expression's tree, also of a chain such as "a and b and c". SQLite recurses over the
	// tree, and this build of it has a stack of 64 KiB. No form of expression was seen to overflow it below a height of 190. An
	// overflow ends the process.
	maxHeight = 100
)

// keywords are the words of an expression.
var keywords = map[string]bool{
	"and": true, "or": true, "not": true, "in": true, "is": true, "null": true, "isnull": true, "notnull": true,
	"between": true, "like": true, "escape": true, "true": true, "false": true, "collate": true, "nocase": true, "binary": true,
	"case": true, "when": true, "then": true, "else": true, "end": true, "order": true, "by": true,
	"asc": true, "desc": true, "nulls": true, "first": true, "last": true,
}

// function says how many arguments a function takes.
type function struct{ least, most int }

// functions are those that have no effects, take little time, and give the same value each time. None makes
// a text that is longer than its arguments.
var functions = map[string]function{
	"coalesce": {2, 16}, "ifnull": {2, 2}, "iif": {3, 3}, "instant": {1, 1}, "instr": {2, 2}, "length": {1, 1}, "lower": {1, 1}, "nullif": {2, 2},
	"round": {1, 2}, "sign": {1, 1}, "substr": {2, 3}, "trim": {1, 1}, "typeof": {1, 1}, "upper": {1, 1},
}

// clauses are the parts of a SELECT statement that a predicate stands for.
type clauses struct {
	where string // never empty
	order string // terms with commas between them, or empty
}

// parser reads a predicate by recursive descent, and writes the clauses token by token:
//
//	predicate = [ expression ] [ "order" "by" term { "," term } ]
//	term      = expression [ "asc" | "desc" ] [ "nulls" ( "first" | "last" ) ]
//
// The file expression.go has the grammar of expressions. The first error is kept. Later steps then read an empty text, so that
// every loop ends.
type parser struct {
	columns []column
	rest    string
	token   token // the next one
	words   []string
	nesting int
	err     error
}

func parse(columns []column, predicate []byte) (c clauses, err error) {
	if len(predicate) > maxPredicate || !utf8.Valid(predicate) {
		return c, errPredicate
	}
	p := parser{columns: columns, rest: string(predicate)}
	p.advance()
	c.where = "true"
	if p.token.form != endOfText && !p.token.is("order") {
		p.expression(lowest)
		c.where = p.text()
	}
	if p.accept("order") {
		p.require(p.accept("by"))
		p.words = nil
		p.terms()
		c.order = p.text()
	}
	p.require(p.token.form == endOfText)
	return c, p.err
}

// terms reads the terms of ORDER BY.
func (p *parser) terms() {
	for {
		p.expression(lowest)
		if p.token.is("asc") || p.token.is("desc") {
			p.take()
		}
		if p.token.is("nulls") {
			p.take()
			p.require(p.token.is("first") || p.token.is("last"))
			p.take()
		}
		if !p.token.is(",") {
			return
		}
		p.take()
	}
}

// text returns what was written.
func (p *parser) text() string { return strings.Join(p.words, " ") }

// take writes the next token, and skips it.
func (p *parser) take() {
	p.words = append(p.words, p.token.text)
	p.require(len(p.words) <= maxTokens)
	p.advance()
}

// want takes the next token, which must be this one.
func (p *parser) want(text string) {
	p.require(p.token.is(text))
	p.take()
}

// accept skips the next token if it is this one, without writing it.
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
		p.err, p.token = errPredicate, token{}
	}
}
