package main

import "slices"

// Levels of operators, by how tight they bind, as in SQLite.
const (
	lowest = iota
	levelOr
	levelAnd
	levelNot
	levelEqual // also is, in, like, between, isnull and notnull
	levelLess
	levelAdd
	levelMultiply
	levelCollate
	noOperator
)

// levels has the level of each operator that stands behind its first operand.
var levels = map[string]int{
	"or": levelOr, "and": levelAnd, "=": levelEqual, "==": levelEqual, "<>": levelEqual, "!=": levelEqual, "is": levelEqual, "in": levelEqual,
	"like": levelEqual, "between": levelEqual, "isnull": levelEqual, "notnull": levelEqual, "not": levelEqual, "<": levelLess, "<=": levelLess,
	">": levelLess, ">=": levelLess, "+": levelAdd, "-": levelAdd, "*": levelMultiply, "/": levelMultiply, "%": levelMultiply, "collate": levelCollate,
}

func (t token) level() int {
	if t.form == name || t.form == symbol {
		return levels[t.text]
	}
	return 0
}

// expression reads an expression with operators of a level or above. It returns the height of its tree.
//
//	expression = operand { operator }
//	operator   = ( "or" | "and" | "=" | "==" | "<>" | "!=" | "<" | "<=" | ">" | ">=" | "+" | "-" | "*" | "/" | "%" ) expression
//	           | "is" [ "not" ] expression
//	           | "isnull" | "notnull" | "collate" ( "nocase" | "binary" )
//	           | [ "not" ] "in" list
//	           | [ "not" ] "like" expression [ "escape" text ]
//	           | [ "not" ] "between" expression "and" expression
func (p *parser) expression(least int) (height int) {
	height = p.operand()
	for level := p.token.level(); p.err == nil && level > 0 && level >= least; level = p.token.level() {
		height = 1 + max(height, p.operator(level))
		p.require(height <= maxHeight)
	}
	return height
}

// operator reads an operator and what stands behind it. It returns the height of that.
func (p *parser) operator(level int) int {
	op := p.token.text
	p.take()
	if op == "not" {
		op = p.token.text
		p.require(p.token.is("in") || p.token.is("like") || p.token.is("between"))
		p.take()
	}
	switch op {
	case "isnull", "notnull":
		return 0
	case "collate":
		p.require(p.token.is("nocase") || p.token.is("binary"))
		p.take()
		return 0
	case "in":
		return p.list(1, maxTokens)
	case "is":
		if p.token.is("not") {
			p.take()
		}
	case "like":
		height := p.expression(level + 1)
		if p.token.is("escape") {
			p.take()
			p.require(p.token.form == quoted)
			p.take()
		}
		return 1 + height
	case "between":
		height := p.expression(level + 1)
		p.want("and")
		return 2 + max(height, p.expression(level+1)) // SQLite compares twice
	}
	return p.expression(level + 1)
}

// list reads expressions in parentheses.
func (p *parser) list(least, most int) (height int) {
	p.want("(")
	p.descend()
	count := 1
	height = p.expression(lowest)
	for ; p.token.is(","); count++ {
		p.take()
		height = max(height, p.expression(lowest))
	}
	p.nesting--
	p.want(")")
	p.require(count >= least && count <= most)
	return height
}

// operand reads an operand:
//
//	operand = number | text | "null" | "true" | "false" | column
//	        | function "(" expression { "," expression } ")"
//	        | "(" expression ")"
//	        | ( "+" | "-" | "not" ) expression
//	        | "case" [ expression ] "when" expression "then" expression { … } [ "else" expression ] "end"
func (p *parser) operand() (height int) {
	t := p.token
	switch {
	case t.form == number, t.form == quoted, t.is("null"), t.is("true"), t.is("false"):
		p.take()
		return 1
	case t.is("("):
		return p.list(1, 1)
	case t.is("+"), t.is("-"):
		p.take()
		p.descend()
		height = p.expression(noOperator)
		p.nesting--
		return 1 + height
	case t.is("not"):
		p.take()
		p.descend()
		height = p.expression(levelNot)
		p.nesting--
		return 1 + height
	case t.is("case"):
		return 1 + p.cases()
	case t.form == name && !keywords[t.text]:
		return p.named()
	}
	p.require(false)
	return 0
}

// named reads a column or a function.
func (p *parser) named() int {
	t := p.token
	if f, ok := functions[t.text]; ok {
		p.take()
		return 1 + p.list(f.least, f.most)
	}
	p.require(slices.ContainsFunc(p.columns, func(c column) bool { return c.name == t.text }))
	p.token.text = `"` + t.text + `"`
	p.take()
	return 1
}

// cases reads what follows "case".
func (p *parser) cases() (height int) {
	p.take()
	p.descend()
	if !p.token.is("when") {
		height = p.expression(lowest)
	}
	for first := true; first || p.token.is("when"); first = false {
		p.want("when")
		height = max(height, p.expression(lowest))
		p.want("then")
		height = max(height, p.expression(lowest))
	}
	if p.token.is("else") {
		p.take()
		height = max(height, p.expression(lowest))
	}
	p.nesting--
	p.want("end")
	return height
}

// descend counts an expression inside another.
func (p *parser) descend() {
	p.nesting++
	p.require(p.nesting <= maxNesting)
}
