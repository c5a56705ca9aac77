package engine

import (
	"motte/core/access"
	"motte/core/model"
)

// An answer takes memory until its client has taken it, and the client may be slow. So
// the engine counts the bytes of long answers, for each principal and in all. Short
// answers are bounded by the number of requests in flight.
const (
	maxUnsent   = 256 << 20 // bytes of long answers that are not sent, of all principals
	shortAnswer = 256       // bytes of an answer that is not counted
)

// size returns how many bytes of memory an answer takes until it is sent, if it is long.
func (r *Reply) size() int {
	n := len(r.Body)
	if r.Content != nil {
		n += r.Content.size()
	}
	if n <= shortAnswer {
		return 0
	}
	return n
}

// tooMuchUnsent reports whether a long answer of n bytes would be too much for a
// principal: it would then hold more bytes of answers than were left before. So no
// principal uses up what there is, and all together hold at most maxUnsent.
func (e *Engine) tooMuchUnsent(p access.Principal, n int) bool {
	return n > shortAnswer && e.unsent[p]+n > maxUnsent-e.allUnsent
}

// answer sends r as the answer to q, unless its principal has too many answers that it
// has not taken.
func (e *Engine) answer(q *Request, r Reply) model.Code {
	if e.tooMuchUnsent(q.Principal, r.size()) {
		return model.Overloaded
	}
	e.reply(q, r)
	return model.OK
}

// countUnsent counts an answer that is to be sent.
func (e *Engine) countUnsent(r *Reply) {
	if r.Unsent = r.size(); r.Unsent > 0 {
		e.unsent[r.Principal] += r.Unsent
		e.allUnsent += r.Unsent
	}
}

// Sent says that an answer to a principal that held n bytes is sent, or never will be.
func (e *Engine) Sent(p access.Principal, n int) {
	e.allUnsent -= n
	if e.unsent[p] -= n; e.unsent[p] <= 0 {
		delete(e.unsent, p)
	}
}
