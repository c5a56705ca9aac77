package e2e

import (
	"errors"
	"fmt"
	"testing"

	"motte/client"
	"motte/core/model"
	"motte/internal/testutil"
)

// TestAnInputThatEndsItsTaskKeepsNothingDown: an index serves beside an input over which each
// process of its Task ends, and a predicate over which it ends is refused after two attempts.
func TestAnInputThatEndsItsTaskKeepsNothingDown(t *testing.T) {
	_, c := hostileIndex(t, "c")
	ctx := t.Context()
	for i := range 5 {
		_, err := c.Put(ctx, "c", fmt.Append(nil, "good ", i), client.Name(fmt.Sprint("good ", i)))
		testutil.Must(t, err)
	}
	_, err := c.Put(ctx, "c", []byte("fatal"), client.Name("fatal"))
	testutil.Must(t, err)

	all := client.Query{Collection: "c", Index: "x", Predicate: "all"}
	aside := func(want uint64) func() error {
		return func() error {
			status, err := c.Status(ctx)
			if err != nil {
				return err
			}
			x := status.Index("c", "x")
			found, err := c.Count(ctx, all)
			if err != nil || found.Count != 5 || x.SetAside != want {
				return fmt.Errorf("%d objects are found, and %d inputs are set aside: %w", found.Count, x.SetAside, err)
			}
			return nil
		}
	}
	testutil.Eventually(t, "the index serves without the input", aside(1))
	testutil.Eventually(t, "an alert", alerted(c, "c", model.ReasonSetAside))
	if o, err := c.Get(ctx, "c", "fatal"); err != nil || string(o.Data) != "fatal" {
		t.Errorf("the object is %q (%v), want it stored", o.Data, err)
	}
	if n, err := c.RetryIndex(ctx, "c", "x"); err != nil || n != 1 {
		t.Errorf("%d inputs are tried again (%v), want 1", n, err)
	}
	testutil.Eventually(t, "the input is set aside again", aside(1))

	deadly := client.Query{Collection: "c", Index: "x", Predicate: "exit"}
	for errors.Is(err, client.ErrTooExpensive) == false {
		testutil.Eventually(t, "the index serves", aside(1))
		if _, err = c.Count(ctx, deadly); err == nil || !errors.Is(err, client.ErrIndexViolated) && !errors.Is(err, client.ErrTooExpensive) {
			t.Fatalf("a predicate over which the Task ends: %v", err)
		}
	}
	testutil.Must(t, aside(1)()) // the Task was not asked, so it still serves
}
