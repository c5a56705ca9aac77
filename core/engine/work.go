package engine

import (
	"motte/core/access"
	"motte/core/model"
)

// Work that grows with the size of the store is divided into steps of bounded size, so that
// no event delays later events for long. The first step is part of the event that caused the
// work. The other steps run between later events, in turn with the steps of other work.

// later runs the first step of some work. While a step returns true, Work runs another step.
// Each step must check rights, objects and collections again, since they may have changed
// since the step before.
func (e *Engine) later(step func() (more bool)) {
	if step() {
		e.work = append(e.work, step)
	}
}

// Work runs one step of unfinished work, and reports whether steps are left. The server calls
// it after each batch of events, and again, without waiting for an event, while it returns
// true.
func (e *Engine) Work() (more bool) {
	if len(e.work) > 0 {
		e.later(pop(&e.work))
	}
	return len(e.work) > 0
}

// maxInTurn bounds the requests of one principal that wait for their turn.
const maxInTurn = 1024

// turns are the requests of one principal that take several events, LIST and STATUS. The first
// is being answered, and the others wait. So they take one share of the work and the memory of
// one answer, whatever their number.
type turns []func() (more bool)

// inTurn answers a request in steps, after the principal's earlier requests. The last step
// answers it, or returns the code of a failure.
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
