package c

import (
	"testing"

	"motte/internal/testutil"
	"motte/sdk/conformance"
	"motte/sdk/conformance/confined"
)

// TestNearestConforms runs the conformance suite on the Task in C++, behind the walls.
func TestNearestConforms(t *testing.T) {
	start, err := confined.Executable(build(t, nearest), 1<<30)
	testutil.Must(t, err)
	c, err := conformance.ReadCase("nearest/case.json")
	testutil.Must(t, err)
	testutil.Must(t, conformance.Run(t.Context(), conformance.Options{Case: c, Start: start, Deadline: testutil.Patience, Shelf: 64 << 20,
		Report: func(r conformance.Result) {
			if r.Outcome == conformance.Failed {
				t.Errorf("%s: %s\nrule: %s\nsent: %q\nreceived: %q", r.Check, r.Problem, r.Rule, r.Sent, r.Received)
			}
		}}))
}
