package main

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"motte/client"
	"motte/client/frames"
	"motte/core/model"
	"motte/tasks"
)

func (a *app) task() *cobra.Command {
	return a.group(&cobra.Command{
		Use:   "task",
		Short: "Write, test, sign, install, register and list Tasks",
		Long: `A Task is the algorithm of an index: an executable that runs confined. Registering a
Task writes its row in the API format table. The row has the SHA-256 of the executable, and
limits what the Core sends to the Task and accepts from it.`,
	}, []*cobra.Command{a.taskList(), a.taskInstall(), a.taskVerify(), a.taskRegister(), a.taskTry(), a.taskUpgrade(), a.taskKey(), a.taskSign(), a.taskPush(),
		a.taskNew(), a.taskBuild(), a.taskTest()})
}

func (a *app) taskList() *cobra.Command {
	return a.remote(&cobra.Command{
		Use:   "list",
		Short: "List the registered Tasks, and what each may do",
	}, func(ctx context.Context, c *client.Client, _ []string) error {
		v, err := look(ctx, c)
		if err != nil {
			return err
		}
		return a.tasks(v)
	})
}

func (a *app) tasks(v *view) error {
	const header = "TASK | SHA-256 | OPERATIONS | TYPE | ORDERED | INPUT | RESULTS | DEADLINE | MEMORY | SHELF | LEAK BUDGET | OF ALL"
	return table(a, v.Tasks, header, func(t taskView) []any {
		return []any{t.Task, t.Measurement[:16] + "…", strings.Join(t.Operations, ","), t.Type, yes(t.Ordered, "yes"), size(uint64(t.MaxInput)),
			t.MaxResults, time.Duration(t.DeadlineMS) * time.Millisecond, size(t.Memory), size(t.Shelf), budgetText(t.LeakBudget), budgetText(t.IndexBudget)}
	})
}

// budgetText writes a budget of a row.
func budgetText(bits uint64) string {
	if bits == 0 {
		return "none"
	}
	return fmt.Sprint(bits, " bits")
}

// defaultRow is the row of a Task that is not built in, unless flags change it.
var defaultRow = model.Row{Operations: frames.TaskSearch | frames.TaskCount | frames.TaskDelete,
	MaxInput: 1 << 20, MaxResults: 65_536, Deadline: 10_000, Memory: 1 << 30, Shelf: 1 << 30}

func (a *app) taskRegister() *cobra.Command {
	settings := rowFlags{operations: operationsText(defaultRow.Operations), dataType: client.TypeName(defaultRow.Type), maxInput: byteSize(defaultRow.MaxInput),
		maxResults: defaultRow.MaxResults, deadline: time.Duration(defaultRow.Deadline) * time.Millisecond, memory: byteSize(defaultRow.Memory), shelf: byteSize(defaultRow.Shelf)}
	var cmd *cobra.Command
	cmd = a.leaf(&cobra.Command{
		Use:   "register TASK",
		Short: "Register a Task, or its new executable or limits",
		Long: `Register a Task: the SHA-256 of its executable, and limits of what the Core sends to it and
accepts from it. The server finds the executable by its SHA-256: as motte-task-NAME beside
motte, or in a directory that 'motte serve --task-dir' names. The executable must be linked
statically, for this machine's processor.

A Task that is registered again keeps each setting that no flag changes, and without --file its
executable. Its indexes change to the new executable or row one after the other, and serve
meanwhile. The command does not wait for them: 'motte task upgrade' does.`,
		Example: `  motte task register near --file motte-task-near --deadline 2s --max-results 1000
  motte task register near --leak-budget 100000 --index-leak-budget 1000000`,
	}, func(ctx context.Context, args []string) error {
		given := func(flag string) bool { return cmd.Flags().Changed(flag) }
		if !anyGiven(cmd.LocalNonPersistentFlags()) {
			return usage("--file is missing: the Task's executable; or give a flag that changes the row of a registered Task")
		}
		if err := settings.apply(&model.Row{}, given); err != nil { // report mistakes before any request is sent
			return err
		}
		measurement, err := settings.measure()
		if err != nil {
			return err
		}
		c, err := a.connect(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		row, err := registered(ctx, c, args[0])
		if err != nil {
			return err
		}
		if settings.file != "" {
			row.Measurement = measurement
		} else if row.Measurement == [32]byte{} {
			return usage("task %s is not registered, and --file is missing: its executable", args[0])
		}
		if err := settings.apply(&row, given); err != nil {
			return err
		}
		if err := c.RegisterTask(ctx, args[0], row); err != nil {
			return fmt.Errorf("task %s: %w", args[0], err)
		}
		return a.done(newTask(args[0], &row), "Task %s is registered: SHA-256 %x.", args[0], row.Measurement)
	})
	f := cmd.Flags()
	f.StringVar(&settings.file, "file", "", "the Task's executable `FILE`; a registered Task can keep the one it has")
	f.StringVar(&settings.operations, "operations", settings.operations, "`LIST` of the operations that it may answer, with commas")
	f.StringVar(&settings.dataType, "type", settings.dataType, "data `TYPE` of its inputs; any: each index sets its type")
	f.BoolVar(&settings.ordered, "ordered", false, "an index may keep its order")
	f.Var(&settings.maxInput, "max-input", "largest input; larger ones are stored and not indexed")
	f.Var(whole[uint32]{&settings.maxResults, 1, model.MaxResultsLimit}, "max-results", "`N` results of one answer at most")
	f.DurationVar(&settings.deadline, "deadline", settings.deadline, "`TIME` to confirm a write or answer a query")
	f.Var(&settings.memory, "memory", "memory that it may have")
	f.Var(&settings.shelf, "shelf", "what it may keep for its next process, for each index; 0: nothing, it is fed all objects at each start")
	f.Var(whole[uint64]{&settings.leakBudget, 0, math.MaxUint64}, "leak-budget", "`BITS` that one principal may draw through one index; 0: not capped")
	f.Var(whole[uint64]{&settings.indexBudget, 0, math.MaxUint64}, "index-leak-budget", "`BITS` that all principals together may draw through one index; 0: not capped")
	return cmd
}

// anyGiven reports whether any of these flags was given.
func anyGiven(flags *pflag.FlagSet) (any bool) {
	flags.VisitAll(func(f *pflag.Flag) { any = any || f.Changed })
	return any
}

// registered returns the row of a registered Task, or the default row of a new Task. The latter has no
// measurement.
func registered(ctx context.Context, c *client.Client, task string) (model.Row, error) {
	status, err := c.Status(ctx)
	if err != nil {
		return model.Row{}, err
	}
	for _, s := range status.Tasks {
		if s.Task == task {
			return s.Row, nil
		}
	}
	builtIn, err := tasks.BuiltIn()
	if row, ok := builtIn[task]; ok {
		return row, nil
	}
	return defaultRow, err
}
