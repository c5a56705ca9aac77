package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"motte/client"
	"motte/core/model"
)

// The words of an expression. Each is an argument of its own. The name of an index is in lower
// case, so none of them is one.
const (
	wordAnd   = "AND"
	wordOr    = "OR"
	wordNot   = "NOT"
	wordOpen  = "("
	wordClose = ")"
)

// maxNesting bounds parentheses within parentheses. The 16 leaves of an expression need fewer.
const maxNesting = 32

func isWord(arg string) bool {
	return slices.Contains([]string{wordAnd, wordOr, wordNot, wordOpen, wordClose}, arg)
}

// beginsExpression reports whether an argument begins an expression. Otherwise it is the name of an
// index, which has no colon and is in lower case.
func beginsExpression(arg string) bool { return isWord(arg) || strings.Contains(arg, ":") }

// parseQuery reads what stands after the collection: INDEX PREDICATE, or an expression.
func parseQuery(collection string, args []string) (q client.Query, err error) {
	q.Collection = collection
	if !beginsExpression(args[0]) {
		q.Index, q.Predicate = args[0], args[1]
		return q, nil
	}
	q.Where, err = parseExpression(args)
	return q, err
}

// checkQuery refuses an expression that the Core would not accept.
func checkQuery(q *client.Query) error {
	var wrong *client.QueryError
	if err := q.Check(); errors.As(err, &wrong) {
		return usage("%v", wrong)
	}
	return nil // the Core answers all other faults with a code
}

// queryError says which query failed. The Core does not say which leaf of an expression it was.
func (a *app) queryError(ctx context.Context, c *client.Client, q *client.Query, err error) error {
	if errors.Is(err, client.ErrQueryRefused) {
		if index, fault := textFault(ctx, c, q); fault != "" {
			return fmt.Errorf("index %s %s: %w: %s", q.Collection, index, err, fault)
		}
	}
	if q.Index != "" {
		return fmt.Errorf("index %s %s: %w", q.Collection, q.Index, err)
	}
	var cut *client.TruncatedError
	switch {
	case q.OrderBy != "" && errors.As(err, &cut) && len(cut.After) == 0:
		return fmt.Errorf("collection %s: %w, far behind in the order of %s: a higher --limit lets it look further",
			q.Collection, err, q.OrderBy)
	case errors.Is(err, client.ErrNoIndex), errors.Is(err, client.ErrQueryRefused):
		return fmt.Errorf("collection %s: %w; to see which leaf is meant, ask each alone: motte count %s INDEX PREDICATE",
			q.Collection, err, q.Collection)
	case errors.Is(err, client.ErrInvalidRequest) && q.OrderBy != "":
		return fmt.Errorf("collection %s: %w: is %s an index made with --ordered, which --order needs?", q.Collection, err, q.OrderBy)
	}
	return fmt.Errorf("collection %s: %w", q.Collection, err)
}

// parseExpression reads an expression:
//
//	EXPRESSION = OPERAND { AND OPERAND | [AND] NOT OPERAND } | OPERAND { OR OPERAND }
//	OPERAND    = 'INDEX: PREDICATE' | '(' EXPRESSION ')'
//
// AND and OR never stand side by side: no reader has to know which of them binds tighter, and no
// deletion depends on it.
func parseExpression(args []string) (client.Expression, error) {
	p := &expressionParser{args: args}
	e, err := p.expression()
	if err == nil && p.at < len(args) { // only a closing parenthesis ends an expression early
		err = p.wrong(p.at, "no '(' stands before it")
	}
	return e, err
}

// expressionParser reads an expression by recursive descent.
type expressionParser struct {
	args  []string
	at    int // the next argument
	depth int // open parentheses
}

// wrong returns the error about an argument.
func (p *expressionParser) wrong(at int, format string, args ...any) error {
	return usage("argument %d of the expression, %s: %s", at+1, short(p.args[at]), fmt.Sprintf(format, args...))
}

// short returns an argument for an error, and not more of it than a line has.
func short(arg string) string {
	const most = 40
	if text := []rune(arg); len(text) > most {
		arg = string(text[:most]) + "…"
	}
	return "'" + arg + "'"
}

// next returns the next argument, or "" at the end.
func (p *expressionParser) next() string {
	if p.at == len(p.args) {
		return ""
	}
	return p.args[p.at]
}

// ends reports whether the expression ends before the next argument.
func (p *expressionParser) ends() bool { return p.at == len(p.args) || p.next() == wordClose }

// expression reads operands and the operators between them.
func (p *expressionParser) expression() (client.Expression, error) {
	first, err := p.operand()
	if err != nil || p.ends() {
		return first, err
	}
	operands := []client.Expression{first}
	kind := wordAnd
	if p.next() == wordOr {
		kind = wordOr
	}
	for !p.ends() {
		not, err := p.operator(kind)
		if err != nil {
			return first, err
		}
		operand, err := p.operand()
		if err != nil {
			return first, err
		}
		if not {
			operand = client.Not(operand)
		}
		operands = append(operands, operand)
	}
	if kind == wordOr {
		return client.Or(operands...), nil
	}
	return client.And(operands...), nil
}

// operator reads AND, OR, NOT or AND NOT. Only operators of the given kind may stand side by side.
func (p *expressionParser) operator(kind string) (not bool, err error) {
	at, word := p.at, p.next()
	switch {
	case word != wordAnd && word != wordOr && word != wordNot:
		return false, p.noOperator()
	case (word == wordOr) != (kind == wordOr):
		return false, p.wrong(at, "%s and OR stand side by side: put one of them into parentheses: "+
			"'(' … %s … ')' OR …, or … %s '(' … OR … ')'", p.beside(kind), p.beside(kind), p.beside(kind))
	}
	p.at++
	switch {
	case p.next() == wordNot && word == wordOr:
		return false, p.wrong(p.at, "NOT leaves out objects of the operand before it, so it can't follow OR")
	case p.next() == wordNot && word == wordAnd:
		p.at++
		word = wordNot
	}
	if p.at == len(p.args) {
		return false, p.wrong(p.at-1, "an operand is missing after it")
	}
	return word == wordNot, nil
}

// beside names the operator that stands beside an OR.
func (p *expressionParser) beside(kind string) string {
	if kind == wordOr {
		return p.next()
	}
	return wordAnd
}

// noOperator is the error about an argument that stands in the place of an operator.
func (p *expressionParser) noOperator() error {
	word, before := p.next(), p.args[p.at-1]
	switch {
	case slices.Contains([]string{wordAnd, wordOr, wordNot}, strings.ToUpper(word)):
		return p.wrong(p.at, "write %s", strings.ToUpper(word))
	case strings.HasSuffix(strings.TrimSpace(before), ":") && !beginsExpression(word):
		return p.wrong(p.at, "index and predicate are one argument: %s", short(strings.TrimSpace(before)+" "+word))
	}
	return p.wrong(p.at, "AND, OR or NOT is missing before it")
}

// operand reads a leaf, or an expression in parentheses.
func (p *expressionParser) operand() (e client.Expression, err error) {
	at, arg := p.at, p.next()
	switch {
	case p.at == len(p.args):
		return e, p.wrong(at-1, "an operand is missing after it")
	case arg == wordNot:
		return e, p.wrong(at, "NOT leaves out objects of the operand before it, which is missing")
	case arg == wordAnd, arg == wordOr, arg == wordClose:
		return e, p.wrong(at, "an operand is missing before it")
	case arg == wordOpen:
		return p.parentheses()
	}
	p.at++
	return p.leaf(at)
}

func (p *expressionParser) parentheses() (client.Expression, error) {
	open := p.at
	p.at++
	p.depth++
	if p.depth > maxNesting {
		return client.Expression{}, p.wrong(open, "there are more than %d parentheses within each other", maxNesting)
	}
	e, err := p.expression()
	switch {
	case err != nil:
		return e, err
	case p.next() != wordClose:
		return e, p.wrong(open, "its ')' is missing")
	}
	p.at++
	p.depth--
	return e, nil
}

// leaf reads INDEX: PREDICATE. Spaces after the colon are no part of the predicate.
func (p *expressionParser) leaf(at int) (e client.Expression, err error) {
	arg := p.args[at]
	index, predicate, ok := strings.Cut(arg, ":")
	switch {
	case arg == "":
		return e, p.wrong(at, "it is empty")
	case slices.Contains([]string{wordAnd, wordOr, wordNot}, strings.ToUpper(arg)):
		return e, p.wrong(at, "write %s", strings.ToUpper(arg))
	case !ok && at+1 < len(p.args) && model.ValidIdentifier(arg) && !isWord(p.args[at+1]):
		return e, p.wrong(at, "index and predicate are one argument: %s", short(arg+": "+p.args[at+1]))
	case !ok:
		return e, p.wrong(at, "it is not 'INDEX: PREDICATE'")
	case strings.HasPrefix(arg, wordOpen):
		leaf, closing := strings.TrimLeft(arg, "( "), ""
		if strings.HasSuffix(leaf, wordClose) && strings.Count(leaf, wordClose) > strings.Count(leaf, wordOpen) {
			leaf, closing = strings.TrimRight(strings.TrimSuffix(leaf, wordClose), " "), " ')'"
		}
		return e, p.wrong(at, "a parenthesis is an argument of its own: '(' %s%s", short(leaf), closing)
	case !model.ValidIdentifier(index):
		return e, p.wrong(at, "%q can't be the name of an index", index)
	}
	return client.Leaf(index, strings.TrimLeft(predicate, " ")), nil
}
