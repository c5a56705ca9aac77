package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"motte/client"
	"motte/core/model"
	"motte/host"
)

func (a *app) indexStats() *cobra.Command {
	var dir string
	cmd := a.remote(&cobra.Command{
		Use:   "stats COLLECTION INDEX",
		Short: "Show one index: state, entries, queue, latencies, memory, processor time",
		Long: `Show one index. An input is refused if its Task does not accept it. It is set aside if the
Task ended over it: the object is stored, and the index does not find it. 'motte index retry'
tries such inputs again.

ENTRIES is the most that the index can hold: objects without an input for it have none. QUEUE
counts changes and questions that the Task has not confirmed or answered. CHANGES and QUESTIONS
say how long it took, since the server started. The time begins when the Core queues them, and
is known in steps: 1, 4, 16, 64, 256, 1024 and 4096 ms.

These numbers and the state are for administrators that may read all objects, since a Task can
move them. The process, its memory and its processor time are shown on the server's machine
only: see 'motte index list'. A Task that takes more than its share of processor time is
lowered, or paused if it has no work.`,
		Example: `  motte index stats people by_age`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		v, err := look(ctx, c)
		if err != nil {
			return err
		}
		if err := v.only(args[0]); err != nil {
			return err
		}
		v.Indexes = slices.DeleteFunc(v.Indexes, func(x indexView) bool { return x.Index != args[1] })
		if len(v.Indexes) == 0 {
			return fmt.Errorf("index %s %s: %w", args[0], args[1], client.ErrNoIndex)
		}
		if err := a.addProcesses(ctx, v, dir); err != nil {
			return err
		}
		return a.stats(v)
	})
	cmd.Flags().StringVar(&dir, "dir", "", "data directory `DIR` of the server, to show the process (default: where the profile lies)")
	_ = cmd.MarkFlagDirname("dir") // of the shell's completion
	return cmd
}

// property is a line of 'motte index stats' and 'motte index show'.
type property struct{ name, value string }

func (a *app) properties(lines []property) error {
	return table(a, lines, "PROPERTY | VALUE", func(l property) []any { return []any{l.name, l.value} })
}

// statsView is the index of 'motte index stats' as JSON.
type statsView struct {
	indexView
	reads      bool   // this principal sees the numbers that depend on all objects
	Entries    uint64 `json:"entries"`               // the most that it can hold
	ShelfLimit uint64 `json:"shelf_limit,omitempty"` // bytes; 0: its Task keeps nothing
}

// newStats adds to the only index of a view what its collection and its Task tell.
func newStats(v *view) statsView {
	x := statsView{indexView: v.Indexes[0]}
	for i := range v.Collections {
		if c := &v.Collections[i]; c.Collection == x.Collection {
			x.reads = x.shown() && (v.Server != nil || slices.Contains(c.Rights, client.RightsName(model.RightRead)))
			x.Entries = c.Objects - min(x.SetAside, c.Objects)
		}
	}
	if x.ToFeed > 0 && x.State == client.StateName(model.IndexBuilding) {
		x.Entries = x.Fed
	}
	for i := range v.Tasks {
		if v.Tasks[i].Task == x.Task {
			x.ShelfLimit = v.Tasks[i].Shelf
		}
	}
	return x
}

// stats prints the only index of a view.
func (a *app) stats(v *view) error {
	x := newStats(v)
	if a.json {
		return a.emit(x)
	}
	lines := []property{{"task", x.Task}, {"type", x.Type}}
	if x.shown() {
		lines = append(lines, property{"state", x.stateText()}, property{"restarts", fmt.Sprint(x.Restarts)})
	}
	if x.reads {
		lines = append(lines, x.numbers()...)
	}
	lines = append(lines, property{"bits drawn by you", bitsText(x.LeakedBits, x.LeftBits)})
	if x.shown() {
		lines = append(lines, property{"bits drawn by all", bitsText(x.IndexBits, x.IndexLeftBits)})
	}
	return a.properties(append(lines, x.process()...))
}

// numbers lists the numbers that depend on all objects.
func (x *statsView) numbers() []property {
	lines := []property{{"entries", fmt.Sprint(x.Entries)}}
	if x.ToFeed > 0 {
		what := "built"
		if x.State == client.StateName(model.IndexServing) {
			what = "successor built"
		}
		lines = append(lines, property{what, fmt.Sprintf("%d of %d", x.Fed, x.ToFeed)})
	}
	lines = append(lines, property{"queue", fmt.Sprint(x.Queued)},
		property{"changes", latencyText(x.Changes)}, property{"questions", latencyText(x.Questions)},
		property{"inputs refused", fmt.Sprint(x.Refused)}, property{"inputs set aside", fmt.Sprint(x.SetAside)})
	if x.ShelfLimit > 0 {
		lines = append(lines, property{"shelf", fmt.Sprintf("%s of %s", size(x.Shelf), size(x.ShelfLimit))})
	}
	return lines
}

// process describes the process of an index, if it is known.
func (x *indexView) process() []property {
	if x.Process == 0 {
		return nil
	}
	share := map[string]string{host.WithinShare: "within its share", host.Lowered: "lowered: more than its share",
		host.Paused: "paused: more than its share, without work"}[x.Share]
	took := time.Duration(x.ProcessorSeconds * float64(time.Second)).Round(10 * time.Millisecond)
	process := fmt.Sprint(x.Process)
	if x.Successor != 0 {
		process += fmt.Sprint(", and its successor ", x.Successor)
	}
	return []property{{"process", process}, {"memory", fmt.Sprintf("%s of %s", size(x.Memory), size(x.MemoryLimit))},
		{"processor time", fmt.Sprintf("%v, %s", took, share)}}
}

// bitsText writes the bits that were drawn, and the rest of the budget if there is one.
func bitsText(drawn uint64, left *uint64) string {
	if left == nil {
		return fmt.Sprint(drawn)
	}
	return fmt.Sprintf("%d, %d left", drawn, *left)
}

// latencyText writes how many durations there were, and the bounds of most of them.
func latencyText(l model.Latencies) string {
	total := uint64(0)
	for _, n := range l {
		total += n
	}
	if total == 0 {
		return "0"
	}
	return fmt.Sprintf("%d, half %s, 99%% %s", total, quantileText(l, (total+1)/2), quantileText(l, (total*99+99)/100))
}

// quantileText writes the bound of the first durations, as many as rank.
func quantileText(l model.Latencies, rank uint64) string {
	count := uint64(0)
	for i, n := range l[:len(l)-1] {
		if count += n; count >= rank {
			return fmt.Sprintf("within %d ms", 1<<(2*i))
		}
	}
	return fmt.Sprintf("over %d ms", 1<<(2*(len(l)-2)))
}
