package engine

import (
	"motte/core/codec"
	"motte/core/model"
)

// Verify is the result of a pass over all live records.
type Verify struct{ Objects, Bytes, Damaged uint64 }

// verifyAll queues a VERIFY until a pass has read every live record.
func (e *Engine) verifyAll(q *Request) model.Code {
	e.verify = append(e.verify, q)
	return model.OK
}

// Verifying returns the number of queued VERIFY requests.
func (e *Engine) Verifying() int { return len(e.verify) }

// Verified answers the first n queued requests with the result of a pass, which began after
// they were queued: objects 8 | bytes 8 | damaged records 8.
func (e *Engine) Verified(n int, v Verify) {
	for range n {
		counts := codec.Writer(nil).U64(v.Objects).U64(v.Bytes).U64(v.Damaged)
		e.reply(pop(&e.verify), Reply{End: End{Body: counts}})
	}
}
