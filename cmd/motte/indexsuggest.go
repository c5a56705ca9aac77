package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"motte/client"
	"motte/tasks"
)

// Bounds of a sample: the first objects of a list, which are in no particular order.
const (
	sampleObjects = 500
	sampleBytes   = 64 << 20
)

func (a *app) indexSuggest() *cobra.Command {
	cmd := a.remote(&cobra.Command{
		Use:   "suggest COLLECTION",
		Short: "Look at some objects, and propose indexes for them",
		Long: `Look at some objects of a collection, and propose indexes for them: a command line for each, with a
reason above it. Nothing is created: choose the lines that you need, and run them.

The command reads up to 500 objects that you may read, in no particular order, and looks at the
members of those that are JSON: their types, how many values there are, and their lengths. The
server learns only that the objects were read. Only built-in Tasks that are registered are
proposed. The rules are rough: a member whose values all happen to fit may mean something else.`,
		Example: `  motte index suggest people
  motte index suggest people --json | jq -r .command`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		v, err := look(ctx, c)
		if err != nil {
			return err
		}
		s, err := readSample(ctx, c, args[0])
		if err != nil {
			return fmt.Errorf("collection %s: %w", args[0], err)
		}
		return a.printProposals(v, args[0], s)
	})
	return cmd
}

// readSample reads some objects of a collection.
func readSample(ctx context.Context, c *client.Client, collection string) (*sample, error) {
	s := newSample()
	total := 0
	for o, err := range c.List(ctx, collection) {
		var missing *client.MissingError
		if errors.As(err, &missing) {
			break // objects that can't be read are not part of the sample
		}
		if err != nil {
			return nil, err
		}
		s.add(o.Data)
		if total += len(o.Data); total >= sampleBytes || s.objects >= sampleObjects {
			break
		}
	}
	return s, nil
}

func (a *app) printProposals(v *view, collection string, s *sample) error {
	builtIn, err := tasks.BuiltIn()
	if err != nil {
		return err
	}
	registered, used := make(map[string]bool), make(map[string]bool)
	for _, t := range v.Tasks {
		_, known := builtIn[t.Task]
		registered[t.Task] = known
	}
	for _, x := range v.Indexes {
		if x.Collection == collection {
			used[x.Index] = true
		}
	}
	total := uint64(0)
	for _, k := range v.Collections {
		if k.Collection == collection {
			total = k.Objects
		}
	}
	list := s.proposals(collection, total, registered, used)
	for _, p := range list {
		if a.json {
			err = a.emit(p)
		} else {
			_, err = fmt.Fprint(a.stdout, harmlessText(fmt.Sprintf("# %s\n%s\n", p.Reason, p.Command)))
		}
		if err != nil {
			return err
		}
	}
	switch {
	case s.objects == 0:
		a.note("Collection %s has no object that you may read.", collection)
	case len(list) == 0:
		a.note("The sample of %s has nothing for which a Task is registered.", plural(s.objects, "object"))
	}
	return nil
}
