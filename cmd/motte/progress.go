package main

import (
	"time"

	"github.com/schollz/progressbar/v3"
)

// bar shows the progress of long work on standard error, if that is a terminal. A total of -1 is
// unknown.
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

// hidden hides a bar on a terminal that also shows the result.
func hidden(hide bool) []progressbar.Option {
	if hide {
		return []progressbar.Option{progressbar.OptionSetVisibility(false)}
	}
	return nil
}
