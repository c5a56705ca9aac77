package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"motte/client"
	"motte/core/model"
	"motte/core/wire"
	"motte/host"
	"motte/sdk/ijson"
	"motte/tasks"
)

func (a *app) index() *cobra.Command {
	return a.group(&cobra.Command{
		Use:   "index",
		Short: "Create, list, examine and drop indexes",
		Long: `An index is a Task that follows one collection and answers predicates about it. It
runs confined, in a process of its own. The Core can build it again from the objects at any
time, and does so if the Task breaks a rule.`,
	}, []*cobra.Command{a.indexCreate(), a.indexSuggest(), a.indexList(), a.indexShow(), a.indexStats(), a.indexRetry(), a.indexRebuild(), a.indexDrop()})
}

func (a *app) indexCreate() *cobra.Command {
	var x client.Index
	var config, dataType string
	var wait, noWait bool
	var cmd *cobra.Command
	cmd = a.leaf(&cobra.Command{
		Use:   "create COLLECTION NAME",
		Short: "Make an index, and wait until it answers",
		Long: `Make an index, and wait until it answers. 'motte index suggest' proposes indexes that suit the
objects of a collection. Each Task defines its own configuration. The built-in Tasks
('motte help predicates' shows their predicates) take:

  ordered  {"path":P,"type":"int64"|"float64"|"string"|"time"|"bool"}
  filter   {"fields":[P,…]}, or none: then every member is a field
  geo      {"lat":P,"lng":P} or {"path":P}
  series   {"time":P,"series":[P,…],"value":P}
  text     {"path":P} or {"fields":[P,…]}, "language":"en"|…, "typos":true
  image    {"path":P}
  vector   {"path":P,"dimensions":N,"metric":"cosine"|"dot"|"l2"}
  trigram  {"path":P} or {"fields":[P,…]}
  sql      {"columns":[{"name":NAME,"path":P,"type":"integer"|"real"|"text"|"boolean"|"time"},…]}
  scan     {"path":P}

P is a JSON Pointer, such as /address/city. The pages in docs/reference/tasks have all members.
The Tasks filter, trigram and scan keep no order, and refuse --ordered.

Without a path the whole input is indexed. The input is the object, or with
--attribute what is given beside it: motte put … --attribute INDEX=VALUE.

An index that nobody asked for an hour is parked, if its Task has a shelf: its process ends, and
the next query starts it again and waits. With --resident the index keeps its process.`,
		Example: `  motte index create people by_age --task ordered --config '{"path":"/age","type":"int64"}'
  motte index create people by_text --task text --config @text.json --ordered
  motte index create events by_time --task ordered --type time --attribute`,
	}, func(ctx context.Context, args []string) error {
		if wait && noWait && cmd.Flags().Changed("wait") {
			return usage("--wait and --no-wait exclude each other")
		}
		if x.Task == "" {
			return usage("--task is missing: see 'motte task list'")
		}
		if err := argument("TASK", x.Task); err != nil {
			return err
		}
		var err error
		if x.Type, err = client.ParseType(dataType); err != nil {
			return usage("--type: %v", err)
		}
		if x.Config, err = a.configuration(config); err != nil {
			return err
		}
		c, err := a.connect(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		return a.createIndex(ctx, c, args[0], args[1], x, wait && !noWait)
	})
	f := cmd.Flags()
	f.StringVar(&x.Task, "task", "", "registered `Task` that the index runs")
	f.StringVar(&config, "config", "", "configuration for the Task: `JSON`, or @FILE, or @- for standard input")
	f.StringVar(&dataType, "type", "any", "data `TYPE` of the inputs: int64, float64, string, time, text, bytes or any")
	f.BoolVar(&x.Ordered, "ordered", false, "keep the Task's order in answers; otherwise answers are sorted by identity")
	f.BoolVar(&x.Lazy, "lazy", false, "let no put wait for the index; a search still sees every earlier put")
	f.BoolVar(&x.Attribute, "attribute", false, "index the attribute given beside an object instead of the object")
	f.BoolVar(&x.Resident, "resident", false, "never park the index: keep its process, however long nobody asks it")
	f.BoolVar(&wait, "wait", true, "wait until the index is built")
	f.BoolVar(&noWait, "no-wait", false, "do not wait until the index is built")
	a.offer(cmd, "task", wire.StatusTask)
	return cmd
}

// configuration reads the configuration that --config names.
func (a *app) configuration(s string) ([]byte, error) {
	text := []byte(s)
	if file, ok := strings.CutPrefix(s, "@"); ok {
		if file == "" {
			return nil, usage("--config %q: the name of the file is missing", s)
		}
		var err error
		if text, err = a.readText(file, model.MaxSubQuery); err != nil {
			return nil, fmt.Errorf("--config: %w", err)
		}
		if len(bytes.TrimSpace(text)) == 0 {
			return nil, usage("--config: %s is empty: leave the flag out if there is no configuration", file)
		}
	}
	if len(text) > model.MaxSubQuery {
		return nil, usage("--config has more than %s", size(model.MaxSubQuery))
	}
	// Text that is not JSON may be a configuration for a Task that is not built in.
	if err := ijson.Check(text); errors.Is(err, ijson.ErrAmbiguous) {
		return nil, usage("--config: %v", err)
	}
	return text, nil
}

func (a *app) createIndex(ctx context.Context, c *client.Client, collection, index string, x client.Index, wait bool) error {
	err := c.CreateIndex(ctx, collection, index, x)
	switch {
	case errors.Is(err, client.ErrInvalidRequest):
		return fmt.Errorf("index %s %s: Task %s does not keep an order, or takes inputs of another type, as 'motte task list' shows: leave out --ordered or --type", collection, index, x.Task)
	case errors.Is(err, client.ErrNoTask):
		return fmt.Errorf("index %s %s: Task %s: %w", collection, index, x.Task, err)
	case err != nil:
		return fmt.Errorf("index %s %s: %w", collection, index, err)
	}
	if wait {
		err := a.build(ctx, c, collection, index)
		if name := capital(x); name != "" && errors.Is(err, errNotAccepted) {
			return fmt.Errorf("%w; the member %q has capital letters, and those that the Task %s knows have none", err, name, x.Task)
		}
		if err != nil {
			return err
		}
	}
	v, err := a.findIndex(ctx, c, collection, index)
	if err != nil {
		return err
	}
	return a.doneIndex(v, collection, index)
}

// doneIndex tells the state of an index, and how many inputs its Task refused.
func (a *app) doneIndex(v indexView, collection, index string) error {
	refused := ""
	if v.Refused > 0 {
		refused = fmt.Sprintf(" Its Task refused %s: it does not find these objects.", plural(v.Refused, "input"))
	}
	return a.done(v, "Index %s of %s is %s.%s", index, collection, v.State, refused)
}

// capital returns a member of the configuration that has capital letters in its name. No
// built-in Task knows such a member. For other Tasks it returns "".
func capital(x client.Index) string {
	var members map[string]json.RawMessage
	builtIn, err := tasks.BuiltIn()
	if _, known := builtIn[x.Task]; err != nil || !known || json.Unmarshal(x.Config, &members) != nil {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if strings.ToLower(name) != name {
			return name
		}
	}
	return ""
}

func (a *app) indexList() *cobra.Command {
	var dir string
	cmd := a.remote(&cobra.Command{
		Use:   "list [COLLECTION]",
		Short: "List indexes, and how far those are that are being built",
		Long: `List indexes. STATE is starting, building (with the share of the objects that the
Task has), serving, parked (nobody asked for an hour; the next query starts its Task and
waits), quarantined (its Task broke the contract; a fresh one starts) or refused (the Task
does not accept the configuration). An index that serves may be upgraded meanwhile: it waits
for its turn, or its successor is built, fails again and again, or refused the configuration.
The index serves with the executable before until the successor has all objects; then it
takes over.

RESTARTS counts those of its Task since the server started. REFUSED counts the inputs that its
present process refused. A process that begins with a shelf is not given all inputs again, and
counts fewer. State and both numbers are for administrators.

BITS bounds the information that the Task can have hidden in your answers since the index
was made; LEFT is the rest of your budget, if there is one. ALL BITS and ALL LEFT are the
same for all principals together, and for administrators.

NUMBER identifies the index in /metrics, the server's log and 'ps'; it is for administrators.
PROCESS and MEMORY are those of its Task. They are shown if this command runs on the server's
machine, as the server's user or as root: the server gives them by a socket in its data
directory. That is the directory of the profile, or --dir.`,
		Example: `  motte index list people
  sudo -u motte motte --profile /var/lib/motte/admin.profile index list
  motte index list --dir /var/lib/motte`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		v, err := look(ctx, c)
		if err != nil {
			return err
		}
		if len(args) > 0 {
			if err := v.only(args[0]); err != nil {
				return err
			}
		}
		if err := a.addProcesses(ctx, v, dir); err != nil {
			return err
		}
		return a.indexes(v)
	})
	cmd.Flags().StringVar(&dir, "dir", "", "data directory `DIR` of the server, to show processes (default: where the profile lies)")
	_ = cmd.MarkFlagDirname("dir") // of the shell's completion
	return cmd
}

// addProcesses adds the processes of indexes to a view, if the server runs on this machine. It
// leaves out processes that it can't read, unless a directory is named.
func (a *app) addProcesses(ctx context.Context, v *view, dir string) error {
	me, err := a.readProfile()
	if err != nil {
		return err
	}
	asked := dir != ""
	if !asked {
		path, err := a.profilePath()
		if err != nil {
			return err
		}
		dir = filepath.Dir(path)
	}
	running, err := host.LookAt(ctx, dir)
	switch {
	case err == nil && shows(me, running.CoreKey):
	case !asked:
		return nil
	case err != nil:
		return err
	default:
		return fmt.Errorf("the server in %s is not the one that the profile is for", dir)
	}
	for i := range v.Indexes {
		x := &v.Indexes[i]
		for _, p := range running.Processes {
			if x.Number != 0 && p.Index == x.Number {
				x.add(&p)
			}
		}
	}
	return nil
}

// add adds a process of an index. The second one is that of its successor.
func (x *indexView) add(p *host.Process) {
	if x.Process == 0 {
		x.Process, x.Share = p.PID, p.Share
	} else {
		x.Successor = p.PID
	}
	x.Memory += p.Memory
	x.MemoryLimit += p.Limit
	x.ProcessorSeconds += p.ProcessorSeconds
}

// only removes the indexes of other collections from a view.
func (v *view) only(collection string) error {
	known := false
	for _, c := range v.Collections {
		known = known || c.Collection == collection
	}
	if !known {
		return fmt.Errorf("collection %s: %w", collection, client.ErrNoCollection)
	}
	var list []indexView
	for _, x := range v.Indexes {
		if x.Collection == collection {
			list = append(list, x)
		}
	}
	v.Indexes = list
	return nil
}

func (a *app) indexes(v *view) error {
	header := "COLLECTION | INDEX | TASK | TYPE | STATE | OPTIONS | RESTARTS | REFUSED | BITS | LEFT | ALL BITS | ALL LEFT | NUMBER"
	processes := slices.ContainsFunc(v.Indexes, func(x indexView) bool { return x.Process != 0 })
	if processes {
		header += " | PROCESS | MEMORY"
	}
	return table(a, v.Indexes, header, func(x indexView) []any {
		options := optionsText(x.Ordered, x.Lazy, x.Attribute, x.Resident)
		restarts, refused, all, number := fmt.Sprint(x.Restarts), fmt.Sprint(x.Refused), fmt.Sprint(x.IndexBits), fmt.Sprint(x.Number)
		if !x.shown() {
			restarts, refused, all, number = "", "", "", ""
		}
		cells := []any{x.Collection, x.Index, x.Task, x.Type, x.stateText(), options, restarts, refused,
			x.LeakedBits, leftText(x.LeftBits), all, leftText(x.IndexLeftBits), number}
		if !processes {
			return cells
		}
		if x.Process == 0 {
			return append(cells, "", "")
		}
		return append(cells, x.Process, size(x.Memory))
	})
}

// optionsText lists the options of an index.
func optionsText(ordered, lazy, attribute, resident bool) string {
	return strings.Join(strings.Fields(yes(ordered, "ordered ")+yes(lazy, "lazy ")+yes(attribute, "attribute ")+yes(resident, "resident")), ",")
}

// stateText writes the state, and how far a build or an upgrade is.
func (x *indexView) stateText() string {
	text := x.State
	if x.Upgrade != client.UpgradeName(model.UpgradeNone) {
		text += ", upgrade"
		if x.Upgrade != client.UpgradeName(model.UpgradeBuilds) {
			text += " " + x.Upgrade
		}
	}
	if x.ToFeed > 0 {
		text += fmt.Sprintf(" %d%%", 100*x.Fed/x.ToFeed)
	}
	return text
}

// leftText writes the rest of a budget, if there is a budget.
func leftText(bits *uint64) string {
	if bits == nil {
		return ""
	}
	return fmt.Sprint(*bits)
}

func (a *app) indexRetry() *cobra.Command {
	return a.remote(&cobra.Command{
		Use:   "retry COLLECTION INDEX",
		Short: "Give an index the inputs again over which its Task ended",
		Long: `Give an index the inputs again that were set aside, because its Task ended over them. If it
ends again, they are set aside again. Predicates that are refused because the Task ended over
them are accepted again. Another executable ('motte task register') gets all inputs by itself.`,
		Example: `  motte index retry people by_age`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		n, err := c.RetryIndex(ctx, args[0], args[1])
		if err != nil {
			return fmt.Errorf("index %s %s: %w", args[0], args[1], err)
		}
		v := struct {
			Collection string `json:"collection"`
			Index      string `json:"index"`
			Inputs     uint32 `json:"inputs"`
		}{args[0], args[1], n}
		return a.done(v, "Index %s of %s gets %s again.", args[1], args[0], plural(int(n), "input"))
	})
}

func (a *app) indexRebuild() *cobra.Command {
	var noWait bool
	cmd := a.remote(&cobra.Command{
		Use:   "rebuild COLLECTION INDEX",
		Short: "Build an index anew, and wait until it answers",
		Long: `Build an index anew, and wait until it answers: its Task's process is ended, and a fresh one gets
all objects. Until then queries fail and can be tried again; puts do not wait for the index.

The Core does this by itself when a Task ends or breaks a rule. Do it by hand if you doubt the
answers of an index, or to give back memory that its Task took.`,
		Example: `  motte index rebuild people by_age`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		before, err := a.findIndex(ctx, c, args[0], args[1])
		if err != nil {
			return err
		}
		if err := c.RebuildIndex(ctx, args[0], args[1]); err != nil {
			return fmt.Errorf("index %s %s: %w", args[0], args[1], err)
		}
		if !noWait {
			if err := a.awaitBuilt(ctx, c, args[0], args[1], before.Restarts); err != nil {
				return err
			}
		}
		v, err := a.findIndex(ctx, c, args[0], args[1])
		if err != nil {
			return err
		}
		return a.doneIndex(v, args[0], args[1])
	})
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "do not wait until the index is built")
	return cmd
}

func (a *app) indexDrop() *cobra.Command {
	return a.remote(&cobra.Command{
		Use:     "drop COLLECTION INDEX",
		Short:   "Remove an index; the objects stay",
		Example: `  motte index drop people by_age`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		if err := c.DropIndex(ctx, args[0], args[1]); err != nil {
			return fmt.Errorf("index %s %s: %w", args[0], args[1], err)
		}
		v := struct {
			Collection string `json:"collection"`
			Index      string `json:"index"`
		}{args[0], args[1]}
		return a.done(v, "Index %s of %s is dropped.", args[1], args[0])
	})
}
