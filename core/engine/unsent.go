package engine

import (
	"motte/core/access"
	"motte/core/model"
)

// An answer takes memory until its client has read it, and the client may be slow. So the
// engine counts the bytes of unsent long answers, of each principal and of all. Short
// answers are bounded by the number of requests in flight. The objects that queries over several
// indexes gather count, too: see gather.
const (
	maxUnsent   = 512 << 20 // bytes of unsent long answers of all principals
	shortAnswer = 256       // bytes: answers up to this size are not counted
)

// size returns the bytes of memory that a long answer takes until it is sent, and 0 for a
// short answer.
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

// tooMuchUnsent reports whether an answer of n bytes exceeds the share of a principal: with
// it, the principal's unsent answers would take more bytes than the budget has left. So no
// principal takes the whole budget, and all together take at most maxUnsent.
func (e *Engine) tooMuchUnsent(p access.Principal, n int) bool {
	return n > shortAnswer && e.unsent[p]+n > maxUnsent-e.allUnsent
}

// answer sends r as the answer to q, unless the principal has too many bytes of unsent
// answers.
func (e *Engine) answer(q *Request, r Reply) model.Code {
	if e.tooMuchUnsent(q.Principal, r.size()) {
		return model.Overloaded
	}
	e.reply(q, r)
	return model.OK
}

// countUnsent counts the bytes of an answer until Sent.
func (e *Engine) countUnsent(r *Reply) {
	if r.Unsent = r.size(); r.Unsent > 0 {
		e.unsent[r.Principal] += r.Unsent
		e.allUnsent += r.Unsent
	}
}

// Sent returns the n bytes that were counted for an answer to p. The answer is sent, or never
// will be.
func (e *Engine) Sent(p access.Principal, n int) {
	e.allUnsent -= n
	if e.unsent[p] -= n; e.unsent[p] <= 0 {
		delete(e.unsent, p)
	}
}
