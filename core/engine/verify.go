package engine

import (
	"bytes"

	"motte/core/frame"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/wire"
)

// Verify says what a pass over all live records came to.
type Verify struct{ Objects, Bytes, Damaged uint64 }

// verifyAll lets a VERIFY wait until every live record was read.
func (e *Engine) verifyAll(q *Request, _ *principal, _ *collection) wire.Code {
	e.verify = append(e.verify, q)
	return wire.OK
}

// Verifying returns how many requests wait until every live record was read.
func (e *Engine) Verifying() int { return len(e.verify) }

// Verified answers the first n of them with what the pass, which began after they had
// come, came to: objects 8 | bytes 8 | damaged ones 8.
func (e *Engine) Verified(n int, v Verify) {
	for range n {
		e.reply(pop(&e.verify), Reply{Body: frame.Writer(nil).U64(v.Objects).U64(v.Bytes).U64(v.Damaged)})
	}
}

// Cursor is a place between two objects; the zero value is before all of them.
type Cursor struct{ Value identity.Value }

// Scan returns the next objects behind a cursor, most at most, and moves it behind them;
// none: it is at the end.
func (e *Engine) Scan(c *Cursor, most int) (list []mapping.Entry) {
	for shard := int(c.Value[0]); shard < mapping.Shards && len(list) < most; shard++ {
		for o := range e.objects.Shard(shard) {
			v := o.ID.Value()
			if len(list) < most && bytes.Compare(v[:], c.Value[:]) > 0 {
				list = append(list, o)
			}
		}
	}
	if len(list) > 0 {
		c.Value = list[len(list)-1].ID.Value()
	}
	return list
}
