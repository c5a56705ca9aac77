package frames

import (
	"math"
	"time"

	"motte/core/codec"
	"motte/core/model"
	"motte/core/wire"
)

// FlagExplain asks for what the leaves of an expression cost. The answer to a SEARCH then has a
// frame of KindExplain instead of objects.
const (
	FlagExplain wire.Flags = 1 << 4
	KindExplain wire.Kind  = 7
)

// Operator combines the two results on top of the stack.
type Operator uint8

// The operators of an expression. The kind of a leaf is 1.
const (
	And    Operator = 2
	Or     Operator = 3
	AndNot Operator = 4 // the lower result without the upper one

	leafKind = 1
)

// MaxLeaves bounds the leaves of an expression.
const MaxLeaves = 16

// An expression is the sub-query of a SEARCH, COUNT or DELETE WHERE without an index. It is a
// program in postfix notation, which leaves one result on its stack:
//
//	order 1 | item …
//
// The order is the number of the leaf that gives the order, from 1 on, or 0.

// AppendOrder appends the beginning of an expression.
func AppendOrder(p []byte, leaf int) []byte { return append(p, byte(leaf)) }

// AppendLeaf appends a leaf, which asks one index:
//
//	kind 1 | data type 1 | index 32 | len(predicate) 4 | predicate …
func AppendLeaf(p []byte, t model.DataType, index, predicate string) []byte {
	return codec.Writer(p).U8(leafKind, byte(t)).Text(index, model.MaxIdentifier).
		U32(uint32(len(predicate))).Bytes([]byte(predicate))
}

// AppendOperator appends an operator.
func AppendOperator(p []byte, o Operator) []byte { return append(p, byte(o)) }

// LeafWork is what the Core did for one leaf of an expression.
type LeafWork struct {
	Objects   uint32 // that the index named, and the principal may see
	Rounds    uint32 // questions to the Task
	Time      time.Duration
	Exhausted bool // the index named all objects that match
	Ranked    bool // the index ordered the objects that the other leaves had found
}

const (
	workExhausted = 1 << iota
	workRanked
)

// DecodeExplain reads the body of a KindExplain frame. It has for each leaf, in the order of the
// program:
//
//	objects 4 | rounds 4 | microseconds 8 | flags 1
func DecodeExplain(p []byte) (leaves []LeafWork, err error) {
	r := codec.NewReader(p)
	r.Require(len(p) > 0)
	for r.Len() > 0 {
		r.Require(len(leaves) < MaxLeaves)
		w := LeafWork{Objects: r.U32(), Rounds: r.U32()}
		microseconds := r.U64()
		flags := r.U8()
		r.Require(microseconds <= math.MaxInt64/1000 && flags <= workExhausted|workRanked)
		w.Time = time.Duration(microseconds) * time.Microsecond
		w.Exhausted, w.Ranked = flags&workExhausted != 0, flags&workRanked != 0
		leaves = append(leaves, w)
	}
	return leaves, r.Done()
}
