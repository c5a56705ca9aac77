package engine

import (
	"motte/core/access"
	"motte/core/model"
)

// Work that grows with the size of the store is divided into steps of a bounded size,
// so that no event holds up those behind it. The first step is part of the event that
// asked for the work; the others run between later events, a step of each piece of
// work in turn.

// later runs the first step of a piece of work; while a step returns true, Work runs
// another one. A step must look at everything anew: rights and objects, also its
// collection, may have changed since the step before.
func (e *Engine) later(step func() (more bool)) {
	if step() {
		e.work = append(e.work, step)
	}
}

// Work runs one step of the work that earlier events left, and reports whether steps
// are left. The shell calls it after each batch of events, and again, without waiting
// for an event, while it returns true.
func (e *Engine) Work() (more bool) {
	if len(e.work) > 0 {
		e.later(pop(&e.work))
	}
	return len(e.work) > 0
}

// maxInTurn is how many requests of one principal may wait for their turn.
const maxInTurn = 1024

// turns are the requests of one principal that may take several events, LIST and STATUS:
// the first is being answered, and the others wait. So they are one piece of work, and
// hold the results of one answer, however many a principal asks for.
type turns []func() (more bool)

// inTurn answers a request by steps, when the principal's requests before it are answered.
// The last step answers it, unless it returns another code than OK.
func (e *Engine) inTurn(q *Request, step func() (code model.Code, more bool)) model.Code {
	p := q.Principal
	if len(e.turns[p]) >= maxInTurn {
		return model.Overloaded
	}
	e.turns[p] = append(e.turns[p], func() (more bool) {
		code, more := step()
		if code != model.OK {
			e.end(q, code)
		}
		return more
	})
	if len(e.turns[p]) == 1 {
		e.later(func() bool { return e.nextTurn(p) })
	}
	return model.OK
}

// nextTurn runs one step of the first request.
func (e *Engine) nextTurn(p access.Principal) (more bool) {
	left := e.turns[p]
	if !left[0]() {
		pop(&left)
		e.turns[p] = left
	}
	if len(left) == 0 {
		delete(e.turns, p)
	}
	return len(left) > 0
}
