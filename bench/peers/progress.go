package main

import (
	"fmt"
	"os"
	"time"
)

// progress shows the progress of the run on standard error: in one line on a terminal, and in a
// new line for each step elsewhere.
type progress struct {
	steps, done int
	terminal    bool
}

// newProgress counts the samples of a run.
func newProgress(chosen []line, turns int) *progress {
	p := &progress{}
	for _, l := range chosen {
		p.steps += turns * len(l.systems)
	}
	if info, err := os.Stderr.Stat(); err == nil {
		p.terminal = info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// each returns the time of one sample, so that all samples together take the given time.
func (p *progress) each(total time.Duration) time.Duration {
	return total / time.Duration(max(p.steps, 1))
}

// step shows that the next sample begins.
func (p *progress) step(text string) {
	p.say(text)
	p.done++
	if p.terminal && p.done == p.steps {
		fmt.Fprint(os.Stderr, "\r\033[K")
	}
}

func (p *progress) say(text string) {
	text = fmt.Sprintf("%3d %%  %s", 100*p.done/max(p.steps, 1), text)
	if p.terminal {
		fmt.Fprint(os.Stderr, "\r\033[K"+text)
		return
	}
	fmt.Fprintln(os.Stderr, text)
}
