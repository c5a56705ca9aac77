package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"motte/client"
)

// TestFailuresOfAPageHaveTheirExitCodes, in words, for programs, and with a hint.
func TestFailuresOfAPageHaveTheirExitCodes(t *testing.T) {
	next := client.Identity{0xab}
	cut := &client.TruncatedError{After: []client.Identity{next, {1}}}
	missing := &client.MissingError{Objects: []client.Missing{{Identity: next, Err: client.ErrDamaged}}, Count: 1}
	for _, k := range []struct {
		err       error
		exit      int
		code      string
		hint      string
		truncated bool
		next      int
	}{
		{client.ErrTooExpensive, exitTemporary, "too-expensive", "", false, 0},
		{client.ErrLimitReached, exitError, "limit-reached", "limits.md", false, 0},
		{client.ErrGone, exitNotFound, "gone", "", false, 0},
		{client.ErrTruncated, exitError, "truncated", "Narrow the predicate", true, 0},
		{&client.TruncatedError{}, exitError, "truncated", "Narrow the predicate", true, 0},
		{cut, exitError, "truncated", "--after ab00", true, 2},
		{errors.Join(missing, cut), exitDamaged, "damaged", "motte alerts", true, 2},
	} {
		err := fmt.Errorf("index people by_age: %w", k.err)
		f := newFailure(err)
		if f.Exit != k.exit || f.Code != k.code || f.Truncated != k.truncated || len(f.Next) != k.next {
			t.Errorf("%v is %+v; want exit code %d, code %q, truncated %v, %d identities", err, f, k.exit, k.code, k.truncated, k.next)
		}
		if h := hint(err); !strings.Contains(h, k.hint) || (h == "") != (k.hint == "") {
			t.Errorf("the hint for %v is %q; want %q", err, h, k.hint)
		}
	}
}
