package client

import (
	"iter"
	"strconv"
	"strings"
)

// Expression combines predicates of several indexes of a collection: see [Leaf], [And], [Or]
// and [Not]. It has 1 to 16 leaves.
//
//	client.And(
//		client.Leaf("by_age", ">= 30 and < 40"),
//		client.Leaf("notes", "+enclave"),
//		client.Not(client.Leaf("notes", "sgx")),
//	)
//
// The zero Expression is no expression.
type Expression struct {
	kind             expressionKind
	index, predicate string       // of a leaf
	args             []Expression // of all others
}

type expressionKind uint8

const (
	emptyKind expressionKind = iota
	leafKind
	andKind
	orKind
	notKind
)

// Leaf finds the objects that match a predicate of an index. Several leaves may ask the same
// index.
func Leaf(index, predicate string) Expression {
	return Expression{kind: leafKind, index: index, predicate: predicate}
}

// And finds the objects that all arguments find. It needs an argument that is no [Not].
func And(args ...Expression) Expression { return Expression{kind: andKind, args: args} }

// Or finds the objects that at least one argument finds. No argument may be a [Not].
func Or(args ...Expression) Expression { return Expression{kind: orKind, args: args} }

// Not is an argument of [And]. And leaves out the objects that e finds. A Not in any other place
// fails with a [QueryError]: an index can't name the objects that it does not find.
func Not(e Expression) Expression { return Expression{kind: notKind, args: []Expression{e}} }

// String returns the expression as a person writes it for the command motte.
func (e Expression) String() string {
	switch e.kind {
	case leafKind:
		return strconv.Quote(e.index + ": " + e.predicate)
	case notKind:
		return "NOT " + e.args[0].group()
	case andKind:
		return join(e.args, " AND ")
	case orKind:
		return join(e.args, " OR ")
	}
	return ""
}

func join(args []Expression, operator string) string {
	var parts []string
	for _, arg := range args {
		parts = append(parts, arg.group())
	}
	return strings.Join(parts, operator)
}

// group is String, in parentheses if the expression has several parts.
func (e Expression) group() string {
	if len(e.args) > 1 {
		return "(" + e.String() + ")"
	}
	return e.String()
}

// leaves returns the number of leaves.
func (e Expression) leaves() (n int) {
	if e.kind == leafKind {
		return 1
	}
	for _, arg := range e.args {
		n += arg.leaves()
	}
	return n
}

// shown returns the expression for an error, and not more of it than a line has.
func (e Expression) shown() string {
	const most = 60
	text := []rune(e.String())
	if len(text) > most {
		return string(text[:most]) + "…"
	}
	return string(text)
}

// Leaves yields the index and the predicate of each leaf, in their order.
func (e Expression) Leaves() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) { e.yieldLeaves(yield) }
}

func (e Expression) yieldLeaves(yield func(string, string) bool) bool {
	if e.kind == leafKind {
		return yield(e.index, e.predicate)
	}
	for _, arg := range e.args {
		if !arg.yieldLeaves(yield) {
			return false
		}
	}
	return true
}
