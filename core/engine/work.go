package engine

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
