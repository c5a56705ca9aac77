package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"motte/client"
	"motte/core/model"
)

// Limits of waiting for an index to be built.
const (
	lookEvery   = 100 * time.Millisecond
	startWithin = 30 * time.Second // for the Task's process: the sandbox needs some milliseconds
	lineEvery   = 5 * time.Second  // between two lines that tell the progress
	maxRestarts = 5                // restarts. More have another cause than one crash or a slow Task: the Core extends a deadline three times
)

// findIndex asks for the state of one index.
func (a *app) findIndex(ctx context.Context, c *client.Client, collection, index string) (indexView, error) {
	status, err := c.Status(ctx)
	if err != nil {
		return indexView{}, err
	}
	if s := status.Index(collection, index); s != nil {
		return newIndex(s), nil
	}
	return indexView{}, fmt.Errorf("index %s %s: %w", collection, index, client.ErrNoIndex)
}

// errNotAccepted says that a Task refused its configuration. It can't say why.
var errNotAccepted = errors.New("does not accept this configuration or data type")

// build waits until a new index is built. If the Task refuses the configuration, build drops the
// index again, since it would never answer.
func (a *app) build(ctx context.Context, c *client.Client, collection, index string) error {
	err := a.awaitBuilt(ctx, c, collection, index, 0)
	if errors.Is(err, errNotAccepted) {
		return errors.Join(fmt.Errorf("%w; the index is dropped again", err), c.DropIndex(ctx, collection, index))
	}
	return err
}

// awaitBuilt waits until an index is built whose Task was restarted so many times before.
func (a *app) awaitBuilt(ctx context.Context, c *client.Client, collection, index string, restarts uint64) error {
	bar, lines := a.bar(-1, "building "+index), a.buildLines(index)
	defer bar.Finish()
	for began := time.Now(); ; {
		x, err := a.findIndex(ctx, c, collection, index)
		switch {
		case err != nil:
			return err
		case x.State == client.StateName(model.IndexServing):
			return nil
		case x.State == client.StateName(model.IndexRefused):
			return fmt.Errorf("index %s %s: the Task %s %w", collection, index, x.Task, errNotAccepted)
		case x.State == client.StateName(model.IndexStarting) && x.Restarts <= restarts && time.Since(began) > startWithin:
			return fmt.Errorf("index %s %s: the server has not started its Task within %v, and keeps trying; its log says why: %w",
				collection, index, startWithin, client.ErrIndexUnavailable)
		case x.Restarts >= restarts+maxRestarts:
			return fmt.Errorf("index %s %s: its Task ended, broke its contract or was too slow %d times, and is restarted repeatedly: see 'motte alerts' and the server's log: %w",
				collection, index, x.Restarts-restarts, client.ErrIndexUnavailable)
		}
		if x.State == client.StateName(model.IndexStarting) {
			lines.starting(time.Now())
		}
		if x.ToFeed > 0 {
			bar.ChangeMax64(int64(x.ToFeed))
			_ = bar.Set64(int64(x.Fed)) // ignore errors of the display
			lines.tell(time.Now(), x.Fed, x.ToFeed)
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			a.note("The build of the index continues; 'motte index list' shows its progress.")
			return ctx.Err()
		}
	}
}

// buildLines tell the progress of a build where no bar can be shown.
type buildLines struct {
	a      *app
	index  string
	next   time.Time // when the next line is due
	warned bool      // the line of starting is written
}

// buildLines makes the lines of a build that begins now. A short build has none.
func (a *app) buildLines(index string) *buildLines {
	return &buildLines{a: a, index: index, next: time.Now().Add(lineEvery)}
}

// tell writes a line, if one is due.
func (l *buildLines) tell(now time.Time, fed, total uint64) {
	if l.a.json || isTerminal(l.a.stderr) || now.Before(l.next) {
		return
	}
	l.next = now.Add(lineEvery)
	l.a.note("Building %s: %d of %d objects.", l.index, fed, total)
}

// starting writes, once, that the Task's process is late, and where the reason is. Without this line a
// person waits half a minute for an executable that the server can't find.
func (l *buildLines) starting(now time.Time) {
	if l.a.json || l.warned || now.Before(l.next) {
		return
	}
	l.warned = true
	l.a.note("The server has not started the Task of %s yet, and keeps trying: its log says why.", l.index)
}
