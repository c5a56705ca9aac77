package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"motte/client"
	"motte/core/model"
	"motte/core/wire"
)

// sayEvery is the time between two lines about the same build.
const sayEvery = 10 * time.Second

// upgradeWatch waits for the indexes of a Task, and shows their progress: by a bar on a terminal,
// otherwise by lines.
type upgradeWatch struct {
	*app
	task     string
	back     bool // to the executable before
	bar      *progressbar.ProgressBar
	ended    map[uint32]outcome // by the number of the index
	restarts map[uint32]uint64  // at the beginning
	said     time.Time          // when the last line about a build was printed
}

var errNotUpgraded = errors.New("not all indexes run the registered executable")

// awaitUpgrade waits until the upgrade of each index has ended, or can't go on.
func (a *app) awaitUpgrade(ctx context.Context, c *client.Client, task string, back bool) error {
	w := &upgradeWatch{app: a, task: task, back: back, bar: a.bar(-1, "upgrading "+task), ended: make(map[uint32]outcome),
		restarts: make(map[uint32]uint64), said: time.Now()}
	defer w.bar.Finish()
	for {
		status, err := c.Status(ctx)
		if err != nil {
			return err
		}
		v, over, err := w.look(status)
		if err != nil {
			return err
		}
		if over {
			_ = w.bar.Finish() // ignore errors of the display
			return w.result(v)
		}
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			a.note("The upgrade continues; 'motte index list' shows its progress.")
			return ctx.Err()
		}
	}
}

// look takes a status. The upgrade is over if no index waits, or one keeps the others waiting for
// good.
func (w *upgradeWatch) look(status *client.Status) (v upgradeView, over bool, err error) {
	now := findTask(status, w.task)
	if now == nil {
		return v, false, fmt.Errorf("task %s: %w", w.task, client.ErrNoTask)
	}
	v = upgradeView{Task: w.task, Measurement: identifier(now.Row.Measurement), Indexes: []upgradedView{}}
	over = true
	stuck := false
	for i := range status.Indexes {
		s := &status.Indexes[i]
		if s.Task != w.task {
			continue
		}
		if s.State == model.IndexNotShown {
			return v, false, fmt.Errorf("index %s %s: its state is not shown to this principal: %w", s.Collection, s.Index, client.ErrDenied)
		}
		out := w.judge(s)
		v.Indexes = append(v.Indexes, upgradedView{s.Collection, s.Index, client.StateName(s.State), out})
		over = over && out != waiting
		stuck = stuck || out == failing
	}
	w.show(status, len(v.Indexes))
	return v, over || stuck, nil
}

// judge returns the outcome for an index. An index without an old process fails if its Task is
// restarted again and again.
func (w *upgradeWatch) judge(s *wire.IndexStatus) outcome {
	out := outcomeOf(s)
	if before, seen := w.restarts[s.Number]; !seen {
		w.restarts[s.Number] = s.Restarts
	} else if out == waiting && s.State != model.IndexServing && s.Restarts >= before+maxRestarts {
		out = failing
	}
	return out
}

// show shows which indexes have ended, and how far the present one is.
func (w *upgradeWatch) show(status *client.Status, all int) {
	share := 0.0
	for i := range status.Indexes {
		s := &status.Indexes[i]
		if s.Task != w.task {
			continue
		}
		out := outcomeOf(s)
		if out == waiting && s.ToFeed > 0 {
			share = float64(s.Fed) / float64(s.ToFeed)
			w.sayBuild(s)
		}
		if out == waiting || w.ended[s.Number] == out {
			continue
		}
		w.ended[s.Number] = out
		if !isTerminal(w.stderr) && !w.json {
			w.note("%d of %s: index %s of %s %s.", len(w.ended), indexes(all), s.Index, s.Collection, out.text())
		}
	}
	w.bar.ChangeMax64(int64(100 * all))
	_ = w.bar.Set64(int64(100 * (float64(len(w.ended)) + share))) // ignore errors of the display
}

// sayBuild prints a line about a build now and then, if there is no bar.
func (w *upgradeWatch) sayBuild(s *wire.IndexStatus) {
	if isTerminal(w.stderr) || w.json || time.Since(w.said) < sayEvery {
		return
	}
	w.said = time.Now()
	w.note("Index %s of %s: %d of %d objects.", s.Index, s.Collection, s.Fed, s.ToFeed)
}

// indexes writes a number of indexes.
func indexes(n int) string {
	if n == 1 {
		return "1 index"
	}
	return fmt.Sprint(n, " indexes")
}

// text says an outcome in words.
func (o outcome) text() string {
	return map[outcome]string{
		upgraded: "runs the registered executable", onDemand: "is parked, and runs it from the next query on",
		kept: "refused: the executable does not accept its configuration; the one before serves", stopped: "is down: the executable does not accept its configuration",
		failing: "keeps the executable before: the new one ends again and again, or is not found", waiting: "waits",
	}[o]
}

// result prints the result. It is an error if an index does not run the registered executable.
func (w *upgradeWatch) result(v upgradeView) error {
	count := make(map[outcome]int)
	for _, x := range v.Indexes {
		count[x.Outcome]++
	}
	done := count[upgraded] + count[onDemand]
	parked := ""
	if n := count[onDemand]; n > 0 {
		parked = fmt.Sprintf(" (of them %d from the next query on: parked)", n)
	}
	verb := "run"
	if done == 1 {
		verb = "runs"
	}
	text := fmt.Sprintf("%d of %s of Task %s %s SHA-256 %s…%s.", done, indexes(len(v.Indexes)), w.task, verb, v.Measurement[:16], parked)
	if err := w.done(v, "%s", text); err != nil || done == len(v.Indexes) {
		return err
	}
	var parts []string
	for _, x := range v.Indexes {
		if x.Outcome != upgraded && x.Outcome != onDemand {
			parts = append(parts, fmt.Sprintf("index %s of %s %s", x.Index, x.Collection, x.Outcome.text()))
		}
	}
	return fmt.Errorf("%w: %s; %s", errNotUpgraded, strings.Join(parts, "; "), w.advice(count[failing] > 0))
}

// advice says how to go on after an upgrade that failed.
func (w *upgradeWatch) advice(fails bool) string {
	switch {
	case fails && w.back:
		return "the executable before may not be there any more: the server's log says so, and this command can't know; put it back into a directory of the server's --task-dir, or beside motte, under a name that begins with motte-task-"
	case fails:
		return "the server's log says whether it did not find the executable, and 'motte alerts' whether it broke a rule; go back with: motte task upgrade " + w.task + " --rollback"
	case w.back:
		return "drop such an index, and create it again with another configuration"
	}
	return "go back with: motte task upgrade " + w.task + " --rollback"
}
