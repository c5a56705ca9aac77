package main

import (
	"bufio"
	"context"
	"errors"
	"strings"
)

var errNotConfirmed = errors.New("not confirmed: nothing was changed")

// confirm asks the person at the terminal before a step that needs a decision. A script
// confirms with --yes instead.
func (a *app) confirm(ctx context.Context, yes bool, question string) error {
	if yes {
		return nil
	}
	if !isTerminal(a.stdin) {
		return usage("there is no terminal to ask at: --yes is missing")
	}
	a.say("%s\nType yes to go on: ", question)
	if err := awaitInput(ctx, a.stdin); err != nil {
		return err
	}
	line, err := bufio.NewReader(a.stdin).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "yes" {
		return errNotConfirmed
	}
	return nil
}
