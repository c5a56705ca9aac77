package main

import (
	"errors"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"

	"motte/sdk"
)

// maxSteps bounds the work of one query, over all objects. It takes some seconds.
const maxSteps = 1 << 26

const (
	objectSteps = 16 // steps of an object, beside the cost of CEL
	stepBytes   = 32 // bytes of JSON that are read in a step
)

// variable is the name of the object in a predicate.
const variable = "object"

// evaluation is the evaluation of one query.
type evaluation struct {
	program cel.Program
	steps   int // that are left
	object  any // the value of the variable
}

// matches reports whether an object matches. The error is sdk.ErrTooExpensive.
func (run *evaluation) matches(text []byte) (bool, error) {
	run.spend(objectSteps)
	if run.program == nil {
		return true, run.err()
	}
	run.object = run.value(text)
	out, details, err := run.program.Eval(run)
	if details != nil && details.ActualCost() != nil {
		run.spend(int(*details.ActualCost()))
	}
	var cancelled interpreter.EvalCancelledError
	if errors.As(err, &cancelled) {
		return false, sdk.ErrTooExpensive
	}
	return err == nil && out == types.True, run.err()
}

// spend takes steps. It returns false if too few are left.
func (run *evaluation) spend(steps int) bool {
	run.steps -= steps
	return run.steps >= 0
}

func (run *evaluation) err() error {
	if run.steps < 0 {
		return sdk.ErrTooExpensive
	}
	return nil
}

// ResolveName implements cel.Activation.
func (run *evaluation) ResolveName(name string) (any, bool) { return run.object, name == variable }

// Parent implements cel.Activation.
func (run *evaluation) Parent() cel.Activation { return nil }
