// Package testutil holds tools for the tests of several packages: a check that ends the test, a
// wait for a state, golden files, the executables, and a server process.
//
// No function here asserts a time. A wait ends when its state is reached. [Patience] only bounds
// a wait for a state that is never reached.
//
// Only tests import it. Programs that show or measure a server, and tests of users, import
// package mottetest.
package testutil

import (
	"errors"
	"testing"
	"time"
)

// Patience bounds the wait for a state that is never reached. It is far longer than a busy
// machine needs, since only a failing test waits that long.
const Patience = 2 * time.Minute

// between is the time between two checks of a state.
const between = 5 * time.Millisecond

// Must ends the test if one of the errors is not nil.
func Must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// Repeats returns the number of repetitions of a randomised test: n, or at most short under
// -short.
func Repeats[N int | uint64](n, short N) N {
	if testing.Short() {
		return min(n, short)
	}
	return n
}

// Pause waits before the next check of a state.
func Pause() { time.Sleep(between) }

// Eventually calls f until it returns nil. After [Patience] it ends the test, and prints the
// state and the last error.
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
