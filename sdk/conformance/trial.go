package conformance

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
)

// trial is one run of a check.
type trial struct {
	*Options
	ctx     context.Context
	random  *rand.Rand
	started []*core // processes to end
	note    string  // for the result of the check
}

// broken ends a check: the Task broke a rule. It is a panic, as steps deep inside a check find it,
// and caught by try.
type broken struct {
	rule    rule
	problem string
	trace   *trace // nil: no frame was sent
}

// nothing ends a check: the case has nothing to try.
type nothing struct{ why string }

// cancelled ends a check that could not be carried out.
type cancelled struct{ err error }

// try runs a check.
func (o *Options) try(ctx context.Context, check Check) (r Result, err error) {
	d := fnv.New64a()
	d.Write([]byte(check.Name))
	t := &trial{Options: o, ctx: ctx, random: rand.New(rand.NewPCG(o.Seed, d.Sum64()))}
	r = Result{Check: check.Name, About: check.About, Outcome: Passed}
	defer func() {
		for _, c := range t.started {
			c.stop()
		}
		switch end := recover().(type) {
		case nil:
			r.Note = t.note
		case broken:
			r.Outcome, r.Problem, r.Rule, r.Section = Failed, end.problem, end.rule.text, end.rule.section
			if end.trace != nil {
				r.Sent, r.Received = end.trace.sent.lines(), end.trace.received.lines()
			}
		case nothing:
			r.Outcome, r.Problem = Skipped, end.why
		case cancelled:
			err = end.err
		default:
			panic(end)
		}
	}()
	check.run(t)
	return r, nil
}

// skip ends the check, because the case has nothing to try.
func (t *trial) skip(why string) { panic(nothing{why}) }

// fail ends the check of a Task that no frame was sent to.
func (t *trial) fail(r rule, format string, a ...any) {
	panic(broken{rule: r, problem: fmt.Sprintf(format, a...)})
}

// start starts a process of the Task.
func (t *trial) start() *core {
	p, err := t.Start()
	if err != nil {
		t.fail(ruleStart, "it can't be started: %v", err)
	}
	c := newCore(t, p)
	t.started = append(t.started, c)
	return c
}

// configuredWith starts a process of the Task with a shelf, and gives it the configuration of the
// case.
func (t *trial) configuredWith(s *shelf) *core {
	c := t.start()
	c.shelf = s
	c.configure(t.Case.dataType, t.Case.configuration)
	c.settle()
	return c
}

// configured starts a process of the Task, and gives it the configuration of the case.
func (t *trial) configured() *core {
	c := t.start()
	c.configure(t.Case.dataType, t.Case.configuration)
	c.settle()
	return c
}
