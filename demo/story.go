package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// story is the output of the demo: numbered steps, readable at 100 columns.
type story struct {
	w     io.Writer
	steps int
}

const (
	width  = 98
	indent = "    "
)

// step runs one step, and prints its title and its duration.
func (s *story) step(title string, f func() error) error {
	s.steps++
	fmt.Fprintf(s.w, "%2d. %s\n\n", s.steps, title)
	began := time.Now()
	if err := f(); err != nil {
		return fmt.Errorf("step %d, %s: %w", s.steps, strings.ToLower(title), err)
	}
	fmt.Fprintf(s.w, "\n%*s\n\n", width, brief(time.Since(began)))
	return nil
}

// say prints a paragraph, broken into lines.
func (s *story) say(format string, args ...any) {
	line := indent
	for word := range strings.FieldsSeq(fmt.Sprintf(format, args...)) {
		if len([]rune(line))+len([]rune(word)) > width {
			fmt.Fprintln(s.w, strings.TrimRight(line, " "))
			line = indent
		}
		line += word + " "
	}
	fmt.Fprintln(s.w, strings.TrimRight(line, " "))
}

// row prints one line unchanged.
func (s *story) row(format string, args ...any) {
	fmt.Fprintln(s.w, indent+"  "+clip(fmt.Sprintf(format, args...), width-len(indent)-2))
}

func (s *story) gap() { fmt.Fprintln(s.w) }

// clip shortens a text to n characters.
func clip(text string, n int) string {
	r := []rune(text)
	if len(r) <= n {
		return text
	}
	return strings.TrimRight(string(r[:n-1]), " ") + "…"
}

// brief writes a duration as people read it.
func brief(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// bar shows progress on a terminal.
func bar(steps int, what string) *progressbar.ProgressBar {
	return progressbar.NewOptions(steps, progressbar.OptionSetDescription(indent+what), progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSetVisibility(term.IsTerminal(int(os.Stderr.Fd()))), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetWidth(30), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(false))
}

// check returns an error if a claim of the demo does not hold.
func check(holds bool, format string, args ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf("a check failed: "+format, args...)
}
