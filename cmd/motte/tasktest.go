package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"motte/core/model"
	"motte/host"
	"motte/sdk/conformance"
	"motte/sdk/conformance/confined"
	"motte/taskpkg"
)

// testedShelf is the shelf of a Task that is tested.
const testedShelf = 64 << 20

// taskTestFlags are the flags of 'motte task test'.
type taskTestFlags struct {
	casePath   string
	only       string
	list       bool
	deadline   time.Duration
	memory     byteSize
	shelf      byteSize
	maxInput   byteSize
	maxResults uint32
	seed       uint64
}

func (a *app) taskTest() *cobra.Command {
	f := taskTestFlags{deadline: time.Duration(defaultRow.Deadline) * time.Millisecond, memory: byteSize(defaultRow.Memory),
		shelf: testedShelf, maxInput: byteSize(defaultRow.MaxInput), maxResults: defaultRow.MaxResults}
	cmd := a.leaf(&cobra.Command{
		Use:   "test [EXECUTABLE]",
		Short: "Check whether a Task keeps the protocol of Tasks",
		Long: `Start the executable of a Task in its confinement, drive it as the Core does, and compare each
answer with a model. Print each check, and of one that fails the rule that was broken, what
was sent and what came back. No server is needed.

The case is a file with sample inputs, and the inputs that each predicate finds: see
docs/reference/case-file.md. Motte has cases of its own: ` + strings.Join(conformance.BuiltInNames(), ", ") + `. Without --case it takes the
one that is called as the executable is, after motte-task-.`,
		Example: `  motte task test motte-task-near --case case.json
  motte task test motte-task-near --case case.json --run pages`,
	}, func(ctx context.Context, args []string) error {
		if f.list {
			return a.listChecks()
		}
		if len(args) == 0 {
			return usage("EXECUTABLE is missing: the Task's executable; --list lists the checks")
		}
		return a.testTask(ctx, args[0], &f)
	})
	flags := cmd.Flags()
	flags.StringVar(&f.casePath, "case", "", "case `FILE`, or the name of a case that Motte has")
	flags.StringVar(&f.only, "run", "", "run only the checks whose name matches `REGEXP`")
	flags.BoolVar(&f.list, "list", false, "list the checks, and run none")
	flags.DurationVar(&f.deadline, "deadline", f.deadline, "`TIME` to confirm a change or answer a query")
	flags.Var(&f.memory, "memory", "memory that the Task may have")
	flags.Var(&f.shelf, "shelf", "bytes that the Task may keep for its next process; 0: it keeps nothing, and gets no frame of the shelf")
	flags.Var(&f.maxInput, "max-input", "largest input that is sent")
	flags.Var(whole[uint32]{&f.maxResults, 1, model.MaxResultsLimit}, "max-results", "`N` results of one answer at most")
	flags.Var(whole[uint64]{&f.seed, 0, 1<<64 - 1}, "seed", "`N` that decides all random choices")
	return cmd
}

// checkListView is a check of the suite, as JSON.
type checkListView struct {
	Check string `json:"check"`
	About string `json:"about"`
}

func (a *app) listChecks() error {
	var list []checkListView
	for _, c := range conformance.Checks() {
		list = append(list, checkListView{c.Name, c.About})
	}
	return table(a, list, "CHECK | TRIES TO", func(c checkListView) []any { return []any{c.Check, c.About} })
}

func (a *app) testTask(ctx context.Context, path string, f *taskTestFlags) error {
	only, err := regexp.Compile(f.only)
	if err != nil {
		return usage("--run: %v", err)
	}
	if f.deadline <= 0 {
		return usage("--deadline: it has to be longer than nothing")
	}
	start, err := confined.Executable(path, uint64(f.memory))
	if err != nil {
		return err
	}
	c, err := findCase(f.casePath, path)
	if err != nil {
		return err
	}
	measurement, err := host.Measure(path)
	if err != nil {
		return err
	}
	a.note("Testing %s: SHA-256 %x.", path, measurement)
	passed := 0
	var unwritten error
	err = conformance.Run(ctx, conformance.Options{Case: c, Start: start, Only: only, Deadline: f.deadline, Seed: f.seed,
		MaxInput: int(f.maxInput), MaxResults: int(f.maxResults), Shelf: uint64(f.shelf), Report: func(r conformance.Result) {
			if r.Outcome == conformance.Passed {
				passed++
			}
			if err := a.printResult(r); err != nil && unwritten == nil {
				unwritten = err
			}
		}})
	switch {
	case errors.Is(err, conformance.ErrNoCheck):
		return usage("--run %q: %v; --list lists the checks", f.only, err)
	case err != nil:
		return err
	case !a.json:
		a.note("The Task keeps the protocol: %s passed.", plural(passed, "check"))
	}
	return unwritten
}

// findCase returns the case that a flag names, or that is called as an executable.
func findCase(name, executable string) (*conformance.Case, error) {
	if name == "" {
		task, ok := strings.CutPrefix(filepath.Base(executable), taskpkg.Prefix)
		if c, err := conformance.BuiltIn(task); ok && err == nil {
			return c, nil
		}
		return nil, usage("--case is missing: a case file with the Task's inputs and predicates; see docs/reference/case-file.md")
	}
	if model.ValidIdentifier(name) {
		return conformance.BuiltIn(name)
	}
	return conformance.ReadCase(name)
}

// printResult prints the result of a check.
func (a *app) printResult(r conformance.Result) error {
	if a.json {
		return a.emit(r)
	}
	if a.quiet && r.Outcome == conformance.Passed {
		return nil
	}
	mark := map[conformance.Outcome]string{conformance.Passed: "ok", conformance.Failed: "FAIL", conformance.Skipped: "skip"}[r.Outcome]
	var b strings.Builder
	fmt.Fprintf(&b, "%-5s %-23s %s\n", mark, r.Check, r.About)
	if r.Note != "" {
		fmt.Fprintf(&b, "      %s\n", r.Note)
	}
	if r.Problem != "" {
		fmt.Fprintf(&b, "      %s\n", r.Problem)
	}
	if r.Rule != "" {
		fmt.Fprintf(&b, "      Rule: %s\n", r.Rule)
	}
	if r.Section != "" {
		fmt.Fprintf(&b, "      See docs/reference/task-protocol.md, %q.\n", r.Section)
	}
	for _, part := range []struct {
		title  string
		frames []string
	}{{"Sent, the last frames", r.Sent}, {"Received, the last frames", r.Received}} {
		if len(part.frames) > 0 {
			fmt.Fprintf(&b, "      %s:\n        %s\n", part.title, strings.Join(part.frames, "\n        "))
		}
	}
	_, err := fmt.Fprint(a.stdout, b.String())
	return err
}
