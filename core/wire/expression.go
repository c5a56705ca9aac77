package wire

import (
	"motte/core/codec"
	"motte/core/model"
)

// MaxLeaves is the most leaves of an expression: as many as a collection can have indexes.
const MaxLeaves = 16

// StepKind is the kind of a step of an expression.
type StepKind uint8

// The kinds of steps. An operation takes the two results that were made last, and makes one.
const (
	StepLeaf   StepKind = 1 // the objects that a leaf finds
	StepAnd    StepKind = 2 // the objects of both results
	StepOr     StepKind = 3 // the objects of at least one result
	StepAndNot StepKind = 4 // the objects of the first result that are not in the last
)

// Leaf is a predicate for one index.
type Leaf struct {
	Type      model.DataType
	Index     string
	Predicate []byte

	// Excludes says that the leaf is part of the second operand of a StepAndNot. An object that
	// its index does not name could wrongly be in the answer.
	Excludes bool
}

// Expression is a query over several indexes. It is a program in postfix form: the n-th StepLeaf
// stands for the n-th leaf.
type Expression struct {
	Leaves  []Leaf
	Order   int // number of the leaf that gives the order, counted from 1; 0: no order
	Program []StepKind
}

// DecodeExpression reads the sub-query of a request without an index. It has the number of the
// leaf that gives the order, or 0, and then the steps:
//
//	order 1 | step …
//
// A step is its kind, and with StepLeaf the leaf:
//
//	kind 1 | data type 1 | index 32 | len(predicate) 4 | predicate …
//
// The result aliases p. The program has 1 to MaxLeaves leaves, and leaves one result. Each object
// of the result is one that the ordering leaf must find, too.
func DecodeExpression(p []byte) (x Expression, err error) {
	r := codec.NewReader(p)
	x.Order = int(r.U8())
	var operands []int // the number of leaves before each result that is not used yet
	for r.Len() > 0 && len(x.Leaves) <= MaxLeaves {
		kind := StepKind(r.U8())
		x.Program = append(x.Program, kind)
		if kind == StepLeaf {
			operands = append(operands, len(x.Leaves))
			x.Leaves = append(x.Leaves, decodeLeaf(r))
			continue
		}
		n := len(operands)
		if n < 2 || !x.combine(kind, operands[n-2], operands[n-1]) {
			return Expression{}, codec.ErrMalformed
		}
		operands = operands[:n-1]
	}
	r.Require(len(operands) == 1 && len(x.Leaves) <= MaxLeaves && x.Order <= len(x.Leaves))
	return x, r.Done()
}

func decodeLeaf(r *codec.Reader) (leaf Leaf) {
	leaf.Type = model.DataType(r.U8())
	leaf.Index = r.Text(model.MaxIdentifier)
	leaf.Predicate = r.Take(int(r.U32()))
	r.Require(leaf.Type <= model.LastType && model.ValidIdentifier(leaf.Index))
	return leaf
}

// combine checks an operation on two results. The leaves of the first begin after the given number of
// leaves, and those of the last, too. The ordering leaf must not be a leaf of which an object of the
// new result need not be found.
func (x *Expression) combine(kind StepKind, first, last int) bool {
	ordersFirst := x.Order > first && x.Order <= last
	ordersLast := x.Order > last && x.Order <= len(x.Leaves)
	switch kind {
	case StepAnd:
		return true
	case StepOr:
		return !ordersFirst && !ordersLast
	case StepAndNot:
		for i := range x.Leaves[last:] {
			x.Leaves[last+i].Excludes = true
		}
		return !ordersLast
	}
	return false
}
