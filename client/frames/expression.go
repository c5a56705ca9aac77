package frames

import (
	"math"
	"time"

	"motte/core/codec"
	"motte/core/model"
	"motte/core/wire"
)

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
	return codec.Writer(p).U8(byte(wire.StepLeaf), byte(t)).Text(index, model.MaxIdentifier).
		U32(uint32(len(predicate))).Bytes([]byte(predicate))
}

// AppendOperator appends an operator.
func AppendOperator(p []byte, o wire.StepKind) []byte { return append(p, byte(o)) }

// LeafWork is what the Core did for one leaf of an expression.
type LeafWork struct {
	Objects   uint32 // that the index named, and the principal may see
	Rounds    uint32 // questions to the Task
	Time      time.Duration
	Exhausted bool // the index named all objects that match
	Ranked    bool // the index ordered the objects that the other leaves had found
}

// DecodeExplain reads the body of a KindExplain frame. It has for each leaf, in the order of the
// program:
//
//	objects 4 | rounds 4 | microseconds 8 | flags 1
func DecodeExplain(p []byte) (leaves []LeafWork, err error) {
	r := codec.NewReader(p)
	r.Require(len(p) > 0)
	for r.Len() > 0 {
		r.Require(len(leaves) < wire.MaxLeaves)
		w := LeafWork{Objects: r.U32(), Rounds: r.U32()}
		microseconds := r.U64()
		flags := wire.ExplainFlags(r.U8())
		r.Require(microseconds <= math.MaxInt64/1000 && flags <= wire.ExplainExhausted|wire.ExplainRanked)
		w.Time = time.Duration(microseconds) * time.Microsecond
		w.Exhausted, w.Ranked = flags&wire.ExplainExhausted != 0, flags&wire.ExplainRanked != 0
		leaves = append(leaves, w)
	}
	return leaves, r.Done()
}
