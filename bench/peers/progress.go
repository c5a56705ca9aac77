package main

import (
	"fmt"
	"os"
	"time"
)

// progress says on standard error how far the run is: in one line on a terminal, in one after the other elsewhere.
type progress struct {
	steps, done int
	terminal    bool
}

// newProgress counts the samples that are to be taken.
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

// each is how long a sample takes, so that all together take so long.
func (p *progress) each(total time.Duration) time.Duration {
	return total / time.Duration(max(p.steps, 1))
}

// step says that the next sample begins.
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
