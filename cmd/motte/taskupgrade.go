package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"motte/client"
	"motte/client/frames"
	"motte/core/model"
	"motte/core/wire"
	"motte/host"
	"motte/host/sandbox"
)

// upgrading is the command line of an upgrade.
type upgrading struct {
	file     string
	rollback bool
	noWait   bool
}

func (a *app) taskUpgrade() *cobra.Command {
	var u upgrading
	cmd := a.leaf(&cobra.Command{
		Use:   "upgrade TASK",
		Short: "Upgrade the indexes of a Task, and wait until they run the new executable",
		Long: `Register the new executable of a Task, and wait until all of its indexes run it. The row keeps
its settings: 'motte task register' changes those. Without --file, wait for the upgrade that
'motte task install' or 'motte task register' began.

The indexes are upgraded one after the other. A process with the new executable is fed beside
the one that serves. When it has all objects, it takes over, so no query fails. If the new
executable refuses the configuration of an index, or ends again and again, the index serves with
the old one, and the command fails.

The server finds an executable by its SHA-256, as motte-task-NAME beside motte or in a
directory of --task-dir. Keep the old executable there, under another name such as
motte-task-NAME.OLD: then --rollback can register it again. 'motte task try' compares a new
executable with an index before.`,
		Example: `  motte task upgrade near --file motte-task-near
  motte task upgrade near --rollback
  motte task install near/ --yes && motte task upgrade near`,
	}, func(ctx context.Context, args []string) error { return a.upgradeTask(ctx, args[0], &u) })
	f := cmd.Flags()
	f.StringVar(&u.file, "file", "", "the new executable `FILE`")
	f.BoolVar(&u.rollback, "rollback", false, "go back to the executable before")
	f.BoolVar(&u.noWait, "no-wait", false, "do not wait for the indexes")
	return cmd
}

var errNothingBefore = errors.New("there is no executable before this one to go back to")

func (a *app) upgradeTask(ctx context.Context, task string, u *upgrading) error {
	if u.file != "" && u.rollback {
		return usage("--file and --rollback exclude each other")
	}
	if u.noWait && u.file == "" && !u.rollback {
		return usage("--no-wait without --file or --rollback leaves nothing to do")
	}
	measurement, err := u.measure()
	if err != nil {
		return err
	}
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}
	now := findTask(status, task)
	if now == nil {
		return fmt.Errorf("task %s: %w", task, client.ErrNoTask)
	}
	row := now.Row
	switch {
	case u.rollback && now.Before == nil:
		return fmt.Errorf("task %s: %w", task, errNothingBefore)
	case u.rollback:
		row = *now.Before
	case u.file != "":
		row.Measurement = measurement
	}
	if row != now.Row {
		if err := c.RegisterTask(ctx, task, row); err != nil {
			return fmt.Errorf("task %s: %w", task, err)
		}
		a.note("Task %s is registered: SHA-256 %x.", task, row.Measurement)
	}
	if u.noWait {
		v := upgradeView{Task: task, Measurement: identifier(row.Measurement), Indexes: []upgradedView{}}
		return a.done(v, "Its indexes are upgraded one after the other: 'motte task upgrade %s' waits for them.", task)
	}
	return a.awaitUpgrade(ctx, c, task, u.rollback)
}

// measure checks and measures the new executable, if there is one.
func (u *upgrading) measure() (measurement [32]byte, err error) {
	if u.file == "" {
		return measurement, nil
	}
	if err := sandbox.CheckExecutable(u.file); err != nil {
		return measurement, err
	}
	return host.Measure(u.file)
}

// findTask returns the status of a Task, or nil.
func findTask(status *client.Status, task string) *frames.TaskStatus {
	i := slices.IndexFunc(status.Tasks, func(s frames.TaskStatus) bool { return s.Task == task })
	if i < 0 {
		return nil
	}
	return &status.Tasks[i]
}

// upgradeView is the result of an upgrade, as JSON.
type upgradeView struct {
	Task        string         `json:"task"`
	Measurement string         `json:"measurement"`
	Indexes     []upgradedView `json:"indexes"` // empty with --no-wait
}

// upgradedView is an index of an upgrade, as JSON.
type upgradedView struct {
	Collection string  `json:"collection"`
	Index      string  `json:"index"`
	State      string  `json:"state"`
	Outcome    outcome `json:"outcome"`
}

// outcome is how the upgrade of an index ended, or that it has not ended.
type outcome string

const (
	upgraded outcome = "upgraded" // its process runs the new executable
	onDemand outcome = "parked"   // the next query starts the new executable
	kept     outcome = "refused"  // the new executable refused the configuration: the old one serves
	stopped  outcome = "down"     // the same, and no old process was left to serve
	failing  outcome = "failing"  // the new executable does not get through its build: the old one serves
	waiting  outcome = "waiting"  // for its turn, or for objects
)

// outcomeOf returns the outcome for an index.
func outcomeOf(s *wire.IndexStatus) outcome {
	switch {
	case s.Upgrade == model.UpgradeRefused:
		return kept
	case s.Upgrade == model.UpgradeFails:
		return failing
	case s.State == model.IndexRefused:
		return stopped
	case s.State == model.IndexParked:
		return onDemand
	case s.State == model.IndexServing && s.Upgrade == model.UpgradeNone:
		return upgraded
	}
	return waiting
}
