// Package testutil holds the tools that several packages' tests share: a check that ends
// the test, a wait for a state, golden files, the executables, and a server as a
// process of its own.
//
// No function here makes time an assertion. A wait ends with the state that it waits
// for; [Patience] only bounds a wait for a state that never comes.
//
// Only tests import it. Package mottetest is for programs that show or measure a
// server, and for the tests of users.
package testutil

import (
	"errors"
	"testing"
	"time"
)

// Patience bounds the wait for a state that never comes. It is far longer than a busy
// machine needs, since only a test that fails waits as long as this.
const Patience = 2 * time.Minute

// between is the time between two looks at a state.
const between = 5 * time.Millisecond

// Must ends the test if one of the errors is not nil.
func Must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// Repeats returns how often a test repeats what it does with other random choices: n
// times, and no more than short times under -short.
func Repeats[N int | uint64](n, short N) N {
	if testing.Short() {
		return min(n, short)
	}
	return n
}

// Pause is taken before another look at a state.
func Pause() { time.Sleep(between) }

// Eventually calls f until it returns nil. If that takes longer than [Patience], the
// test ends, and tells what was waited for and the last error.
func Eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	for end := time.Now().Add(Patience); ; Pause() {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", what, err)
		}
	}
}
