package main

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// Limits of a predicate, which a client chooses. They bound the memory of one answer.
const (
	maxLength   = 8 << 10 // bytes
	maxPatterns = 64      // substrings and regular expressions
	maxNesting  = 64      // parentheses and "not" inside one another
	maxProgram  = 2000    // instructions of a regular expression, so that a byte of text takes few steps
)

// parser reads a predicate by recursive descent:
//
//	predicate   = [ alternative ]
//	alternative = conjunction { "or" conjunction }
//	conjunction = condition { "and" condition }
//	condition   = "not" condition
//	            | "(" alternative ")"
//	            | "all"
//	            | [ field ":" ] ( substring | expression )
//	substring   = [ "^" ] string [ "i" ] [ "$" ]
//	expression  = "/" a regular expression "/" { "i" | "m" | "s" }
//
// The first error is kept. Later steps then read an empty text, and the end returns the error.
type parser struct {
	fields   []field
	rest     string
	token    token // the next token
	patterns int
	nesting  int
	err      error
}

// parse reads a predicate.
func parse(predicate []byte, fields []field) (expression, error) {
	p := parser{fields: fields, rest: string(predicate)}
	if !utf8.Valid(predicate) || len(predicate) > maxLength {
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
	var list or
	for {
		list = append(list, p.conjunction())
		if !p.accept("or") {
			return list
		}
	}
}

func (p *parser) conjunction() expression {
	var list and
	for {
		list = append(list, p.condition())
		if !p.accept("and") {
			return list
		}
	}
}

func (p *parser) condition() expression {
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
	}
	field := allFields
	if p.token.kind == word {
		field = fieldNamed(p.fields, p.token.text)
		p.require(field >= 0)
		p.advance()
		p.require(p.accept(":"))
	}
	p.patterns++
	p.require(p.patterns <= maxPatterns)
	if p.token.kind == slashed {
		return p.expression(field)
	}
	return p.substring(field)
}

// substring reads a substring with its anchors.
func (p *parser) substring(field int) expression {
	e := part{field: field}
	e.prefix = p.accept("^")
	t := p.token
	p.require(t.kind == quoted && (t.flags == "" || t.flags == "i"))
	p.advance()
	e.suffix = p.accept("$")
	e.text = []byte(t.text)
	if t.flags == "" {
		return e
	}
	text := regexp.QuoteMeta(t.text)
	if e.prefix {
		text = `\A` + text
	}
	if e.suffix {
		text += `\z`
	}
	return p.pattern(field, "(?i)"+text)
}

// expression reads a regular expression.
func (p *parser) expression(field int) expression {
	text, flags := p.token.text, p.token.flags
	p.require(strings.Trim(flags, "ims") == "")
	p.advance()
	if flags != "" {
		text = "(?" + flags + ")" + text
	}
	return p.pattern(field, text)
}

// pattern compiles a regular expression. It refuses a large one before it takes memory.
func (p *parser) pattern(field int, text string) expression {
	if p.err != nil {
		return everything{}
	}
	re, err := syntax.Parse(text, syntax.Perl)
	if err != nil || size(re) > maxProgram {
		p.fail()
		return everything{}
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		p.fail()
		return everything{}
	}
	return &pattern{field: field, regexp: compiled, size: size(re), needed: needOfExpression(re.Simplify())}
}

// size returns about how many instructions the program of a regular expression has. It stops counting
// above maxProgram.
func size(re *syntax.Regexp) int {
	parts := 0
	for _, sub := range re.Sub {
		parts += size(sub)
	}
	switch re.Op {
	case syntax.OpLiteral:
		parts = len(re.Rune)
	case syntax.OpCharClass:
		parts = len(re.Rune) / 8 // one instruction, which searches the ranges
	case syntax.OpRepeat:
		parts *= max(re.Min, re.Max, 1)
	}
	return min(1+parts, maxProgram+1)
}

// descend counts a condition inside another.
func (p *parser) descend() {
	p.nesting++
	p.require(p.nesting <= maxNesting)
}

// accept skips the next token if it is this symbol or keyword.
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
