// Package conformance checks whether a Task keeps the Task protocol, whatever its language. It
// starts the Task, drives it over its channel as the Core does, and compares each answer with a
// model of what the Task was sent.
//
// A [Case] is all that the package knows about the Task's inputs and predicates. Each [Check]
// starts processes of its own, so a check that fails does not disturb the next one. [Run]
// carries out the checks, and reports a [Result] for each.
//
// Guarantees:
//
//  1. A Task that keeps docs/reference/task-protocol.md passes. No check depends on the time
//     that a Task takes, within the deadline that it is given.
//  2. A check that fails names the rule of the protocol that was broken, what was sent and what
//     came back.
//  3. The checks of two runs with the same seed send the same frames.
//
// A Task that passes may still be wrong: it is shown only the inputs of the case. A Task that
// means harm can pass as well. The Core's safety depends on no check of this package.
package conformance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"motte/core/model"
)

// Process is a started Task. Reads and writes go to its channel.
type Process interface {
	io.ReadWriteCloser // Close closes this end of the channel, and does not wait
	Kill()             // ends the process at once, if it runs
	Wait()             // returns when the process has ended
}

// Options say what to check.
type Options struct {
	Case  *Case
	Start func() (Process, error) // starts a process of the Task, in its confinement

	MaxInput   int            // bytes of the largest input; 0: 1 MiB
	Shelf      uint64         // bytes of the largest shelf that is tried; 0: the Task has none
	MaxResults int            // identities in one answer; 0: 65536
	Deadline   time.Duration  // for one frame; 0: 10 s
	Seed       uint64         // of all random choices
	Only       *regexp.Regexp // names of the checks to run; nil: all

	Report func(Result) // is called after each check; nil: not called
}

// Outcome is the outcome of a check.
type Outcome string

// The outcomes.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped" // the case has nothing to try, or the Task does not start
)

// Result says how a check ended.
type Result struct {
	Check   string  `json:"check"`
	About   string  `json:"about"` // what the check tries
	Outcome Outcome `json:"outcome"`

	Note string `json:"note,omitempty"` // a remark on a check that passed

	// Why a check was skipped, or how it failed.
	Problem  string   `json:"problem,omitempty"`
	Rule     string   `json:"rule,omitempty"`     // the rule that was broken
	Section  string   `json:"section,omitempty"`  // of docs/reference/task-protocol.md
	Sent     []string `json:"sent,omitempty"`     // the last frames to the Task, in words
	Received []string `json:"received,omitempty"` // the last frames from the Task
}

// Check is one check of the suite.
type Check struct {
	Name  string // such as "pages/gone"
	About string // what it tries
	run   func(*trial)
}

// Errors of Run.
var (
	ErrFailed  = errors.New("the Task does not keep the Task protocol")
	ErrNoCheck = errors.New("no check has such a name")
)

// notStarted is why no check after a failed start is tried.
const notStarted = "the Task does not start"

// Checks lists all checks, in the order in which they run.
func Checks() []Check {
	var all []Check
	for _, group := range [][]Check{processChecks, frameChecks, changeChecks, answerChecks, pageChecks, candidateChecks, queueChecks, hostileChecks, shelfChecks} {
		all = append(all, group...)
	}
	return all
}

// Run carries out the checks, one after the other. It returns an error that wraps ErrFailed if a
// check failed. Another error says that a check could not be carried out.
func Run(ctx context.Context, o Options) error {
	if err := o.complete(); err != nil {
		return err
	}
	matched, failed, tried, starts := 0, 0, 0, true
	for _, check := range Checks() {
		if o.Only != nil && !o.Only.MatchString(check.Name) {
			continue
		}
		matched++
		r := Result{Check: check.Name, About: check.About, Outcome: Skipped, Problem: notStarted}
		if starts {
			var err error
			if r, err = o.try(ctx, check); err != nil {
				return fmt.Errorf("%s: %w", check.Name, err)
			}
		}
		starts = starts && (check.Name != startCheck || r.Outcome == Passed)
		if r.Outcome != Skipped {
			tried++
		}
		if r.Outcome == Failed {
			failed++
		}
		if o.Report != nil {
			o.Report(r)
		}
	}
	switch {
	case matched == 0:
		return ErrNoCheck
	case failed > 0:
		return fmt.Errorf("%w: %d of %d checks failed", ErrFailed, failed, tried)
	}
	return nil
}

// complete fills in what was not given.
func (o *Options) complete() error {
	if o.Case == nil || o.Start == nil {
		return errors.New("a case and a Task are needed")
	}
	o.MaxInput = cmp.Or(o.MaxInput, 1<<20)
	o.MaxResults = cmp.Or(o.MaxResults, 65_536)
	o.Deadline = cmp.Or(o.Deadline, 10*time.Second)
	if o.MaxInput < 1 || o.MaxInput > model.MaxObject || o.MaxResults < 1 || o.MaxResults > model.MaxResultsLimit {
		return fmt.Errorf("the largest input must have 1 to %d bytes, and an answer 1 to %d identities",
			model.MaxObject, model.MaxResultsLimit)
	}
	return nil
}
