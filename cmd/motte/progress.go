package main

import (
	"time"

	"github.com/schollz/progressbar/v3"
)

// bar shows how far long work is, on standard error if a person sits there. A
// total of -1 is not known yet.
func (a *app) bar(total int64, what string, options ...progressbar.Option) *progressbar.ProgressBar {
	return progressbar.NewOptions64(total, append([]progressbar.Option{
		progressbar.OptionSetWriter(a.stderr),
		progressbar.OptionSetVisibility(!a.quiet && !a.json && isTerminal(a.stderr)),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100 * time.Millisecond),
		progressbar.OptionSetSpinnerChangeInterval(0), // no goroutine of its own
		progressbar.OptionClearOnFinish(),
	}, options...)...)
}

// hidden keeps a bar off a terminal to which the result goes as well.
func hidden(hide bool) []progressbar.Option {
	if hide {
		return []progressbar.Option{progressbar.OptionSetVisibility(false)}
	}
	return nil
}
