package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"motte/sdk/skeleton"
)

// newTaskView is the directory of a new Task, as JSON.
type newTaskView struct {
	Task      string `json:"task"`
	Directory string `json:"directory"`
	Language  string `json:"language"`
}

func (a *app) taskNew() *cobra.Command {
	var language, dir string
	languages := strings.Join(skeleton.Languages, ", ")
	cmd := a.leaf(&cobra.Command{
		Use:   "new TASK",
		Short: "Write the source of a new Task, to begin with",
		Long: `Write a directory with a Task that works: an index that finds the objects whose input equals the
predicate. It has the source, a Makefile, a case for 'motte task test', and a copy of the kit
for the language. It builds without a network. No server is needed.`,
		Example: `  motte task new near --lang go
  cd near
  make test`,
	}, func(_ context.Context, args []string) error {
		if language == "" {
			return usage("--lang is missing: %s", languages)
		}
		if dir == "" {
			dir = args[0]
		}
		if err := skeleton.Write(dir, args[0], language); err != nil {
			return err
		}
		return a.done(newTaskView{args[0], dir, language}, "Task %s is written to %s. 'make test' there builds and tests it.", args[0], dir)
	})
	f := cmd.Flags()
	f.StringVar(&language, "lang", "", "`LANGUAGE` of the source: "+languages)
	f.StringVar(&dir, "dir", "", "`DIR` to write, which must not exist or be empty (default: the name of the Task)")
	return cmd
}
