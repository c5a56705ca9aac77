package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"motte/client"
	"motte/core/model"
	"motte/core/wire"
	"motte/host"
	"motte/sdk/conformance/confined"
	"motte/sdk/rehearsal"
)

// trying is the command line of 'motte task try'.
type trying struct {
	executable        string
	collection, index string
	config            string
	predicates        []string
	file              string
	memory            byteSize
}

func (a *app) taskTry() *cobra.Command {
	var t trying
	var cmd *cobra.Command
	cmd = a.leaf(&cobra.Command{
		Use:   "try EXECUTABLE",
		Short: "Run a new executable on a copy of an index, and compare its answers",
		Long: `Run a new executable on a copy of an index, and compare its answers with those of the index. The
server does not see the executable: it runs confined on this machine, and is fed the
objects of the collection, which you must be allowed to read. Then each predicate is asked to
both. The command prints the differences and the times, and fails if there is a difference.

The row of the index's Task gives the limits. The configuration is that of the index, which
administrators of the collection may read; others give it with --config. An index of
attributes can't be copied, since attributes can't be read.

An object that is put, replaced or deleted meanwhile is left out of the comparison. The questions
to the index are charged to your leak budget as any others.`,
		Example: `  motte task try motte-task-near.2 --collection people --index by_age --predicate '= 36' --predicate all
  motte task try motte-task-near.2 --collection people --index by_text --predicates queries.txt`,
	}, func(ctx context.Context, args []string) error {
		t.executable = args[0]
		return a.tryTask(ctx, &t, cmd.Flags().Changed("config"), cmd.Flags().Changed("memory"))
	})
	f := cmd.Flags()
	f.StringVar(&t.collection, "collection", "", "`COLLECTION` of the index")
	f.StringVar(&t.index, "index", "", "`INDEX` to compare with")
	f.StringArrayVar(&t.predicates, "predicate", nil, "`PREDICATE` to ask; may be given several times")
	f.StringVar(&t.file, "predicates", "", "`FILE` with predicates, one on a line; - is standard input")
	f.StringVar(&t.config, "config", "", "configuration instead of the index's: `JSON`, or @FILE")
	f.Var(&t.memory, "memory", "memory that the executable may have (default: that of the row)")
	a.offer(cmd, "collection", wire.StatusCollection)
	return cmd
}

var errDiffers = errors.New("the answers differ")

// check reads the predicates, and reports mistakes of the command line.
func (a *app) checkTrying(t *trying) error {
	if t.collection == "" || t.index == "" {
		return usage("--collection and --index say which index to compare with")
	}
	if err := errors.Join(argument("COLLECTION", t.collection), argument("INDEX", t.index)); err != nil {
		return err
	}
	if t.file != "" {
		text, err := a.readText(t.file, maxPredicates)
		if err != nil {
			return fmt.Errorf("--predicates: %w", err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimRight(line, "\r\n"); line != "" {
				t.predicates = append(t.predicates, line)
			}
		}
	}
	if len(t.predicates) == 0 {
		return usage("no predicate: give --predicate or --predicates FILE")
	}
	return nil
}

// maxPredicates bounds a file of predicates in bytes.
const maxPredicates = 16 << 20

func (a *app) tryTask(ctx context.Context, t *trying, ownConfig, ownMemory bool) error {
	if err := a.checkTrying(t); err != nil {
		return err
	}
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	x, row, err := t.subject(ctx, c)
	if err != nil {
		return err
	}
	var config []byte
	if ownConfig {
		config, err = a.configuration(t.config)
	} else if config, err = c.Configuration(ctx, t.collection, t.index); errors.Is(err, client.ErrDenied) {
		err = fmt.Errorf("the configuration of index %s %s is for administrators: give it with --config: %w", t.collection, t.index, err)
	}
	if err != nil {
		return err
	}
	if ownMemory {
		row.Memory = uint64(t.memory)
	}
	start, err := confined.Executable(t.executable, row.Memory)
	if err != nil {
		return err
	}
	measurement, err := host.Measure(t.executable)
	if err != nil {
		return err
	}
	a.note("Trying %s: SHA-256 %x.", t.executable, measurement)
	task, err := rehearsal.Start(start, rehearsal.Config{Type: x.Type, Ordered: x.Options&model.OptionOrdered != 0, Options: config,
		MaxResults: row.MaxResults, Deadline: time.Duration(row.Deadline) * time.Millisecond})
	if err != nil {
		return fmt.Errorf("%s: %w", t.executable, err)
	}
	defer task.Close()
	k := &comparison{app: a, client: c, of: t, task: task, ordered: x.Options&model.OptionOrdered != 0}
	if err := k.feed(ctx, row.MaxInput); err != nil {
		return err
	}
	return k.compareAll(ctx)
}

// subject returns the index and the row of its Task.
func (t *trying) subject(ctx context.Context, c *client.Client) (*wire.IndexStatus, model.Row, error) {
	status, err := c.Status(ctx)
	if err != nil {
		return nil, model.Row{}, err
	}
	x := status.Index(t.collection, t.index)
	if x == nil {
		return nil, model.Row{}, fmt.Errorf("index %s %s: %w", t.collection, t.index, client.ErrNoIndex)
	}
	for _, s := range status.Collections {
		if s.Collection == t.collection && s.Rights&model.RightRead == 0 {
			return nil, model.Row{}, fmt.Errorf("collection %s: the right read is missing, with which you see all objects: %w", t.collection, client.ErrDenied)
		}
	}
	if x.Options&model.OptionAttribute != 0 {
		return nil, model.Row{}, fmt.Errorf("index %s %s takes attributes, which can't be read: it can't be copied", t.collection, t.index)
	}
	now := findTask(status, x.Task)
	if now == nil {
		return nil, model.Row{}, fmt.Errorf("task %s: %w", x.Task, client.ErrNoTask)
	}
	return x, now.Row, nil
}

// feed gives the executable all objects of the collection.
func (k *comparison) feed(ctx context.Context, maxInput uint32) error {
	bar := k.bar(-1, "feeding")
	defer bar.Finish()
	began, n, tooLarge := time.Now(), 0, 0
	for o, err := range k.client.List(ctx, k.of.collection) {
		if err != nil {
			return fmt.Errorf("collection %s: after %s: %w", k.of.collection, plural(n, "object"), err)
		}
		n++
		_ = bar.Add(1) // ignore errors of the display
		if uint64(len(o.Data)) > uint64(maxInput) {
			tooLarge++
			continue
		}
		if err := k.task.Insert(o.Identity, o.Data); err != nil {
			return fmt.Errorf("%s: %w", k.of.executable, err)
		}
	}
	refused, err := k.task.Settle()
	if err != nil {
		return fmt.Errorf("%s: %w", k.of.executable, err)
	}
	_ = bar.Finish()
	text := fmt.Sprintf("It holds %s, after %v", plural(n-tooLarge-int(refused), "object"), time.Since(began).Round(time.Millisecond))
	if refused > 0 {
		text += fmt.Sprintf("; it refused %s", plural(refused, "input"))
	}
	if tooLarge > 0 {
		text += fmt.Sprintf("; %s are larger than the row allows", plural(tooLarge, "object"))
	}
	k.note("%s.", text)
	return nil
}
