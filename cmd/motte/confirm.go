package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

var errNotConfirmed = errors.New("not confirmed: nothing was changed")

// confirm asks who sits at the terminal whether to go on with what can't be
// undone. A script has to have said so before: --yes.
func (a *app) confirm(ctx context.Context, yes bool, question string) error {
	if yes {
		return nil
	}
	if !isTerminal(a.stdin) {
		return usage("this can't be undone, and there is no terminal to ask at: --yes is missing")
	}
	a.say("%s\nType yes to go on: ", question)
	if err := a.awaitLine(ctx); err != nil {
		return err
	}
	line, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "yes" {
		return errNotConfirmed
	}
	return nil
}

// awaitLine waits until a line was typed or the context ends: a read of a
// terminal can't be interrupted.
func (a *app) awaitLine(ctx context.Context) error {
	for ctx.Err() == nil { // looked at now and then
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(a.stdin.Fd()), Events: unix.POLLIN}}, int(lookEvery.Milliseconds()))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for an answer: %w", err)
		}
		if n > 0 {
			return nil
		}
	}
	return ctx.Err()
}
