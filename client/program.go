package client

import (
	"fmt"

	"motte/client/frames"
	"motte/core/model"
	"motte/core/wire"
)

// QueryError says why a query can't be sent to the Core. [errors.Is] finds in it what the Core
// would answer: [ErrInvalidRequest] or [ErrTooLarge].
type QueryError struct {
	text  string
	cause *Error
}

// Error says which part is wrong, and what to do.
func (e *QueryError) Error() string { return e.text }

// Unwrap returns the outcome that the Core would have.
func (e *QueryError) Unwrap() error { return e.cause }

func invalid(format string, args ...any) error {
	return &QueryError{fmt.Sprintf(format, args...), ErrInvalidRequest}
}

// program is an expression in the form that the Core reads: see [frames.AppendOrder].
type program struct {
	items  []byte
	leaves []Expression // in the order of the program
	order  int          // number of the leaf that gives the order; 0: no order

	orderBy string // the index that is to give the order, or ""
}

// compile checks an expression, and returns its program.
func compile(e Expression, orderBy string) (*program, error) {
	if n := e.leaves(); n > wire.MaxLeaves {
		return nil, invalid("the expression has %d leaves, and %d is the most: "+
			"join predicates of one index into one, or make two queries", n, wire.MaxLeaves)
	}
	g := &program{orderBy: orderBy}
	if err := g.add(e, true); err != nil {
		return nil, err
	}
	if orderBy != "" && g.order == 0 {
		return nil, g.noOrder()
	}
	return g, nil
}

// encode returns the sub-query of a request.
func (g *program) encode() ([]byte, error) {
	p := append(frames.AppendOrder(nil, g.order), g.items...)
	if len(p) > model.MaxSubQuery {
		text := fmt.Sprintf("the expression has %d bytes, and %d is the most: shorten its predicates", len(p), model.MaxSubQuery)
		return nil, &QueryError{text, ErrTooLarge}
	}
	return p, nil
}

// add appends the items of an expression. If certain is true, every match of the whole
// expression matches e. Then a leaf in e may give the order.
func (g *program) add(e Expression, certain bool) error {
	switch e.kind {
	case leafKind:
		return g.addLeaf(e, certain)
	case andKind:
		return g.addAnd(e, certain)
	case orKind:
		return g.addOr(e, certain)
	case notKind:
		return invalid("%s is not an argument of And: write And(x, Not(y)), where x finds the objects and Not leaves out some of them", e.shown())
	}
	return invalid("a part of the expression is empty: make each part with Leaf, And, Or or Not")
}

func (g *program) addLeaf(e Expression, certain bool) error {
	if !model.ValidIdentifier(e.index) {
		return invalid("leaf %s: %q can't be the name of an index: 1 to %d of a–z, 0–9, '_' and '-', a letter first",
			e.shown(), e.index, model.MaxIdentifier)
	}
	g.items = frames.AppendLeaf(g.items, model.TypeAny, e.index, e.predicate)
	g.leaves = append(g.leaves, e)
	if certain && g.order == 0 && e.index == g.orderBy {
		g.order = len(g.leaves)
	}
	return nil
}

// addAnd begins with the first argument that is no Not, since the operators take from a result
// that is there.
func (g *program) addAnd(e Expression, certain bool) error {
	first := 0
	for first < len(e.args) && e.args[first].kind == notKind {
		first++
	}
	if first == len(e.args) {
		return invalid("And(%s) has no argument that finds objects: add an argument that is no Not", e.shown())
	}
	if err := g.add(e.args[first], certain); err != nil {
		return err
	}
	for i, arg := range e.args {
		if i == first {
			continue
		}
		operator := wire.StepAnd
		if arg.kind == notKind {
			arg, operator = arg.args[0], wire.StepAndNot
		}
		if err := g.add(arg, certain && operator == wire.StepAnd); err != nil {
			return err
		}
		g.items = frames.AppendOperator(g.items, operator)
	}
	return nil
}

func (g *program) addOr(e Expression, certain bool) error {
	if len(e.args) == 0 {
		return invalid("Or() has no argument, so it finds nothing: add one")
	}
	for i, arg := range e.args {
		if err := g.add(arg, certain && len(e.args) == 1); err != nil {
			return err
		}
		if i > 0 {
			g.items = frames.AppendOperator(g.items, wire.StepOr)
		}
	}
	return nil
}

// noOrder says why no leaf can give the order.
func (g *program) noOrder() error {
	for _, leaf := range g.leaves {
		if leaf.index == g.orderBy {
			return invalid("index %s can't give the order: its leaf %s is below OR or NOT, so an object may match without it; "+
				"join a predicate of it to the rest with AND", g.orderBy, leaf.shown())
		}
	}
	return invalid("index %s can't give the order: no leaf asks it; join a predicate of it to the rest with AND", g.orderBy)
}
