package main

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"motte/client"
	"motte/core/model"
	"motte/host/sandbox"
	"motte/taskpkg"
)

// installing is the command line of an installation.
type installing struct {
	packageFlags
	budgets    rowFlags
	noCopy     bool
	noRegister bool
	yes        bool
}

func (a *app) taskInstall() *cobra.Command {
	var c installing
	var cmd *cobra.Command
	cmd = a.leaf(&cobra.Command{
		Use:   "install SOURCE",
		Short: "Install a Task from a package: check, show, ask, copy, register",
		Long: `Install a Task from a package. SOURCE is an executable motte-task-NAME with its manifest
beside it, a directory with both, or an OCI reference: oci://REGISTRY/REPOSITORY:TAG. The
command shows the digest, the signers, the size, the row and the confinement of this machine. If
you confirm, it copies the executable to where the server looks for Tasks, and registers the row.

The package is read once, before you are asked. What you are shown is what is installed, even
if the source changes or the tag moves meanwhile.

Run it on the server's machine. An operator without an administrator's profile says
--no-register. An administrator on another machine then says --no-copy.

The file trust.json in the directory of the executables says which keys must sign the Tasks of
which names. See docs/how-to/install-a-task.md and docs/reference/task-package.md.

If the Task is registered, a leak budget never becomes larger, unless a flag says so. A row in
which nothing changes is not registered again.`,
		Example: `  motte task install near/ --task-dir /srv/motte/tasks
  motte task install oci://registry.example/tasks/near:v1 --task-dir /srv/motte/tasks
  motte task install near/ --task-dir /srv/motte/tasks --sha256 4e14048d… --yes`,
	}, func(ctx context.Context, args []string) error {
		if c.noCopy && c.noRegister {
			return usage("--no-copy and --no-register leave nothing to do: give one of them at most")
		}
		return a.installTask(ctx, &c, args[0], func(flag string) bool { return cmd.Flags().Changed(flag) })
	})
	c.add(cmd)
	f := cmd.Flags()
	f.Var(whole[uint64]{&c.budgets.leakBudget, 0, math.MaxUint64}, "leak-budget", "`BITS` that one principal may draw through one index; 0: not capped")
	f.Var(whole[uint64]{&c.budgets.indexBudget, 0, math.MaxUint64}, "index-leak-budget", "`BITS` that all principals together may draw through one index; 0: not capped")
	f.BoolVar(&c.noCopy, "no-copy", false, "register only: the executable is on the server's machine already")
	f.BoolVar(&c.noRegister, "no-register", false, "copy only: an administrator registers the row")
	f.BoolVar(&c.yes, "yes", false, "do not ask")
	return cmd
}

func (a *app) installTask(ctx context.Context, c *installing, source string, given func(flag string) bool) error {
	dir, err := c.dir()
	if err != nil {
		return err
	}
	if !c.noCopy {
		if err := taskpkg.CheckDirectory(dir); err != nil {
			return err
		}
	}
	x, err := c.examine(ctx, source)
	if err != nil {
		return err
	}
	defer x.Close()
	var server *client.Client
	var now *model.Row // registered before; nil: none
	if !c.noRegister {
		if server, err = a.connect(ctx); err != nil {
			return err
		}
		defer server.Close()
		if now, err = registeredRow(ctx, server, x.Name); err != nil {
			return err
		}
		keepBudgets(&x.Row, now)
	}
	if err := c.budgets.apply(&x.Row, given); err != nil {
		return err
	}
	if !c.yes || !a.quiet {
		if err := a.showInstall(x, now, dir, c); err != nil {
			return err
		}
	}
	if err := a.confirm(ctx, c.yes, "Install it?"); err != nil {
		return err
	}
	return a.carryOut(ctx, c, x, server, now, dir)
}

// place names the directory of the executables for people.
func (c *installing) place(dir string) string {
	if c.taskDir == "" {
		return dir
	}
	return dir + ", where the server looks if its --task-dir says so"
}

// registeredRow returns the row of a Task, or nil if the Task is not registered.
func registeredRow(ctx context.Context, c *client.Client, task string) (*model.Row, error) {
	status, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	for i := range status.Tasks {
		if status.Tasks[i].Task == task {
			return &status.Tasks[i].Row, nil
		}
	}
	return nil, nil
}

// keepBudgets keeps the registered budgets, unless those of the package are smaller. A package
// comes from the Task's author, and a budget protects against the Task.
func keepBudgets(row, now *model.Row) {
	if now == nil {
		return
	}
	row.LeakBudget = smallerBudget(row.LeakBudget, now.LeakBudget)
	row.IndexBudget = smallerBudget(row.IndexBudget, now.IndexBudget)
}

// smallerBudget returns the smaller of two budgets. 0 stands for no budget.
func smallerBudget(a, b uint64) uint64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// showInstall shows what will be installed.
func (a *app) showInstall(x *examined, now *model.Row, dir string, c *installing) error {
	list := x.claims()
	if !c.noCopy {
		list = append(list, claim{"walls", walls(sandbox.Probe())}, claim{"goes to", c.place(dir)})
	}
	if now != nil {
		list = append(list, changes(x, now)...)
	}
	var text strings.Builder
	if err := writeClaims(&text, list); err != nil {
		return err
	}
	a.say("%s", text.String())
	return nil
}

// walls says for people how far this machine can confine a Task.
func walls(steps []sandbox.Confinement) string {
	var broken []string
	for _, s := range steps {
		if !s.Holds {
			broken = append(broken, s.Broken)
		}
	}
	if broken == nil {
		return fmt.Sprintf("all %d steps of the confinement hold on this machine", len(steps))
	}
	return fmt.Sprintf("%d of %d steps of the confinement hold on this machine (%s: see 'motte doctor')",
		len(steps)-len(broken), len(steps), strings.Join(broken, "; "))
}

// changes are lines about the row that is registered now.
func changes(x *examined, now *model.Row) []claim {
	if *now == x.Row {
		return []claim{{"registered", "exactly so: nothing changes"}}
	}
	list := []claim{{"registered", "its indexes change to the new row one after the other, and serve meanwhile"}}
	if now.Measurement != x.Row.Measurement {
		list = append(list, claim{"  SHA-256", "now " + identifier(now.Measurement)})
	}
	before, after := rowClaims(new(newTask(x.Name, now))), rowClaims(new(newTask(x.Name, &x.Row)))
	for i := range before {
		if before[i] != after[i] {
			list = append(list, claim{"  " + before[i].subject, "now " + before[i].text})
		}
	}
	return list
}

// carryOut copies the executable, and registers the row.
func (a *app) carryOut(ctx context.Context, c *installing, x *examined, server *client.Client, now *model.Row, dir string) (err error) {
	v := x.view()
	if !c.noCopy {
		if v.Installed, err = x.Copy(dir); err != nil {
			return err
		}
	}
	if c.noRegister {
		return a.done(v, "The executable of Task %s is %s. An administrator registers it with: motte task install %s --no-copy",
			x.Name, v.Installed, shellWord(x.Source))
	}
	if now == nil || *now != x.Row {
		if err := server.RegisterTask(ctx, x.Name, x.Row); err != nil {
			return fmt.Errorf("register task %s: %w", x.Name, err)
		}
		if now != nil {
			a.note("Its indexes change to the new row: 'motte task upgrade %s' waits for them.", x.Name)
		}
	}
	v.Registered = true
	return a.done(v, "Task %s is installed: SHA-256 %x.", x.Name, x.Row.Measurement)
}
